#ifndef MMSB_ALLOCATOR_LOCAL_COUNTERS_H_
#define MMSB_ALLOCATOR_LOCAL_COUNTERS_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "allocator/allocator_stats.h"
#include "allocator/size_histogram.h"

namespace mmsb {

// What counts the blocks that pass through an allocator: LocalCounters for one
// thread at a time, ShardedCounters for many.
//
// CountAllocation() is told the size of a block handed out, CountDeallocation()
// that of one taken back, in bytes as the caller asked; CountFailure() that
// there was none. Snapshot() puts all live bytes into `live` and `committed`,
// as counters hold no memory of their own back.
template <class C>
concept AllocationCounters =
    requires(C& counters, const C& constant, size_t bytes) {
      { counters.CountAllocation(bytes) } noexcept;
      { counters.CountDeallocation(bytes) } noexcept;
      { counters.CountFailure() } noexcept;
      { constant.Snapshot() } noexcept -> std::same_as<AllocatorStats>;
      { constant.Histogram() } noexcept -> std::same_as<SizeHistogram>;
    };

// Counts by plain additions. Exact, the peak too. Owns nothing; about 2.5 KiB.
// Not thread-safe. Never fails. To count is O(1), to look is O(buckets).
//
//   LocalCounters counters;
//   counters.CountAllocation(100);
//   counters.Snapshot().live();  // 100
class LocalCounters {
 public:
  void CountAllocation(size_t bytes) noexcept {
    sizes_.Add(bytes, /*allocations=*/1);
    live_ += bytes;
    peak_ = std::max(peak_, live_);
  }
  void CountDeallocation(size_t bytes) noexcept {
    sizes_.Add(bytes, /*allocations=*/0, /*deallocations=*/1);
    live_ -= bytes;
  }
  void CountFailure() noexcept { ++failures_; }

  [[nodiscard]] AllocatorStats Snapshot() const noexcept {
    return AllocatorStats({.live = live_,
                           .committed = live_,
                           .peak = peak_,
                           .allocations = sizes_.allocations(),
                           .deallocations = sizes_.deallocations(),
                           .failures = failures_});
  }
  [[nodiscard]] SizeHistogram Histogram() const noexcept { return sizes_; }

 private:
  size_t live_ = 0;  // bytes
  size_t peak_ = 0;  // bytes
  uint64_t failures_ = 0;
  SizeHistogram sizes_;
};

static_assert(AllocationCounters<LocalCounters>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_LOCAL_COUNTERS_H_
