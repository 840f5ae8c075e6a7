#include "allocator/arena.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/system_source.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

// Whether a tool that watches accesses is there.
bool Watched() { return kPoisonReported || RunningOnValgrind(); }

static_assert(!std::is_copy_constructible_v<Arena<>>);
static_assert(!std::is_move_constructible_v<Arena<>>);

// What an arena's chunk keeps for itself.
constexpr size_t kChunkHeaderBytes = 64;

std::byte* Bytes(void* p) { return static_cast<std::byte*>(p); }

TEST(ArenaTest, DeducesItsArguments) {
  Arena arena;
  static_assert(
      std::is_same_v<decltype(arena), Arena<SystemSource, Unchecked>>);
  Arena sized({.first_chunk_bytes = 256});
  static_assert(std::is_same_v<decltype(sized), Arena<>>);
  Arena above({}, AllocatorRef(arena));
  static_assert(std::is_same_v<decltype(above), Arena<AllocatorRef<Arena<>>>>);
  EXPECT_NE(above.Allocate(8), nullptr);
}

TEST(ArenaTest, TakesNothingBeforeTheFirstBlock) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 1024}, AllocatorRef(upstream));
  arena.Rewind(arena.Mark());
  arena.Reset();
  EXPECT_EQ(upstream.calls(), 0u);
  EXPECT_NE(arena.Allocate(1), nullptr);
  EXPECT_EQ(upstream.bytes(), 1024u);
}

TEST(ArenaTest, BumpsDownwardsWithoutGaps) {
  Arena arena;
  std::byte* const a = Bytes(arena.Allocate(16, 8));
  std::byte* const b = Bytes(arena.Allocate(24, 8));
  std::byte* const c = Bytes(arena.Allocate(1, 1));
  std::byte* const d = Bytes(arena.Allocate(8, 8));
  EXPECT_EQ(a - b, 24);
  EXPECT_EQ(b - c, 1);
  EXPECT_EQ(c - d, 15);
  EXPECT_EQ(arena.Stats().live(), 16u + 24 + 16);
}

TEST(ArenaTest, ChunksDoubleUpToTheLargest) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 1024, .max_chunk_bytes = 4096},
              AllocatorRef(upstream));
  std::vector<size_t> sizes;
  size_t before = 0;
  while (sizes.size() < 5) {
    ASSERT_NE(arena.Allocate(64, 64), nullptr);
    if (upstream.bytes() != before) sizes.push_back(upstream.bytes() - before);
    before = upstream.bytes();
  }
  EXPECT_EQ(sizes, (std::vector<size_t>{1024, 2048, 4096, 4096, 4096}));
}

TEST(ArenaTest, FillsAChunkToTheLastByte) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 1024}, AllocatorRef(upstream));
  EXPECT_NE(arena.Allocate(1024 - kChunkHeaderBytes - 1, 1), nullptr);
  EXPECT_NE(arena.Allocate(1, 1), nullptr);
  EXPECT_EQ(upstream.calls(), 1u);
  EXPECT_EQ(arena.Stats().free(), 0u);
  EXPECT_NE(arena.Allocate(1, 1), nullptr);
  EXPECT_EQ(upstream.calls(), 2u);
}

TEST(ArenaTest, AStrictAlignmentIsServedFromTheChunkWhenItFits) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 64 * kKiB}, AllocatorRef(upstream));
  ASSERT_NE(arena.Allocate(100, 1), nullptr);
  void* const p = arena.Allocate(4096, 4096);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 4096, 0u);
  EXPECT_EQ(upstream.calls(), 1u);
}

TEST(ArenaTest, AStrictAlignmentTakesChunksAsOthersDo) {
  for (const size_t alignment : {128, 512, 4096}) {
    SCOPED_TRACE(alignment);
    FailingUpstream upstream;
    Arena arena({}, AllocatorRef(upstream));
    constexpr size_t kBlocks = 1000;
    for (size_t i = 0; i < kBlocks; ++i) {
      void* const p = arena.Allocate(alignment, alignment);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
    }
    // Chunks of 4 KiB to 1 MiB, and then one a MiB.
    EXPECT_LE(upstream.calls(), 9 + kBlocks * alignment / kMiB);
    EXPECT_LE(upstream.bytes(), 2 * kBlocks * alignment + 8 * kKiB);
  }
}

TEST(ArenaTest, AStrictAlignmentThatAChunkHasNoRoomForIsServedByItself) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 1024, .max_chunk_bytes = 4096},
              AllocatorRef(upstream));
  std::byte* const a = Bytes(arena.Allocate(8, 8));
  // 64 of bookkeeping, 2048 of the block, and 4032 lost at most. The chunk in
  // use has too little by any luck.
  void* const own = arena.Allocate(2048, 4096);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(own) % 4096, 0u);
  EXPECT_EQ(upstream.bytes(), 1024u + 2048 + 64);
  EXPECT_EQ(Bytes(arena.Allocate(8, 8)), a - 8);
  // Nor when the upstream has not so much.
  FailingUpstream small({.max_bytes = 256});
  Arena in_small({}, AllocatorRef(small));
  void* const p = in_small.Allocate(64, 2048);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 2048, 0u);
  EXPECT_EQ(in_small.Stats().failures(), 0u);
}

TEST(ArenaTest, ABlockLargerThanAChunkLeavesTheChunkInUse) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 1024, .max_chunk_bytes = 1024},
              AllocatorRef(upstream));
  std::byte* const a = Bytes(arena.Allocate(8, 8));
  void* const large = arena.Allocate(100000, 8);
  EXPECT_NE(large, nullptr);
  EXPECT_EQ(Bytes(arena.Allocate(8, 8)), a - 8);
  EXPECT_LT(upstream.bytes(), 100000u + 1024 + 256);
  // The newest of its kind goes back at once.
  arena.Deallocate(large, 100000, 8);
  EXPECT_EQ(upstream.bytes(), 1024u);
  EXPECT_TRUE(arena.Stats().IdentityHolds());
}

TEST(ArenaTest, RewindGivesBackWhatCameAfterTheMark) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 1024, .max_chunk_bytes = 1024},
              AllocatorRef(upstream));
  ASSERT_NE(arena.Allocate(100), nullptr);
  const size_t live = arena.Stats().live();
  const auto mark = arena.Mark();
  void* const first = arena.Allocate(40, 8);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) ASSERT_NE(arena.Allocate(100), nullptr);
    ASSERT_NE(arena.Allocate(5000), nullptr);
    arena.Rewind(mark);
    EXPECT_EQ(arena.Stats().live(), live);
    EXPECT_EQ(arena.Allocate(40, 8), first);
  }
  // The first chunk, and the spare one.
  EXPECT_EQ(upstream.bytes(), 2048u);
}

TEST(ArenaTest, MarksNest) {
  Arena arena;
  const auto outer = arena.Mark();
  std::byte* const a = Bytes(arena.Allocate(8, 8));
  const auto inner = arena.Mark();
  std::byte* const b = Bytes(arena.Allocate(8, 8));
  arena.Rewind(inner);
  EXPECT_EQ(arena.Allocate(8, 8), b);
  arena.Rewind(inner);
  arena.Rewind(outer);
  EXPECT_EQ(arena.Stats().live(), 0u);
  EXPECT_EQ(arena.Allocate(8, 8), a);
}

TEST(ArenaTest, AMarkBetweenLargeBlocksKeepsTheOlder) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 128, .max_chunk_bytes = 128},
              AllocatorRef(upstream));
  auto* const kept = static_cast<char*>(arena.Allocate(1000, 8));
  kept[999] = 'k';
  const auto mark = arena.Mark();
  ASSERT_NE(arena.Allocate(2000, 8), nullptr);
  ASSERT_NE(arena.Allocate(3000, 8), nullptr);
  arena.Rewind(mark);
  EXPECT_EQ(upstream.blocks(), 1u);
  EXPECT_EQ(kept[999], 'k');
}

TEST(ArenaTest, ResetKeepsTheLargestChunk) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 1024, .max_chunk_bytes = 16 * kKiB},
              AllocatorRef(upstream));
  for (int i = 0; i < 300; ++i) ASSERT_NE(arena.Allocate(100), nullptr);
  arena.Reset();
  EXPECT_EQ(upstream.blocks(), 1u);
  EXPECT_EQ(upstream.bytes(), 16 * kKiB);
  const AllocatorStats stats = arena.Stats();
  EXPECT_EQ(stats.live(), 0u);
  EXPECT_EQ(stats.cached(), 16 * kKiB - kChunkHeaderBytes);
  const uint64_t calls = upstream.calls();
  for (int i = 0; i < 100; ++i) ASSERT_NE(arena.Allocate(100), nullptr);
  EXPECT_EQ(upstream.calls(), calls);
}

TEST(ArenaTest, DeallocateGivesBackOnlyTheNewestBlock) {
  Arena arena;
  void* const a = arena.Allocate(32, 8);
  void* const b = arena.Allocate(32, 8);
  arena.Deallocate(a, 32, 8);
  EXPECT_EQ(arena.Stats().live(), 64u);
  arena.Deallocate(b, 32, 8);
  EXPECT_EQ(arena.Stats().live(), 32u);
  EXPECT_EQ(arena.Allocate(32, 8), b);
}

TEST(ArenaTest, NewestFirstGoesBackAcrossChunks) {
  FailingUpstream upstream;
  Arena arena({.first_chunk_bytes = 256, .max_chunk_bytes = 256},
              AllocatorRef(upstream));
  std::vector<void*> blocks;
  for (int i = 0; i < 40; ++i) blocks.push_back(arena.Allocate(48, 16));
  const size_t peak = arena.Stats().live();
  while (!blocks.empty()) {
    arena.Deallocate(blocks.back(), 48, 16);
    blocks.pop_back();
  }
  EXPECT_EQ(arena.Stats().live(), 0u);
  EXPECT_EQ(arena.Stats().peak(), peak);
  EXPECT_EQ(upstream.bytes(), 256u);
}

TEST(ArenaTest, StaysWithinMaxBytes) {
  FailingUpstream upstream;
  Arena arena(
      {.first_chunk_bytes = 1024, .max_chunk_bytes = 4096, .max_bytes = 10000},
      AllocatorRef(upstream));
  size_t blocks = 0;
  while (arena.Allocate(64, 64) != nullptr) ++blocks;
  EXPECT_LE(upstream.bytes(), 10000u);
  EXPECT_GT(blocks * 64, 9000u);
  EXPECT_EQ(upstream.failures(), 0u);
  EXPECT_EQ(arena.Stats().failures(), 1u);
  // What the spare chunk holds does not count against a large block.
  arena.Reset();
  EXPECT_NE(arena.Allocate(9900 - kChunkHeaderBytes, 8), nullptr);
  EXPECT_LE(upstream.bytes(), 10000u);
}

TEST(ArenaTest, TakesLessWhenTheUpstreamHasLess) {
  FailingUpstream upstream({.max_bytes = 5000});
  Arena arena({.first_chunk_bytes = 4096}, AllocatorRef(upstream));
  size_t blocks = 0;
  while (arena.Allocate(64, 64) != nullptr) ++blocks;
  EXPECT_GT(blocks * 64, 4500u);
}

TEST(ArenaTest, ArraysAreAlignedAndRefusedWhenTheyOverflow) {
  Arena arena;
  struct alignas(32) Wide {
    char bytes[32];
  };
  ASSERT_NE(arena.Allocate(1, 1), nullptr);
  Wide* const wide = arena.AllocateArray<Wide>(3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(wide) % 32, 0u);
  wide[2].bytes[31] = 1;
  EXPECT_NE(arena.AllocateArray<uint64_t>(0), nullptr);
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  for (const size_t count : {kMax, kMax / 8 + 1, kMax / 8, kMax / 32 + 2}) {
    EXPECT_EQ(arena.AllocateArray<uint64_t>(count), nullptr);
    EXPECT_EQ(arena.AllocateArray<Wide>(count), nullptr);
  }
  EXPECT_EQ(arena.Stats().failures(), 8u);
}

TEST(ArenaTest, TheNewestBlockGrowsByTheDifference) {
  Arena arena;
  ASSERT_NE(arena.Allocate(8, 8), nullptr);
  auto* p = static_cast<unsigned char*>(arena.Allocate(100, 4));
  for (unsigned char i = 0; i < 100; ++i) p[i] = i;
  size_t bytes = 100;
  for (const size_t more : {101, 107, 300, 2000}) {
    p = static_cast<unsigned char*>(arena.Reallocate(p, bytes, more, 4));
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 4, 0u);
    p[more - 1] = 1;
    bytes = more;
  }
  for (unsigned char i = 0; i < 100; ++i) ASSERT_EQ(p[i], i);
  EXPECT_LE(arena.Stats().live(), 8u + 2000 + 4 * 4);
  // Not beyond the chunk.
  EXPECT_EQ(arena.Reallocate(p, bytes, 5000, 4), nullptr);
  EXPECT_EQ(arena.Reallocate(p, bytes, SIZE_MAX, 4), nullptr);
  EXPECT_EQ(p[99], 99);
  EXPECT_EQ(arena.Stats().failures(), 0u);
}

TEST(ArenaTest, AnOlderBlockOnlyShrinks) {
  Arena arena;
  void* const older = arena.Allocate(64, 8);
  void* const newest = arena.Allocate(64, 8);
  EXPECT_EQ(arena.Reallocate(older, 64, 65, 8), nullptr);
  EXPECT_EQ(arena.Reallocate(older, 64, 16, 8), older);
  EXPECT_EQ(IsPoisoned(Bytes(older) + 16), Watched());
  EXPECT_FALSE(IsPoisoned(Bytes(older) + 15));
  EXPECT_EQ(arena.Reallocate(newest, 64, 0, 8), newest);
  EXPECT_EQ(arena.Stats().live(), 128u);
}

TEST(ArenaTest, ALargeBlockGrowsIntoWhatItsChunkHas) {
  Arena arena({.first_chunk_bytes = 128, .max_chunk_bytes = 128});
  void* const p = arena.Allocate(1000, 8);
  // A chunk is a multiple of 64 bytes.
  EXPECT_EQ(arena.Reallocate(p, 1000, 1024, 8), p);
  EXPECT_FALSE(IsPoisoned(Bytes(p) + 1023));
  EXPECT_EQ(arena.Reallocate(p, 1024, 1025, 8), nullptr);
  arena.Deallocate(p, 1024, 8);
  EXPECT_EQ(arena.Stats().live(), 0u);
}

TEST(ArenaTest, OddOptionsAreMadeFit) {
  for (const size_t first : {size_t{0}, size_t{1}, size_t{100}, SIZE_MAX}) {
    for (const size_t most : {size_t{0}, size_t{63}, size_t{1000}}) {
      Arena arena({.first_chunk_bytes = first, .max_chunk_bytes = most});
      for (int i = 0; i < 20; ++i) EXPECT_NE(arena.Allocate(40), nullptr);
      EXPECT_TRUE(arena.Stats().IdentityHolds());
    }
  }
  // Nobody has so much: less is taken.
  Arena arena({.first_chunk_bytes = SIZE_MAX,
               .max_chunk_bytes = SIZE_MAX,
               .max_bytes = kMiB});
  EXPECT_NE(arena.Allocate(40), nullptr);
  Arena none({.max_bytes = 0});
  EXPECT_EQ(none.Allocate(0), nullptr);
}

TEST(ArenaTest, WhatIsGivenBackIsPoisoned) {
  Arena arena;
  std::byte* const kept = Bytes(arena.Allocate(16, 8));
  const auto mark = arena.Mark();
  std::byte* const p = Bytes(arena.Allocate(24, 8));
  EXPECT_FALSE(IsPoisoned(p));
  EXPECT_FALSE(IsPoisoned(p + 23));
  EXPECT_EQ(IsPoisoned(p - 1), Watched());
  arena.Rewind(mark);
  EXPECT_EQ(IsPoisoned(p), Watched());
  EXPECT_EQ(IsPoisoned(p + 23), Watched());
  EXPECT_FALSE(IsPoisoned(kept));
  arena.Reset();
  EXPECT_EQ(IsPoisoned(kept), Watched());
  EXPECT_EQ(arena.Allocate(16, 8), kept);
  EXPECT_FALSE(IsPoisoned(kept));
  arena.Deallocate(kept, 16, 8);
  EXPECT_EQ(IsPoisoned(kept), Watched());
}

}  // namespace
}  // namespace mmsb
