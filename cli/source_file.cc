#include "cli/source_file.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "memory/log/file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

// Longer than a tick of any kernel's clock (10 ms at 100 Hz).
constexpr int64_t kTickNs = 20'000'000;
constexpr int64_t kSecondNs = 1'000'000'000;

absl::StatusOr<std::unique_ptr<File>> OpenRegular(FileSystem& file_system,
                                                  const std::string& path) {
  // The path first: opening a device may have effects.
  absl::StatusOr<FileInfo> info = file_system.Info(path);
  if (!info.ok()) return info.status();
  absl::StatusOr<std::unique_ptr<File>> file(nullptr);
  if (info->kind == FileKind::kRegular) {
    file = file_system.Open(path, FileSystem::Access::kRead);
    if (!file.ok()) return file.status();
    info = (*file)->Info();
    if (!info.ok()) return info.status();
  }
  if (info->kind != FileKind::kRegular) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", path, "' is ",
        info->kind == FileKind::kDirectory ? "a directory"
                                           : "not a regular file"));
  }
  return file;
}

}  // namespace

absl::Status SourceFile::Check(FileSystem& file_system,
                               const std::string& path) {
  return OpenRegular(file_system, path).status();
}

absl::StatusOr<SourceFile> SourceFile::Open(FileSystem& file_system,
                                            Clock& clock, std::string path) {
  absl::StatusOr<std::unique_ptr<File>> file = OpenRegular(file_system, path);
  if (!file.ok()) return file.status();
  absl::StatusOr<FileInfo> info = (*file)->Info();
  if (!info.ok()) return info.status();
  const int64_t window =
      info->changed_ns % kSecondNs == 0 ? 2 * kSecondNs : kTickNs;
  const int64_t age = clock.WallTime() - info->changed_ns;
  if (age < window) {
    // A time stamp in the future is another machine's.
    absl::SleepFor(absl::Nanoseconds(age < 0 ? window : window - age));
    const FileInfo before = *info;
    info = (*file)->Info();
    if (!info.ok()) return info.status();
    if (*info != before) {
      return absl::AbortedError(
          absl::StrCat("'", path, "' is being written to"));
    }
  }
  return SourceFile(file_system, std::move(path), *std::move(file), *info);
}

SourceFile::SourceFile(FileSystem& file_system, std::string path,
                       std::unique_ptr<File> file, const FileInfo& info)
    : file_system_(&file_system),
      path_(std::move(path)),
      file_(std::move(file)),
      info_(info) {}

absl::Status SourceFile::Read(uint64_t offset, std::span<std::byte> out) {
  absl::StatusOr<size_t> read = file_->ReadAt(offset, out);
  if (!read.ok()) return read.status();
  return *read == out.size() ? absl::OkStatus() : Changed();
}

absl::Status SourceFile::CheckUnchanged() {
  absl::StatusOr<FileInfo> open = file_->Info();
  if (!open.ok()) return open.status();
  if (*open != info_) return Changed();
  absl::StatusOr<FileInfo> named = file_system_->Info(path_);
  if (absl::IsNotFound(named.status())) {
    return absl::AbortedError(
        absl::StrCat("'", path_, "' was removed while it was read"));
  }
  if (!named.ok()) return named.status();
  return *named == info_ ? absl::OkStatus() : Changed();
}

absl::Status SourceFile::Changed() const {
  return absl::AbortedError(
      absl::StrCat("'", path_, "' changed while it was read"));
}

}  // namespace mmsb
