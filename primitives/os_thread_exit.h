#ifndef MMSB_PRIMITIVES_OS_THREAD_EXIT_H_
#define MMSB_PRIMITIVES_OS_THREAD_EXIT_H_

#include <pthread.h>

#include "primitives/os_error.h"

namespace mmsb {

// Runs a function at the end of every thread that asked for it, and keeps one
// pointer a thread for that: what a cache per thread needs to give its blocks
// back.
//
//   the thread                                  the callback runs
//   returns, pthread_exit(), is cancelled       once, on that thread
//   returns from main(), calls exit()           never: memory goes as a whole
//   lives on when the hook is destroyed         never
//   was not the one that forked, in the child   never, in the child
//
// The main thread is like any other if it ends by pthread_exit(). Callbacks run
// after the destructors of the thread's thread_local objects, which may
// therefore still use the cache. They run in no promised order; one that arms a
// hook again, its own or another, has it run once more, for at least 4 rounds
// in all.
//
// Of hooks, which are one of the system's 1024 thread-specific keys each, a
// process has few: one for a kind of cache, not one for a cache. Thread-safe
// but for Create() and the destructor, which nobody else's call may overlap;
// the destructor runs no callback and does not wait for one. Failure is
// returned. Constant time; argument() costs a few ns.
//
//   static ThreadExitHook hook;
//   OsError error =
//       hook.Create([](void* cache) { static_cast<Cache*>(cache)->Flush(); });
//   if (error.ok()) error = hook.Arm(&cache_of_this_thread);
class ThreadExitHook {
 public:
  using Callback = void (*)(void* argument);

  constexpr ThreadExitHook() = default;
  ThreadExitHook(const ThreadExitHook&) = delete;
  ThreadExitHook& operator=(const ThreadExitHook&) = delete;
  ~ThreadExitHook();

  // Makes the hook ready for use. EAGAIN when the system has no key left, EBUSY
  // when the hook was created before, EINVAL for a null callback.
  OsError Create(Callback callback);

  // `callback(argument)` is run when the calling thread ends; an argument set
  // earlier is replaced. EINVAL before Create() and for null.
  OsError Arm(void* argument);

  // Nothing is run for the calling thread. EINVAL before Create().
  OsError Disarm();

  // What the calling thread gave to Arm(), or null.
  [[nodiscard]] void* argument() const;

 private:
  pthread_key_t key_ = 0;
  bool created_ = false;
};

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_THREAD_EXIT_H_
