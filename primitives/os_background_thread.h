#ifndef MMSB_PRIMITIVES_OS_BACKGROUND_THREAD_H_
#define MMSB_PRIMITIVES_OS_BACKGROUND_THREAD_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <limits>

#include "primitives/os_clock.h"
#include "primitives/os_error.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb {

// A thread that does the same piece of work again and again: when somebody
// wakes it, and when a period has passed since the last run ended.
//
//   state      Start         Wake                    Stop, destructor   after
//   fork() stopped    -> running    nothing                 nothing stopped
//   running    EBUSY         runs soon; wakes that   -> stopped stopped, in
//                            come together are one                      the
//                            child
//
// Owns the thread; the work's argument and the clock belong to the caller and
// outlive it. Runs do not overlap. Stop() waits until a run in progress has
// ended; what was woken for and has not begun is dropped. What a thread did
// before Wake() is visible to the run that follows.
//
// The thread takes none of the signals that are sent to the process. In the
// child of a fork() it does not exist, and the object is as stopped; it is the
// caller who may start it again there. The work itself must not fork, except to
// execute a program.
//
// Thread-safe: Wake() on any thread, the work included. Start(), Stop() and
// running() on one thread at a time. Stop() from the work would wait for
// itself, and ends the process. Failure to make the thread is returned.
// Constant time.
//
//   BackgroundThread purger;
//   OsError error = purger.Start(&Purge, &pool, {.period_ns = 1'000'000'000});
//   purger.Wake();
class BackgroundThread {
 public:
  using Work = void (*)(void* argument);

  struct Options {
    // What a debugger shows, up to 15 bytes; longer names are cut.
    const char* name = "mmsb";
    // Nanoseconds from the end of one run, or from Start(), to the beginning of
    // the next, at least 1; as it is, only Wake() causes runs.
    int64_t period_ns = std::numeric_limits<int64_t>::max();
    // What measures the period. See CondVar::WaitUntil for other clocks.
    const Clock* clock = &Clock::System();
  };

  BackgroundThread() = default;
  BackgroundThread(const BackgroundThread&) = delete;
  BackgroundThread& operator=(const BackgroundThread&) = delete;

  // Stops.
  ~BackgroundThread() { Stop(); }

  // Makes the thread, which runs `work(argument)` from now on. EBUSY when it
  // runs already, EINVAL for no work, no clock or a period below 1, EAGAIN when
  // the system allows no more threads.
  OsError Start(Work work, void* argument, const Options& options);
  OsError Start(Work work, void* argument) {
    return Start(work, argument, Options());
  }

  // Asks for one run that begins after this call.
  void Wake();

  // Ends the thread and waits for its end. Nothing happens when it does not
  // run.
  void Stop();

  // True between Start() and Stop(), in the process that called Start().
  [[nodiscard]] bool running() const;

 private:
  static void* ThreadMain(void* self);
  void Loop();

  // In a forked child, makes the object what it is before Start(): the thread
  // is gone, and may have held the lock or waited on the condition.
  void ForgetIfForked();

  // Set by Start, read by the thread and by Start's.
  Work work_ = nullptr;
  void* argument_ = nullptr;
  Options options_;
  pthread_t thread_ = {};

  static constexpr uint64_t kNotStarted = std::numeric_limits<uint64_t>::max();
  // The fork generation in which the thread was started, or kNotStarted.
  std::atomic<uint64_t> started_in_ = kNotStarted;

  Mutex mutex_;
  CondVar changed_;
  bool woken_ MMSB_GUARDED_BY(mutex_) = false;
  bool stopping_ MMSB_GUARDED_BY(mutex_) = false;
};

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_BACKGROUND_THREAD_H_
