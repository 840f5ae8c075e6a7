#include "allocator/memory_pool.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

// Whether a tool that watches accesses is there.
bool Watched() { return kPoisonReported || RunningOnValgrind(); }

// How far apart the blocks of a pool of the natural alignment lie.
size_t Stride(size_t block_size) {
  return (block_size + kPoisonGranuleBytes - 1) / kPoisonGranuleBytes *
         kPoisonGranuleBytes;
}

static_assert(!std::is_copy_constructible_v<MemoryPool<>>);
static_assert(!std::is_move_constructible_v<MemoryPool<>>);
static_assert(!std::is_convertible_v<MemoryPoolOptions, MemoryPool<>>);

std::vector<void*> Take(auto& pool, size_t count) {
  std::vector<void*> blocks;
  for (size_t i = 0; i < count; ++i) {
    blocks.push_back(pool.Allocate());
    EXPECT_NE(blocks.back(), nullptr);
  }
  return blocks;
}

TEST(MemoryPoolTest, DeducesItsArguments) {
  MemoryPool pool({.block_size = 64});
  static_assert(
      std::is_same_v<decltype(pool), MemoryPool<SystemSource, Unchecked>>);
  std::array<std::byte, 1024> region;
  MemoryPool small(region.data(), region.size(), {.block_size = 8});
  static_assert(std::is_same_v<decltype(small), MemoryPool<>>);
  MemoryPool above({.block_size = 16}, AllocatorRef(pool));
  static_assert(
      std::is_same_v<decltype(above), MemoryPool<AllocatorRef<MemoryPool<>>>>);
}

TEST(MemoryPoolTest, TakesNothingBeforeTheFirstBlock) {
  FailingUpstream upstream;
  MemoryPool pool({.block_size = 64}, AllocatorRef(upstream));
  EXPECT_EQ(upstream.calls(), 0u);
  EXPECT_EQ(pool.Stats().committed(), 0u);
  void* const p = pool.Allocate();
  EXPECT_EQ(upstream.bytes(), pool.Stats().committed());
  pool.Deallocate(p);
}

TEST(MemoryPoolTest, HandsOutTheNewestFreeBlockFirst) {
  MemoryPool pool({.block_size = 64});
  std::vector<void*> blocks = Take(pool, 3);
  pool.Deallocate(blocks[1]);
  pool.Deallocate(blocks[0]);
  EXPECT_EQ(pool.Allocate(), blocks[0]);
  EXPECT_EQ(pool.Allocate(), blocks[1]);
  for (void* block : blocks) pool.Deallocate(block);
}

TEST(MemoryPoolTest, AlignsAsTheSizeSuggests) {
  for (const auto& [block_size, alignment] : {std::pair<size_t, size_t>{1, 1},
                                              {2, 2},
                                              {3, 1},
                                              {12, 4},
                                              {24, 8},
                                              {48, 16},
                                              {64, 16},
                                              {4096, 16}}) {
    MemoryPool pool({.block_size = block_size});
    EXPECT_EQ(pool.alignment(), alignment) << block_size;
    EXPECT_EQ(pool.block_size(), block_size);
  }
}

TEST(MemoryPoolTest, PutsBlocksSideBySide) {
  MemoryPool pool({.block_size = 24, .blocks_per_chunk = 10});
  const std::vector<void*> blocks = Take(pool, 10);
  for (size_t i = 1; i < blocks.size(); ++i) {
    EXPECT_EQ(static_cast<std::byte*>(blocks[i]) -
                  static_cast<std::byte*>(blocks[i - 1]),
              24);
  }
}

TEST(MemoryPoolTest, GrowsByWholeChunks) {
  FailingUpstream upstream;
  MemoryPool pool({.block_size = 32, .blocks_per_chunk = 4},
                  AllocatorRef(upstream));
  std::vector<void*> blocks = Take(pool, 4);
  const uint64_t calls = upstream.calls();
  EXPECT_EQ(pool.Stats().free(), 0u);
  blocks.push_back(pool.Allocate());
  // A chunk, and a larger directory.
  EXPECT_EQ(upstream.calls(), calls + 2);
  EXPECT_EQ(pool.Stats().free(), 3u * 32);
  for (void* block : blocks) pool.Deallocate(block);
  EXPECT_EQ(pool.Stats().cached(), 5u * 32);
  EXPECT_EQ(Take(pool, 8).size(), 8u);
  EXPECT_EQ(upstream.calls(), calls + 2);
}

TEST(MemoryPoolTest, ChunksOfItsOwnChoiceGrowSlowlyInNumber) {
  FailingUpstream upstream;
  MemoryPool pool({.block_size = 64}, AllocatorRef(upstream));
  const std::vector<void*> blocks = Take(pool, 100000);
  EXPECT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(),
            blocks.size());
  EXPECT_LT(upstream.calls(), 40u);
  const AllocatorStats stats = pool.Stats();
  EXPECT_LT(stats.committed(), 100000u * 64 * 5 / 4 + 2 * kMiB);
}

TEST(MemoryPoolTest, TakesLessWhenTheUpstreamHasLess) {
  FailingUpstream upstream({.max_bytes = 20000});
  MemoryPool pool({.block_size = 64}, AllocatorRef(upstream));
  size_t blocks = 0;
  while (pool.Allocate() != nullptr) ++blocks;
  // Two thirds of what there is, and the upstream holds no more than it may.
  EXPECT_GT(blocks * 64, 20000u * 2 / 3);
  EXPECT_LE(pool.Stats().committed(), 20000u);
  EXPECT_EQ(pool.Stats().committed(), upstream.bytes());
}

TEST(MemoryPoolTest, StopsAtMaxBlocks) {
  MemoryPool pool({.block_size = 8, .blocks_per_chunk = 4, .max_blocks = 10});
  std::vector<void*> blocks = Take(pool, 10);
  EXPECT_EQ(pool.Allocate(), nullptr);
  EXPECT_EQ(pool.Stats().failures(), 1u);
  pool.Deallocate(blocks[3]);
  EXPECT_EQ(pool.Allocate(), blocks[3]);
  EXPECT_EQ(pool.Allocate(), nullptr);

  MemoryPool none({.block_size = 8, .max_blocks = 0});
  EXPECT_EQ(none.Allocate(), nullptr);
}

TEST(MemoryPoolTest, BlocksBeyondTheAddressSpaceAreNeverServed) {
  for (const size_t block_size : {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1}) {
    for (const size_t per_chunk : {size_t{0}, size_t{1}, SIZE_MAX}) {
      MemoryPool pool({.block_size = block_size,
                       .alignment = 64,
                       .blocks_per_chunk = per_chunk});
      EXPECT_EQ(pool.Allocate(), nullptr);
      EXPECT_TRUE(pool.Stats().IdentityHolds());
    }
  }
  MemoryPool pool({.block_size = 8, .blocks_per_chunk = SIZE_MAX / 8});
  EXPECT_EQ(pool.Allocate(), nullptr);
}

TEST(MemoryPoolTest, CountsWhatItDoes) {
  MemoryPool pool({.block_size = 48, .alignment = 32, .blocks_per_chunk = 8});
  std::vector<void*> blocks = Take(pool, 5);
  pool.Deallocate(blocks[0]);
  pool.Deallocate(blocks[1]);
  EXPECT_EQ(pool.Allocate(49, 1), nullptr);
  const AllocatorStats stats = pool.Stats();
  EXPECT_EQ(stats.live(), 3u * 64);
  EXPECT_EQ(stats.cached(), 2u * 64);
  EXPECT_EQ(stats.free(), 3u * 64);
  EXPECT_EQ(stats.peak(), 5u * 64);
  EXPECT_EQ(stats.allocations(), 5u);
  EXPECT_EQ(stats.deallocations(), 2u);
  EXPECT_EQ(stats.failures(), 1u);
  EXPECT_TRUE(stats.IdentityHolds());
}

TEST(MemoryPoolTest, SaysHowMuchOfABlockIsUsable) {
  MemoryPool pool({.block_size = 48, .alignment = 32});
  const SizedBlock block = pool.AllocateAtLeast(10, 8);
  EXPECT_NE(block.data, nullptr);
  EXPECT_EQ(block.bytes, 48u);
  pool.Deallocate(block.data, 48, 8);
  EXPECT_EQ(pool.AllocateAtLeast(49, 8).bytes, 0u);
}

TEST(MemoryPoolTest, BatchesAreTakenAndGivenBackLikeSingleBlocks) {
  MemoryPool pool({.block_size = 32, .blocks_per_chunk = 4, .max_blocks = 10});
  std::array<void*, 6> first;
  EXPECT_EQ(pool.AllocateBatch(first), 6u);
  std::array<void*, 6> second;
  EXPECT_EQ(pool.AllocateBatch(second), 4u);
  EXPECT_EQ(pool.Stats().failures(), 1u);
  EXPECT_EQ(pool.AllocateBatch({}), 0u);
  std::set<void*> all(first.begin(), first.end());
  all.insert(second.begin(), second.begin() + 4);
  EXPECT_EQ(all.size(), 10u);
  pool.DeallocateBatch(first);
  EXPECT_EQ(pool.Allocate(), first[5]);
  const std::array<void*, 3> with_null = {first[5], nullptr, second[0]};
  pool.DeallocateBatch(with_null);
  EXPECT_EQ(pool.Stats().live(), 3u * 32);
}

TEST(MemoryPoolTest, WhatIsReservedNeedsNoUpstream) {
  for (const size_t per_chunk : {size_t{0}, size_t{1}, size_t{7}}) {
    FailingUpstream upstream;
    MemoryPool pool({.block_size = 32, .blocks_per_chunk = per_chunk},
                    AllocatorRef(upstream));
    std::vector<void*> blocks = Take(pool, 5);
    pool.Deallocate(blocks[4]);
    ASSERT_TRUE(pool.Reserve(1000));
    EXPECT_GE(pool.Stats().free() + pool.Stats().cached(), 1000u * 32);
    EXPECT_EQ(pool.Stats().live(), 4u * 32);
    const uint64_t calls = upstream.calls();
    EXPECT_TRUE(pool.Reserve(1000));
    const std::vector<void*> reserved = Take(pool, 1000);
    EXPECT_EQ(reserved[0], blocks[4]);
    EXPECT_EQ(upstream.calls(), calls);
  }
}

TEST(MemoryPoolTest, MoreThanThereMayBeIsNotReserved) {
  FailingUpstream upstream;
  MemoryPool pool({.block_size = 32, .max_blocks = 10}, AllocatorRef(upstream));
  const std::vector<void*> blocks = Take(pool, 3);
  const uint64_t calls = upstream.calls();
  for (const size_t count : {size_t{8}, SIZE_MAX}) {
    EXPECT_FALSE(pool.Reserve(count));
  }
  EXPECT_EQ(upstream.calls(), calls);
  EXPECT_TRUE(pool.Reserve(7));
  MemoryPool huge({.block_size = 32});
  EXPECT_FALSE(huge.Reserve(SIZE_MAX));
  EXPECT_TRUE(huge.Stats().IdentityHolds());
}

TEST(MemoryPoolTest, ReleaseGivesBackChunksWithoutALiveBlock) {
  FailingUpstream upstream;
  MemoryPool pool({.block_size = 32, .blocks_per_chunk = 4},
                  AllocatorRef(upstream));
  std::vector<void*> blocks = Take(pool, 10);
  ASSERT_TRUE(pool.Reserve(10));
  const size_t before = upstream.bytes();
  // The second chunk, and the one that was only reserved.
  for (size_t i = 4; i < 9; ++i) pool.Deallocate(blocks[i]);
  const size_t released = pool.Release();
  EXPECT_EQ(released, 3 * 4u * 32);
  EXPECT_EQ(upstream.bytes(), before - released);
  EXPECT_FALSE(pool.Owns(blocks[5]));
  EXPECT_TRUE(pool.Owns(blocks[3]));
  AllocatorStats stats = pool.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), 5u * 32);
  EXPECT_EQ(stats.peak(), 10u * 32);
  EXPECT_EQ(stats.cached(), 1u * 32);
  // The rest of the chunk in use.
  EXPECT_EQ(pool.Allocate(), blocks[8]);
  EXPECT_EQ(pool.Allocate(), static_cast<std::byte*>(blocks[9]) + 32);
}

TEST(MemoryPoolTest, ReleaseOfAllGivesBackAll) {
  FailingUpstream upstream;
  MemoryPool pool({.block_size = 32}, AllocatorRef(upstream));
  EXPECT_EQ(pool.Release(), 0u);
  for (int round = 0; round < 3; ++round) {
    const std::vector<void*> blocks = Take(pool, 1000);
    const size_t held = upstream.bytes();
    pool.DeallocateBatch(blocks);
    EXPECT_EQ(pool.Release(), held);
    EXPECT_EQ(upstream.blocks(), 0u);
    EXPECT_EQ(pool.Stats().committed(), 0u);
    EXPECT_EQ(pool.Stats().metadata(), 0u);
    EXPECT_EQ(pool.Stats().peak(), 1000u * 32);
    EXPECT_EQ(pool.Release(), 0u);
  }
}

TEST(MemoryPoolTest, NothingOfARegionIsReleased) {
  std::array<std::byte, 1024> region;
  MemoryPool pool(region.data(), region.size(), {.block_size = 32});
  void* const p = pool.Allocate();
  pool.Deallocate(p);
  EXPECT_EQ(pool.Release(), 0u);
  EXPECT_EQ(pool.Allocate(), p);
}

TEST(MemoryPoolTest, ResizesInPlaceWhatFitsTheBlock) {
  MemoryPool<SystemSource, Checked> pool({.block_size = 48});
  void* const p = pool.Allocate(10, 8);
  EXPECT_EQ(pool.Reallocate(p, 10, 48, 8), p);
  EXPECT_EQ(pool.Reallocate(p, 48, 1, 8), p);
  EXPECT_EQ(pool.Reallocate(p, 1, 49, 8), nullptr);
  EXPECT_EQ(pool.Reallocate(p, 1, SIZE_MAX, 8), nullptr);
  EXPECT_EQ(pool.Stats().failures(), 0u);
  pool.Deallocate(p, 1, 8);
}

TEST(MemoryPoolTest, FindsTheBlockAmongManyChunks) {
  // Sizes whose inverse is odd in every way, and chunks out of order.
  for (const size_t block_size : {1, 3, 7, 8, 12, 24, 48, 56, 96, 1000}) {
    MemoryPool<SystemSource, Checked> pool(
        {.block_size = block_size, .blocks_per_chunk = 5});
    std::vector<void*> blocks = Take(pool, 500);
    for (size_t i = 0; i < blocks.size(); i += 2) {
      EXPECT_TRUE(pool.Owns(blocks[i]));
      pool.Deallocate(blocks[i]);
    }
    for (size_t i = 1; i < blocks.size(); i += 2) pool.Deallocate(blocks[i]);
    EXPECT_EQ(pool.Stats().cached(), 500 * Stride(block_size));
  }
}

TEST(MemoryPoolTest, OwnsItsBlocksToTheLastByte) {
  MemoryPool pool({.block_size = 16, .blocks_per_chunk = 50});
  const std::vector<void*> blocks = Take(pool, 50);
  for (const void* block : blocks) {
    const auto* const bytes = static_cast<const std::byte*>(block);
    EXPECT_TRUE(pool.Owns(bytes));
    EXPECT_TRUE(pool.Owns(bytes + 15));
  }
  EXPECT_FALSE(pool.Owns(static_cast<std::byte*>(blocks.front()) - 1));
  EXPECT_FALSE(pool.Owns(static_cast<std::byte*>(blocks.back()) + 16));
}

TEST(MemoryPoolTest, RegionOfEverySizeIsServedWithinItsBounds) {
  for (size_t bytes = 0; bytes < 600; ++bytes) {
    // Sanitizers see a byte written outside.
    const auto region = std::make_unique<std::byte[]>(bytes);
    MemoryPool<SystemSource, Checked> pool(region.get(), bytes,
                                           {.block_size = 12, .alignment = 4});
    std::vector<void*> blocks;
    while (void* const p = pool.Allocate()) blocks.push_back(p);
    EXPECT_TRUE(pool.Stats().IdentityHolds());
    EXPECT_EQ(pool.Stats().committed(), bytes);
    EXPECT_EQ(pool.Stats().live(), blocks.size() * Stride(12));
    EXPECT_GE(blocks.size() + 3, bytes / (Stride(12) + 1 + 16));
    for (void* block : blocks) {
      EXPECT_GE(block, region.get());
      std::fill_n(static_cast<std::byte*>(block), 12, std::byte{0xAB});
    }
    for (void* block : blocks) pool.Deallocate(block);
    EXPECT_EQ(pool.Stats().cached(), blocks.size() * Stride(12));
  }
}

TEST(MemoryPoolTest, RegionMayBeAnywhereAndIsLeftUsable) {
  std::vector<std::byte> memory(4096);
  for (size_t offset = 0; offset < 64; ++offset) {
    MemoryPool pool(memory.data() + offset, 2048,
                    {.block_size = 40, .alignment = 64, .max_blocks = 7});
    void* const p = pool.Allocate();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
    EXPECT_EQ(Take(pool, 6).size(), 6u);
    EXPECT_EQ(pool.Allocate(), nullptr);
  }
  std::fill(memory.begin(), memory.end(), std::byte{1});
}

TEST(MemoryPoolTest, NothingAtANullRegion) {
  MemoryPool pool(nullptr, 0, {.block_size = 8});
  EXPECT_EQ(pool.Allocate(), nullptr);
  EXPECT_FALSE(pool.Owns(&pool));
}

TEST(MemoryPoolTest, BlocksOfAnySizeArePoisonedWholly) {
  for (const size_t block_size : {1, 2, 3, 4, 7, 12, 20}) {
    alignas(16) std::array<std::byte, 4096> region;
    MemoryPool<> own({.block_size = block_size});
    MemoryPool<> over(region.data() + 4, region.size() - 4,
                      {.block_size = block_size, .alignment = 1});
    for (MemoryPool<>* const pool : {&own, &over}) {
      const std::vector<void*> blocks = Take(*pool, 9);
      for (size_t i = 0; i < blocks.size(); i += 2) pool->Deallocate(blocks[i]);
      for (size_t i = 0; i < blocks.size(); ++i) {
        const auto* const block = static_cast<std::byte*>(blocks[i]);
        for (size_t at = 0; at < block_size; ++at) {
          EXPECT_EQ(IsPoisoned(block + at), Watched() && i % 2 == 0)
              << "byte " << at << " of block " << i << " of " << block_size;
        }
      }
    }
  }
}

TEST(MemoryPoolTest, FreeBlocksArePoisonedAndSlackToo) {
  MemoryPool pool({.block_size = 40, .alignment = 64, .blocks_per_chunk = 4});
  auto* const p = static_cast<std::byte*>(pool.Allocate());
  EXPECT_FALSE(IsPoisoned(p));
  EXPECT_FALSE(IsPoisoned(p + 39));
  EXPECT_EQ(IsPoisoned(p + 40), Watched());
  EXPECT_EQ(IsPoisoned(p + 64), Watched());
  pool.Deallocate(p);
  EXPECT_EQ(IsPoisoned(p), Watched());
  EXPECT_EQ(pool.Allocate(), p);
  EXPECT_FALSE(IsPoisoned(p));
}

// How many bytes from `p` on may be touched, of `most` that are looked at.
size_t Touchable(const std::byte* p, size_t most) {
  size_t bytes = 0;
  while (bytes < most && !IsPoisoned(p + bytes)) ++bytes;
  return bytes;
}

template <class Policy>
class MemoryPoolSlackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Watched()) GTEST_SKIP() << "no tool that watches accesses";
  }
  MemoryPool<SystemSource, Policy> pool_{
      {.block_size = 100, .blocks_per_chunk = 4}};
};
using Policies = ::testing::Types<Unchecked, Checked>;
TYPED_TEST_SUITE(MemoryPoolSlackTest, Policies);

TYPED_TEST(MemoryPoolSlackTest, WhatWasNotAskedForIsPoisoned) {
  // Once from fresh blocks, and then from one that was freed.
  for (int round = 0; round < 2; ++round) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{36}, size_t{97}}) {
      auto* const p = static_cast<std::byte*>(this->pool_.Allocate(bytes, 4));
      EXPECT_EQ(Touchable(p, 100), bytes);
      this->pool_.Deallocate(p, bytes, 4);
      EXPECT_TRUE(IsPoisoned(p));
    }
    auto* const whole = static_cast<std::byte*>(this->pool_.Allocate());
    EXPECT_EQ(Touchable(whole, 100), 100u);
    this->pool_.Deallocate(whole);
  }
}

TYPED_TEST(MemoryPoolSlackTest, TheWholeBlockIsOfWhoAsksForAllOfIt) {
  this->pool_.Deallocate(this->pool_.Allocate(10, 1), 10, 1);
  const SizedBlock block = this->pool_.AllocateAtLeast(10, 1);
  const auto* const p = static_cast<const std::byte*>(block.data);
  EXPECT_EQ(Touchable(p, 100), 100u);
  this->pool_.Deallocate(block.data, 10, 1);
  std::vector<void*> batch(4);
  ASSERT_EQ(this->pool_.AllocateBatch(batch), 4u);
  for (const void* q : batch) {
    EXPECT_EQ(Touchable(static_cast<const std::byte*>(q), 100), 100u);
  }
  this->pool_.DeallocateBatch(batch);
  for (const void* q : batch) EXPECT_TRUE(IsPoisoned(q));
}

TYPED_TEST(MemoryPoolSlackTest, ResizingMovesTheEnd) {
  auto* const p = static_cast<std::byte*>(this->pool_.Allocate(10, 4));
  size_t before = 10;
  for (const size_t bytes : {size_t{50}, size_t{100}, size_t{3}, size_t{7}}) {
    EXPECT_EQ(this->pool_.Reallocate(p, before, bytes, 4), p);
    EXPECT_EQ(Touchable(p, 100), bytes);
    before = bytes;
  }
  EXPECT_EQ(this->pool_.Reallocate(p, 7, 101, 4), nullptr);
  EXPECT_EQ(Touchable(p, 100), 7u);
  this->pool_.Deallocate(p, 7, 4);
}

struct Uncounted : Unchecked {
  static constexpr bool kCountsCalls = false;
};

TEST(MemoryPoolTest, CountsNoCallsWhereThePolicySaysSo) {
  MemoryPool<SystemSource, Uncounted> pool({.block_size = 64});
  const std::vector<void*> blocks = Take(pool, 3);
  pool.Deallocate(blocks[0]);
  const AllocatorStats stats = pool.Stats();
  EXPECT_EQ(stats.allocations(), 0u);
  EXPECT_EQ(stats.deallocations(), 0u);
  EXPECT_EQ(stats.live(), 2u * 64);
  EXPECT_EQ(stats.peak(), 3u * 64);
  EXPECT_TRUE(stats.IdentityHolds());
}

TEST(MemoryPoolTest, UncheckedIsNoLargerForTheChecks) {
  EXPECT_LT(sizeof(MemoryPool<>), sizeof(MemoryPool<SystemSource, Checked>));
}

}  // namespace
}  // namespace mmsb
