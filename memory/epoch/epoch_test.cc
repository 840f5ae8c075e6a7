#include "memory/epoch/epoch.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <sstream>
#include <type_traits>
#include <unordered_set>

#include "absl/hash/hash_testing.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();

TEST(EpochTest, StartsBeforeTheFirstCommit) {
  EXPECT_EQ(Epoch().value(), 0u);
  EXPECT_EQ(Epoch(), Epoch::FromValue(0));
}

TEST(EpochTest, NextAddsOne) {
  static_assert(Epoch().Next().value() == 1);
  EXPECT_EQ(Epoch::FromValue(41).Next(), Epoch::FromValue(42));
  EXPECT_EQ(Epoch::FromValue(kLast - 1).Next().value(), kLast);
}

TEST(EpochDeathTest, NextNeverWraps) {
  EXPECT_DEATH((void)Epoch::FromValue(kLast).Next(),
               "Epoch::Next: epoch 18446744073709551615 is the last one");
}

TEST(EpochTest, OrdersByNumber) {
  EXPECT_LT(Epoch(), Epoch().Next());
  EXPECT_GT(Epoch::FromValue(kLast), Epoch::FromValue(kLast - 1));
  EXPECT_LE(Epoch::FromValue(7), Epoch::FromValue(7));
  EXPECT_NE(Epoch::FromValue(7), Epoch::FromValue(8));
}

TEST(EpochTest, DoesNotMixWithIntegers) {
  static_assert(!std::is_convertible_v<uint64_t, Epoch>);
  static_assert(!std::is_convertible_v<Epoch, uint64_t>);
  static_assert(!std::is_constructible_v<Epoch, uint64_t>);
}

TEST(EpochTest, Hashes) {
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly(
      {Epoch(), Epoch::FromValue(1), Epoch::FromValue(2),
       Epoch::FromValue(kLast)}));
  const std::unordered_set<Epoch> set = {Epoch::FromValue(3),
                                         Epoch::FromValue(3), Epoch()};
  EXPECT_EQ(set.size(), 2u);
}

TEST(EpochTest, Prints) {
  EXPECT_EQ(absl::StrCat(Epoch::FromValue(kLast)), "18446744073709551615");
  std::ostringstream stream;
  stream << Epoch::FromValue(12);
  EXPECT_EQ(stream.str(), "12");
}

}  // namespace
}  // namespace mmsb
