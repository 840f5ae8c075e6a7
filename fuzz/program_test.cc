#include "fuzz/program.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fuzz/program_reader.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {{"size", kSize}, {"flag", kByte}};
constexpr ProgramKind::Op kOps[] = {
    {"kTake", kSize, kAlignment}, {"kGive", kByte}, {"kStop"}};

std::string Run(const Program& program) {
  return program.steps.empty() ? "" : "wrong";
}

constexpr ProgramKind kKind = {"Thing", kSetup, kOps, Run};

TEST(ProgramReaderTest, ReadsSizesNearPowersOfTwo) {
  const std::vector<uint8_t> input = {191, 192, 0xFE, 192 + 12, 1, 255, 0x80};
  ProgramReader reader(input);
  EXPECT_EQ(reader.Size(), 191u);
  EXPECT_EQ(reader.Size(), ~uint64_t{0});
  EXPECT_EQ(reader.Size(), 4097u);
  EXPECT_EQ(reader.Size(), (uint64_t{1} << 63) - 128);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.Size(), 0u);
}

TEST(ProgramReaderTest, ReadsAlignmentsGoodAndBad) {
  const std::vector<uint8_t> input = {6, 16, 192, 193, 255};
  ProgramReader reader(input);
  EXPECT_EQ(reader.Alignment(), 64u);
  EXPECT_EQ(reader.Alignment(), 1u);
  EXPECT_EQ(reader.Alignment(), 0u);
  EXPECT_EQ(reader.Alignment(), 3u);
  EXPECT_EQ(reader.Alignment(), uint64_t{1} << 63);
}

TEST(ProgramTest, DecodesSetupAndSteps) {
  const std::vector<uint8_t> input = {9, 7, 3, 100, 4, 1, 200, 2};
  const Program program = DecodeProgram(kKind, input);
  EXPECT_EQ(program.setup, (std::vector<uint64_t>{9, 7}));
  ASSERT_EQ(program.steps.size(), 3u);
  EXPECT_EQ(program.steps[0].op, 0);
  EXPECT_EQ(program.steps[0].a, 100u);
  EXPECT_EQ(program.steps[0].b, 16u);
  EXPECT_EQ(program.steps[1].op, 1);
  EXPECT_EQ(program.steps[1].a, 200u);
  EXPECT_EQ(program.steps[2].op, 2);
}

TEST(ProgramTest, DecodesEveryPrefix) {
  const std::vector<uint8_t> input = {200, 1, 7, 3, 200};
  for (size_t n = 0; n <= input.size(); ++n) {
    EXPECT_EQ(DecodeProgram(kKind, std::span(input).first(n)).setup.size(), 2u);
  }
}

TEST(ProgramTest, CutsWhatIsTooLong) {
  const std::vector<uint8_t> input(kMaxProgramSteps * 3, 2);
  EXPECT_EQ(DecodeProgram(kKind, input).steps.size(), kMaxProgramSteps);
}

TEST(ProgramTest, PrintsATestCase) {
  EXPECT_EQ(PrintProgram(kKind, {.setup = {~uint64_t{0}, 1},
                                 .steps = {{0, 100, 8}, {1, 3}, {2}}}),
            "TEST(ThingRegressionTest, NAME_IT) {\n"
            "  using Op = ThingOp;\n"
            "  EXPECT_EQ(RunThingProgram({\n"
            "      .setup = {/*size=*/18446744073709551615u, /*flag=*/1},\n"
            "      .steps = {\n"
            "          {Op::kTake, 100, 8},\n"
            "          {Op::kGive, 3},\n"
            "          {Op::kStop},\n"
            "      }}), \"\");\n"
            "}\n");
}

TEST(ProgramDeathTest, EndsTheProcessWithTheProgram) {
  const std::vector<uint8_t> input = {9, 7, 2};
  EXPECT_DEATH(FuzzProgram(kKind, input), "wrong(.|\n)*Op::kStop");
  EXPECT_EQ(FuzzProgram(kKind, {}), 0);
}

}  // namespace
}  // namespace mmsb
