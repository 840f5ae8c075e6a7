#ifndef MMSB_CLI_ASIDE_FILE_H_
#define MMSB_CLI_ASIDE_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/log/file_system.h"

namespace mmsb {

// A file that is written beside its final place, in the same directory and
// under a name that nobody can guess, and takes its name when it is whole.
// Until then nothing is seen at the final place, and whatever was there stays.
//
// Owns the file, which is removed when it is destroyed unpublished, and also
// when SIGHUP, SIGINT or SIGTERM ends the process meanwhile; so there is one at
// a time (a second ends the process). Movable; thread-compatible. Statuses name
// the file.
//
//   absl::StatusOr<AsideFile> aside = AsideFile::Create(file_system, "out");
//   aside->file().WriteAt(0, bytes);
//   absl::Status done = aside->Publish(FileSystem::IfExists::kFail);
class AsideFile {
 public:
  // `permissions` as in FileSystem::CreateNew().
  static absl::StatusOr<AsideFile> Create(FileSystem& file_system,
                                          std::string path,
                                          uint32_t permissions);
  AsideFile(AsideFile&& other) noexcept;
  AsideFile& operator=(AsideFile&&) = delete;
  ~AsideFile();

  File& file() { return *file_; }

  // Syncs the file, renames it, and syncs the directory.
  absl::Status Publish(FileSystem::IfExists if_exists);

 private:
  AsideFile(FileSystem& file_system, std::string path, std::string aside_path);

  // There is nothing to remove any more.
  void Forget();

  FileSystem* file_system_;
  std::string path_;
  std::string aside_path_;  // empty: published, or moved from
  std::unique_ptr<File> file_;
};

}  // namespace mmsb

#endif  // MMSB_CLI_ASIDE_FILE_H_
