#ifndef MMSB_ALLOCATOR_LIMIT_ALLOCATOR_H_
#define MMSB_ALLOCATOR_LIMIT_ALLOCATOR_H_

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "allocator/allocator_stats.h"
#include "allocator/lockfree_sync.h"
#include "allocator/raw_allocator.h"
#include "allocator/size_histogram.h"
#include "allocator/system_source.h"

namespace mmsb {

struct LimitAllocatorOptions {
  // The most bytes that are live at once, by the sizes asked for; blocks of 0
  // bytes count as 1.
  size_t max_bytes = std::numeric_limits<size_t>::max();
};

// A quota: passes requests on for as long as the sizes of all live blocks stay
// within a number of bytes.
//
// Owns its upstream by value (AllocatorRef lends one). Neither copied nor
// moved.
//
// As thread-safe as the upstream. The quota is never passed, not even for a
// moment: bytes are reserved before the upstream is asked, and given back after
// the block was. A request is refused exactly when it does not fit beside what
// other calls hold or have reserved, because the reservation is a compare and
// exchange. (An addition that is taken back when it went too far would let a
// request that is refused anyhow make others be refused that fit.) A
// reservation whose request the upstream then refuses does count until that
// call returns.
//
// Null beyond the quota, and when the upstream returns null. What the upstream
// adds (slack, bookkeeping) is not counted; a limit on that is a limit below
// it, as in Arena arena({}, AllocatorRef(limited)). While the upstream resizes
// a block by moving it both are its own affair; where it cannot, the free
// function Reallocate() asks for the new block beside the old one, which both
// count for that time, so that near the limit a block may not even shrink.
// AllocateAtLeast() is not passed on, since its blocks come back with any of
// several sizes.
//
// O(1) and one atomic operation above the upstream's cost.
//
//   LimitAllocator<> limited({.max_bytes = 1 << 20});
//   void* p = limited.Allocate(1 << 20, 8);
//   limited.Allocate(1, 1);  // null
template <RawAllocator Upstream = SystemSource, class Sync = SystemSync>
class LimitAllocator {
  template <class T>
  using Atomic = typename Sync::template Atomic<T>;

 public:
  using Options = LimitAllocatorOptions;

  // What follows the options are arguments of the upstream's constructor.
  template <class... Args>
    requires std::constructible_from<Upstream, Args...>
  explicit LimitAllocator(const Options& options, Args&&... args)
      : max_bytes_(options.max_bytes), upstream_(std::forward<Args>(args)...) {}

  LimitAllocator(const LimitAllocator&) = delete;
  LimitAllocator& operator=(const LimitAllocator&) = delete;

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (!Reserve(Charge(bytes))) return nullptr;
    return Keep(upstream_.Allocate(bytes, alignment), bytes);
  }

  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if (p == nullptr) return;
    upstream_.Deallocate(p, bytes, alignment);
    GiveBack(Charge(bytes));
  }

  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept
    requires ZeroingAllocator<Upstream>
  {
    if (!Reserve(Charge(bytes))) return nullptr;
    return Keep(upstream_.AllocateZeroed(bytes, alignment), bytes);
  }

  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept
    requires ReallocatingAllocator<Upstream>
  {
    const size_t before = Charge(old_bytes);
    const size_t after = Charge(new_bytes);
    if (after > before && !Reserve(after - before)) return nullptr;
    void* const resized =
        upstream_.Reallocate(p, old_bytes, new_bytes, alignment);
    if (resized == nullptr) {
      if (after > before) GiveBack(after - before);
    } else if (before > after) {
      GiveBack(before - after);
    }
    return resized;
  }

  [[nodiscard]] bool Owns(const void* p) const noexcept
    requires OwningAllocator<Upstream>
  {
    return upstream_.Owns(p);
  }

  // The upstream's own: a request that the quota refused is not in it.
  [[nodiscard]] AllocatorStats Stats() const noexcept
    requires CountingAllocator<Upstream>
  {
    return upstream_.Stats();
  }
  [[nodiscard]] SizeHistogram Histogram() const noexcept
    requires HistogramAllocator<Upstream>
  {
    return upstream_.Histogram();
  }

  // Bytes that are live or reserved, at most max_bytes().
  [[nodiscard]] size_t used() const noexcept {
    // Relaxed: a number to look at, it publishes nothing.
    return used_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] size_t max_bytes() const noexcept { return max_bytes_; }

  // How many requests the quota refused.
  [[nodiscard]] uint64_t refusals() const noexcept {
    return refusals_.load(std::memory_order_relaxed);
  }

  [[nodiscard]] Upstream& upstream() noexcept { return upstream_; }
  [[nodiscard]] const Upstream& upstream() const noexcept { return upstream_; }

 private:
  static size_t Charge(size_t bytes) { return std::max<size_t>(bytes, 1); }

  [[nodiscard]] bool Reserve(size_t bytes) noexcept {
    // Acquire on success: pairs with the release in GiveBack, so that whose
    // room this is has left the upstream before this thread asks it. A failed
    // exchange only looks again.
    size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (bytes > max_bytes_ - used) {
        refusals_.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
    } while (!used_.compare_exchange_weak(used, used + bytes,
                                          std::memory_order_acquire,
                                          std::memory_order_relaxed));
    return true;
  }

  void GiveBack(size_t bytes) noexcept {
    // Release: pairs with the acquire in Reserve; the block was given back to
    // the upstream before.
    used_.fetch_sub(bytes, std::memory_order_release);
  }

  void* Keep(void* p, size_t bytes) noexcept {
    if (p == nullptr) GiveBack(Charge(bytes));
    return p;
  }

  const size_t max_bytes_;
  Atomic<size_t> used_{0};
  Atomic<uint64_t> refusals_{0};
  [[no_unique_address]] Upstream upstream_;
};

LimitAllocator(LimitAllocatorOptions) -> LimitAllocator<>;
template <RawAllocator Upstream>
LimitAllocator(LimitAllocatorOptions, Upstream) -> LimitAllocator<Upstream>;

static_assert(ReallocatingAllocator<LimitAllocator<>>);
static_assert(ZeroingAllocator<LimitAllocator<>>);
static_assert(!CountingAllocator<LimitAllocator<>>);
static_assert(!RoundingAllocator<LimitAllocator<>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_LIMIT_ALLOCATOR_H_
