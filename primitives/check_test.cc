#include "primitives/check.h"

#include <csignal>
#include <string>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr int Half(int n) {
  MMSB_CHECK(n % 2 == 0, "%d is odd", n);
  return n / 2;
}
static_assert(Half(8) == 4);

TEST(CheckTest, ATrueConditionEvaluatesNothingElse) {
  int evaluated = 0;
  MMSB_CHECK(true, "%d", ++evaluated);
  EXPECT_EQ(evaluated, 0);
}

TEST(CheckTest, TheConditionIsEvaluatedOnce) {
  int evaluated = 0;
  MMSB_CHECK(++evaluated == 1, "evaluated %d times", evaluated);
  EXPECT_EQ(evaluated, 1);
}

TEST(CheckTest, IsOneStatementInAnUnbracedIf) {
  bool other_branch = false;
  if (other_branch)
    MMSB_CHECK(false, "not reached");
  else
    other_branch = true;
  EXPECT_TRUE(other_branch);
}

TEST(CheckDeathTest, PrintsPlaceMessageAndConditionInOrder) {
  const int size = 3;
  EXPECT_DEATH(MMSB_CHECK(size == 4, "size is %d, not %s", size, "four"),
               "primitives/check_test\\.cc:[0-9]+: size is 3, not four "
               "\\(check failed: size == 4\\)\n");
}

TEST(CheckDeathTest, TheConditionsTextIsNoFormat) {
  const int n = 7;
  EXPECT_DEATH(MMSB_CHECK(n % 2 == 0, "odd"), "check failed: n % 2 == 0");
}

TEST(CheckDeathTest, AFailureInsideAFunctionNamesItsArgument) {
  volatile int odd = 7;
  EXPECT_DEATH(Half(odd), "7 is odd");
}

TEST(DieDeathTest, AbortsAfterTheMessage) {
  EXPECT_EXIT(Die("lost %d of %zu", 2, sizeof(char)),
              testing::KilledBySignal(SIGABRT), "^lost 2 of 1\n");
}

TEST(DieDeathTest, AMessageThatJustFitsIsWhole) {
  const std::string fits(1023, 'x');
  EXPECT_DEATH(Die("%s", fits.c_str()), "^x{1023}\n");
}

TEST(DieDeathTest, ALongMessageIsCutAndSaysSo) {
  const std::string too_long(5000, 'x');
  EXPECT_DEATH(Die("%s", too_long.c_str()), "^x{1020}\\.\\.\\.\n");
}

TEST(CheckDeathTest, ALongMessageKeepsThePlace) {
  const std::string too_long(5000, 'x');
  EXPECT_DEATH(MMSB_CHECK(false, "%s", too_long.c_str()),
               "check_test\\.cc:[0-9]+: x+\\.\\.\\.\n");
}

}  // namespace
}  // namespace mmsb
