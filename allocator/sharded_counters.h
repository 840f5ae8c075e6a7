#ifndef MMSB_ALLOCATOR_SHARDED_COUNTERS_H_
#define MMSB_ALLOCATOR_SHARDED_COUNTERS_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/allocator_stats.h"
#include "allocator/local_counters.h"
#include "allocator/lockfree_sync.h"
#include "allocator/size_histogram.h"
#include "allocator/thread_cache_registry.h"
#include "primitives/bytes.h"
#include "primitives/cache_line.h"

namespace mmsb {

// Counts for many threads at once, and costs each of them a few additions to
// memory that nobody else writes.
//
// A thread that comes while its shard (that of its number modulo kOwnShards) is
// nobody's gets it for as long as it lives, and writes it by a load and a
// store; its end, or DetachThread(), leaves the shard with all it counted to
// the next. Further threads share kCommonShards shards and write them by atomic
// additions. Owns no memory but itself, which is large: about 52 KiB. May be
// destroyed while threads that counted live on.
//
// Thread-safe. The numbers publish nothing, and every atomic is relaxed but
// those by which a shard changes hands. So Snapshot() and Histogram() are exact
// when no call is running and what happened before is visible to the caller, as
// after joining the threads; while others count, each number is one of a moment
// ago, and none is negative. In a forked child the call that another thread was
// in may be counted in part.
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
template <class Sync = SystemSync, size_t kOwn = 16, size_t kCommon = 4>
class BasicShardedCounters {
 public:
  static constexpr size_t kOwnShards = kOwn;
  static constexpr size_t kCommonShards = kCommon;
  static constexpr size_t kStepBytes = 64 * kKiB;

  BasicShardedCounters() {
    member_.object = this;
    member_.thread_ended = &ThreadEnded;
    member_.forked = &Forked;
    // Without it no thread has a shard of its own.
    if (thread_cache_registry::Add(&member_)) id_ = member_.id;
  }
  BasicShardedCounters(const BasicShardedCounters&) = delete;
  BasicShardedCounters& operator=(const BasicShardedCounters&) = delete;
  ~BasicShardedCounters() {
    if (id_ != kNoId) thread_cache_registry::Remove(&member_);
  }

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

  // Leaves the calling thread's shard to others, as its end does. It may count
  // on.
  void DetachThread() noexcept {
    if (id_ == kNoId) return;
    thread_cache_registry::Entry& entry = thread_cache_registry::EntryOf(id_);
    if (entry.id == id_) entry = thread_cache_registry::Entry();
    ReleaseShard(thread_cache_registry::ThisThread());
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
  using Number = typename Sync::template Atomic<uint64_t>;

  static constexpr uint64_t kNoThread = 0;
  static constexpr uint64_t kNoId = ~uint64_t{0};  // matches no entry

  struct alignas(kFalseSharingBytes) Shard {
    Number owner{kNoThread};  // the thread that alone writes it
    Number pending{0};        // live bytes, not yet in live_
    Number pending_peak{0};   // the most that `pending` was since it was 0
    std::array<Number, SizeHistogram::kBuckets> allocations{};
    std::array<Number, SizeHistogram::kBuckets> deallocations{};
  };

  static uint64_t NotNegative(uint64_t n) {
    return static_cast<int64_t>(n) < 0 ? 0 : n;
  }

  // Adds to what no other thread writes.
  static void Bump(Number& number, uint64_t n) {
    number.store(number.load(std::memory_order_relaxed) + n,
                 std::memory_order_relaxed);
  }

  // The shard that is the calling thread's alone, or null.
  Shard* OwnShard() noexcept {
    const thread_cache_registry::Entry& entry =
        thread_cache_registry::EntryOf(id_);
    if (entry.id == id_) [[likely]]
      return static_cast<Shard*>(entry.first);
    return FindOwnShard();
  }

  [[gnu::noinline]] Shard* FindOwnShard() noexcept {
    const uint64_t thread = thread_cache_registry::ThisThread();
    if (id_ == kNoId || thread == kNoThread) return nullptr;
    Shard& shard = own_[thread % kOwnShards];
    // relaxed: a load first, so that those who have no shard do not take its
    // line away.
    uint64_t owner = shard.owner.load(std::memory_order_relaxed);
    // acquire: pairs with the release in ReleaseShard; what the last owner
    // counted is visible, and is counted on.
    if (owner == kNoThread && shard.owner.compare_exchange_strong(
                                  owner, thread, std::memory_order_acquire,
                                  std::memory_order_relaxed)) {
      owner = thread;
    }
    if (owner != thread) return nullptr;
    thread_cache_registry::EntryOf(id_) = {id_, &shard, nullptr};
    return &shard;
  }

  void ReleaseShard(uint64_t thread) noexcept {
    Number& owner = own_[thread % kOwnShards].owner;
    // relaxed: a thread looks for what it wrote itself.
    if (thread == kNoThread ||
        owner.load(std::memory_order_relaxed) != thread) {
      return;
    }
    // release: pairs with the acquire in FindOwnShard.
    owner.store(kNoThread, std::memory_order_release);
  }

  static void ThreadEnded(void* counters, uint64_t thread) {
    static_cast<BasicShardedCounters*>(counters)->ReleaseShard(thread);
  }

  // The shards of threads that the child does not have are nobody's.
  static void Forked(void* counters, uint64_t thread) {
    for (Shard& shard : static_cast<BasicShardedCounters*>(counters)->own_) {
      // relaxed: there is one thread.
      if (shard.owner.load(std::memory_order_relaxed) != thread) {
        shard.owner.store(kNoThread, std::memory_order_relaxed);
      }
    }
  }

  Shard& CommonShard() noexcept {
    return common_[thread_cache_registry::ThisThread() % kCommonShards];
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

  uint64_t id_ = kNoId;  // in thread_cache_registry
  std::array<Shard, kOwnShards> own_;
  std::array<Shard, kCommonShards> common_;
  alignas(kFalseSharingBytes) Number live_{0};  // bytes, but for pending ones
  Number peak_{0};                              // bytes
  Number failures_{0};
  thread_cache_registry::Member member_;
};

using ShardedCounters = BasicShardedCounters<>;

static_assert(AllocationCounters<ShardedCounters>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_SHARDED_COUNTERS_H_
