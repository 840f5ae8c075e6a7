// Programs that once went wrong, as PrintProgram() printed them.

#include "fuzz/program.h"
#include "fuzz/slab_run.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

// A large block was mapped before its place in the directory, found none, and
// the system took it back no more: committed was above what anything counted.
TEST(SlabRegressionTest, ALargeBlockWithoutAPlaceIsNotMapped) {
  using Op = SlabOp;
  EXPECT_EQ(RunSlabProgram({.setup = {/*checked=*/0},
                            .steps =
                                {
                                    {Op::kFailMapper, 2, 3},
                                    {Op::kAllocate, 65536, 8},
                                    {Op::kAllocate, 65536, 8},
                                    {Op::kPurge},
                                }}),
            "");
}

}  // namespace
}  // namespace mmsb
