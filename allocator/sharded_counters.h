#ifndef MMSB_ALLOCATOR_SHARDED_COUNTERS_H_
#define MMSB_ALLOCATOR_SHARDED_COUNTERS_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/allocator_stats.h"
#include "allocator/local_counters.h"
#include "allocator/size_histogram.h"
#include "primitives/bytes.h"
#include "primitives/cache_line.h"
#include "primitives/os_thread.h"

namespace mmsb {

// Counts for many threads at once, and costs each of them a few additions to
// memory that nobody else writes.
//
// Each of the first threads to come (kOwnShards of them at most) gets a shard
// that it alone writes, by a load and a store, for good; all further ones share
// kCommonShards shards and write them by atomic additions. Owns no memory but
// itself, which is large: about 52 KiB.
//
// Thread-safe. Every atomic is relaxed: the numbers publish nothing. So
// Snapshot() and Histogram() are exact when no call is running and what
// happened before is visible to the caller, as after joining the threads; while
// others count, each number is one of a moment ago, and none is negative.
//
// The peak is exact for one thread. Threads tell each other of their live bytes
// in steps of kStepBytes, so with T threads it may be off by T * kStepBytes to
// either side.
//
// Never fails. To count is O(1), to look is O(shards * buckets).
//
//   ShardedCounters counters;
//   counters.CountAllocation(100);  // on any thread
//   counters.Snapshot().live();
class ShardedCounters {
 public:
  static constexpr size_t kOwnShards = 16;
  static constexpr size_t kCommonShards = 4;
  static constexpr size_t kStepBytes = 64 * kKiB;

  ShardedCounters() = default;
  ShardedCounters(const ShardedCounters&) = delete;
  ShardedCounters& operator=(const ShardedCounters&) = delete;

  void CountAllocation(size_t bytes) noexcept {
    const size_t bucket = SizeHistogram::BucketOf(bytes);
    if (Shard* const shard = OwnShard()) [[likely]] {
      Bump(shard->allocations[bucket], 1);
      MoveOwn(*shard, bytes);
    } else {
      CommonShard().allocations[bucket].fetch_add(1, std::memory_order_relaxed);
      RaisePeak(live_.fetch_add(bytes, std::memory_order_relaxed) + bytes);
    }
  }

  void CountDeallocation(size_t bytes) noexcept {
    const size_t bucket = SizeHistogram::BucketOf(bytes);
    if (Shard* const shard = OwnShard()) [[likely]] {
      Bump(shard->deallocations[bucket], 1);
      MoveOwn(*shard, uint64_t{0} - bytes);
    } else {
      CommonShard().deallocations[bucket].fetch_add(1,
                                                    std::memory_order_relaxed);
      live_.fetch_sub(bytes, std::memory_order_relaxed);
    }
  }

  void CountFailure() noexcept {
    failures_.fetch_add(1, std::memory_order_relaxed);
  }

  [[nodiscard]] AllocatorStats Snapshot() const noexcept {
    const SizeHistogram sizes = Histogram();
    uint64_t live = live_.load(std::memory_order_relaxed);
    uint64_t highest = live;
    for (const Shard& shard : own_) {
      live += shard.pending.load(std::memory_order_relaxed);
      highest += shard.pending_peak.load(std::memory_order_relaxed);
    }
    live = NotNegative(live);
    const uint64_t peak = std::max(
        {peak_.load(std::memory_order_relaxed), live, NotNegative(highest)});
    return AllocatorStats(
        {.live = live,
         .committed = live,
         .peak = peak,
         .allocations = sizes.allocations(),
         .deallocations = sizes.deallocations(),
         .failures = failures_.load(std::memory_order_relaxed)});
  }

  [[nodiscard]] SizeHistogram Histogram() const noexcept {
    SizeHistogram sizes;
    for (const Shard& shard : own_) AddTo(sizes, shard);
    for (const Shard& shard : common_) AddTo(sizes, shard);
    for (size_t i = 0; i < SizeHistogram::kBuckets; ++i) {
      auto& [allocations, deallocations] = sizes[i];
      deallocations = std::min(deallocations, allocations);
    }
    return sizes;
  }

 private:
  // Numbers are modulo 2^64; those that mean a change may be "negative".
  using Number = std::atomic<uint64_t>;

  struct alignas(kFalseSharingBytes) Shard {
    Number owner = 0;    // the thread that alone writes it; 0 when none does
    Number pending = 0;  // live bytes, not yet in live_
    Number pending_peak = 0;  // the most that `pending` was since it was 0
    std::array<Number, SizeHistogram::kBuckets> allocations{};
    std::array<Number, SizeHistogram::kBuckets> deallocations{};
  };

  // The calling thread's number, from 1.
  static uint64_t Thread() { return uint64_t{ThreadOrdinal()} + 1; }

  static uint64_t NotNegative(uint64_t n) {
    return static_cast<int64_t>(n) < 0 ? 0 : n;
  }

  // Adds to what no other thread writes.
  static void Bump(Number& number, uint64_t n) {
    number.store(number.load(std::memory_order_relaxed) + n,
                 std::memory_order_relaxed);
  }

  // The shard that is the calling thread's alone, or null. The one used last is
  // remembered, by the number of its counters: an address may be another's.
  Shard* OwnShard() noexcept {
    if (last_.counters == number_) [[likely]]
      return last_.shard;
    return FindOwnShard();
  }

  [[gnu::noinline]] Shard* FindOwnShard() noexcept {
    const uint64_t thread = Thread();
    Shard& shard = own_[thread % kOwnShards];
    // Relaxed: who wins has nothing to learn from who lost or from before. A
    // load first, so that those who have no shard do not take its line away.
    uint64_t owner = shard.owner.load(std::memory_order_relaxed);
    if (owner == 0 && shard.owner.compare_exchange_strong(
                          owner, thread, std::memory_order_relaxed,
                          std::memory_order_relaxed)) {
      owner = thread;
    }
    if (owner != thread) return nullptr;
    last_ = {number_, &shard};
    return &shard;
  }

  Shard& CommonShard() noexcept { return common_[Thread() % kCommonShards]; }

  // A number that no other counters of the process have, from 1.
  static uint64_t NextNumber() {
    static constinit std::atomic<uint64_t> last = 0;
    // Relaxed: the numbers differ, and nothing else hangs on them.
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  // Moves the live bytes of the calling thread's own shard by `change`.
  void MoveOwn(Shard& shard, uint64_t change) noexcept {
    const uint64_t pending =
        shard.pending.load(std::memory_order_relaxed) + change;
    const auto signed_pending = static_cast<int64_t>(pending);
    if (signed_pending > static_cast<int64_t>(shard.pending_peak.load(
                             std::memory_order_relaxed))) {
      shard.pending_peak.store(pending, std::memory_order_relaxed);
    }
    constexpr auto kStep = static_cast<int64_t>(kStepBytes);
    if (signed_pending < kStep && signed_pending > -kStep) [[likely]] {
      shard.pending.store(pending, std::memory_order_relaxed);
      return;
    }
    const uint64_t before = live_.fetch_add(pending, std::memory_order_relaxed);
    RaisePeak(before + shard.pending_peak.load(std::memory_order_relaxed));
    shard.pending.store(0, std::memory_order_relaxed);
    shard.pending_peak.store(0, std::memory_order_relaxed);
  }

  void RaisePeak(uint64_t live) noexcept {
    live = NotNegative(live);
    uint64_t peak = peak_.load(std::memory_order_relaxed);
    while (live > peak &&
           !peak_.compare_exchange_weak(peak, live, std::memory_order_relaxed,
                                        std::memory_order_relaxed)) {
    }
  }

  static void AddTo(SizeHistogram& sizes, const Shard& shard) {
    for (size_t i = 0; i < SizeHistogram::kBuckets; ++i) {
      // First what was taken back, so that a block is rather seen live too long
      // than taken back before it was handed out.
      sizes[i].deallocations +=
          shard.deallocations[i].load(std::memory_order_relaxed);
      sizes[i].allocations +=
          shard.allocations[i].load(std::memory_order_relaxed);
    }
  }

  struct Last {
    uint64_t counters;
    Shard* shard;
  };
  static inline constinit thread_local Last last_ = {0, nullptr};

  const uint64_t number_ = NextNumber();
  std::array<Shard, kOwnShards> own_;
  std::array<Shard, kCommonShards> common_;
  alignas(kFalseSharingBytes) Number live_ = 0;  // bytes, but for pending ones
  Number peak_ = 0;                              // bytes
  Number failures_ = 0;
};

static_assert(AllocationCounters<ShardedCounters>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_SHARDED_COUNTERS_H_
