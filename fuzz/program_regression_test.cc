// Programs that once went wrong, as PrintProgram() printed them.

#include "fuzz/host_device_sync_run.h"
#include "fuzz/program.h"
#include "fuzz/simd_mask_run.h"
#include "fuzz/slab_run.h"
#include "fuzz/transaction_log_run.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

// Words of a mask were loaded through pointers to words at any address, which
// UndefinedBehaviorSanitizer reports on the target without vectors.
TEST(SimdMaskRegressionTest, WordsThatAreNotAligned) {
  using Op = SimdMaskOp;
  EXPECT_EQ(RunSimdMaskProgram(
                {.setup = {/*bytes=*/65, /*before_offset=*/1,
                           /*after_offset=*/2, /*mask_offset=*/2, /*seed=*/65},
                 .steps =
                     {
                         {Op::kSet, 3, 9},
                         {Op::kBlockMask, 0, 0},
                         {Op::kAlgebra, 3, 0},
                     }}),
            "");
}

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

// The sync of the directory failed in the first commit, and lost the log's
// name; a later one succeeded, and its commits were lost in a crash.
TEST(TransactionLogRegressionTest, NamesThatAFailedSyncLostAreMadeAnew) {
  using Op = TransactionLogOp;
  EXPECT_EQ(
      RunTransactionLogProgram({.setup = {/*crash_states=*/4, /*segments=*/0},
                                .steps =
                                    {
                                        {Op::kAppend, 9, 100},
                                        {Op::kAppend, 9, 5},
                                        {Op::kFail, 2, 1},
                                        {Op::kCommit, 100},
                                        {Op::kCommit, 5},
                                        {Op::kAppend, 9, 100},
                                        {Op::kCommit, 5},
                                        {Op::kReopen},
                                        {Op::kAppend, 6, 2},
                                    }}),
      "");
}

// A first commit failed, the next writer emptied the log to begin it again, and
// a crash left it so: the tip, which named no epoch, named the old length, and
// the log was taken to be damaged.
TEST(TransactionLogRegressionTest, AnEmptiedLogWithoutEpochsIsNotDamaged) {
  using Op = TransactionLogOp;
  EXPECT_EQ(
      RunTransactionLogProgram({.setup = {/*crash_states=*/5, /*segments=*/0},
                                .steps =
                                    {
                                        {Op::kAppend, 0, 0},
                                        {Op::kFail, 0, 2},
                                        {Op::kCommit, 202},
                                        {Op::kAppend, 0, 0},
                                    }}),
      "");
}

// A device was lost under a copy, and its report named a page that went with it
// without being part of the copy, as it should: the model expected none.
TEST(HostDeviceSyncRegressionTest, PagesBesideTheCopyAreLostWithTheDevice) {
  using Op = HostDeviceSyncOp;
  EXPECT_EQ(RunHostDeviceSyncProgram(
                {.setup = {/*small_memory=*/1, /*batch_bytes=*/0,
                           /*batch_copies=*/124, /*attempts=*/84, /*pages=*/4,
                           /*page_bytes=*/174},
                 .steps =
                     {
                         {Op::kFail, 3, 34},
                         {Op::kStart, 6, 4},
                         {Op::kAgain, 0, 31},
                     }}),
            "");
}

}  // namespace
}  // namespace mmsb
