#include "primitives/bytes.h"

#include <cstddef>
#include <limits>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr size_t kMax = std::numeric_limits<size_t>::max();
constexpr size_t kHalf = size_t{1} << 63;

static_assert(kKiB == 1024);
static_assert(kMiB == 1024 * kKiB);
static_assert(kGiB == 1024 * kMiB);

// The result, or kRefused when there is none and the output was left alone.
constexpr size_t kRefused = 12345;
constexpr size_t Add(size_t a, size_t b) {
  size_t sum = kRefused;
  return CheckedAdd(a, b, &sum) ? sum : (sum == kRefused ? kRefused : 0);
}
constexpr size_t Multiply(size_t a, size_t b) {
  size_t product = kRefused;
  return CheckedMultiply(a, b, &product) ? product
                                         : (product == kRefused ? kRefused : 0);
}

static_assert(Add(2, 3) == 5);
static_assert(Add(kMax, 1) == kRefused);
static_assert(Multiply(3, 5) == 15);
static_assert(Multiply(kHalf, 2) == kRefused);

TEST(CheckedAddTest, SumsUpToTheLargestSize) {
  EXPECT_EQ(Add(0, 0), 0u);
  EXPECT_EQ(Add(kMax, 0), kMax);
  EXPECT_EQ(Add(0, kMax), kMax);
  EXPECT_EQ(Add(kMax - 7, 7), kMax);
  EXPECT_EQ(Add(kHalf, kHalf - 1), kMax);
}

TEST(CheckedAddTest, RefusesTheFirstSumThatDoesNotFit) {
  EXPECT_EQ(Add(kMax - 7, 8), kRefused);
  EXPECT_EQ(Add(8, kMax - 7), kRefused);
  EXPECT_EQ(Add(kHalf, kHalf), kRefused);
  EXPECT_EQ(Add(kMax, kMax), kRefused);
}

TEST(CheckedAddTest, OutputMayBeAnOperand) {
  size_t total = kMax - 1;
  ASSERT_TRUE(CheckedAdd(total, 1, &total));
  EXPECT_EQ(total, kMax);
  EXPECT_FALSE(CheckedAdd(total, 1, &total));
  EXPECT_EQ(total, kMax);
}

TEST(CheckedMultiplyTest, ProductsUpToTheLargestSize) {
  EXPECT_EQ(Multiply(0, kMax), 0u);
  EXPECT_EQ(Multiply(kMax, 0), 0u);
  EXPECT_EQ(Multiply(kMax, 1), kMax);
  EXPECT_EQ(Multiply(kHalf, 1), kHalf);
  EXPECT_EQ(Multiply(size_t{1} << 31, size_t{1} << 32), kHalf);
  // 2^64 - 1 = (2^32 - 1) (2^32 + 1).
  EXPECT_EQ(Multiply((size_t{1} << 32) - 1, (size_t{1} << 32) + 1), kMax);
}

TEST(CheckedMultiplyTest, RefusesTheFirstProductThatDoesNotFit) {
  EXPECT_EQ(Multiply(size_t{1} << 32, size_t{1} << 32), kRefused);
  EXPECT_EQ(Multiply(size_t{1} << 32, (size_t{1} << 32) + 1), kRefused);
  EXPECT_EQ(Multiply(kHalf, 2), kRefused);
  EXPECT_EQ(Multiply(2, kHalf), kRefused);
  EXPECT_EQ(Multiply(kMax, kMax), kRefused);
  // Overflows by a multiple of 2^64 plus little: what is left looks plausible.
  EXPECT_EQ(Multiply(kMax / 3 + 1, 3), kRefused);
}

}  // namespace
}  // namespace mmsb
