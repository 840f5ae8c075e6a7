#include "primitives/alignment.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr size_t kMax = std::numeric_limits<size_t>::max();
constexpr size_t kHalf = size_t{1} << 63;
constexpr size_t kRefused = 12345;

constexpr size_t Up(size_t n, size_t alignment) {
  size_t out = kRefused;
  const bool fits = CheckedAlignUp(n, Alignment::FromBytes(alignment), &out);
  return fits || out == kRefused ? out : 0;
}

static_assert(sizeof(Alignment) == 1);
static_assert(!std::is_convertible_v<size_t, Alignment>);
static_assert(!std::is_constructible_v<Alignment, size_t>);
static_assert(!std::is_convertible_v<Alignment, size_t>);

static_assert(Alignment().bytes() == 1);
static_assert(Alignment::Of<char>().bytes() == 1);
static_assert(Alignment::Of<uint64_t>().bytes() == alignof(uint64_t));
static_assert(Alignment::FromBytes(64).log2() == 6);
static_assert(Alignment::FromBytes(8) < Alignment::FromBytes(16));
static_assert(Alignment::FromBytes(8) == Alignment::Of<double>());
static_assert(Up(65, 64) == 128);
static_assert(Up(kMax, 2) == kRefused);
static_assert(AlignDown(127, Alignment::FromBytes(64)) == 64);
static_assert(IsAligned(size_t{128}, Alignment::FromBytes(64)));

TEST(AlignmentTest, EveryPowerOfTwoAndNothingElseIsValid) {
  EXPECT_FALSE(Alignment::IsValid(0));
  EXPECT_FALSE(Alignment::IsValid(kMax));
  for (int log2 = 0; log2 < 64; ++log2) {
    const size_t bytes = size_t{1} << log2;
    EXPECT_TRUE(Alignment::IsValid(bytes));
    EXPECT_EQ(Alignment::FromBytes(bytes).bytes(), bytes);
    EXPECT_EQ(Alignment::FromBytes(bytes).log2(), log2);
    if (log2 >= 2) {
      EXPECT_FALSE(Alignment::IsValid(bytes - 1));
      EXPECT_FALSE(Alignment::IsValid(bytes + 1));
    }
  }
}

TEST(AlignmentDeathTest, FromBytesNamesTheBadNumber) {
  EXPECT_DEATH(static_cast<void>(Alignment::FromBytes(0)),
               "alignment of 0 bytes is not a power of two");
  EXPECT_DEATH(static_cast<void>(Alignment::FromBytes(24)),
               "alignment of 24 bytes is not a power of two");
}

TEST(CheckedAlignUpTest, AgreesWithDivisionOnSmallNumbers) {
  for (size_t alignment = 1; alignment <= 64; alignment *= 2) {
    for (size_t n = 0; n <= 300; ++n) {
      EXPECT_EQ(Up(n, alignment), (n + alignment - 1) / alignment * alignment);
      EXPECT_EQ(AlignDown(n, Alignment::FromBytes(alignment)),
                n / alignment * alignment);
      EXPECT_EQ(IsAligned(n, Alignment::FromBytes(alignment)),
                n % alignment == 0);
    }
  }
}

TEST(CheckedAlignUpTest, IsExactAtTheEdge) {
  EXPECT_EQ(Up(0, kHalf), 0u);
  EXPECT_EQ(Up(1, kHalf), kHalf);
  EXPECT_EQ(Up(kHalf, kHalf), kHalf);
  EXPECT_EQ(Up(kHalf + 1, kHalf), kRefused);
  EXPECT_EQ(Up(kMax, 1), kMax);
  EXPECT_EQ(Up(kMax - 1, 2), kMax - 1);
  EXPECT_EQ(Up(kMax, 2), kRefused);
  EXPECT_EQ(Up(kMax - 63, 64), kMax - 63);
  EXPECT_EQ(Up(kMax - 62, 64), kRefused);
}

TEST(AlignDownTest, IsExactAtTheEdge) {
  EXPECT_EQ(AlignDown(kMax, Alignment()), kMax);
  EXPECT_EQ(AlignDown(kMax, Alignment::FromBytes(kHalf)), kHalf);
  EXPECT_EQ(AlignDown(kHalf - 1, Alignment::FromBytes(kHalf)), 0u);
}

TEST(IsAlignedTest, LooksAtAddresses) {
  alignas(64) char bytes[65];
  EXPECT_TRUE(IsAligned(bytes, Alignment::FromBytes(64)));
  EXPECT_FALSE(IsAligned(bytes + 1, Alignment::FromBytes(2)));
  EXPECT_TRUE(IsAligned(bytes + 1, Alignment()));
  EXPECT_FALSE(IsAligned(bytes + 32, Alignment::FromBytes(64)));
  EXPECT_TRUE(IsAligned(nullptr, Alignment::FromBytes(kHalf)));
}

}  // namespace
}  // namespace mmsb
