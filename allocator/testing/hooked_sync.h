#ifndef MMSB_ALLOCATOR_TESTING_HOOKED_SYNC_H_
#define MMSB_ALLOCATOR_TESTING_HOOKED_SYNC_H_

#include <atomic>
#include <cstddef>

#include "allocator/lockfree_sync.h"

namespace mmsb {

// Cuts a thread off in the midst of a call to a lock-free structure: what
// stands in for SystemSync calls `action(argument)` before the calling thread's
// atomic operation number `at`, counted from 0. The action may block, or throw
// where the call is not noexcept. One for each thread, and none when `action`
// is null. Without a destructor, as structures are still used at the end of a
// thread, when its thread_local objects are gone.
//
//   atomic_hook = {.action = [](void*) { throw 1; }, .at = 3};
struct AtomicHook {
  void (*action)(void* argument) = nullptr;
  void* argument = nullptr;
  size_t at = 0;
  size_t seen = 0;

  void Operation() {
    if (action != nullptr && seen++ == at) action(argument);
  }
};
inline thread_local AtomicHook atomic_hook;

// As much of std::atomic as the structures use.
template <class T>
class HookedAtomic {
 public:
  HookedAtomic() : value_(T()) {}
  explicit HookedAtomic(T value) : value_(value) {}

  T load(std::memory_order order) const {
    atomic_hook.Operation();
    return value_.load(order);
  }
  void store(T value, std::memory_order order) {
    atomic_hook.Operation();
    value_.store(value, order);
  }
  T exchange(T value, std::memory_order order) {
    atomic_hook.Operation();
    return value_.exchange(value, order);
  }
  T fetch_add(T value, std::memory_order order) {
    atomic_hook.Operation();
    return value_.fetch_add(value, order);
  }
  bool compare_exchange_strong(T& expected, T desired,
                               std::memory_order success,
                               std::memory_order failure) {
    atomic_hook.Operation();
    return value_.compare_exchange_strong(expected, desired, success, failure);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure) {
    atomic_hook.Operation();
    return value_.compare_exchange_weak(expected, desired, success, failure);
  }

 private:
  std::atomic<T> value_;
};

// Atomics with the hook, and an asymmetric fence that the system refuses after
// it granted it: so nobody ever steals from a magazine.
struct HookedSync : SystemSync {
  template <class T>
  using Atomic = HookedAtomic<T>;

  [[nodiscard]] static bool HasAsymmetricFence() noexcept { return true; }
  static void LightFence() noexcept {}
  [[nodiscard]] static bool HeavyFence() noexcept { return false; }
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_TESTING_HOOKED_SYNC_H_
