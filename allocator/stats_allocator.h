#ifndef MMSB_ALLOCATOR_STATS_ALLOCATOR_H_
#define MMSB_ALLOCATOR_STATS_ALLOCATOR_H_

#include <concepts>
#include <cstddef>
#include <utility>

#include "allocator/allocator_stats.h"
#include "allocator/local_counters.h"
#include "allocator/raw_allocator.h"
#include "allocator/size_histogram.h"
#include "allocator/system_source.h"

namespace mmsb {

// Counts what passes through to any allocator: live bytes and their peak,
// calls, and blocks by size.
//
// Owns its upstream by value (AllocatorRef lends one). Neither copied nor
// moved. Blocks are the upstream's own: nothing is added to them.
//
// Thread-safe when the upstream is and Counters is ShardedCounters; with
// LocalCounters, the default, not.
//
// Sizes are those asked for. Seen from here the upstream is where memory comes
// from and none is kept back, so Stats() has live == committed; what the
// upstream itself holds is upstream().Stats(). A resize in place counts as a
// deallocation of the old size and an allocation of the new one. A caller that
// gives a block back with another size than it asked for puts live() off by the
// difference, unnoticed (TrackingAllocator notices). AllocateAtLeast() is not
// passed on, since its blocks come back with any of several sizes.
//
// Null exactly when the upstream returns null. O(1) above the upstream's cost;
// a few instructions.
//
//   StatsAllocator<Arena<>> arena;
//   void* p = arena.Allocate(100, 8);
//   arena.Stats().live();  // 100
template <RawAllocator Upstream = SystemSource,
          AllocationCounters Counters = LocalCounters>
class StatsAllocator {
 public:
  // The arguments are those of the upstream's constructor.
  template <class... Args>
    requires std::constructible_from<Upstream, Args...>
  explicit StatsAllocator(Args&&... args)
      : upstream_(std::forward<Args>(args)...) {}

  StatsAllocator(const StatsAllocator&) = delete;
  StatsAllocator& operator=(const StatsAllocator&) = delete;

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    return Count(upstream_.Allocate(bytes, alignment), bytes);
  }

  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if (p == nullptr) return;
    counters_.CountDeallocation(bytes);
    upstream_.Deallocate(p, bytes, alignment);
  }

  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept
    requires ZeroingAllocator<Upstream>
  {
    return Count(upstream_.AllocateZeroed(bytes, alignment), bytes);
  }

  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept
    requires ReallocatingAllocator<Upstream>
  {
    void* const resized =
        upstream_.Reallocate(p, old_bytes, new_bytes, alignment);
    if (resized != nullptr) {
      counters_.CountDeallocation(old_bytes);
      counters_.CountAllocation(new_bytes);
    }
    return resized;
  }

  [[nodiscard]] bool Owns(const void* p) const noexcept
    requires OwningAllocator<Upstream>
  {
    return upstream_.Owns(p);
  }

  [[nodiscard]] AllocatorStats Stats() const noexcept {
    return counters_.Snapshot();
  }
  [[nodiscard]] SizeHistogram Histogram() const noexcept {
    return counters_.Histogram();
  }

  [[nodiscard]] Upstream& upstream() noexcept { return upstream_; }
  [[nodiscard]] const Upstream& upstream() const noexcept { return upstream_; }

 private:
  void* Count(void* p, size_t bytes) noexcept {
    if (p == nullptr) [[unlikely]] {
      counters_.CountFailure();
    } else {
      counters_.CountAllocation(bytes);
    }
    return p;
  }

  Counters counters_;
  [[no_unique_address]] Upstream upstream_;
};

template <RawAllocator Upstream>
StatsAllocator(Upstream) -> StatsAllocator<Upstream>;

static_assert(HistogramAllocator<StatsAllocator<>>);
static_assert(ReallocatingAllocator<StatsAllocator<>>);
static_assert(ZeroingAllocator<StatsAllocator<>>);
static_assert(!OwningAllocator<StatsAllocator<>>);
static_assert(!RoundingAllocator<StatsAllocator<>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_STATS_ALLOCATOR_H_
