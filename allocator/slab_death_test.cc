// Misuse that Checked detects.

#include <cstddef>

#include "allocator/check_policy.h"
#include "allocator/slab.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"

namespace mmsb {
namespace {

using CheckedSlab = BasicSlabAllocator<Checked>;

class SlabDeathTest : public ::testing::Test {
 protected:
  SlabDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  CheckedSlab slab_{SlabOptions{.decay_ns = 0}};
  char* const block_ = static_cast<char*>(slab_.Allocate(100, 8));
  char* const large_ = static_cast<char*>(slab_.Allocate(kMiB, 8));
};

TEST_F(SlabDeathTest, DoubleFree) {
  slab_.Deallocate(block_, 100, 8);
  EXPECT_DEATH(slab_.Deallocate(block_, 100, 8),
               "SlabAllocator::Deallocate\\(0x[0-9a-f]+, 100, 8\\): double "
               "free");
  EXPECT_DEATH(slab_.Deallocate(block_),
               "SlabAllocator::Deallocate\\(0x[0-9a-f]+\\): double free");
}

TEST_F(SlabDeathTest, DoubleFreeAfterOtherCalls) {
  void* const other = slab_.Allocate(100, 8);
  slab_.Deallocate(block_, 100, 8);
  slab_.Deallocate(other, 100, 8);
  EXPECT_DEATH(slab_.Deallocate(block_, 100, 8), "double free");
}

TEST_F(SlabDeathTest, DoubleFreeAfterPurge) {
  slab_.Deallocate(block_, 100, 8);
  void* const keeps_the_chunk = slab_.Allocate(500, 8);
  slab_.Purge();
  EXPECT_DEATH(slab_.Deallocate(block_, 100, 8), "double free");
  slab_.Deallocate(keeps_the_chunk, 500, 8);
}

TEST_F(SlabDeathTest, DoubleFreeOfALargeBlock) {
  slab_.Deallocate(large_, kMiB, 8);
  EXPECT_DEATH(slab_.Deallocate(large_, kMiB, 8), "not in a live block");
}

TEST_F(SlabDeathTest, ForeignPointer) {
  alignas(8) char local[16] = {};
  EXPECT_DEATH(slab_.Deallocate(local, 16, 8), "foreign pointer");
  EXPECT_DEATH(slab_.Deallocate(local), "foreign pointer");
  CheckedSlab other;
  void* const p = other.Allocate(100, 8);
  EXPECT_DEATH(slab_.Deallocate(p, 100, 8), "foreign pointer");
}

TEST_F(SlabDeathTest, InteriorPointer) {
  EXPECT_DEATH(slab_.Deallocate(block_ + 8, 100, 8), "interior pointer");
  EXPECT_DEATH(slab_.Deallocate(block_ + 1), "interior pointer");
  EXPECT_DEATH(slab_.Deallocate(large_ + 4096, kMiB, 8), "interior pointer");
}

TEST_F(SlabDeathTest, WrongSizeOrAlignment) {
  EXPECT_DEATH(slab_.Deallocate(block_, 105, 8), "wrong size");
  EXPECT_DEATH(slab_.Deallocate(block_, 96, 8), "wrong size");
  EXPECT_DEATH(slab_.Deallocate(block_, 100, 64), "wrong size or alignment");
  EXPECT_DEATH(slab_.Deallocate(block_, kMiB, 8), "wrong size");
  EXPECT_DEATH(slab_.Deallocate(large_, 100, 8), "wrong size");
  EXPECT_DEATH(slab_.Deallocate(block_, 100, 0), "no power of two");
}

// A mapping and a slab's block may have the same size.
TEST_F(SlabDeathTest, AlignmentOfAnotherKindOfBlock) {
  void* const mapping = slab_.Allocate(4096, 65536);
  EXPECT_DEATH(slab_.Deallocate(mapping, 4096, 8), "wrong size or alignment");
  void* const in_slab = slab_.Allocate(4096, 8);
  EXPECT_DEATH(slab_.Deallocate(in_slab, 4096, 65536),
               "wrong size or alignment");
  slab_.Deallocate(mapping, 4096, 65536);
  slab_.Deallocate(in_slab, 4096, 8);
}

TEST_F(SlabDeathTest, ReallocateLooksAtTheBlock) {
  EXPECT_DEATH(static_cast<void>(slab_.Reallocate(block_ + 8, 100, 104, 8)),
               "SlabAllocator::Reallocate\\(0x[0-9a-f]+, 100, 8\\): interior "
               "pointer");
  EXPECT_DEATH(static_cast<void>(slab_.Reallocate(block_, 500, 100, 8)),
               "wrong size");
  EXPECT_DEATH(static_cast<void>(slab_.Reallocate(large_, 100, kMiB, 8)),
               "wrong size");
  EXPECT_DEATH(static_cast<void>(slab_.Reallocate(large_ + 4096, kMiB, 1, 8)),
               "interior pointer");
  alignas(8) char local[16] = {};
  EXPECT_DEATH(static_cast<void>(slab_.Reallocate(local, 16, 15, 8)),
               "foreign pointer");
  slab_.Deallocate(block_, 100, 8);
  EXPECT_DEATH(static_cast<void>(slab_.Reallocate(block_, 100, 104, 8)),
               "not live");
}

TEST_F(SlabDeathTest, UsableSizeLooksAtTheBlock) {
  EXPECT_DEATH(static_cast<void>(slab_.UsableSize(block_ + 8)),
               "SlabAllocator::UsableSize\\(0x[0-9a-f]+\\): interior pointer");
  EXPECT_DEATH(static_cast<void>(slab_.UsableSize(large_ + 1)),
               "interior pointer");
  EXPECT_DEATH(static_cast<void>(slab_.UsableSize(&slab_)), "foreign pointer");
  slab_.Deallocate(block_, 100, 8);
  EXPECT_DEATH(static_cast<void>(slab_.UsableSize(block_)), "not live");
}

TEST_F(SlabDeathTest, LargeBlocksAreLookedUpUncheckedToo) {
  SlabAllocator slab;
  EXPECT_DEATH(slab.Deallocate(large_, kMiB, 8), "not a live block");
}

TEST(SlabDeathTestOptions, NegativeDecay) {
  EXPECT_DEATH(SlabAllocator({.decay_ns = -1}), "decay_ns");
}

TEST_F(SlabDeathTest, RightUseLives) {
  EXPECT_EQ(slab_.Reallocate(block_, 100, 104, 8), block_);
  EXPECT_EQ(slab_.UsableSize(block_), 104u);
  slab_.Deallocate(block_, 104, 1);  // comes to the same block
  slab_.Deallocate(large_, kMiB - 1, 4096);
  EXPECT_EQ(slab_.Stats().live(), 0u);
}

}  // namespace
}  // namespace mmsb
