#include "cli/background_sync.h"

#include <signal.h>

#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "memory/log/file_system.h"

namespace mmsb {

BackgroundSync::~BackgroundSync() { Finish().IgnoreError(); }

void BackgroundSync::Wrote(uint64_t bytes) {
  const absl::MutexLock lock(mutex_);
  unsynced_ += bytes;
  // A small file does not pay for a thread.
  if (unsynced_ >= kBytes && !thread_.joinable()) {
    // Signals are the writer's: their handlers rely on it (AsideFile).
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { Run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
}

absl::Status BackgroundSync::Finish() {
  {
    const absl::MutexLock lock(mutex_);
    finishing_ = true;
  }
  if (thread_.joinable()) thread_.join();
  const absl::MutexLock lock(mutex_);
  return status_;
}

void BackgroundSync::Run() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return finishing_ || unsynced_ >= kBytes;
  };
  absl::Status status;
  while (status.ok()) {
    {
      const absl::MutexLock lock(mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (finishing_) return;
      unsynced_ = 0;
    }
    status = file_.Sync();
  }
  const absl::MutexLock lock(mutex_);
  status_ = status;
}

}  // namespace mmsb
