#include "primitives/os_asymmetric_fence.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "gtest/gtest.h"
#include "primitives/os_error.h"

namespace mmsb {
namespace {

TEST(AsymmetricFenceTest, WorksWhereItSaysSo) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(AsymmetricFence::Heavy().ok(), AsymmetricFence::Available());
  }
}

// Store buffering: of two threads that each write one variable and then read
// the other's, one sees the other's write.
TEST(AsymmetricFenceTest, OneOfTwoSeesTheOther) {
  if (!AsymmetricFence::Available()) GTEST_SKIP() << "the kernel has none";
  constexpr int kRounds = 2000;
  std::atomic<int> round = 0;
  std::atomic<int> done = 0;
  std::atomic<int> often = 0;
  std::atomic<int> rarely = 0;
  int seen_by_often = 0;
  std::thread thread([&] {
    for (int i = 1; i <= kRounds; ++i) {
      // acquire: pairs with the release of `round`.
      while (round.load(std::memory_order_acquire) != i) {
      }
      often.store(i, std::memory_order_relaxed);
      AsymmetricFence::Light();
      seen_by_often = rarely.load(std::memory_order_relaxed);
      // release: pairs with the acquire of `done`.
      done.store(i, std::memory_order_release);
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    round.store(i, std::memory_order_release);
    rarely.store(i, std::memory_order_relaxed);
    EXPECT_TRUE(AsymmetricFence::Heavy().ok());
    const int seen_by_rarely = often.load(std::memory_order_relaxed);
    while (done.load(std::memory_order_acquire) != i) {
    }
    EXPECT_TRUE(seen_by_rarely == i || seen_by_often == i) << "round " << i;
  }
  thread.join();
}

TEST(AsymmetricFenceTest, WorksInAForkedChild) {
  if (!AsymmetricFence::Available()) GTEST_SKIP() << "the kernel has none";
  const pid_t child = fork();
  if (child == 0) _exit(AsymmetricFence::Heavy().ok() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace mmsb
