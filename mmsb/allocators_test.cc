// The allocators as a program outside sees them: by the public face alone.

#include <cstddef>
#include <string_view>

#include "gtest/gtest.h"
#include "mmsb/allocator_ref.h"
#include "mmsb/allocator_stats.h"
#include "mmsb/arena.h"
#include "mmsb/check_policy.h"
#include "mmsb/lockfree_pool.h"
#include "mmsb/memory_pool.h"
#include "mmsb/raw_allocator.h"
#include "mmsb/system_source.h"

namespace {

TEST(AllocatorsTest, APool) {
  mmsb::MemoryPool pool({.block_size = 64});
  void* p = pool.Allocate();
  EXPECT_NE(p, nullptr);
  pool.Deallocate(p);
  const mmsb::AllocatorStats stats = pool.Stats();
  EXPECT_EQ(stats.cached(), 64u);
  char text[512];
  EXPECT_TRUE(std::string_view(text, stats.FormatText(text))
                  .starts_with("live 0\ncached 64\n"));
}

TEST(AllocatorsTest, AnArenaUnderACheckedPool) {
  mmsb::Arena arena;
  auto mark = arena.Mark();
  {
    mmsb::MemoryPool<mmsb::AllocatorRef<mmsb::Arena<>>, mmsb::Checked> pool(
        {.block_size = 16}, mmsb::AllocatorRef(arena));
    pool.Deallocate(pool.Allocate());
    EXPECT_GT(arena.Stats().live(), 0u);
  }
  arena.Rewind(mark);
  EXPECT_EQ(arena.Stats().live(), 0u);
  EXPECT_NE(arena.Allocate(100, 8), nullptr);
  arena.Reset();
}

TEST(AllocatorsTest, ALockFreePool) {
  mmsb::LockFreePool pool({.block_size = 4096, .capacity = 2});
  void* p = pool.Allocate();
  const mmsb::BlockId id = pool.AllocateId();
  EXPECT_NE(pool.AddressOf(id), p);
  EXPECT_EQ(pool.Allocate(), nullptr);
  pool.Deallocate(p);
  pool.Deallocate(id);
  EXPECT_EQ(pool.Stats().live(), 0u);
}

template <mmsb::RawAllocator A>
bool Serves(A& allocator, size_t bytes) {
  void* const p = allocator.Allocate(bytes, alignof(std::max_align_t));
  allocator.Deallocate(p, bytes, alignof(std::max_align_t));
  return p != nullptr;
}

TEST(AllocatorsTest, OneFunctionForAll) {
  mmsb::SystemSource source;
  mmsb::Arena arena;
  mmsb::MemoryPool pool({.block_size = 64});
  EXPECT_TRUE(Serves(source, 100));
  EXPECT_TRUE(Serves(arena, 100));
  EXPECT_FALSE(Serves(pool, 100));
}

}  // namespace
