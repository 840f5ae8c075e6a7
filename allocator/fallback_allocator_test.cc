#include "allocator/fallback_allocator.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "allocator/allocate_zeroed.h"
#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/arena.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/stats_allocator.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using PoolThenSystem = FallbackAllocator<MemoryPool<>>;
using PoolThenArena = FallbackAllocator<MemoryPool<>, Arena<>>;
static_assert(RawAllocator<PoolThenSystem>);
static_assert(!OwningAllocator<PoolThenSystem>);
static_assert(!CountingAllocator<PoolThenSystem>);
static_assert(ReallocatingAllocator<PoolThenSystem>);
static_assert(RoundingAllocator<PoolThenSystem>);
static_assert(OwningAllocator<PoolThenArena>);
static_assert(CountingAllocator<PoolThenArena>);

TEST(FallbackAllocatorTest, TakesFromTheSecondWhatTheFirstHasNot) {
  FallbackAllocator<MemoryPool<>, StatsAllocator<>> fallback(
      MemoryPoolOptions{.block_size = 64, .max_blocks = 2});
  void* const a = fallback.Allocate(64, 8);
  void* const b = fallback.Allocate(10, 8);
  void* const c = fallback.Allocate(10, 8);
  void* const d = fallback.Allocate(65, 8);
  EXPECT_TRUE(fallback.first().Owns(a));
  EXPECT_TRUE(fallback.first().Owns(b));
  EXPECT_FALSE(fallback.first().Owns(c));
  EXPECT_EQ(fallback.second().Stats().live(), 75u);
  fallback.Deallocate(b, 10, 8);
  fallback.Deallocate(c, 10, 8);
  // The first is asked first again.
  void* const e = fallback.Allocate(10, 8);
  EXPECT_EQ(e, b);
  fallback.Deallocate(d, 65, 8);
  EXPECT_EQ(fallback.second().Stats().live(), 0u);
  fallback.Deallocate(a, 64, 8);
  fallback.Deallocate(e, 10, 8);
  fallback.Deallocate(nullptr, 10, 8);
  EXPECT_EQ(fallback.first().Stats().live(), 0u);
}

TEST(FallbackAllocatorTest, NullWhenBothHaveNothing) {
  PoolThenSystem fallback(MemoryPoolOptions{.block_size = 64});
  EXPECT_EQ(fallback.Allocate(SIZE_MAX, 1), nullptr);
  EXPECT_EQ(fallback.Allocate(1, 0), nullptr);
  EXPECT_EQ(fallback.AllocateAtLeast(SIZE_MAX, 1).data, nullptr);
}

TEST(FallbackAllocatorTest, StatsAreTheSum) {
  PoolThenArena fallback(MemoryPoolOptions{.block_size = 64, .max_blocks = 1},
                         ArenaOptions{.max_bytes = 8192});
  void* const a = fallback.Allocate(64, 8);
  void* const b = fallback.Allocate(100, 8);
  EXPECT_EQ(fallback.Allocate(9000, 8), nullptr);
  const AllocatorStats stats = fallback.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(),
            fallback.first().Stats().live() + fallback.second().Stats().live());
  EXPECT_EQ(stats.failures(), 1u);
  EXPECT_TRUE(fallback.Owns(a));
  EXPECT_TRUE(fallback.Owns(b));
  EXPECT_FALSE(fallback.Owns(&stats));
  fallback.Deallocate(a, 64, 8);
  fallback.Deallocate(b, 100, 8);
}

TEST(FallbackAllocatorTest, RoundsWhereItsPartsDo) {
  PoolThenSystem fallback(MemoryPoolOptions{.block_size = 64, .max_blocks = 1});
  const SizedBlock a = fallback.AllocateAtLeast(10, 1);
  EXPECT_EQ(a.bytes, 64u);
  const SizedBlock b = fallback.AllocateAtLeast(10, 1);
  EXPECT_EQ(b.bytes, 10u);
  fallback.Deallocate(a.data, 64, 1);
  fallback.Deallocate(b.data, 10, 1);
}

TEST(FallbackAllocatorTest, ResizesAcrossThem) {
  PoolThenSystem fallback(MemoryPoolOptions{.block_size = 64, .max_blocks = 1});
  auto* p = static_cast<char*>(fallback.Allocate(60, 8));
  std::memset(p, 7, 60);
  p = static_cast<char*>(Reallocate(fallback, p, 60, 10'000, 8));
  ASSERT_NE(p, nullptr);
  EXPECT_FALSE(fallback.first().Owns(p));
  EXPECT_EQ(fallback.first().Stats().live(), 0u);
  EXPECT_EQ(p[59], 7);
  p = static_cast<char*>(Reallocate(fallback, p, 10'000, 20'000, 8));
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p[59], 7);
  fallback.Deallocate(p, 20'000, 8);
}

TEST(FallbackAllocatorTest, ZeroesFromBoth) {
  PoolThenSystem fallback(MemoryPoolOptions{.block_size = 64, .max_blocks = 1});
  void* const used = fallback.Allocate(64, 8);
  std::memset(used, 1, 64);
  fallback.Deallocate(used, 64, 8);
  auto* const a = static_cast<char*>(AllocateZeroed(fallback, 64, 8));
  EXPECT_EQ(a, used);
  EXPECT_EQ(a[63], 0);
  auto* const b = static_cast<char*>(AllocateZeroed(fallback, 64, 8));
  EXPECT_EQ(b[63], 0);
  fallback.Deallocate(a, 64, 8);
  fallback.Deallocate(b, 64, 8);
}

TEST(FallbackAllocatorTest, ThreeInARow) {
  PoolThenArena pool_then_arena(
      MemoryPoolOptions{.block_size = 64, .max_blocks = 1},
      ArenaOptions{.max_bytes = 8192});
  FallbackAllocator all{AllocatorRef(pool_then_arena)};
  void* const a = all.Allocate(64, 8);
  void* const b = all.Allocate(64, 8);
  void* const c = all.Allocate(9000, 8);
  EXPECT_TRUE(pool_then_arena.first().Owns(a));
  EXPECT_TRUE(pool_then_arena.second().Owns(b));
  ASSERT_NE(c, nullptr);
  EXPECT_FALSE(pool_then_arena.Owns(c));
  all.Deallocate(a, 64, 8);
  all.Deallocate(b, 64, 8);
  all.Deallocate(c, 9000, 8);
  EXPECT_EQ(pool_then_arena.Stats().live(), 0u);
}

}  // namespace
}  // namespace mmsb
