#ifndef MMSB_MEMORY_LOG_FAULTY_FILE_SYSTEM_H_
#define MMSB_MEMORY_LOG_FAULTY_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "memory/log/file_system.h"

namespace mmsb {

// A disk in memory that fails as disks do: its calls return errors where a test
// wants them, and it shows every state in which a power failure may leave it.
// For testing code that promises durability; works with any code that is
// written against FileSystem.
//
// What a program sees is always what it wrote. What a crash leaves is less:
//
//   change              durable after                 a crash before leaves it
//   File::WriteAt       Sync of that file             whole; absent; cut off at
//                                                     any sector boundary or at
//                                                     two bytes beside one; or,
//                                                     past the end, as zeros
//   File::Truncate      Sync of that file             done or not
//   a name made,        SyncDirectory of the          done or not; a rename
//   removed, renamed    directories that hold it      wholly
//
// Changes become durable in any order. A Sync that fails loses what it was to
// make durable: a later one does not bring it back (Rebello et al., "Can
// Applications Recover from fsync Failures?", USENIX ATC 2020), and only
// writing the bytes again does. Permissions are durable at once.
//
// (That crash states are found by dropping and tearing what no sync ordered is
// from Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.)
//
// Owns all files. Thread-safe. Directories are not renamed. Paths are compared
// as text, without "." and ".." inside; "." and "/" are there from the start.
//
//   FaultyFileSystem disk;
//   disk.OnCrashPoint([&] {
//     disk.ForEachCrashState({}, [&](FileSystem& left) { Recover(left); });
//   });
//   RunWorkload(disk);
class FaultyFileSystem final : public FileSystem {
 public:
  enum class Fault {
    kIoError,     // EIO; of a write, nothing was written
    kNoSpace,     // ENOSPC; of a write, nothing was written
    kShortWrite,  // ENOSPC; of a write, the first half was written
  };

  struct CrashOptions {
    size_t sector_bytes = 512;
    // Where the product of what may be left of each change is at most this,
    // every combination is shown.
    uint64_t max_states = 4096;
  };

  // What ForEachCrashState() did.
  struct CrashStates {
    uint64_t states = 0;   // shown
    uint64_t changes = 0;  // that were not durable
    // Every combination was shown. Otherwise: all subsets of whole changes
    // where there are at most kMaxSubsetChanges, else all prefixes and all
    // single drops; and each change torn in every way, with all others whole,
    // and with those behind it absent.
    bool all = true;
  };
  static constexpr size_t kMaxSubsetChanges = 8;

  FaultyFileSystem();
  ~FaultyFileSystem() override;

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

  // The first `calls` calls from now on succeed; the next `failures` fail.
  // Every function of FileSystem and File is a call.
  void FailAfter(uint64_t calls, Fault fault,
                 uint64_t failures = std::numeric_limits<uint64_t>::max());

  // Calls since construction, those that failed too.
  uint64_t calls() const;

  // `reached` is called before each Sync and SyncDirectory, which is when most
  // is at stake: the states of a crash between two of them are among those of a
  // crash right before the second. The end of a workload is one more, for the
  // test to add. On the thread that syncs, without a lock.
  void OnCrashPoint(std::function<void()> reached);

  // Shows each state that a crash at this moment may leave, as a disk of its
  // own in which all is durable and nothing is locked. What is done to it is
  // forgotten.
  CrashStates ForEachCrashState(
      const CrashOptions& options,
      absl::FunctionRef<void(FaultyFileSystem& left)> visit) const;

 private:
  struct Change;
  struct Node;
  struct EntryChange;
  class OpenFile;
  class CrashStateMaker;

  using Entries = std::map<std::string, std::shared_ptr<Node>>;

  // Ok when `call` on `path` is not to fail.
  absl::Status Count(const char* call, const std::string& path,
                     Fault* fault = nullptr)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::shared_ptr<Node>> Find(const char* call,
                                             const std::string& path) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckParent(const char* call, const std::string& path) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Node> MakeNode(bool directory, uint32_t permissions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null for a name that goes away.
  void ChangeEntries(
      std::vector<std::pair<std::string, std::shared_ptr<Node>>> entries)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReachCrashPoint();

  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // as a program sees them
  Entries durable_entries_ ABSL_GUARDED_BY(mutex_);
  // Since durable_entries_, oldest first.
  std::vector<EntryChange> entry_changes_ ABSL_GUARDED_BY(mutex_);
  uint64_t serial_ ABSL_GUARDED_BY(mutex_) = 0;  // of changes and nodes
  uint64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t fail_from_ ABSL_GUARDED_BY(mutex_) =
      std::numeric_limits<uint64_t>::max();
  uint64_t failures_left_ ABSL_GUARDED_BY(mutex_) = 0;
  Fault fault_ ABSL_GUARDED_BY(mutex_) = Fault::kIoError;
  std::function<void()> on_crash_point_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_FAULTY_FILE_SYSTEM_H_
