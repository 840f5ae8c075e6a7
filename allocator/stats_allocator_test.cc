#include "allocator/stats_allocator.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/arena.h"
#include "allocator/local_counters.h"
#include "allocator/lockfree_pool.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/sharded_counters.h"
#include "allocator/size_histogram.h"
#include "allocator/slab.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(OwningAllocator<StatsAllocator<MemoryPool<>>>);
static_assert(ReallocatingAllocator<StatsAllocator<MemoryPool<>>>);
static_assert(!ZeroingAllocator<StatsAllocator<MemoryPool<>>>);

template <class Counters>
class StatsAllocatorTest : public ::testing::Test {};
using AllCounters = ::testing::Types<LocalCounters, ShardedCounters>;
TYPED_TEST_SUITE(StatsAllocatorTest, AllCounters);

TYPED_TEST(StatsAllocatorTest, CountsWhatPassesThrough) {
  StatsAllocator<SystemSource, TypeParam> counted;
  void* const a = counted.Allocate(100, 8);
  void* const b = counted.Allocate(0, 8);
  EXPECT_EQ(counted.Allocate(SIZE_MAX, 8), nullptr);
  EXPECT_EQ(counted.Allocate(1, 3), nullptr);
  counted.Deallocate(nullptr, 8, 8);
  counted.Deallocate(a, 100, 8);
  const AllocatorStats stats = counted.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), 0u);
  EXPECT_EQ(stats.committed(), 0u);
  EXPECT_EQ(stats.peak(), 100u);
  EXPECT_EQ(stats.allocations(), 2u);
  EXPECT_EQ(stats.deallocations(), 1u);
  EXPECT_EQ(stats.failures(), 2u);
  const SizeHistogram sizes = counted.Histogram();
  EXPECT_EQ(sizes[SizeHistogram::BucketOf(100)],
            (SizeHistogram::Bucket{.allocations = 1, .deallocations = 1}));
  EXPECT_EQ(sizes[0],
            (SizeHistogram::Bucket{.allocations = 1, .deallocations = 0}));
  counted.Deallocate(b, 0, 8);
}

TYPED_TEST(StatsAllocatorTest, ThePeakOfOneThreadIsExact) {
  StatsAllocator<SystemSource, TypeParam> counted;
  size_t live = 0;
  size_t peak = 0;
  std::vector<std::pair<void*, size_t>> blocks;
  // Up and down by more than what shards keep to themselves.
  for (const size_t bytes : {10u, 50'000u, 200'000u, 7u, 64'000u, 1'000'000u}) {
    for (int i = 0; i < 5; ++i) {
      blocks.emplace_back(counted.Allocate(bytes, 1), bytes);
      live += bytes;
      peak = std::max(peak, live);
      ASSERT_EQ(counted.Stats().peak(), peak);
      ASSERT_EQ(counted.Stats().live(), live);
    }
    while (blocks.size() > 3) {
      const auto [p, size] = blocks.back();
      blocks.pop_back();
      counted.Deallocate(p, size, 1);
      live -= size;
      ASSERT_EQ(counted.Stats().peak(), peak);
      ASSERT_EQ(counted.Stats().live(), live);
    }
  }
  for (const auto& [p, size] : blocks) counted.Deallocate(p, size, 1);
}

TYPED_TEST(StatsAllocatorTest, CountsAResizeAsOneOfEach) {
  StatsAllocator<SystemSource, TypeParam> counted;
  void* p = counted.Allocate(100, 8);
  p = Reallocate(counted, p, 100, 3000, 8);
  EXPECT_EQ(counted.Reallocate(p, 3000, SIZE_MAX, 8), nullptr);
  EXPECT_EQ(counted.Stats().live(), 3000u);
  EXPECT_EQ(counted.Stats().allocations(), 2u);
  EXPECT_EQ(counted.Stats().deallocations(), 1u);
  EXPECT_EQ(counted.Stats().failures(), 0u);
  counted.Deallocate(p, 3000, 8);
  EXPECT_TRUE(counted.Stats().IdentityHolds());
}

TYPED_TEST(StatsAllocatorTest, IsOffByTheDifferenceWhenSizesDiffer) {
  StatsAllocator<SystemSource, TypeParam> counted;
  void* const a = counted.Allocate(100, 8);
  void* const b = counted.Allocate(100, 8);
  void* const c = counted.Allocate(100, 8);
  counted.Deallocate(a, 99, 8);
  EXPECT_EQ(counted.Stats().live(), 201u);
  counted.Deallocate(b, 111, 8);
  EXPECT_EQ(counted.Stats().live(), 90u);
  counted.Deallocate(c, 90, 8);
  EXPECT_EQ(counted.Stats().live(), 0u);
  EXPECT_TRUE(counted.Stats().IdentityHolds());
}

// What each allocator is made of, in an adaptor.
template <class A>
struct Counted {
  StatsAllocator<A> allocator;
};
template <>
struct Counted<MemoryPool<>> {
  StatsAllocator<MemoryPool<>> allocator{MemoryPoolOptions{.block_size = 100}};
};
template <>
struct Counted<LockFreePool> {
  StatsAllocator<LockFreePool> allocator{
      LockFreePoolOptions{.block_size = 100, .capacity = 10}};
};
template <class A>
class CountedTest : public ::testing::Test {
 protected:
  template <class Values>
  static std::string Text(const Values& values) {
    std::string text(values.FormatText({}), ' ');
    EXPECT_EQ(values.FormatText(text), text.size());
    return text;
  }
  template <class Values>
  static std::string Json(const Values& values) {
    std::string json(values.FormatJson({}), ' ');
    EXPECT_EQ(values.FormatJson(json), json.size());
    return json;
  }
};
using AllAllocators = ::testing::Types<SystemSource, Arena<>, MemoryPool<>,
                                       LockFreePool, SlabAllocator>;
TYPED_TEST_SUITE(CountedTest, AllAllocators);

TYPED_TEST(CountedTest, AnyAllocatorHasCallsPeakAndSizesAsTextAndJson) {
  Counted<TypeParam> counted;
  auto& allocator = counted.allocator;
  void* const a = allocator.Allocate(20, 4);
  void* const b = allocator.Allocate(100, 4);
  allocator.Deallocate(b, 100, 4);
  EXPECT_EQ(allocator.Allocate(SIZE_MAX, 1), nullptr);
  const AllocatorStats stats = allocator.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(this->Text(stats),
            "live 20\ncached 0\nfree 0\nmetadata 0\ncommitted 20\npeak 120\n"
            "allocations 2\ndeallocations 1\nfailures 1\n");
  EXPECT_EQ(this->Json(stats),
            "{\"live\":20,\"cached\":0,\"free\":0,\"metadata\":0,"
            "\"committed\":20,\"peak\":120,\"allocations\":2,"
            "\"deallocations\":1,\"failures\":1}");
  const SizeHistogram sizes = allocator.Histogram();
  EXPECT_EQ(this->Text(sizes),
            "17..20 live 1 allocations 1\n97..112 live 0 allocations 1\n");
  EXPECT_EQ(this->Json(sizes),
            "[{\"smallest\":17,\"largest\":20,\"allocations\":1,"
            "\"deallocations\":0},{\"smallest\":97,\"largest\":112,"
            "\"allocations\":1,\"deallocations\":1}]");
  allocator.Deallocate(a, 20, 4);
}

// And what it tells of itself: the peak is there without an adaptor.
TYPED_TEST(CountedTest, EveryAllocatorKnowsItsPeak) {
  if constexpr (CountingAllocator<TypeParam>) {
    Counted<TypeParam> counted;
    TypeParam& allocator = counted.allocator.upstream();
    void* const a = allocator.Allocate(100, 4);
    void* const b = allocator.Allocate(100, 4);
    allocator.Deallocate(b, 100, 4);
    allocator.Deallocate(a, 100, 4);
    EXPECT_EQ(allocator.Stats().live(), 0u);
    EXPECT_GE(allocator.Stats().peak(), 200u);
  }
}

TEST(LocalCountersTest, MoreGivenBackThanTakenBreaksTheIdentity) {
  LocalCounters counters;
  counters.CountAllocation(8);
  counters.CountDeallocation(16);
  EXPECT_FALSE(counters.Snapshot().IdentityHolds());
}

TEST(ShardedCountersTest, AreExactAfterMoreThreadsThanShards) {
  constexpr size_t kThreads =
      ShardedCounters::kOwnShards + 2 * ShardedCounters::kCommonShards;
  constexpr size_t kBlocks = 1000;
  ShardedCounters counters;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&counters, t] {
      for (size_t i = 0; i < kBlocks; ++i) {
        counters.CountAllocation(100 + t);
        if (i % 4 != 0) counters.CountDeallocation(100 + t);
        if (i % 100 == 0) counters.CountFailure();
        if (i % 250 == 0) {
          EXPECT_TRUE(counters.Snapshot().IdentityHolds());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const AllocatorStats stats = counters.Snapshot();
  size_t live = 0;
  for (size_t t = 0; t < kThreads; ++t) live += (100 + t) * (kBlocks / 4);
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), live);
  EXPECT_EQ(stats.allocations(), kThreads * kBlocks);
  EXPECT_EQ(stats.deallocations(), kThreads * kBlocks * 3 / 4);
  EXPECT_EQ(stats.failures(), kThreads * 10);
  EXPECT_GE(stats.peak() + kThreads * ShardedCounters::kStepBytes, live);
  EXPECT_EQ(counters.Histogram().allocations(), stats.allocations());
}

TEST(ShardedCountersTest, CountBlocksThatOtherThreadsGiveBack) {
  ShardedCounters counters;
  constexpr size_t kBytes = 10'000;
  constexpr size_t kBlocks = 1000;
  std::thread([&counters] {
    for (size_t i = 0; i < kBlocks; ++i) counters.CountAllocation(kBytes);
  }).join();
  EXPECT_EQ(counters.Snapshot().live(), kBytes * kBlocks);
  std::thread([&counters] {
    for (size_t i = 0; i < kBlocks; ++i) counters.CountDeallocation(kBytes);
  }).join();
  const AllocatorStats stats = counters.Snapshot();
  EXPECT_EQ(stats.live(), 0u);
  EXPECT_GE(stats.peak() + 2 * ShardedCounters::kStepBytes, kBytes * kBlocks);
  EXPECT_LE(stats.peak(), kBytes * kBlocks + 2 * ShardedCounters::kStepBytes);
  EXPECT_TRUE(stats.IdentityHolds());
}

// Counts additions that take a line from another thread.
std::atomic<uint64_t> additions = 0;
template <class T>
struct CountingAtomic : std::atomic<T> {
  using std::atomic<T>::atomic;
  T fetch_add(T value, std::memory_order order) {
    additions.fetch_add(1, std::memory_order_relaxed);
    return std::atomic<T>::fetch_add(value, order);
  }
};
struct CountingSync {
  template <class T>
  using Atomic = CountingAtomic<T>;
};

TEST(ShardedCountersTest, TheShardsOfEndedThreadsAreAdopted) {
  BasicShardedCounters<CountingSync> counters;
  constexpr size_t kThreads = 100;
  for (size_t i = 0; i < kThreads; ++i) {
    std::thread([&counters] { counters.CountAllocation(1); }).join();
  }
  EXPECT_EQ(counters.Snapshot().allocations(), kThreads);
  EXPECT_EQ(counters.Snapshot().live(), kThreads);
  EXPECT_EQ(additions, 0u);
}

TEST(ShardedCountersForkTest, TheChildAdoptsTheShardOfAThreadItDoesNotHave) {
  GTEST_FLAG_SET(death_test_style, "fast");  // A bare fork().
  BasicShardedCounters<CountingSync, 1, 1> counters;
  std::atomic<int> stage = 0;
  std::thread owner([&] {
    counters.CountAllocation(10);
    stage.store(1, std::memory_order_release);
    stage.notify_one();
    stage.wait(1, std::memory_order_acquire);
    counters.CountDeallocation(10);
  });
  stage.wait(0, std::memory_order_acquire);
  counters.CountAllocation(20);
  EXPECT_EXIT(
      {
        const uint64_t before = additions;
        counters.CountAllocation(30);
        counters.CountDeallocation(20);
        const AllocatorStats stats = counters.Snapshot();
        const bool exact = stats.allocations() == 3 &&
                           stats.deallocations() == 1 && stats.live() == 40;
        std::_Exit(exact && additions == before ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
  stage.store(2, std::memory_order_release);
  stage.notify_one();
  owner.join();
  EXPECT_EQ(counters.Snapshot().allocations(), 2u);
  EXPECT_EQ(counters.Snapshot().live(), 20u);
}

TEST(ShardedCountersTest, ManyTakeTurnsOnOneThreadAndAtOneAddress) {
  for (int round = 0; round < 3; ++round) {
    ShardedCounters a;  // Where the one of the last round was.
    ShardedCounters b;
    for (size_t i = 0; i < 10; ++i) {
      a.CountAllocation(1);
      b.CountAllocation(2);
      std::thread([&] { b.CountAllocation(3); }).join();
    }
    EXPECT_EQ(a.Snapshot().live(), 10u);
    EXPECT_EQ(b.Snapshot().live(), 50u);
  }
}

}  // namespace
}  // namespace mmsb
