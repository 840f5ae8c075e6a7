#include "fuzz/memory_pool_program.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocator/memory_pool.h"
#include "allocator/testing/failing_upstream.h"
#include "fuzz/memory_pool_run.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using Step = MemoryPoolProgram::Step;

TEST(MemoryPoolProgramTest, DecodesAPoolOverAnUpstream) {
  const std::vector<uint8_t> input = {2 | 4, 63, 7,  35, 0x34, 0x12,
                                      9,     10, 40, 5,  0,    255};
  const auto program = MemoryPoolProgram::Decode(input);
  EXPECT_TRUE(program.checked);
  EXPECT_FALSE(program.in_region);
  EXPECT_EQ(program.options.block_size, 64u);
  EXPECT_EQ(program.options.alignment, 64u);
  EXPECT_EQ(program.options.blocks_per_chunk, 2u);
  EXPECT_EQ(program.options.max_blocks, 0x1234u);
  EXPECT_EQ(program.upstream.fail_from, 9u);
  EXPECT_EQ(program.upstream.fail_at, FailingUpstream::kNever);
  EXPECT_EQ(program.upstream.max_bytes, 5120u);
  ASSERT_EQ(program.steps.size(), 2u);
  EXPECT_EQ(program.steps[0].kind, Step::kAllocate);
  EXPECT_EQ(program.steps[0].a, 6u);
  EXPECT_EQ(program.steps[1].a, 32u);
}

TEST(MemoryPoolProgramTest, DecodesAPoolInARegion) {
  const std::vector<uint8_t> input = {1 | 13 << 2, 0, 0, 0, 255, 255, 9, 3, 1};
  const auto program = MemoryPoolProgram::Decode(input);
  EXPECT_TRUE(program.in_region);
  EXPECT_EQ(program.region_bytes, 201u);
  EXPECT_EQ(program.region_offset, 13u);
  EXPECT_EQ(program.options.max_blocks, MemoryPoolOptions().max_blocks);
  EXPECT_TRUE(program.steps.empty());
}

TEST(MemoryPoolProgramTest, PrintsAsATestCase) {
  const MemoryPoolProgram program = {
      .options = {.block_size = 64, .max_blocks = 10},
      .checked = true,
      .upstream = {.fail_at = 2},
      .steps = {{Step::kAllocate, 3}, {Step::kAllocateSized, 8, 4}}};
  EXPECT_EQ(program.Print(),
            "TEST(MemoryPoolRegressionTest, NAME_IT) {\n"
            "  using Step = MemoryPoolProgram::Step;\n"
            "  EXPECT_EQ(RunMemoryPoolProgram({\n"
            "      .options = {.block_size = 64, .max_blocks = 10, },\n"
            "      .checked = true,\n"
            "      .upstream = {.fail_at = 2, },\n"
            "      .steps = {\n"
            "          {Step::kAllocate, 3, 0},\n"
            "          {Step::kAllocateSized, 8, 4},\n"
            "      }}), \"\");\n"
            "}\n");
}

TEST(MemoryPoolProgramTest, EveryInputIsAProgram) {
  std::vector<uint8_t> input;
  uint32_t state = 1;
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(RunMemoryPoolProgram(MemoryPoolProgram::Decode(input)), "");
    state = state * 1664525 + 1013904223;
    input.push_back(static_cast<uint8_t>(state >> 24));
  }
}

}  // namespace
}  // namespace mmsb
