#include "memory/log/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/log/file_system.h"

namespace mmsb {
namespace {

absl::Status SystemError(int error, std::string_view operation,
                         std::string_view path) {
  return absl::ErrnoToStatus(
      error, absl::StrCat("cannot ", operation, " '", path, "'"));
}

// Calls `call` until it is not interrupted by a signal.
template <class Call>
auto Uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

int64_t Nanoseconds(const struct timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileInfo ToFileInfo(const struct stat& stat) {
  const FileKind kind = S_ISREG(stat.st_mode)   ? FileKind::kRegular
                        : S_ISDIR(stat.st_mode) ? FileKind::kDirectory
                                                : FileKind::kOther;
  return FileInfo{.kind = kind,
                  .bytes = static_cast<uint64_t>(stat.st_size),
                  .modified_ns = Nanoseconds(stat.st_mtim),
                  .changed_ns = Nanoseconds(stat.st_ctim),
                  .identity = static_cast<uint64_t>(stat.st_ino),
                  .permissions = static_cast<uint32_t>(stat.st_mode & 0777)};
}

// The offset as the system's type; false when it has no such offset.
bool ToOffset(uint64_t offset, size_t bytes, off_t* out) {
  constexpr uint64_t kMax =
      static_cast<uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > kMax || bytes > kMax - offset) return false;
  *out = static_cast<off_t>(offset);
  return true;
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path)
      : descriptor_(descriptor), path_(std::move(path)) {}

  // A failed close tells nothing that Sync did not: whoever needs to know that
  // the bytes are stored has called it.
  ~PosixFile() override { ::close(descriptor_); }

  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                std::span<std::byte> out) override {
    off_t at;
    if (!ToOffset(offset, out.size(), &at)) {
      return SystemError(EOVERFLOW, "read", path_);
    }
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = Uninterrupted([&] {
        return ::pread(descriptor_, out.data() + done, out.size() - done,
                       at + static_cast<off_t>(done));
      });
      if (n < 0) return SystemError(errno, "read", path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  absl::Status WriteAt(uint64_t offset,
                       std::span<const std::byte> data) override {
    off_t at;
    if (!ToOffset(offset, data.size(), &at)) {
      return SystemError(EFBIG, "write", path_);
    }
    size_t done = 0;
    while (done < data.size()) {
      const ssize_t n = Uninterrupted([&] {
        return ::pwrite(descriptor_, data.data() + done, data.size() - done,
                        at + static_cast<off_t>(done));
      });
      if (n < 0) return SystemError(errno, "write", path_);
      done += static_cast<size_t>(n);
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (Uninterrupted([&] { return ::fdatasync(descriptor_); }) != 0) {
      return SystemError(errno, "sync", path_);
    }
    return absl::OkStatus();
  }

  absl::Status Truncate(uint64_t bytes) override {
    off_t size;
    if (!ToOffset(bytes, 0, &size)) {
      return SystemError(EFBIG, "resize", path_);
    }
    if (Uninterrupted([&] { return ::ftruncate(descriptor_, size); }) != 0) {
      return SystemError(errno, "resize", path_);
    }
    return absl::OkStatus();
  }

  absl::Status SetPermissions(uint32_t permissions) override {
    if (Uninterrupted([&] {
          return ::fchmod(descriptor_, static_cast<mode_t>(permissions & 0777));
        }) != 0) {
      return SystemError(errno, "set the permissions of", path_);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<FileInfo> Info() override {
    struct stat stat;
    if (::fstat(descriptor_, &stat) != 0) {
      return SystemError(errno, "examine", path_);
    }
    return ToFileInfo(stat);
  }

  absl::Status Lock() override {
    if (Uninterrupted([&] { return ::flock(descriptor_, LOCK_EX); }) != 0) {
      return SystemError(errno, "lock", path_);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> TryLock() override {
    if (Uninterrupted(
            [&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); }) == 0) {
      return true;
    }
    if (errno == EWOULDBLOCK) return false;
    return SystemError(errno, "lock", path_);
  }

 private:
  const int descriptor_;
  const std::string path_;
};

class PosixFileSystemImpl final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             Access access) override {
    // O_NONBLOCK: opening a named pipe must not wait for its other end. It has
    // no effect on the files and directories that are then used.
    int flags = O_CLOEXEC | O_NONBLOCK;
    switch (access) {
      case Access::kRead:
        flags |= O_RDONLY;
        break;
      case Access::kReadWrite:
        flags |= O_RDWR;
        break;
      case Access::kCreate:
        flags |= O_RDWR | O_CREAT;
        break;
    }
    const int descriptor =
        Uninterrupted([&] { return ::open(path.c_str(), flags, 0666); });
    if (descriptor < 0) return SystemError(errno, "open", path);
    return std::make_unique<PosixFile>(descriptor, path);
  }

  absl::StatusOr<std::unique_ptr<File>> CreateNew(
      const std::string& path, uint32_t permissions) override {
    const int descriptor = Uninterrupted([&] {
      return ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                    static_cast<mode_t>(permissions & 0777));
    });
    if (descriptor < 0) return SystemError(errno, "create", path);
    return std::make_unique<PosixFile>(descriptor, path);
  }

  absl::Status CreateDirectory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) != 0) {
      return SystemError(errno, "create the directory", path);
    }
    return absl::OkStatus();
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const int descriptor = Uninterrupted([&] {
      return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    });
    if (descriptor < 0) return SystemError(errno, "open", path);
    const int result = Uninterrupted([&] { return ::fsync(descriptor); });
    const int error = errno;
    ::close(descriptor);
    if (result != 0) return SystemError(error, "sync the directory", path);
    return absl::OkStatus();
  }

  absl::Status Rename(const std::string& from, const std::string& to,
                      IfExists if_exists) override {
    const unsigned flags = if_exists == IfExists::kFail ? RENAME_NOREPLACE : 0u;
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) {
      return absl::OkStatus();
    }
    if (errno == EINVAL && if_exists == IfExists::kFail) {
      return LinkThenRemove(from, to);
    }
    return SystemError(errno, absl::StrCat("rename '", from, "' to"), to);
  }

  absl::Status Remove(const std::string& path) override {
    if (std::remove(path.c_str()) != 0) {
      return SystemError(errno, "remove", path);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<FileInfo> Info(const std::string& path) override {
    struct stat stat;
    if (::stat(path.c_str(), &stat) != 0) {
      return SystemError(errno, "examine", path);
    }
    return ToFileInfo(stat);
  }

  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()),
                                                        ::closedir);
    if (directory == nullptr) return SystemError(errno, "list", path);
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const struct dirent* const entry = ::readdir(directory.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return SystemError(errno, "list", path);
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  // For file systems without RENAME_NOREPLACE. A crash in between leaves both
  // names, never a file half there.
  static absl::Status LinkThenRemove(const std::string& from,
                                     const std::string& to) {
    if (::link(from.c_str(), to.c_str()) != 0) {
      return SystemError(errno, absl::StrCat("rename '", from, "' to"), to);
    }
    if (::unlink(from.c_str()) != 0) return SystemError(errno, "remove", from);
    return absl::OkStatus();
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static PosixFileSystemImpl* const file_system = new PosixFileSystemImpl;
  return *file_system;
}

}  // namespace mmsb
