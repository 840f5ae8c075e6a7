#include "cli/arguments.h"

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"

namespace mmsb {
namespace {

absl::StatusOr<Arguments> Parse(std::vector<std::string_view> arguments) {
  static const std::vector<Operand> operands = {
      {.name = "STORE"}, {.name = "EPOCH", .kind = Operand::Kind::kEpoch}};
  static const std::vector<Option> options = {
      {.name = "message", .letter = 'm', .value_name = "TEXT"},
      {.name = "json"}};
  return Arguments::Parse(arguments, operands, options);
}

std::string Error(std::vector<std::string_view> arguments) {
  const absl::StatusOr<Arguments> parsed = Parse(std::move(arguments));
  EXPECT_TRUE(absl::IsInvalidArgument(parsed.status())) << parsed.status();
  return std::string(parsed.status().message());
}

TEST(ArgumentsTest, OperandsAndOptionsMayBeMixed) {
  for (const std::vector<std::string_view>& arguments :
       std::vector<std::vector<std::string_view>>{
           {"s", "7", "-m", "text", "--json"},
           {"-mtext", "s", "--json", "7"},
           {"--json", "--message", "text", "s", "7"},
           {"s", "--message=text", "--json", "--", "7"}}) {
    const absl::StatusOr<Arguments> parsed = Parse(arguments);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_FALSE(parsed->help());
    EXPECT_EQ(parsed->Path(0), "s");
    EXPECT_EQ(parsed->EpochAt(1), Epoch::FromValue(7));
    EXPECT_EQ(parsed->Value("message"), "text");
    EXPECT_TRUE(parsed->Has("json"));
  }
}

TEST(ArgumentsTest, ALongNameMayBeCut) {
  const absl::StatusOr<Arguments> parsed = Parse({"--mess=text", "s", "7"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->Value("message"), "text");
}

TEST(ArgumentsTest, TheEnvironmentDoesNotChangeWhatIsAnOption) {
  ASSERT_EQ(setenv("POSIXLY_CORRECT", "1", /*overwrite=*/1), 0);
  const absl::StatusOr<Arguments> parsed = Parse({"s", "7", "--json"});
  unsetenv("POSIXLY_CORRECT");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->Has("json"));
}

TEST(ArgumentsTest, WhatIsNotGivenIsAbsent) {
  const absl::StatusOr<Arguments> parsed = Parse({"s", "7"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed->Has("json"));
  EXPECT_EQ(parsed->Value("message"), std::nullopt);
}

TEST(ArgumentsTest, TheLastOfAnOptionCounts) {
  const absl::StatusOr<Arguments> parsed =
      Parse({"-m", "a", "s", "7", "-m", ""});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->Value("message"), "");
}

TEST(ArgumentsTest, DashesEndOptionsAndAValueMayBeginWithOne) {
  absl::StatusOr<Arguments> parsed = Parse({"--", "--json", "7"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->Path(0), "--json");
  EXPECT_FALSE(parsed->Has("json"));
  parsed = Parse({"-m", "--json", "-", "7"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->Value("message"), "--json");
  EXPECT_EQ(parsed->Path(0), "-");
}

TEST(ArgumentsTest, HelpNeedsNothingElse) {
  for (const std::string_view help : {"--help", "-h"}) {
    const absl::StatusOr<Arguments> parsed = Parse({"s", help, "--nonsense"});
    ASSERT_TRUE(parsed.ok());
    EXPECT_TRUE(parsed->help());
  }
}

TEST(ArgumentsTest, ErrorsNameWhatIsWrong) {
  EXPECT_EQ(Error({}), "STORE is missing");
  EXPECT_EQ(Error({"s"}), "EPOCH is missing");
  EXPECT_EQ(Error({"", "1"}), "STORE is empty");
  EXPECT_EQ(Error({"s", "1", "x"}), "'x' is one operand too many");
  EXPECT_EQ(Error({"--force", "s", "1"}), "there is no option '--force'");
  EXPECT_EQ(Error({"--force=1", "s", "1"}), "there is no option '--force'");
  EXPECT_EQ(Error({"-fm", "s", "1"}), "there is no option '-f'");
  EXPECT_EQ(Error({"--json=1", "s", "1"}), "'--json' takes no value");
  EXPECT_EQ(Error({"s", "1", "-m"}), "'-m' needs a value, TEXT");
  EXPECT_EQ(Error({"s", "1", "--message"}), "'--message' needs a value, TEXT");
  EXPECT_EQ(Error({"--=", "s", "1"}), "there is no option '--'");
  EXPECT_EQ(Error({"-", "1", "-:"}), "there is no option '-:'");
  EXPECT_EQ(Error({"s", "1", "-\xff"}), "there is no option '-\xff'");
}

TEST(ArgumentsTest, AValueMayBeADecimalNumber) {
  EXPECT_EQ(*Parse({"s", "1"})->NumberOr("message", 7), 7u);
  EXPECT_EQ(*Parse({"s", "1", "-m", "5", "-m0"})->NumberOr("message", 7), 0u);
  EXPECT_EQ(
      Parse({"s", "1", "-m", "5x"})->NumberOr("message", 7).status().message(),
      "'--message' must be a number, not '5x'");
}

TEST(ArgumentsTest, AnEpochIsADecimalNumber) {
  const absl::StatusOr<Arguments> largest =
      Parse({"s", "18446744073709551615"});
  ASSERT_TRUE(largest.ok());
  EXPECT_EQ(largest->EpochAt(1).value(), 18446744073709551615u);
  for (const std::string_view text :
       {"x", "1x", "+1", " 1", "0x1", "1.0", "18446744073709551616"}) {
    EXPECT_EQ(Error({"s", text}),
              "EPOCH must be the number of an epoch, not '" +
                  std::string(text) + "'");
  }
}

}  // namespace
}  // namespace mmsb
