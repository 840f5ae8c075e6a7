#include "primitives/os_fork.h"

#include <errno.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "primitives/os_error.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb {
namespace {

void LockMutex(void* mutex) MMSB_NO_THREAD_SAFETY_ANALYSIS {
  static_cast<Mutex*>(mutex)->Lock();
}

void UnlockMutex(void* mutex) MMSB_NO_THREAD_SAFETY_ANALYSIS {
  static_cast<Mutex*>(mutex)->Unlock();
}

}  // namespace

// The hooks of the process, oldest first.
class ForkRegistry {
 public:
  constexpr ForkRegistry() = default;

  OsError Install() {
    // acquire: pairs with the release below; the handlers are in place.
    if (installed_.load(std::memory_order_acquire)) return OsError();
    MutexLock lock(mutex_);
    return InstallLocked();
  }

  OsError Add(ForkHook* hook, const ForkHook::Callbacks& callbacks,
              void* argument) {
    MutexLock lock(mutex_);
    if (hook->registered_) return OsError("ForkHook::Register", EBUSY);
    OsError error = InstallLocked();
    if (!error.ok()) return error;
    hook->callbacks_ = callbacks;
    hook->argument_ = argument;
    hook->registered_ = true;
    hook->previous_ = last_;
    hook->next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = hook;
    last_ = hook;
    return OsError();
  }

  void Remove(ForkHook* hook) {
    MutexLock lock(mutex_);
    if (!hook->registered_) return;
    (hook->previous_ != nullptr ? hook->previous_->next_ : first_) =
        hook->next_;
    (hook->next_ != nullptr ? hook->next_->previous_ : last_) = hook->previous_;
    hook->registered_ = false;
  }

  uint64_t generation() const {
    // relaxed: written only while one thread exists.
    return generation_.load(std::memory_order_relaxed);
  }

 private:
  OsError InstallLocked() MMSB_REQUIRES(mutex_) {
    // relaxed: written under the lock.
    if (installed_.load(std::memory_order_relaxed)) return OsError();
    const int code = pthread_atfork(&Before, &AfterInParent, &AfterInChild);
    if (code != 0) return OsError("pthread_atfork", code);
    // release: pairs with the acquire in Install.
    installed_.store(true, std::memory_order_release);
    return OsError();
  }

  // The lock taken here is given back by one of the two below.
  static void Before();
  static void AfterInParent();
  static void AfterInChild();

  Mutex mutex_;
  ForkHook* first_ MMSB_GUARDED_BY(mutex_) = nullptr;
  ForkHook* last_ MMSB_GUARDED_BY(mutex_) = nullptr;
  std::atomic<bool> installed_ = false;
  std::atomic<uint64_t> generation_ = 0;
};

namespace {
constinit ForkRegistry registry;
}  // namespace

void ForkRegistry::Before() MMSB_ACQUIRE(registry.mutex_) {
  registry.mutex_.Lock();
  for (ForkHook* hook = registry.last_; hook != nullptr;
       hook = hook->previous_) {
    if (hook->callbacks_.before != nullptr) {
      hook->callbacks_.before(hook->argument_);
    }
  }
}

void ForkRegistry::AfterInParent() MMSB_RELEASE(registry.mutex_) {
  for (ForkHook* hook = registry.first_; hook != nullptr; hook = hook->next_) {
    if (hook->callbacks_.parent != nullptr) {
      hook->callbacks_.parent(hook->argument_);
    }
  }
  registry.mutex_.Unlock();
}

void ForkRegistry::AfterInChild() MMSB_RELEASE(registry.mutex_) {
  // relaxed: the child has one thread, and those it starts see what it did.
  registry.generation_.fetch_add(1, std::memory_order_relaxed);
  for (ForkHook* hook = registry.first_; hook != nullptr; hook = hook->next_) {
    if (hook->callbacks_.child != nullptr) {
      hook->callbacks_.child(hook->argument_);
    }
  }
  registry.mutex_.Unlock();
}

OsError ForkHook::Register(const Callbacks& callbacks, void* argument) {
  return registry.Add(this, callbacks, argument);
}

OsError ForkHook::Register(Mutex& mutex) {
  return Register(
      {.before = &LockMutex, .parent = &UnlockMutex, .child = &UnlockMutex},
      &mutex);
}

OsError ForkHook::EnsureRegistered(Mutex& mutex) {
  const OsError error = Register(mutex);
  return error.code() == EBUSY ? OsError() : error;
}

void ForkHook::Unregister() { registry.Remove(this); }

OsError ForkGeneration(uint64_t* generation) {
  OsError error = registry.Install();
  if (error.ok()) *generation = registry.generation();
  return error;
}

}  // namespace mmsb
