#include "allocator/stats_allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/local_counters.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/sharded_counters.h"
#include "allocator/size_histogram.h"
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
