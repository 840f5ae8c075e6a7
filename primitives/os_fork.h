#ifndef MMSB_PRIMITIVES_OS_FORK_H_
#define MMSB_PRIMITIVES_OS_FORK_H_

#include <cstdint>

#include "primitives/os_error.h"
#include "primitives/os_mutex.h"

namespace mmsb {

// Lets an object live through fork(): in the child only the forking thread is
// left, and a lock that another thread held stays locked for good. A hook takes
// the object's locks before the fork and gives them back after it, in both
// processes.
//
// The hook is a member of the object, which owns it, and declared after what
// its callbacks use, so that it is unregistered first; registering allocates
// nothing but, for the first hook of the process, what pthread_atfork() does.
// Hooks run on the forking thread: `before` in the reverse order of
// registration, the others in that order. So who is registered first is locked
// last: register what others call into first.
//
// Thread-safe. A fork waits for a registration in progress and the other way
// round; once Unregister() has returned, the callbacks are not running and will
// not run. Therefore neither is called while holding a lock that a hook takes,
// nor from a hook.
//
// posix_spawn(), vfork() and a bare clone() run no hooks.
//
// Failure: Register() returns what pthread_atfork() said (ENOMEM). All else
// cannot fail. Constant time.
//
//   Mutex mutex_;         // The pool's own: locked before a fork, and unlocked
//   ForkHook fork_hook_;  // after it in both processes.
//   OsError error = fork_hook_.Register(mutex_);
class ForkHook {
 public:
  // Called with the argument given to Register(); null ones are left out.
  struct Callbacks {
    void (*before)(void* argument) = nullptr;
    void (*parent)(void* argument) = nullptr;
    void (*child)(void* argument) = nullptr;
  };

  constexpr ForkHook() = default;
  ForkHook(const ForkHook&) = delete;
  ForkHook& operator=(const ForkHook&) = delete;

  // Unregisters.
  ~ForkHook() { Unregister(); }

  // From the next fork on, runs `callbacks` with `argument`. A hook that is
  // registered already is EBUSY and stays as it was.
  OsError Register(const Callbacks& callbacks, void* argument);

  // The same with the commonest callbacks: `mutex` is locked before the fork,
  // and unlocked after it in both processes.
  OsError Register(Mutex& mutex);

  // The same, where it is fine that the hook is registered already: for hooks
  // that live as long as the process, which several threads may come to need.
  OsError EnsureRegistered(Mutex& mutex);

  // No callback is run from here on. Nothing happens when none was.
  void Unregister();

 private:
  friend class ForkRegistry;

  Callbacks callbacks_;
  void* argument_ = nullptr;
  ForkHook* previous_ = nullptr;
  ForkHook* next_ = nullptr;
  bool registered_ = false;
};

// Stores how many forks lie between this process and the one of its line in
// which this function was first called: a number that differs from what was
// read earlier exactly when the reader is now in a forked child. Asking after
// the first time costs one load. Fails where pthread_atfork() does, with
// ENOMEM, and then stores nothing. Thread-safe.
OsError ForkGeneration(uint64_t* generation);

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_FORK_H_
