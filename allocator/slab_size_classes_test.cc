#include "allocator/slab_size_classes.h"

#include <cstddef>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(SlabSizeClasses, EverySizeFitsItsClassAndNoSmaller) {
  for (size_t bytes = 1; bytes <= kSlabMaxBytes; ++bytes) {
    const size_t slab_class = SlabClassOf(bytes);
    ASSERT_LT(slab_class, kSlabClasses) << bytes;
    ASSERT_GE(SlabClassBytes(slab_class), bytes);
    if (slab_class > 0) {
      ASSERT_LT(SlabClassBytes(slab_class - 1), bytes);
    }
  }
}

TEST(SlabSizeClasses, LosesLessThanAnEighthAbove64BytesAndSevenBytesBelow) {
  for (size_t bytes = 1; bytes <= kSlabMaxBytes; ++bytes) {
    const size_t lost = SlabClassBytes(SlabClassOf(bytes)) - bytes;
    if (bytes <= 64) {
      ASSERT_LT(lost, 8u) << bytes;
    } else {
      ASSERT_LT(lost * 8, bytes) << bytes;
    }
  }
}

// The same for what is mapped in granules of 4 KiB.
TEST(SlabSizeClasses, LosesLessThanAnEighthJustAboveTheLargestClass) {
  constexpr size_t kGranule = 4096;
  for (size_t bytes = kSlabMaxBytes + 1; bytes < 4 * kSlabMaxBytes; ++bytes) {
    const size_t block = (bytes + kGranule - 1) / kGranule * kGranule;
    ASSERT_LT((block - bytes) * 8, bytes) << bytes;
  }
}

// With an alignment, of the size rounded up to a multiple of it.
TEST(SlabSizeClasses, LosesAsLittleOfASizeThatWasRoundedUpToAnAlignment) {
  for (size_t alignment = 1; alignment <= kSlabMaxBytes; alignment *= 2) {
    for (size_t bytes = 1; bytes <= kSlabMaxBytes; ++bytes) {
      const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
      const size_t block = SlabClassBytes(SlabClassOf(bytes, alignment));
      ASSERT_GE(block, rounded);
      if (rounded <= 64) {
        ASSERT_LT(block - rounded, 8u) << bytes << " at " << alignment;
      } else {
        ASSERT_LT((block - rounded) * 8, rounded)
            << bytes << " at " << alignment;
      }
    }
  }
}

TEST(SlabSizeClasses, BlocksOfARequestWithAnAlignmentLieAtMultiplesOfIt) {
  for (size_t alignment = 1; alignment <= kSlabMaxBytes; alignment *= 2) {
    for (size_t bytes = 0; bytes <= kSlabMaxBytes; bytes += bytes / 64 + 1) {
      ASSERT_TRUE(IsSlabRequest(bytes, alignment));
      const size_t slab_class = SlabClassOf(bytes, alignment);
      if (slab_class >= kSlabClasses) {
        // Only what rounds up to more than the largest block.
        ASSERT_GT(bytes + alignment, kSlabMaxBytes);
        continue;
      }
      const slab_internal::ClassShape& shape =
          slab_internal::kClassShapes[slab_class];
      ASSERT_GE(shape.bytes, bytes);
      ASSERT_EQ(shape.bytes % alignment, 0u) << bytes << " at " << alignment;
      ASSERT_EQ(shape.first % alignment, 0u) << bytes << " at " << alignment;
    }
  }
}

TEST(SlabSizeClasses, RefusesWhatNoClassServes) {
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  EXPECT_FALSE(IsSlabRequest(kSlabMaxBytes + 1, 1));
  EXPECT_FALSE(IsSlabRequest(kMax, 1));
  EXPECT_FALSE(IsSlabRequest(1, 0));
  EXPECT_FALSE(IsSlabRequest(1, 3));
  EXPECT_FALSE(IsSlabRequest(1, 2 * kSlabMaxBytes));
  EXPECT_FALSE(IsSlabRequest(0, kMax));
}

TEST(SlabSizeClasses, ARequestWithAnAlignmentIsOneForTheSizeRoundedUpToIt) {
  for (size_t alignment = 1; alignment <= kSlabMaxBytes; alignment *= 2) {
    for (size_t bytes = 1; bytes <= kSlabMaxBytes; ++bytes) {
      const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
      ASSERT_EQ(SlabClassOf(bytes, alignment), SlabClassOf(rounded))
          << bytes << " at " << alignment;
    }
    EXPECT_EQ(SlabClassOf(0, alignment), SlabClassOf(1, alignment));
  }
}

TEST(SlabSizeClasses, SlabsHoldWholeBlocksAndLoseLittleAtTheirEnd) {
  for (const slab_internal::ClassShape& shape : slab_internal::kClassShapes) {
    const size_t slab_bytes = shape.units * slab_internal::kUnitBytes;
    const size_t end = shape.first + size_t{shape.blocks} * shape.bytes;
    ASSERT_LE(end, slab_bytes);
    EXPECT_LT((slab_bytes - end + shape.first) * 10, slab_bytes) << shape.bytes;
    // There is a bit for each block.
    const size_t bits =
        shape.first != 0 ? size_t{shape.first} * 8 : slab_internal::kInlineBits;
    EXPECT_GE(bits, shape.blocks);
    EXPECT_LE(shape.cache_capacity, slab_internal::kMaxCacheCapacity);
  }
}

TEST(SlabSizeClasses, ReciprocalsDivideEveryOffset) {
  for (const slab_internal::ClassShape& shape : slab_internal::kClassShapes) {
    const size_t end = size_t{shape.blocks} * shape.bytes;
    for (size_t offset = 0; offset < end; ++offset) {
      ASSERT_EQ(slab_internal::DivideByBytes(offset, shape),
                offset / shape.bytes)
          << offset << " / " << shape.bytes;
    }
  }
}

}  // namespace
}  // namespace mmsb
