#ifndef MMSB_PRIMITIVES_OS_ASYMMETRIC_FENCE_H_
#define MMSB_PRIMITIVES_OS_ASYMMETRIC_FENCE_H_

#include <atomic>

#include "primitives/os_error.h"

namespace mmsb {

// A pair of memory fences of which the one on the hot path costs nothing: the
// other one makes every running thread of the process execute a full fence (the
// kernel does it: membarrier(2), by interrupting the processors they run on).
//
// What the pair promises: when one thread calls Light() and another Heavy(),
// then either all that came before Light() is visible to what follows Heavy(),
// or all that came before Heavy() is visible to what follows Light(). That is
// what two sequentially consistent fences promise; so
//
//   often (one thread)             rarely (another)
//   a.store(1, relaxed)            b.store(1, relaxed)
//   AsymmetricFence::Light()       AsymmetricFence::Heavy()
//   b.load(relaxed)                a.load(relaxed)
//
// do not both read 0. Two calls of Light() promise nothing to each other.
//
// Owns nothing; thread-safe. Heavy() takes some microseconds, more with more
// processors. Whoever uses the pair asks Available() first, and falls back on
// sequentially consistent operations on both sides where it says no: not every
// kernel and not every sandbox has the call.
//
//   if (!AsymmetricFence::Available()) return SlowProtocol();
//   OsError error = AsymmetricFence::Heavy();
class AsymmetricFence {
 public:
  // True when Heavy() works here; the first call registers the process with the
  // kernel, and all later ones give the same answer.
  [[nodiscard]] static bool Available();

  // No instruction: keeps the compiler from moving accesses across.
  static void Light() { std::atomic_signal_fence(std::memory_order_seq_cst); }

  // Fails where Available() is false, and where the kernel refuses later what
  // it granted once, as under a system call filter installed in between; then
  // nothing is promised.
  [[nodiscard]] static OsError Heavy();
};

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_ASYMMETRIC_FENCE_H_
