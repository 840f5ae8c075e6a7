#ifndef MMSB_CLI_BACKGROUND_SYNC_H_
#define MMSB_CLI_BACKGROUND_SYNC_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "memory/log/file_system.h"
#include "primitives/os_thread.h"

namespace mmsb {

// Syncs a file again and again, by a thread of its own, while another thread
// writes it, so that the disk works meanwhile and the last sync has little left
// to do. Does not make that one needless, and nor does it happen where there is
// no thread to be had.
//
// Refers to the file. Wrote and Finish are one thread's, that of the writer.
// A sync that failed is the last one.
//
//   BackgroundSync sync(file);
//   for (...) { file.WriteAt(...); sync.Wrote(bytes); }
//   absl::Status status = sync.Finish();  // and then file.Sync()
class BackgroundSync {
 public:
  // What must have been written since the last sync for another.
  static constexpr uint64_t kBytes = uint64_t{32} << 20;

  explicit BackgroundSync(File& file) : file_(file) {}
  ~BackgroundSync();
  BackgroundSync(const BackgroundSync&) = delete;
  BackgroundSync& operator=(const BackgroundSync&) = delete;

  void Wrote(uint64_t bytes);

  // Waits for the sync that is going on. The failure of one, if any failed:
  // then nothing is known of what was written.
  absl::Status Finish();

 private:
  static void Run(void* self);

  File& file_;
  uint64_t unsynced_ = 0;  // since the last sync was asked for
  bool started_ = false;   // or it was tried
  absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  BackgroundThread thread_;
};

}  // namespace mmsb

#endif  // MMSB_CLI_BACKGROUND_SYNC_H_
