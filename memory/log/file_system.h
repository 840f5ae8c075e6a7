#ifndef MMSB_MEMORY_LOG_FILE_SYSTEM_H_
#define MMSB_MEMORY_LOG_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mmsb {

enum class FileKind { kRegular, kDirectory, kOther };

// What is known of a file. Two equal FileInfos of one path, some time apart,
// say that nobody wrote to it in between, as far as the file system's clock can
// tell.
struct FileInfo {
  FileKind kind;
  uint64_t bytes;
  int64_t modified_ns;   // since the Unix epoch
  int64_t changed_ns;    // of contents or attributes, since the Unix epoch
  uint64_t identity;     // another file under the same name has another one
  uint32_t permissions;  // rwx of owner, group, others: 0 to 0777

  friend bool operator==(const FileInfo&, const FileInfo&) = default;
};

// An open file, closed by its destructor. Offsets and sizes are in bytes. Every
// failure is a status that names the file and what the system said of it. Calls
// on one File must not overlap, but for ReadAt and Info, which may overlap any
// call, and Sync, which may overlap WriteAt and Truncate: it covers what was
// done before it was called. A read of bytes that change meanwhile gives any
// mixture of both.
class File {
 public:
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Fills `out` from `offset`; returns how many bytes were there, fewer than
  // out.size() only at the end of the file. OutOfRange where no file reaches.
  virtual absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                        std::span<std::byte> out) = 0;

  // Writes all of `data`. After a failure any part of it may have been written.
  virtual absl::Status WriteAt(uint64_t offset,
                               std::span<const std::byte> data) = 0;

  // Returns once what was written, and what is needed to read it back, is on
  // stable storage. After a failure nothing is known of the writes since the
  // last success, and calling again would not tell.
  virtual absl::Status Sync() = 0;

  virtual absl::Status Truncate(uint64_t bytes) = 0;
  // Whatever the process's mask is; 0 to 0777.
  virtual absl::Status SetPermissions(uint32_t permissions) = 0;
  virtual absl::StatusOr<FileInfo> Info() = 0;

  // Advisory, exclusive, held until the File is destroyed, also against other
  // Files of this process. Lock waits; TryLock returns false instead. Who has
  // the lock gets it again.
  virtual absl::Status Lock() = 0;
  virtual absl::StatusOr<bool> TryLock() = 0;

 protected:
  File() = default;
};

// The operations on files that the layers above the operating system use, so
// that faults can be injected. Thread-safe.
class FileSystem {
 public:
  enum class Access { kRead, kReadWrite, kCreate };  // kCreate: made if absent
  enum class IfExists { kReplace, kFail };

  virtual ~FileSystem() = default;

  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                                     Access access) = 0;
  // A new file with `permissions`, less those that the process's mask takes
  // away. AlreadyExists when anything of that name is there, a link included.
  virtual absl::StatusOr<std::unique_ptr<File>> CreateNew(
      const std::string& path, uint32_t permissions) = 0;
  // A directory that nobody but its owner may enter. AlreadyExists when
  // anything of that name is there.
  virtual absl::Status CreateDirectory(const std::string& path) = 0;
  // Makes creations, renames and removals in the directory durable.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  // Atomic, also against a crash. With kFail, AlreadyExists when `to` is there.
  virtual absl::Status Rename(const std::string& from, const std::string& to,
                              IfExists if_exists) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::StatusOr<FileInfo> Info(const std::string& path) = 0;
  // The names in a directory, without "." and "..", sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) = 0;
};

// The directory that holds the last component of `path`; "." when it has no
// other.
std::string ParentPath(std::string_view path);

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_FILE_SYSTEM_H_
