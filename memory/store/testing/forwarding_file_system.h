#ifndef MMSB_MEMORY_STORE_TESTING_FORWARDING_FILE_SYSTEM_H_
#define MMSB_MEMORY_STORE_TESTING_FORWARDING_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/log/file_system.h"

namespace mmsb {

// Passes every call on: a base for file systems of tests that change a few.
// Owns the file below; not thread-safe beyond it.
class ForwardingFile : public File {
 public:
  explicit ForwardingFile(std::unique_ptr<File> base)
      : base_(std::move(base)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                std::span<std::byte> out) override {
    return base_->ReadAt(offset, out);
  }
  absl::Status WriteAt(uint64_t offset,
                       std::span<const std::byte> data) override {
    return base_->WriteAt(offset, data);
  }
  absl::Status Sync() override { return base_->Sync(); }
  absl::Status Truncate(uint64_t bytes) override {
    return base_->Truncate(bytes);
  }
  absl::Status SetPermissions(uint32_t permissions) override {
    return base_->SetPermissions(permissions);
  }
  absl::StatusOr<FileInfo> Info() override { return base_->Info(); }
  absl::Status Lock() override { return base_->Lock(); }
  absl::StatusOr<bool> TryLock() override { return base_->TryLock(); }

 private:
  const std::unique_ptr<File> base_;
};

// The same of a file system, which outlives this one. Both calls that open a
// file put it into what Wrap() makes of it.
class ForwardingFileSystem : public FileSystem {
 public:
  explicit ForwardingFileSystem(FileSystem& base) : base_(base) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             Access access) override {
    return WrapIfOpen(base_.Open(path, access));
  }
  absl::StatusOr<std::unique_ptr<File>> CreateNew(
      const std::string& path, uint32_t permissions) override {
    return WrapIfOpen(base_.CreateNew(path, permissions));
  }
  absl::Status CreateDirectory(const std::string& path) override {
    return base_.CreateDirectory(path);
  }
  absl::Status SyncDirectory(const std::string& path) override {
    return base_.SyncDirectory(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to,
                      IfExists if_exists) override {
    return base_.Rename(from, to, if_exists);
  }
  absl::Status Remove(const std::string& path) override {
    return base_.Remove(path);
  }
  absl::StatusOr<FileInfo> Info(const std::string& path) override {
    return base_.Info(path);
  }
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override {
    return base_.List(path);
  }

 private:
  virtual std::unique_ptr<File> Wrap(std::unique_ptr<File> file) = 0;

  absl::StatusOr<std::unique_ptr<File>> WrapIfOpen(
      absl::StatusOr<std::unique_ptr<File>> file) {
    if (!file.ok()) return file.status();
    return Wrap(*std::move(file));
  }

  FileSystem& base_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_TESTING_FORWARDING_FILE_SYSTEM_H_
