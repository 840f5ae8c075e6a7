#include "cli/background_sync.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "memory/log/file_system.h"
#include "primitives/os_thread.h"

namespace mmsb {

BackgroundSync::~BackgroundSync() { Finish().IgnoreError(); }

void BackgroundSync::Wrote(uint64_t bytes) {
  unsynced_ += bytes;
  // A small file does not pay for a thread.
  if (unsynced_ < kBytes) return;
  unsynced_ = 0;
  if (!started_) {
    started_ = true;
    static_cast<void>(thread_.Start(&Run, this, {.name = "mmsb-sync"}).ok());
  }
  thread_.Wake();
}

absl::Status BackgroundSync::Finish() {
  thread_.Stop();
  const absl::MutexLock lock(mutex_);
  return status_;
}

void BackgroundSync::Run(void* self) {
  auto& sync = *static_cast<BackgroundSync*>(self);
  {
    const absl::MutexLock lock(sync.mutex_);
    if (!sync.status_.ok()) return;
  }
  const absl::Status status = sync.file_.Sync();
  const absl::MutexLock lock(sync.mutex_);
  sync.status_ = status;
}

}  // namespace mmsb
