#include "primitives/os_clock.h"

#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>
#include <thread>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(SystemClockTest, NowNeverGoesBackAndCountsNanoseconds) {
  const Clock& clock = Clock::System();
  const int64_t start = clock.Now();
  int64_t last = start;
  for (int i = 0; i < 1000; ++i) {
    const int64_t now = clock.Now();
    ASSERT_GE(now, last);
    last = now;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_GE(clock.Now() - start, 5'000'000);
}

TEST(SystemClockTest, WallTimeCountsFromTheUnixEpoch) {
  const std::time_t before = std::time(nullptr);
  const int64_t wall = Clock::System().WallTime();
  // std::time() may read a clock that is a tick behind.
  EXPECT_GE(wall / 1'000'000'000, before - 1);
  EXPECT_LE(wall / 1'000'000'000, std::time(nullptr) + 1);
}

TEST(SystemClockTest, IsOneObject) {
  EXPECT_EQ(&Clock::System(), &Clock::System());
}

TEST(ManualClockTest, StandsStillUntilMoved) {
  ManualClock clock(100, 5'000);
  EXPECT_EQ(clock.Now(), 100);
  EXPECT_EQ(clock.WallTime(), 5'000);
  clock.Advance(7);
  clock.Advance(0);
  EXPECT_EQ(clock.Now(), 107);
  EXPECT_EQ(clock.WallTime(), 5'007);
}

TEST(ManualClockTest, WallTimeJumpsAlone) {
  ManualClock clock(100, 5'000);
  clock.SetWallTime(-3);
  EXPECT_EQ(clock.WallTime(), -3);
  EXPECT_EQ(clock.Now(), 100);
}

TEST(ManualClockTest, ReachesTheEndOfTime) {
  ManualClock clock(kMax - 5, -10);
  clock.Advance(5);
  EXPECT_EQ(clock.Now(), kMax);
}

TEST(ManualClockDeathTest, RefusesToGoBackOrBeyond) {
  ManualClock clock(kMax - 5);
  EXPECT_DEATH(clock.Advance(-1), "time never goes back");
  EXPECT_DEATH(clock.Advance(6), "past the end of time");
}

TEST(ManualClockTest, WhoReadsTheNewTimeSeesWhatWasDoneBefore) {
  ManualClock clock;
  int work = 0;  // Not atomic: ThreadSanitizer watches it.
  std::thread worker([&] {
    work = 42;
    clock.Advance(1);
  });
  while (clock.Now() == 0) std::this_thread::yield();
  EXPECT_EQ(work, 42);
  worker.join();
}

TEST(ManualClockTest, NoAdvanceIsLost) {
  ManualClock clock;
  const auto tick = [&] {
    for (int i = 0; i < 10'000; ++i) clock.Advance(1);
  };
  std::thread other(tick);
  tick();
  other.join();
  EXPECT_EQ(clock.Now(), 20'000);
  EXPECT_EQ(clock.WallTime(), 20'000);
}

}  // namespace
}  // namespace mmsb
