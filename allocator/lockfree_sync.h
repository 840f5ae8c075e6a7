#ifndef MMSB_ALLOCATOR_LOCKFREE_SYNC_H_
#define MMSB_ALLOCATOR_LOCKFREE_SYNC_H_

#include <atomic>

#include "primitives/os_asymmetric_fence.h"

namespace mmsb {

// What the lock-free structures of this layer stand on: atomics, and a pair of
// fences of which the one on the hot path is free. A template argument of each
// of them, so that the model checker (allocator/testing/model_checker.h) runs
// the very code that programs run, over atomics that it controls.
//
//   using Head = SystemSync::Atomic<TaggedIndex>;
struct SystemSync {
  template <class T>
  using Atomic = std::atomic<T>;

  // Whether the two fences below may be used; the same answer every time.
  [[nodiscard]] static bool HasAsymmetricFence() noexcept {
    return AsymmetricFence::Available();
  }

  // The owner's side.
  static void LightFence() noexcept { AsymmetricFence::Light(); }

  // The other side. False when the system refused it, and then nothing is
  // promised.
  [[nodiscard]] static bool HeavyFence() noexcept {
    return AsymmetricFence::Heavy().ok();
  }
};

// The same without the asymmetric pair: what SystemSync is where the kernel has
// none. For tests, and for programs that rather pay some 5 ns in each Allocate
// than have other threads interrupted.
struct SymmetricSync : SystemSync {
  [[nodiscard]] static bool HasAsymmetricFence() noexcept { return false; }
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_LOCKFREE_SYNC_H_
