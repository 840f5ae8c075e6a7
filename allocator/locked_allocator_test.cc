#include "allocator/locked_allocator.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "allocator/allocate_zeroed.h"
#include "allocator/allocator_ref.h"
#include "allocator/arena.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/stats_allocator.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(OwningAllocator<LockedAllocator<MemoryPool<>>>);
static_assert(CountingAllocator<LockedAllocator<MemoryPool<>>>);
static_assert(RoundingAllocator<LockedAllocator<MemoryPool<>>>);
static_assert(HistogramAllocator<LockedAllocator<StatsAllocator<>>>);
static_assert(!OwningAllocator<LockedAllocator<>>);

TEST(LockedAllocatorTest, PassesEverythingOn) {
  LockedAllocator<MemoryPool<>> pool(
      MemoryPoolOptions{.block_size = 64, .max_blocks = 1});
  EXPECT_TRUE(pool.fork_safe());
  void* const p = pool.Allocate(64, 8);
  EXPECT_TRUE(pool.Owns(p));
  EXPECT_EQ(pool.Allocate(64, 8), nullptr);
  EXPECT_EQ(pool.Stats().live(), 64u);
  pool.Deallocate(p, 64, 8);
  const SizedBlock block = pool.AllocateAtLeast(10, 8);
  EXPECT_EQ(block.bytes, 64u);
  pool.Deallocate(block.data, 10, 8);
}

TEST(LockedAllocatorTest, PassesResizesAndZeroesOn) {
  LockedAllocator<StatsAllocator<>> counted;
  auto* p = static_cast<char*>(AllocateZeroed(counted, 100, 8));
  EXPECT_EQ(p[99], 0);
  p = static_cast<char*>(Reallocate(counted, p, 100, 200, 8));
  counted.Deallocate(p, 200, 8);
  EXPECT_EQ(counted.Histogram().allocations(), 2u);
}

TEST(LockedAllocatorTest, LendsTheUpstreamUnderTheLock) {
  LockedAllocator<Arena<>> arena;
  void* const p = arena.Allocate(100, 8);
  EXPECT_NE(p, nullptr);
  const size_t live = arena.With([](Arena<>& inner) {
    const size_t before = inner.Stats().live();
    inner.Reset();
    return before;
  });
  EXPECT_GE(live, 100u);
  EXPECT_EQ(arena.Stats().live(), 0u);
  auto& same = arena.With([](Arena<>& inner) -> Arena<>& { return inner; });
  EXPECT_EQ(same.Stats().live(), 0u);
}

TEST(LockedAllocatorTest, OneInsideAnother) {
  LockedAllocator<MemoryPool<>> inner(
      MemoryPoolOptions{.block_size = 4096, .alignment = 64});
  LockedAllocator<Arena<AllocatorRef<LockedAllocator<MemoryPool<>>>>> outer(
      ArenaOptions{.first_chunk_bytes = 4096, .max_chunk_bytes = 4096},
      AllocatorRef(inner));
  void* const p = outer.Allocate(100, 8);
  EXPECT_NE(p, nullptr);
  EXPECT_GT(inner.Stats().live(), 0u);
}

TEST(LockedAllocatorForkTest, ChildOfABusyProcessAllocates) {
  GTEST_FLAG_SET(death_test_style, "fast");  // A bare fork().
  LockedAllocator<MemoryPool<>> pool(MemoryPoolOptions{.block_size = 64});
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      pool.Deallocate(pool.Allocate(64, 8), 64, 8);
    }
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_EXIT(
        {
          void* const p = pool.Allocate(64, 8);
          const bool whole = p != nullptr && pool.Stats().IdentityHolds();
          pool.Deallocate(p, 64, 8);
          std::_Exit(whole ? 0 : 1);
        },
        ::testing::ExitedWithCode(0), "");
  }
  stop.store(true, std::memory_order_relaxed);
  busy.join();
}

}  // namespace
}  // namespace mmsb
