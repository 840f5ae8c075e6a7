#include "cli/program.h"

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/testing/stream.h"
#include "gtest/gtest.h"
#include "memory/log/posix_file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

const Command kGreet = {
    .name = "greet",
    .summary = "say hello",
    .description = "Says hello to NAME.",
    .examples = "mmsb greet World",
    .operands = {{.name = "NAME"}},
    .options = {{.name = "times",
                 .letter = 't',
                 .value_name = "N",
                 .help = "how often"},
                {.name = "loud", .help = "shout"}},
    .run = [](const Arguments& arguments,
              const CommandContext& context) -> absl::StatusOr<int> {
      absl::FPrintF(context.out, "hello %s\n", arguments.Path(0));
      return 0;
    }};

const Command kFail = {
    .name = "fail",
    .trouble_code = 7,
    .run = [](const Arguments&,
              const CommandContext& context) -> absl::StatusOr<int> {
      absl::FPrintF(context.out, "so far\n");
      return absl::DataLossError("it\nbroke\x1b");
    }};

const Command kDiffer = {
    .name = "differ",
    .run = [](const Arguments&, const CommandContext&) -> absl::StatusOr<int> {
      return 1;
    }};

class ProgramTest : public testing::Test {
 protected:
  int Run(std::vector<std::string_view> arguments, std::FILE* out = nullptr) {
    static constexpr std::array kCommands = {&kGreet, &kFail, &kDiffer};
    return RunProgram(kCommands, arguments,
                      {.file_system = PosixFileSystem(),
                       .clock = Clock::System(),
                       .out = out != nullptr ? out : out_.file(),
                       .err = err_.file(),
                       .err_is_terminal = false});
  }

  Stream out_;
  Stream err_;
};

TEST_F(ProgramTest, RunsTheCommandThatIsNamed) {
  EXPECT_EQ(Run({"greet", "World"}), 0);
  EXPECT_EQ(out_.Text(), "hello World\n");
  EXPECT_EQ(err_.Text(), "");
}

TEST_F(ProgramTest, ReturnsTheCommandsCode) {
  EXPECT_EQ(Run({"differ"}), 1);
  EXPECT_EQ(err_.Text(), "");
}

TEST_F(ProgramTest, AnErrorIsOneLine) {
  EXPECT_EQ(Run({"fail"}), 7);
  EXPECT_EQ(out_.Text(), "so far\n");
  EXPECT_EQ(err_.Text(), "mmsb fail: it\\nbroke\\x1b\n");
}

TEST_F(ProgramTest, WrongUsageIsTwo) {
  EXPECT_EQ(Run({}), 2);
  EXPECT_EQ(Run({"gret", "World"}), 2);
  EXPECT_EQ(Run({"push"}), 2);
  EXPECT_EQ(Run({"--loud"}), 2);
  EXPECT_EQ(Run({"greet"}), 2);
  EXPECT_EQ(Run({"greet", "World", "--json"}), 2);
  EXPECT_EQ(Run({"help", "push"}), 2);
  EXPECT_EQ(out_.Text(), "");
  EXPECT_EQ(
      err_.Text(),
      "mmsb: a command is missing; 'mmsb --help' tells more\n"
      "mmsb: there is no command 'gret'; the nearest is 'greet'; 'mmsb "
      "--help' tells more\n"
      "mmsb: there is no command 'push'; 'mmsb --help' tells more\n"
      "mmsb: there is no option '--loud'; 'mmsb --help' tells more\n"
      "mmsb greet: NAME is missing; 'mmsb greet --help' tells more\n"
      "mmsb greet: there is no option '--json'; 'mmsb greet --help' tells "
      "more\n"
      "mmsb: there is no command 'push'; 'mmsb --help' tells more\n");
}

TEST_F(ProgramTest, HelpOfACommand) {
  EXPECT_EQ(Run({"greet", "--help"}), 0);
  const std::string expected =
      "Usage: mmsb greet [-t N] [--loud] NAME\n"
      "\n"
      "Says hello to NAME.\n"
      "\n"
      "Options:\n"
      "  -t, --times N  how often\n"
      "      --loud     shout\n"
      "  -h, --help     print this\n"
      "\n"
      "Examples:\n"
      "  mmsb greet World\n";
  EXPECT_EQ(out_.Text(), expected);
  EXPECT_EQ(Run({"help", "greet"}), 0);
  EXPECT_EQ(out_.Text(), expected + expected);
}

TEST_F(ProgramTest, HelpOfAll) {
  for (const std::string_view help : {"--help", "-h", "help"}) {
    EXPECT_EQ(Run({help}), 0);
  }
  EXPECT_NE(out_.Text().find("  mmsb greet [-t N] [--loud] NAME  say hello\n"),
            std::string::npos);
}

TEST_F(ProgramTest, Version) {
  EXPECT_EQ(Run({"--version"}), 0);
  EXPECT_TRUE(out_.Text().starts_with("mmsb "));
}

TEST_F(ProgramTest, OutputThatCannotBeWrittenIsAnError) {
  for (const std::string_view argument : {"World", "--help"}) {
    std::FILE* const full = std::fopen("/dev/full", "w");
    ASSERT_NE(full, nullptr);
    EXPECT_EQ(Run({"greet", argument}, full), 1);
    std::fclose(full);
  }
  const std::string line =
      "mmsb greet: cannot write to the standard output: No space left on "
      "device\n";
  EXPECT_EQ(err_.Text(), line + line);
}

}  // namespace
}  // namespace mmsb
