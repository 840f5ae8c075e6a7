#include "primitives/os_background_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

#include "primitives/check.h"
#include "primitives/os_clock.h"
#include "primitives/os_error.h"
#include "primitives/os_fork.h"
#include "primitives/os_mutex.h"

namespace mmsb {
namespace {

// The current fork generation, of a process that has asked for it successfully.
uint64_t KnownForkGeneration() {
  uint64_t generation = 0;
  OsError error = ForkGeneration(&generation);
  MMSB_CHECK(error.ok(), "ForkGeneration failed after it had succeeded");
  return generation;
}

int64_t AddOrMax(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum)
             ? std::numeric_limits<int64_t>::max()
             : sum;
}

// Blocks, on this thread and those it makes, the signals that are sent to a
// process; not those that a thread brings upon itself, whose handlers tell what
// went wrong, nor the profiler's.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int own :
         {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
      sigdelset(&blocked, own);
    }
    code_ = pthread_sigmask(SIG_SETMASK, &blocked, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() {
    if (code_ != 0) return;
    const int code = pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    MMSB_CHECK(code == 0, "pthread_sigmask: errno %d", code);
  }

  int code() const { return code_; }

 private:
  sigset_t before_;
  int code_;
};

}  // namespace

OsError BackgroundThread::Start(Work work, void* argument,
                                const Options& options) {
  if (work == nullptr || options.clock == nullptr || options.period_ns < 1) {
    return OsError("BackgroundThread::Start", EINVAL);
  }
  uint64_t generation = 0;
  OsError error = ForkGeneration(&generation);
  if (!error.ok()) return error;
  ForgetIfForked();
  if (running()) return OsError("BackgroundThread::Start", EBUSY);

  work_ = work;
  argument_ = argument;
  options_ = options;
  {
    MutexLock lock(mutex_);
    woken_ = false;
    stopping_ = false;
  }
  const SignalsBlocked blocked;
  if (blocked.code() != 0) return OsError("pthread_sigmask", blocked.code());
  // release: pairs with the acquire in Wake, which may from here on use the
  // lock that ForgetIfForked made anew. Before the thread, whose work may call
  // Wake.
  started_in_.store(generation, std::memory_order_release);
  const int code = pthread_create(&thread_, nullptr, &ThreadMain, this);
  if (code != 0) {
    // relaxed: as in Stop.
    started_in_.store(kNotStarted, std::memory_order_relaxed);
    return OsError("pthread_create", code);
  }
  return OsError();
}

void BackgroundThread::Wake() {
  // acquire: pairs with the release in Start.
  const uint64_t started_in = started_in_.load(std::memory_order_acquire);
  if (started_in == kNotStarted || started_in != KnownForkGeneration()) return;
  MutexLock lock(mutex_);
  woken_ = true;
  changed_.NotifyOne();
}

void BackgroundThread::Stop() {
  ForgetIfForked();
  if (!running()) return;
  MMSB_CHECK(!pthread_equal(pthread_self(), thread_),
             "BackgroundThread::Stop: called by the thread itself");
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyOne();
  }
  const int code = pthread_join(thread_, nullptr);
  MMSB_CHECK(code == 0, "BackgroundThread::Stop: pthread_join: errno %d", code);
  // relaxed: Wake does no harm to an object without a thread.
  started_in_.store(kNotStarted, std::memory_order_relaxed);
}

bool BackgroundThread::running() const {
  // relaxed: written by Start and Stop, which run on one thread at a time.
  const uint64_t started_in = started_in_.load(std::memory_order_relaxed);
  return started_in != kNotStarted && started_in == KnownForkGeneration();
}

void BackgroundThread::ForgetIfForked() {
  // relaxed: as in running().
  const uint64_t started_in = started_in_.load(std::memory_order_relaxed);
  if (started_in == kNotStarted || started_in == KnownForkGeneration()) return;
  // Their destructors would wait for a thread that is not here.
  new (&mutex_) Mutex();
  new (&changed_) CondVar();
  // relaxed: Wake does not touch the two before Start's release.
  started_in_.store(kNotStarted, std::memory_order_relaxed);
}

void* BackgroundThread::ThreadMain(void* self) {
  static_cast<BackgroundThread*>(self)->Loop();
  return nullptr;
}

void BackgroundThread::Loop() {
  constexpr size_t kNameBytes = 16;
  char name[kNameBytes] = {};
  for (size_t i = 0; i + 1 < kNameBytes && options_.name[i] != '\0'; ++i) {
    name[i] = options_.name[i];
  }
  // Only a debugger misses the name.
  static_cast<void>(pthread_setname_np(pthread_self(), name));

  while (true) {
    const int64_t next = AddOrMax(options_.clock->Now(), options_.period_ns);
    {
      MutexLock lock(mutex_);
      while (!woken_ && !stopping_) {
        if (next == std::numeric_limits<int64_t>::max()) {
          changed_.Wait(mutex_);
        } else if (!changed_.WaitUntil(mutex_, next, *options_.clock)) {
          break;
        }
      }
      if (stopping_) return;
      woken_ = false;
    }
    work_(argument_);
  }
}

}  // namespace mmsb
