#include <array>
#include <cstddef>
#include <span>
#include <string>

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
  for (const size_t offset : {size_t{0}, size_t{7}, size_t{8}, size_t{15}}) {
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

TEST_F(MemoryPoolDeathTest, WriteAfterFreeIsFoundInSmallBlocks) {
  for (const size_t block_size : {size_t{1}, size_t{5}, size_t{15}}) {
    CheckedPool pool({.block_size = block_size});
    void* const p = pool.Allocate();
    pool.Deallocate(p);
    EXPECT_DEATH(
        {
          WriteUnseen(p, block_size - 1);
          static_cast<void>(pool.Allocate());
        },
        "was written to");
    EXPECT_EQ(pool.Allocate(), p);
  }
}

struct Unfilled : Checked {
  static constexpr bool kFillsFreed = false;
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

TEST_F(MemoryPoolDeathTest, WhereABlockWasBeforeAReleaseIsForgotten) {
  MemoryPool<SystemSource, Checked> pool(
      {.block_size = 64, .blocks_per_chunk = 1});
  std::array<void*, 100> blocks;
  ASSERT_EQ(pool.AllocateBatch(blocks), blocks.size());
  pool.DeallocateBatch(std::span(blocks).first(99));
  EXPECT_GT(pool.Release(), 0u);
  for (void* released : {blocks[0], blocks[50], blocks[98]}) {
    EXPECT_DEATH(pool.Deallocate(released), "foreign pointer");
  }
  pool.Deallocate(blocks[99]);
  EXPECT_EQ(pool.Stats().live(), 0u);
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
