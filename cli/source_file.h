#ifndef MMSB_CLI_SOURCE_FILE_H_
#define MMSB_CLI_SOURCE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/log/file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {

// A regular file that is read as one moment had it: when somebody wrote to it,
// replaced it or removed it in between, CheckUnchanged says so, and what was
// read is good for nothing.
//
// Owns the open file. Movable; thread-compatible. Every status names the file.
// It goes by what the file system records of the file, so what another process
// changes through a mapping that it keeps open may go unseen.
//
//   absl::StatusOr<SourceFile> file = SourceFile::Open(file_system, clock,
//   path); file->Read(0, buffer); absl::Status same = file->CheckUnchanged();
class SourceFile {
 public:
  // OK when `path` is a regular file that can be opened.
  static absl::Status Check(FileSystem& file_system, const std::string& path);

  // Returns when a write from now on would give the file another time stamp
  // than it has: a file written just now is waited for, 20 ms or, where the
  // file system keeps whole seconds, 2 s.
  static absl::StatusOr<SourceFile> Open(FileSystem& file_system, Clock& clock,
                                         std::string path);

  uint64_t bytes() const { return info_.bytes; }

  // Fills `out` from `offset`; Aborted when the file is not that long any more.
  absl::Status Read(uint64_t offset, std::span<std::byte> out);

  // Aborted when the file is not as it was when Open returned.
  absl::Status CheckUnchanged();

 private:
  SourceFile(FileSystem& file_system, std::string path,
             std::unique_ptr<File> file, const FileInfo& info);

  absl::Status Changed() const;

  FileSystem* file_system_;
  std::string path_;
  std::unique_ptr<File> file_;
  FileInfo info_;
};

}  // namespace mmsb

#endif  // MMSB_CLI_SOURCE_FILE_H_
