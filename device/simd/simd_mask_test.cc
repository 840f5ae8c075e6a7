#include "device/simd/simd_mask.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "device/simd/mask_view.h"
#include "device/simd/testing/each_target.h"
#include "device/simd/testing/guarded_bytes.h"
#include "device/simd/testing/random_bytes.h"
#include "device/simd/testing/simd_mask_reference.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr size_t kAlignments = 64;
constexpr size_t kLongestBytes = 4 * 64;

// Bytes that start at a chosen offset from a multiple of kAlignments.
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t bytes)
      : storage_(bytes + 2 * kAlignments),
        base_(storage_.data() +
              (kAlignments -
               reinterpret_cast<uintptr_t>(storage_.data()) % kAlignments)) {}

  std::span<std::byte> At(size_t offset, size_t bytes) {
    return {base_ + offset, bytes};
  }

 private:
  std::vector<std::byte> storage_;
  std::byte* base_;
};

class SimdMaskTest : public EachTarget {
 protected:
  // The mask of the kernel, and the count, are those of the reference; bytes
  // beside the mask keep their value.
  void ExpectLikeReference(std::span<const std::byte> before,
                           std::span<const std::byte> after,
                           size_t mask_offset = 0) {
    constexpr uint8_t kUntouched = 0xA5;
    const size_t mask_bytes = MaskBytes(before.size());
    expected_.assign(mask_bytes, 0);
    actual_.assign(mask_offset + mask_bytes + kAlignments, kUntouched);
    const size_t expected_count =
        GenerateMaskReference(before, after, expected_);
    const size_t count = GenerateMask(
        before, after, std::span(actual_).subspan(mask_offset, mask_bytes));
    ASSERT_EQ(count, expected_count) << before.size() << " bytes";
    ASSERT_TRUE(std::equal(expected_.begin(), expected_.end(),
                           actual_.begin() + mask_offset))
        << before.size() << " bytes";
    const auto untouched = [](uint8_t byte) { return byte == kUntouched; };
    ASSERT_TRUE(
        std::all_of(actual_.begin(), actual_.begin() + mask_offset, untouched));
    ASSERT_TRUE(std::all_of(actual_.begin() + mask_offset + mask_bytes,
                            actual_.end(), untouched))
        << before.size() << " bytes";
  }

  std::vector<uint8_t> expected_;
  std::vector<uint8_t> actual_;
};

TEST_P(SimdMaskTest, NothingGivesAnEmptyMask) {
  EXPECT_EQ(GenerateMask({}, {}, {}), 0u);
}

TEST_P(SimdMaskTest, BitsAreInOrderOfBytesLowestFirst) {
  std::vector<std::byte> before(19), after(19);
  after[0] = std::byte{1};
  after[9] = std::byte{0x80};
  after[18] = std::byte{0xFF};
  std::vector<uint8_t> mask(3, 0xFF);
  EXPECT_EQ(GenerateMask(before, after, mask), 3u);
  EXPECT_EQ(mask, (std::vector<uint8_t>{0x01, 0x02, 0x04}));
}

TEST_P(SimdMaskTest, ABufferEqualsItself) {
  std::mt19937_64 random(1);
  std::vector<std::byte> bytes(1000);
  FillRandom(bytes, random);
  std::vector<uint8_t> mask(125, 0xFF);
  EXPECT_EQ(GenerateMask(bytes, bytes, mask), 0u);
  EXPECT_EQ(mask, std::vector<uint8_t>(125, 0));
}

TEST_P(SimdMaskTest, EveryLengthAndDensity) {
  constexpr uint64_t kPerMillion[] = {0, 1'000, 10'000, 500'000, 1'000'000};
  std::mt19937_64 random(2);
  for (size_t bytes = 0; bytes <= 1025; ++bytes) {
    std::vector<std::byte> before(bytes);
    FillRandom(before, random);
    for (const uint64_t per_million : kPerMillion) {
      std::vector<std::byte> after = before;
      ChangeSome(after, per_million, random);
      ExpectLikeReference(before, after);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(SimdMaskTest, OddLengths) {
  std::mt19937_64 random(3);
  for (const size_t bytes :
       {1279u, 2047u, 4095u, 4097u, 8191u, 65'537u, 99'991u, 1'000'003u}) {
    std::vector<std::byte> before(bytes);
    FillRandom(before, random);
    for (const uint64_t per_million : {0u, 10'000u, 500'000u, 1'000'000u}) {
      std::vector<std::byte> after = before;
      ChangeSome(after, per_million, random);
      ExpectLikeReference(before, after);
      if (HasFatalFailure()) return;
    }
  }
}

// Each single bit of each byte, alone, is seen, and nothing else.
TEST_P(SimdMaskTest, OneBit) {
  for (const size_t bytes : {1u, 7u, 8u, 63u, 64u, 65u, 253u, 300u, 577u}) {
    std::vector<std::byte> before(bytes, std::byte{0x5A});
    std::vector<std::byte> after = before;
    for (size_t i = 0; i < bytes; ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        after[i] ^= std::byte{1} << bit;
        ExpectLikeReference(before, after);
        if (HasFatalFailure()) return;
        after[i] = before[i];
      }
    }
  }
}

// Pairs of values that a signed comparison, or a subtraction without carry,
// takes for equal.
TEST_P(SimdMaskTest, EveryPairOfValues) {
  std::vector<std::byte> before(256 * 256), after(256 * 256);
  for (size_t i = 0; i < before.size(); ++i) {
    before[i] = static_cast<std::byte>(i / 256);
    after[i] = static_cast<std::byte>(i % 256);
  }
  ExpectLikeReference(before, after);
}

TEST_P(SimdMaskTest, EveryAlignment) {
  std::mt19937_64 random(4);
  for (const size_t bytes : {31u, 127u, 300u, 517u}) {
    AlignedBytes before_storage(bytes), after_storage(bytes);
    for (size_t a = 0; a < kAlignments; ++a) {
      const std::span<std::byte> before = before_storage.At(a, bytes);
      FillRandom(before, random);
      for (size_t b = 0; b < kAlignments; ++b) {
        const std::span<std::byte> after = after_storage.At(b, bytes);
        std::copy(before.begin(), before.end(), after.begin());
        ChangeSome(after, 20'000, random);
        ExpectLikeReference(before, after, /*mask_offset=*/(a * 7 + b) % 64);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// What `GenerateBlockMask` and the others mean, from the mask of bytes.
std::vector<uint8_t> Coarser(const std::vector<uint8_t>& mask, size_t bytes,
                             size_t block_bytes) {
  std::vector<uint8_t> coarse(
      MaskBytes((bytes + block_bytes - 1) / block_bytes));
  for (size_t i = 0; i < bytes; ++i) {
    if ((mask[i / 8] >> (i % 8) & 1) == 0) continue;
    const size_t block = i / block_bytes;
    coarse[block / 8] |= static_cast<uint8_t>(1u << (block % 8));
  }
  return coarse;
}

size_t CountOf(const std::vector<uint8_t>& mask) {
  size_t count = 0;
  for (const uint8_t bits : mask) {
    count += static_cast<size_t>(std::popcount(bits));
  }
  return count;
}

// All functions but GenerateMask, against the reference's mask of bytes.
void ExpectOthersLikeReference(std::span<const std::byte> before,
                               std::span<const std::byte> after) {
  const size_t bytes = before.size();
  std::vector<uint8_t> mask(MaskBytes(bytes));
  const size_t count = GenerateMaskReference(before, after, mask);
  for (const size_t block_bytes : {8u, 64u, 128u, 192u, 4096u}) {
    const std::vector<uint8_t> coarse = Coarser(mask, bytes, block_bytes);
    std::vector<uint8_t> actual(coarse.size(), 0xA5);
    ASSERT_EQ(GenerateBlockMask(before, after, block_bytes, actual),
              CountOf(coarse))
        << bytes << " bytes in blocks of " << block_bytes;
    ASSERT_EQ(actual, coarse) << bytes << " bytes in blocks of " << block_bytes;
  }
  const auto [at, _] = std::ranges::mismatch(before, after);
  ASSERT_EQ(FirstDifference(before, after),
            static_cast<size_t>(at - before.begin()))
      << bytes << " bytes";
  ASSERT_EQ(AnyDifference(before, after), count != 0) << bytes << " bytes";
  ASSERT_EQ(CountDifferences(before, after), count) << bytes << " bytes";
  for (const size_t limit :
       {size_t{0}, size_t{1}, count / 2, count, count + 1}) {
    ASSERT_EQ(CountDifferences(before, after, limit), std::min(count, limit))
        << bytes << " bytes";
  }
}

TEST_P(SimdMaskTest, TheOthersAtEveryLengthAndDensity) {
  std::mt19937_64 random(6);
  for (size_t bytes = 0; bytes <= 1025; ++bytes) {
    std::vector<std::byte> before(bytes);
    FillRandom(before, random);
    for (const uint64_t per_million : {0u, 2'000u}) {
      std::vector<std::byte> after = before;
      ChangeSome(after, per_million, random);
      ExpectOthersLikeReference(before, after);
      if (HasFatalFailure()) return;
    }
  }
  for (const size_t bytes : {4095u, 4097u, 8192u, 99'991u}) {
    std::vector<std::byte> before(bytes);
    FillRandom(before, random);
    for (const uint64_t per_million : {0u, 20u, 10'000u}) {
      std::vector<std::byte> after = before;
      ChangeSome(after, per_million, random);
      ExpectOthersLikeReference(before, after);
      if (HasFatalFailure()) return;
    }
  }
}

// A single byte that differs, at each place: the first, and all of them.
TEST_P(SimdMaskTest, TheOthersFindOneByteAnywhere) {
  for (const size_t bytes : {1u, 9u, 64u, 255u, 256u, 600u}) {
    std::vector<std::byte> before(bytes, std::byte{0x5A});
    for (size_t at = 0; at < bytes; ++at) {
      std::vector<std::byte> after = before;
      after[at] ^= std::byte{0x80};
      ASSERT_EQ(FirstDifference(before, after), at);
      ASSERT_TRUE(AnyDifference(before, after)) << at;
      ASSERT_EQ(CountDifferences(before, after), 1u) << at;
      std::ranges::fill(std::span(after).subspan(at), std::byte{1});
      ASSERT_EQ(FirstDifference(before, after), at);
      ASSERT_EQ(CountDifferences(before, after), bytes - at);
    }
  }
}

TEST_P(SimdMaskTest, CountingStopsAtItsLimit) {
  // Only the first bytes differ, and the rest cannot be read.
  const GuardedBytes before(2 * 4096), after(2 * 4096);
  const std::span<std::byte> a = before.At(GuardedBytes::Side::kLast, 4096);
  const std::span<std::byte> b = after.At(GuardedBytes::Side::kLast, 4096);
  b[17] ^= std::byte{1};
  b[18] ^= std::byte{1};
  const std::span<const std::byte> beyond_a(a.data(), 1 << 30);
  const std::span<const std::byte> beyond_b(b.data(), 1 << 30);
  EXPECT_EQ(CountDifferences(beyond_a, beyond_b, 2), 2u);
  EXPECT_EQ(CountDifferences(beyond_a, beyond_b, 1), 1u);
  EXPECT_EQ(FirstDifference(beyond_a, beyond_b), 17u);
  EXPECT_TRUE(AnyDifference(beyond_a, beyond_b));
}

// Each span in memory of its own between two guards, at its first bytes or at
// its last, so that a read or write outside it ends the test: at every length
// up to 4 of the longest vectors, and so at every offset from the guard behind.
TEST_P(SimdMaskTest, NothingOutsideTheSpansIsTouched) {
  const GuardedBytes before_memory(kLongestBytes), after_memory(kLongestBytes),
      mask_memory(kLongestBytes);
  std::mt19937_64 random(5);
  FillRandom(before_memory.Whole(), random);
  for (size_t bytes = 0; bytes <= kLongestBytes; ++bytes) {
    for (unsigned sides = 0; sides < 8; ++sides) {
      const auto side = [&](unsigned span) {
        return GuardedBytes::kSides[sides >> span & 1];
      };
      const std::span<std::byte> before = before_memory.At(side(0), bytes);
      const std::span<std::byte> after = after_memory.At(side(1), bytes);
      std::copy(before.begin(), before.end(), after.begin());
      ChangeSome(after, 100'000, random);
      const std::span<uint8_t> mask =
          mask_memory.MaskAt(side(2), MaskBytes(bytes));
      expected_.assign(mask.size(), 0);
      const size_t expected_count =
          GenerateMaskReference(before, after, expected_);
      const size_t count = GenerateMask(before, after, mask);
      ASSERT_EQ(count, expected_count) << bytes << " bytes";
      ASSERT_TRUE(std::ranges::equal(mask, expected_)) << bytes << " bytes";
      for (const size_t block_bytes : {8u, 64u, 128u}) {
        const std::vector<uint8_t> coarse =
            Coarser(expected_, bytes, block_bytes);
        const std::span<uint8_t> actual =
            mask_memory.MaskAt(side(2), coarse.size());
        GenerateBlockMask(before, after, block_bytes, actual);
        ASSERT_TRUE(std::ranges::equal(actual, coarse)) << bytes << " bytes";
      }
      ASSERT_EQ(CountDifferences(before, after), count);
      ASSERT_EQ(FirstDifference(before, before), bytes);
      ASSERT_FALSE(AnyDifference(before, before));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, SimdMaskTest, AllTargets(), TargetName);

TEST(SimdMaskDeathTest, SizesMustMatch) {
  std::vector<std::byte> ten(10), eleven(11);
  std::vector<uint8_t> one(1), two(2), three(3);
  EXPECT_DEATH(GenerateMask(ten, eleven, two),
               "GenerateMask: before has 10 bytes, after has 11");
  EXPECT_DEATH(GenerateMask(eleven, ten, two),
               "GenerateMask: before has 11 bytes, after has 10");
  EXPECT_DEATH(GenerateMask(ten, ten, one),
               "GenerateMask: mask has 1 bytes, 10 bytes compared need 2");
  EXPECT_DEATH(GenerateMask(ten, ten, three),
               "GenerateMask: mask has 3 bytes, 10 bytes compared need 2");
  EXPECT_DEATH(GenerateMask({}, {}, one),
               "GenerateMask: mask has 1 bytes, 0 bytes compared need 0");
  EXPECT_DEATH(GenerateBlockMask(ten, eleven, 8, two),
               "GenerateBlockMask: before has 10 bytes, after has 11");
  EXPECT_DEATH(GenerateBlockMask(ten, ten, 8, two),
               "GenerateBlockMask: mask has 2 bytes, 2 blocks need 1");
  EXPECT_DEATH(GenerateBlockMask(ten, ten, 4, one),
               "GenerateBlockMask: blocks of 4 bytes");
  EXPECT_DEATH(GenerateBlockMask(ten, ten, 0, one),
               "GenerateBlockMask: blocks of 0 bytes");
  EXPECT_DEATH(AnyDifference(ten, eleven),
               "AnyDifference: before has 10 bytes, after has 11");
  EXPECT_DEATH(FirstDifference(ten, eleven),
               "FirstDifference: before has 10 bytes, after has 11");
  EXPECT_DEATH(CountDifferences(eleven, ten),
               "CountDifferences: before has 11 bytes, after has 10");
}

}  // namespace
}  // namespace mmsb
