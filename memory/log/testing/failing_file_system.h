#ifndef MMSB_MEMORY_LOG_TESTING_FAILING_FILE_SYSTEM_H_
#define MMSB_MEMORY_LOG_TESTING_FAILING_FILE_SYSTEM_H_

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

// A file system whose Nth call fails with an injected error, a write after half
// of its bytes: alone, or with every call after it, which is what a program
// sees of a disk that goes away. The state under it stays as it was left.
//
// Forwards to another file system, which must outlive it. Not thread-safe.
class FailingFileSystem final : public FileSystem {
 public:
  explicit FailingFileSystem(FileSystem& base) : base_(base) {}

  // The first `calls` calls from now on succeed.
  void FailAfter(uint64_t calls) {
    left_ = calls;
    once_ = false;
  }
  // The same, but only one call fails.
  void FailOnce(uint64_t calls) {
    left_ = calls;
    once_ = true;
    failed_call_.clear();
  }
  bool failed() const { return failed_; }
  // The call that failed last.
  const std::string& failed_call() const { return failed_call_; }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             Access access) override {
    if (absl::Status status = Count("open"); !status.ok()) return status;
    absl::StatusOr<std::unique_ptr<File>> file = base_.Open(path, access);
    if (!file.ok()) return file.status();
    return std::make_unique<FailingFile>(*this, *std::move(file));
  }
  absl::StatusOr<std::unique_ptr<File>> CreateNew(
      const std::string& path, uint32_t permissions) override {
    if (absl::Status status = Count("create"); !status.ok()) return status;
    absl::StatusOr<std::unique_ptr<File>> file =
        base_.CreateNew(path, permissions);
    if (!file.ok()) return file.status();
    return std::make_unique<FailingFile>(*this, *std::move(file));
  }
  absl::Status CreateDirectory(const std::string& path) override {
    absl::Status status = Count("create directory");
    return status.ok() ? base_.CreateDirectory(path) : status;
  }
  absl::Status SyncDirectory(const std::string& path) override {
    absl::Status status = Count("sync directory");
    return status.ok() ? base_.SyncDirectory(path) : status;
  }
  absl::Status Rename(const std::string& from, const std::string& to,
                      IfExists if_exists) override {
    absl::Status status = Count("rename");
    return status.ok() ? base_.Rename(from, to, if_exists) : status;
  }
  absl::Status Remove(const std::string& path) override {
    absl::Status status = Count("remove");
    return status.ok() ? base_.Remove(path) : status;
  }
  absl::StatusOr<FileInfo> Info(const std::string& path) override {
    if (absl::Status status = Count("info"); !status.ok()) return status;
    return base_.Info(path);
  }
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override {
    if (absl::Status status = Count("list"); !status.ok()) return status;
    return base_.List(path);
  }

 private:
  class FailingFile final : public File {
   public:
    FailingFile(FailingFileSystem& owner, std::unique_ptr<File> base)
        : owner_(owner), base_(std::move(base)) {}

    absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                  std::span<std::byte> out) override {
      if (absl::Status status = owner_.Count("read"); !status.ok()) {
        return status;
      }
      return base_->ReadAt(offset, out);
    }
    absl::Status WriteAt(uint64_t offset,
                         std::span<const std::byte> data) override {
      const bool was_failed = owner_.failed_;
      absl::Status status = owner_.Count("write");
      if (status.ok()) return base_->WriteAt(offset, data);
      if (!was_failed) {
        base_->WriteAt(offset, data.first(data.size() / 2)).IgnoreError();
      }
      return status;
    }
    absl::Status Sync() override {
      absl::Status status = owner_.Count("sync");
      return status.ok() ? base_->Sync() : status;
    }
    absl::Status Truncate(uint64_t bytes) override {
      absl::Status status = owner_.Count("truncate");
      return status.ok() ? base_->Truncate(bytes) : status;
    }
    absl::Status SetPermissions(uint32_t permissions) override {
      absl::Status status = owner_.Count("set permissions");
      return status.ok() ? base_->SetPermissions(permissions) : status;
    }
    absl::StatusOr<FileInfo> Info() override {
      if (absl::Status status = owner_.Count("info"); !status.ok()) {
        return status;
      }
      return base_->Info();
    }
    absl::Status Lock() override {
      absl::Status status = owner_.Count("lock");
      return status.ok() ? base_->Lock() : status;
    }
    absl::StatusOr<bool> TryLock() override {
      if (absl::Status status = owner_.Count("lock"); !status.ok()) {
        return status;
      }
      return base_->TryLock();
    }

   private:
    FailingFileSystem& owner_;
    const std::unique_ptr<File> base_;
  };

  absl::Status Count(const char* call) {
    if (left_ > 0) {
      --left_;
      return absl::OkStatus();
    }
    failed_ = true;
    failed_call_ = call;
    if (once_) left_ = UINT64_MAX;
    return absl::UnavailableError(std::string("injected failure of ") + call);
  }

  FileSystem& base_;
  uint64_t left_ = UINT64_MAX;
  bool once_ = false;
  bool failed_ = false;
  std::string failed_call_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_TESTING_FAILING_FILE_SYSTEM_H_
