#include "device/simd/simd_mask.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "device/simd/testing/simd_mask_reference.h"
#include "gtest/gtest.h"
#include "hwy/targets.h"
#include "primitives/os_guarded_region.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

constexpr size_t kAlignments = 64;
constexpr size_t kLongestBytes = 4 * 64;

size_t MaskBytes(size_t bytes) { return (bytes + 7) / 8; }

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

std::span<std::byte> WholeOf(const GuardedRegion& region) {
  return {static_cast<std::byte*>(region.data()), region.bytes()};
}

// Once for each target that the program holds and the machine supports.
class SimdMaskTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }

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

void FillRandom(std::span<std::byte> bytes, std::mt19937_64& random) {
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
}

// Changes each byte with a chance of `per_million` in a million, to any other
// value.
void ChangeSome(std::span<std::byte> bytes, uint64_t per_million,
                std::mt19937_64& random) {
  for (std::byte& byte : bytes) {
    if (random() % 1'000'000 < per_million) {
      byte ^= static_cast<std::byte>(1 + random() % 255);
    }
  }
}

TEST_P(SimdMaskTest, IsTheTargetInUse) {
  EXPECT_EQ(ActiveSimdTarget(), hwy::TargetName(GetParam()));
}

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

// Each span in memory of its own between two guards, at its first bytes and at
// its last, so that a read or write outside it ends the test. Lengths up to 4
// of the longest vectors.
TEST_P(SimdMaskTest, NothingOutsideTheSpansIsTouched) {
  GuardedRegion before_region, after_region, mask_region;
  for (GuardedRegion* region : {&before_region, &after_region, &mask_region}) {
    ASSERT_TRUE(
        GuardedRegion::Create(SystemMapper(), kLongestBytes, region).ok());
  }
  std::mt19937_64 random(5);
  FillRandom(WholeOf(before_region), random);
  const auto place = [](const GuardedRegion& region, size_t bytes, bool last) {
    const std::span<std::byte> whole = WholeOf(region);
    return last ? whole.last(bytes) : whole.first(bytes);
  };
  for (size_t bytes = 0; bytes <= kLongestBytes; ++bytes) {
    for (const bool last : {false, true}) {
      const std::span<std::byte> before = place(before_region, bytes, last);
      const std::span<std::byte> after = place(after_region, bytes, last);
      std::copy(before.begin(), before.end(), after.begin());
      ChangeSome(after, 100'000, random);
      const std::span<std::byte> mask =
          place(mask_region, MaskBytes(bytes), last);
      expected_.assign(mask.size(), 0);
      const size_t expected_count =
          GenerateMaskReference(before, after, expected_);
      const size_t count =
          GenerateMask(before, after,
                       {reinterpret_cast<uint8_t*>(mask.data()), mask.size()});
      ASSERT_EQ(count, expected_count) << bytes << " bytes";
      ASSERT_TRUE(std::equal(mask.begin(), mask.end(),
                             std::as_bytes(std::span(expected_)).begin()))
          << bytes << " bytes";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, SimdMaskTest,
                         testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const testing::TestParamInfo<int64_t>& info) {
                           return std::string(hwy::TargetName(info.param));
                         });

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
}

}  // namespace
}  // namespace mmsb
