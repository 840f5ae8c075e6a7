#include "cli/progress_bar.h"

#include <cstdio>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/testing/stream.h"
#include "gtest/gtest.h"
#include "memory/log/posix_file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

class ProgressBarTest : public testing::Test {
 protected:
  CommandContext Context(bool is_terminal) {
    return {.file_system = PosixFileSystem(),
            .clock = clock_,
            .out = nullptr,
            .err = err_.file(),
            .err_is_terminal = is_terminal};
  }

  ManualClock clock_;
  Stream err_;
};

TEST_F(ProgressBarTest, AShortTaskShowsNothing) {
  {
    ProgressBar progress(Context(true), "reading");
    clock_.Advance(ProgressBar::kDelayNs - 1);
    progress.Update(50, 100);
  }
  EXPECT_EQ(err_.Text(), "");
}

TEST_F(ProgressBarTest, NobodyWatchesNothingIsWritten) {
  {
    ProgressBar progress(Context(false), "reading");
    clock_.Advance(100 * ProgressBar::kDelayNs);
    progress.Update(50, 100);
  }
  EXPECT_EQ(err_.Text(), "");
}

TEST_F(ProgressBarTest, ALongTaskIsDrawnNowAndThenAndTakenAway) {
  const std::string first =
      "\rreading [############............]  50%  1.0 KiB of 2.0 KiB, 2.0 "
      "KiB/s";
  const std::string second =
      "\rreading [########################] 100%  2.0 KiB of 2.0 KiB, 3.3 "
      "KiB/s";
  {
    ProgressBar progress(Context(true), "reading");
    clock_.Advance(ProgressBar::kDelayNs);
    progress.Update(1024, 2048);
    EXPECT_EQ(err_.Text(), first);
    clock_.Advance(ProgressBar::kIntervalNs - 1);
    progress.Update(1500, 2048);
    EXPECT_EQ(err_.Text(), first);
    clock_.Advance(1);
    progress.Update(2048, 2048);
    EXPECT_EQ(err_.Text(), first + second);
  }
  EXPECT_EQ(err_.Text(),
            first + second + "\r" + std::string(second.size() - 1, ' ') + "\r");
}

TEST_F(ProgressBarTest, AShorterLineCoversTheLongerOne) {
  ProgressBar progress(Context(true), "reading");
  clock_.Advance(ProgressBar::kDelayNs);
  progress.Update(1000, 1000);
  const size_t before = err_.Text().size();
  clock_.Advance(ProgressBar::kIntervalNs);
  progress.Update(1, 1000);
  EXPECT_EQ(err_.Text().size(), 2 * before);
}

TEST_F(ProgressBarTest, NothingToDoIsAllDone) {
  ProgressBar progress(Context(true), "reading");
  clock_.Advance(ProgressBar::kDelayNs);
  progress.Update(0, 0);
  EXPECT_NE(err_.Text().find("100%"), std::string::npos);
}

}  // namespace
}  // namespace mmsb
