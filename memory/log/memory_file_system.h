#ifndef MMSB_MEMORY_LOG_MEMORY_FILE_SYSTEM_H_
#define MMSB_MEMORY_LOG_MEMORY_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "memory/log/file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {

// Files in the memory of this process, and nowhere else: a store over it is a
// store without a disk. A path means what it means to PosixFileSystem, with "/"
// as the working directory; there are no links and no files but regular ones.
// Durable is what this object still holds, so Sync has nothing to do.
// Permissions are kept and refuse nobody.
//
// Owns all files; must outlive the Files that were opened in it. Thread-safe.
// Readers and writers of one file wait for each other for the copy of one block
// at the most; nobody waits for another file.
//
// Failure: a status, as PosixFileSystem's; ResourceExhausted (ENOSPC) when
// Options::max_bytes do not suffice, or the heap has no more. Then a write has
// done what found room, as on a disk. Removing and truncating give room back, a
// removed file's when the last File of it is gone.
//
// Memory: kBlockBytes each stretch of that size which was written to, stretches
// that were skipped take none, and less than kEntryBytes a file or directory.
// Reading and writing cost a copy and O(log blocks of the file) each block; a
// path, O(log entries) each component.
//
//   MemoryFileSystem files({.max_bytes = 64 << 20});
//   auto store = PageStore::Open(files, "state",
//                                {.mode = PageStore::Mode::kCreate});
class MemoryFileSystem final : public FileSystem {
 public:
  static constexpr size_t kBlockBytes = 16 << 10;
  static constexpr size_t kEntryBytes = 1 << 10;

  struct Options {
    // Of blocks and entries together, the root not counted.
    uint64_t max_bytes = std::numeric_limits<uint64_t>::max();
    // Taken away from the permissions of new files: umask(2).
    uint32_t permission_mask = 022;
    // WallTime() stamps the files; must outlive this.
    Clock& clock = Clock::System();
  };

  MemoryFileSystem() : MemoryFileSystem(Options()) {}
  explicit MemoryFileSystem(const Options& options);
  ~MemoryFileSystem() override;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             Access access) override;
  absl::StatusOr<std::unique_ptr<File>> CreateNew(
      const std::string& path, uint32_t permissions) override;
  absl::Status CreateDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to,
                      IfExists if_exists) override;
  absl::Status Remove(const std::string& path) override;
  absl::StatusOr<FileInfo> Info(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override;

  // What counts against Options::max_bytes.
  uint64_t used_bytes() const;

 private:
  struct Node;
  class OpenFile;
  class Space;

  // Where a path leads.
  struct Place {
    Node* parent;                // null when the path ends in no name
    std::string_view name;       // of the path
    std::shared_ptr<Node> node;  // null when there is none
    bool is_directory;           // the path says that it must be one
  };

  // Fails when anything but the last name is missing or not a directory.
  absl::StatusOr<Place> Walk(std::string_view call, std::string_view path) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is there.
  absl::StatusOr<std::shared_ptr<Node>> Find(std::string_view call,
                                             std::string_view path) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The errno of what forbids a rename, or 0.
  static int WhyNotRename(const Place& from, const Place& to,
                          IfExists if_exists);
  // Enters a new node, of which nothing is there yet.
  absl::StatusOr<std::shared_ptr<Node>> Add(std::string_view call,
                                            std::string_view path,
                                            const Place& place, bool directory,
                                            uint32_t permissions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  const uint32_t permission_mask_;
  const std::unique_ptr<Space> space_;
  // Of all names, and of who holds which lock; ahead of a node's own.
  mutable absl::Mutex mutex_;
  std::shared_ptr<Node> root_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_identity_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_MEMORY_FILE_SYSTEM_H_
