#include "cli/suggestion.h"

#include <array>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

std::string_view Nearest(std::string_view typed) {
  static constexpr std::array<std::string_view, 6> kNames = {
      "commit", "log", "checkout", "diff", "verify", "stat"};
  return NearestName(typed, kNames);
}

TEST(SuggestionTest, AFewErrorsAreForgiven) {
  EXPECT_EQ(Nearest("comit"), "commit");
  EXPECT_EQ(Nearest("ocmmit"), "commit");
  EXPECT_EQ(Nearest("chekcotu"), "checkout");
  EXPECT_EQ(Nearest("lg"), "log");
  EXPECT_EQ(Nearest("stats"), "stat");
  EXPECT_EQ(Nearest("log"), "log");
}

TEST(SuggestionTest, WhatIsFarFromAllHasNone) {
  EXPECT_EQ(Nearest("push"), "");
  EXPECT_EQ(Nearest(""), "");
  EXPECT_EQ(Nearest("xyz"), "");
  EXPECT_EQ(Nearest(std::string(1 << 20, 'c')), "");
}

}  // namespace
}  // namespace mmsb
