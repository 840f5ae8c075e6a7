// Programs that once went wrong, as MemoryPoolProgram::Print() printed them.

#include "fuzz/memory_pool_program.h"
#include "fuzz/memory_pool_run.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

// The pool forgot that a region does not grow, and went on from the upstream.
TEST(MemoryPoolRegressionTest, AFullRegionStaysFull) {
  using Step = MemoryPoolProgram::Step;
  EXPECT_EQ(RunMemoryPoolProgram({.options = {.block_size = 64},
                                  .checked = false,
                                  .in_region = true,
                                  .region_bytes = 201,
                                  .region_offset = 0,
                                  .steps =
                                      {
                                          {Step::kAllocate, 3, 0},
                                      }}),
            "");
}

// A small upstream had room for the chunk and none for the directory, and the
// pool gave up instead of taking a smaller chunk.
TEST(MemoryPoolRegressionTest, ASmallerChunkWhenTheDirectoryDoesNotFit) {
  using Step = MemoryPoolProgram::Step;
  EXPECT_EQ(RunMemoryPoolProgram({.options = {.block_size = 64},
                                  .checked = false,
                                  .upstream = {.max_bytes = 20000},
                                  .steps =
                                      {
                                          {Step::kAllocate, 220, 0},
                                          {Step::kDeallocateNewest, 220, 0},
                                          {Step::kAllocate, 500, 0},
                                      }}),
            "");
}

}  // namespace
}  // namespace mmsb
