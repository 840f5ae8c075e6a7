#ifndef MMSB_PRIMITIVES_OS_MUTEX_H_
#define MMSB_PRIMITIVES_OS_MUTEX_H_

#include <pthread.h>

#include <cstdint>

#include "primitives/os_clock.h"
#include "primitives/sanitizer.h"
#include "primitives/thread_annotations.h"

#if MMSB_THREAD_SANITIZER
extern "C" void __tsan_mutex_destroy(void* mutex, unsigned flags);
#endif

namespace mmsb {

// A lock that one thread holds at a time.
//
// Constant-initialised and trivially destructible (but for a note to
// ThreadSanitizer), so that one with static storage works before main() and in
// static destructors. Not recursive, not fair. Locking allocates nothing.
// Misuse that the system notices ends the process. Lock() and Unlock() without
// contention cost some 20 ns.
//
// A fork while another thread holds the lock leaves it locked in the child for
// good: see ForkHook.
//
//   Mutex mutex;
//   int value MMSB_GUARDED_BY(mutex);
//   { MutexLock lock(mutex); ++value; }
class MMSB_LOCK_TYPE("mutex") Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
#if MMSB_THREAD_SANITIZER
  // Or a later lock at the same address would be taken for this one.
  ~Mutex() { __tsan_mutex_destroy(&mutex_, 0); }
#endif

  void Lock() MMSB_ACQUIRE();
  void Unlock() MMSB_RELEASE();

  // Takes the lock and returns true, or returns false when some thread holds
  // it.
  [[nodiscard]] bool TryLock() MMSB_TRY_ACQUIRE(true);

 private:
  friend class CondVar;

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

// Holds a Mutex for as long as it lives.
class MMSB_SCOPED_LOCK_TYPE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) MMSB_ACQUIRE(mutex) : mutex_(mutex) {
    mutex.Lock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() MMSB_RELEASE() { mutex_.Unlock(); }

 private:
  Mutex& mutex_;
};

// Where threads wait until what a Mutex guards has changed.
//
// Every wait gives the mutex up, sleeps, and takes it again before it returns;
// it may return without cause, so the condition is looked at in a loop. All
// waits at one time use the same mutex. Thread-safe; destroyed when nobody
// waits. Failure of the system ends the process.
//
//   MutexLock lock(mutex);
//   while (!ready) changed.Wait(mutex);
class CondVar {
 public:
  CondVar();
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;
  ~CondVar();

  // Waits for a notification.
  void Wait(Mutex& mutex) MMSB_REQUIRES(mutex);

  // Waits for a notification or until `clock.Now()` is at least `deadline`, in
  // nanoseconds; false when that is so. A clock other than the system's cannot
  // wake a thread: such a wait returns every millisecond of real time.
  bool WaitUntil(Mutex& mutex, int64_t deadline,
                 const Clock& clock = Clock::System()) MMSB_REQUIRES(mutex);

  // Wakes one waiter, or every waiter. The mutex may be held or not.
  void NotifyOne();
  void NotifyAll();

 private:
  // False when the system's clock has reached `deadline`.
  bool WaitUntilSystem(Mutex& mutex, int64_t deadline);

  pthread_cond_t cond_;
};

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_MUTEX_H_
