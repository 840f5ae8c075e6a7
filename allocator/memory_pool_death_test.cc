#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "allocator/check_policy.h"
#include "allocator/memory_pool.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

using CheckedPool = MemoryPool<SystemSource, Checked>;

class MemoryPoolDeathTest : public ::testing::Test {
 protected:
  CheckedPool pool_{{.block_size = 64, .blocks_per_chunk = 4}};
  void* const block_ = pool_.Allocate();
};

TEST_F(MemoryPoolDeathTest, DoubleFree) {
  pool_.Deallocate(block_);
  EXPECT_DEATH(pool_.Deallocate(block_),
               "MemoryPool::Deallocate\\(0x[0-9a-f]+\\): double free");
}

TEST_F(MemoryPoolDeathTest, DoubleFreeAfterOthers) {
  void* const other = pool_.Allocate();
  pool_.Deallocate(block_);
  pool_.Deallocate(other);
  EXPECT_DEATH(pool_.Deallocate(block_), "double free");
}

TEST_F(MemoryPoolDeathTest, NeverAllocated) {
  EXPECT_DEATH(pool_.Deallocate(static_cast<std::byte*>(block_) + 128),
               "MemoryPool::Deallocate\\(0x[0-9a-f]+\\): the block was never "
               "allocated");
}

TEST_F(MemoryPoolDeathTest, ForeignPointer) {
  std::array<std::byte, 64> local;
  EXPECT_DEATH(pool_.Deallocate(local.data()),
               "MemoryPool::Deallocate\\(0x[0-9a-f]+\\): foreign pointer");
  CheckedPool other({.block_size = 64});
  EXPECT_DEATH(other.Deallocate(block_), "foreign pointer");
}

TEST_F(MemoryPoolDeathTest, JustOutsideAChunk) {
  auto* const bytes = static_cast<std::byte*>(block_);
  EXPECT_DEATH(pool_.Deallocate(bytes - 64), "foreign pointer");
  EXPECT_DEATH(pool_.Deallocate(bytes + 4 * 64), "foreign pointer");
}

TEST_F(MemoryPoolDeathTest, InteriorPointer) {
  for (const size_t offset : {size_t{1}, size_t{32}, size_t{63}}) {
    EXPECT_DEATH(pool_.Deallocate(static_cast<std::byte*>(block_) + offset),
                 "MemoryPool::Deallocate\\(0x[0-9a-f]+\\): interior pointer, " +
                     std::to_string(offset) + " bytes behind");
  }
}

TEST_F(MemoryPoolDeathTest, WrongSizeAndAlignment) {
  EXPECT_DEATH(pool_.Deallocate(block_, 65, 8),
               "MemoryPool::Deallocate\\(0x[0-9a-f]+, 65, 8\\): wrong size");
  EXPECT_DEATH(pool_.Deallocate(block_, 64, 32),
               "MemoryPool::Deallocate\\(0x[0-9a-f]+, 64, 32\\): wrong size");
  EXPECT_DEATH(pool_.Deallocate(block_, 64, 3), "wrong size or alignment");
}

TEST_F(MemoryPoolDeathTest, MisuseInARegion) {
  alignas(8) std::array<std::byte, 1024> region;
  CheckedPool pool(region.data(), region.size(), {.block_size = 32});
  void* const p = pool.Allocate();
  EXPECT_DEATH(pool.Deallocate(region.data() + region.size() - 8),
               "foreign pointer");
  pool.Deallocate(p);
  EXPECT_DEATH(pool.Deallocate(p), "double free");
}

// A tool would report the write itself, so it is told to look away, as from
// code that was built without it.
void WriteUnseen(void* p, size_t offset) {
  auto* const byte = static_cast<std::byte*>(p) + offset;
  UnpoisonDefined(byte, 1);
  *byte ^= std::byte{1};
}

TEST_F(MemoryPoolDeathTest, WriteAfterFreeIsFoundAtReuse) {
  pool_.Deallocate(block_);
  for (const size_t offset :
       {size_t{0}, size_t{7}, size_t{16}, size_t{40}, size_t{63}}) {
    EXPECT_DEATH(
        {
          WriteUnseen(block_, offset);
          static_cast<void>(pool_.Allocate());
        },
        "MemoryPool::Allocate\\(\\): the free block 0x[0-9a-f]+ was written "
        "to");
  }
  EXPECT_EQ(pool_.Allocate(), block_);
}

TEST_F(MemoryPoolDeathTest, WriteAfterFreeIsFoundInTheLastByteOfAnyBlock) {
  for (const size_t block_size : {1, 5, 8, 15, 16, 24, 71, 72, 1000, 4096}) {
    CheckedPool pool({.block_size = block_size});
    void* const p = pool.Allocate();
    pool.Deallocate(p);
    EXPECT_DEATH(
        {
          WriteUnseen(p, block_size - 1);
          static_cast<void>(pool.Allocate(1, 1));
        },
        "was written to");
    EXPECT_EQ(pool.Allocate(), p);
  }
}

TEST_F(MemoryPoolDeathTest, OfLargeBlocksTheFirst4KiBAreFilled) {
  CheckedPool pool({.block_size = 8192});
  void* const p = pool.Allocate();
  pool.Deallocate(p);
  WriteUnseen(p, 4096);
  EXPECT_EQ(pool.Allocate(), p);
  pool.Deallocate(p);
  EXPECT_DEATH(
      {
        WriteUnseen(p, 4095);
        static_cast<void>(pool.Allocate());
      },
      "was written to");
}

struct FillsTenBytes : Checked {
  static constexpr size_t kFilledBytes = 10;
};

TEST_F(MemoryPoolDeathTest, FillsAsMuchAsThePolicySays) {
  MemoryPool<SystemSource, FillsTenBytes> pool({.block_size = 64});
  void* const p = pool.Allocate();
  pool.Deallocate(p);
  WriteUnseen(p, 10);
  EXPECT_EQ(pool.Allocate(), p);
  pool.Deallocate(p);
  EXPECT_DEATH(
      {
        WriteUnseen(p, 9);
        static_cast<void>(pool.Allocate());
      },
      "was written to");
}

struct Unfilled : Checked {
  static constexpr size_t kFilledBytes = 0;
};

TEST_F(MemoryPoolDeathTest, FillsNothingWhereThePolicySaysSo) {
  MemoryPool<SystemSource, Unfilled> pool({.block_size = 64});
  void* const p = pool.Allocate();
  pool.Deallocate(p);
  EXPECT_DEATH(pool.Deallocate(p), "double free");
  WriteUnseen(p, 0);
  EXPECT_EQ(pool.Allocate(), p);
}

TEST_F(MemoryPoolDeathTest, MisuseInABatch) {
  const std::array<void*, 2> twice = {block_, block_};
  EXPECT_DEATH(pool_.DeallocateBatch(twice), "double free");
}

TEST_F(MemoryPoolDeathTest, ResizingWhatIsNotLive) {
  EXPECT_DEATH(static_cast<void>(pool_.Reallocate(block_, 65, 8, 8)),
               "MemoryPool::Reallocate\\(0x[0-9a-f]+, 65, 8, 8\\): wrong size");
  pool_.Deallocate(block_);
  EXPECT_DEATH(static_cast<void>(pool_.Reallocate(block_, 8, 64, 8)),
               "MemoryPool::Reallocate\\(0x[0-9a-f]+\\): double free");
}

TEST_F(MemoryPoolDeathTest, FreeOfABlockWhoseChunkWasReleased) {
  pool_.Deallocate(block_);
  EXPECT_GT(pool_.Release(), 0u);
  EXPECT_DEATH(pool_.Deallocate(block_), "foreign pointer");
}

// What is no block of the pool, below, between and behind its chunks.
void ExpectForeign(const CheckedPool& pool, std::span<void* const> blocks) {
  std::vector<std::byte*> foreign = {nullptr,
                                     reinterpret_cast<std::byte*>(UINTPTR_MAX)};
  for (void* const block : blocks) {
    auto* const begin = static_cast<std::byte*>(block);
    EXPECT_TRUE(pool.Owns(begin));
    EXPECT_TRUE(pool.Owns(begin + 63));
    foreign.push_back(begin - 1);
    foreign.push_back(begin + 64);
  }
  for (std::byte* const p : foreign) EXPECT_FALSE(pool.Owns(p));
}

TEST_F(MemoryPoolDeathTest, ForeignPointersAmongAnyNumberOfChunks) {
  for (size_t chunks = 1; chunks <= 10; ++chunks) {
    CheckedPool pool({.block_size = 64, .blocks_per_chunk = 1});
    std::vector<void*> blocks(chunks);
    ASSERT_EQ(pool.AllocateBatch(blocks), chunks);
    ExpectForeign(pool, blocks);
    auto* const last =
        static_cast<std::byte*>(*std::ranges::max_element(blocks));
    EXPECT_DEATH(pool.Deallocate(last + 64), "foreign pointer");
    EXPECT_DEATH(pool.Deallocate(reinterpret_cast<void*>(UINTPTR_MAX)),
                 "foreign pointer");
    pool.DeallocateBatch(blocks);
  }
}

TEST_F(MemoryPoolDeathTest, ForeignPointersAfterARelease) {
  for (size_t kept = 0; kept <= 6; ++kept) {
    CheckedPool pool({.block_size = 64, .blocks_per_chunk = 1});
    std::vector<void*> blocks(12);
    ASSERT_EQ(pool.AllocateBatch(blocks), blocks.size());
    std::ranges::sort(blocks);
    // The highest stay, or the lowest.
    const bool highest = kept % 2 == 0;
    const auto all = std::span(blocks);
    const auto live = highest ? all.last(kept) : all.first(kept);
    const auto released = highest ? all.first(12 - kept) : all.last(12 - kept);
    pool.DeallocateBatch(released);
    EXPECT_GT(pool.Release(), 0u);
    ExpectForeign(pool, live);
    for (void* const block : released) EXPECT_FALSE(pool.Owns(block));
    EXPECT_DEATH(pool.Deallocate(released.front()), "foreign pointer");
    EXPECT_DEATH(pool.Deallocate(released.back()), "foreign pointer");
    pool.DeallocateBatch(live);
    EXPECT_EQ(pool.Stats().live(), 0u);
    // And again from what is left.
    ASSERT_EQ(pool.AllocateBatch(blocks), blocks.size());
    pool.DeallocateBatch(blocks);
  }
}

TEST_F(MemoryPoolDeathTest, OptionsThatMakeNoSense) {
  EXPECT_DEATH(CheckedPool({.block_size = 0}), "block_size is 0");
  EXPECT_DEATH(MemoryPool({.block_size = 8, .alignment = 12}),
               "alignment of 12 bytes is not a power of two");
  EXPECT_DEATH(MemoryPool(nullptr, 100, {.block_size = 8}),
               "100 bytes at a null region");
}

TEST_F(MemoryPoolDeathTest, UseAfterFreeIsReportedUnderPoison) {
  if (!kPoisonReported) GTEST_SKIP() << "this build watches no accesses";
  MemoryPool pool({.block_size = 64});
  auto* const p = static_cast<volatile char*>(pool.Allocate());
  pool.Deallocate(const_cast<char*>(p));
  EXPECT_DEATH(p[0] = 1, "use-after-poison");
}

}  // namespace
}  // namespace mmsb
