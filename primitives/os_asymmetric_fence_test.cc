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

// What two threads do to each other: each writes its variable, calls its fence
// and reads the other's.
class StoreBuffering {
 public:
  // In how many of `rounds` rounds neither saw the other's write.
  template <class Often, class Rarely>
  int CountBlindRounds(int rounds, Often often_fence, Rarely rarely_fence) {
    int blind = 0;
    std::thread thread([&] {
      for (int i = 1; i <= rounds; ++i) Play(i, often_, rarely_, often_fence);
    });
    for (int i = 1; i <= rounds; ++i) {
      Play(i, rarely_, often_, rarely_fence);
      if (!often_.saw && !rarely_.saw) ++blind;
    }
    thread.join();
    return blind;
  }

 private:
  struct alignas(128) Side {
    std::atomic<int> value = 0;
    bool saw = false;  // read by the other side between two rounds
  };

  template <class Fence>
  void Play(int round, Side& mine, Side& other, Fence& fence) {
    Meet(begun_, round);
    // relaxed: the fences are what is tested.
    mine.value.store(round, std::memory_order_relaxed);
    fence();
    mine.saw = other.value.load(std::memory_order_relaxed) == round;
    Meet(ended_, round);
  }

  // Returns to both sides as close to the same moment as can be.
  static void Meet(std::atomic<int>& arrived, int round) {
    // acq_rel, and acquire below: pair with each other.
    arrived.fetch_add(1, std::memory_order_acq_rel);
    for (int spins = 0; arrived.load(std::memory_order_acquire) < 2 * round;
         ++spins) {
      if (spins > 1000) std::this_thread::yield();
    }
  }

  Side often_;
  Side rarely_;
  alignas(128) std::atomic<int> begun_ = 0;
  alignas(128) std::atomic<int> ended_ = 0;
};

constexpr int kRounds = 20'000;

TEST(AsymmetricFenceTest, OneOfTwoSeesTheOther) {
  if (!AsymmetricFence::Available()) GTEST_SKIP() << "the kernel has none";
  int failures = 0;
  const int blind = StoreBuffering().CountBlindRounds(
      kRounds, [] { AsymmetricFence::Light(); },
      [&failures] {
        if (!AsymmetricFence::Heavy().ok()) ++failures;
      });
  EXPECT_EQ(blind, 0);
  EXPECT_EQ(failures, 0);
}

// Without the heavy side there are blind rounds: the test above can fail.
TEST(AsymmetricFenceTest, NeitherSeesTheOtherWithoutTheHeavySide) {
  const auto light = [] { AsymmetricFence::Light(); };
  for (int attempt = 0; attempt < 50; ++attempt) {
    if (StoreBuffering().CountBlindRounds(kRounds, light, light) != 0) return;
  }
  GTEST_SKIP() << "this machine, or this tool, kept all stores in order";
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
