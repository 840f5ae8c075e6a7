// What threads that end, detach, or vanish in a fork leave behind, in pools
// where nobody steals: their blocks reach another thread by the end being told,
// by adoption, by the repair after a fork, or not at all.

#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/system_source.h"
#include "allocator/testing/hooked_sync.h"
#include "gtest/gtest.h"
#include "primitives/poison.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

// From one atomic operation at which a child is started to the next: under a
// sanitizer a fork takes some 80 ms.
constexpr size_t kStride = kPoisonReported || kThreadSanitizer ? 11 : 1;

using Pool = BasicLockFreePool<SystemSource, Unchecked, HookedSync>;

std::vector<void*> TakeAll(Pool& pool) {
  std::vector<void*> blocks;
  while (void* const p = pool.Allocate()) blocks.push_back(p);
  return blocks;
}

void GiveAll(Pool& pool, const std::vector<void*>& blocks) {
  for (void* block : blocks) pool.Deallocate(block);
}

// A thread that has run `first`, and then lives on until it is destroyed.
class Lingering {
 public:
  template <class Work>
  explicit Lingering(Work first)
      : thread_([this, first] {
          first();
          barrier_.arrive_and_wait();
          barrier_.arrive_and_wait();
        }) {
    barrier_.arrive_and_wait();
  }
  ~Lingering() {
    barrier_.arrive_and_wait();
    thread_.join();
  }

 private:
  std::barrier<> barrier_{2};
  std::thread thread_;
};

constexpr LockFreePoolOptions kTwoRecords = {
    .block_size = 64, .capacity = 8, .magazine_blocks = 4, .max_threads = 2};
constexpr LockFreePoolOptions kOneRecord = {
    .block_size = 64, .capacity = 8, .magazine_blocks = 4, .max_threads = 1};

TEST(LockFreePoolDepartureTest, WhatALivingThreadKeepsIsRefusedWithoutFences) {
  Pool pool(kTwoRecords);
  const Lingering other([&] { GiveAll(pool, TakeAll(pool)); });
  EXPECT_EQ(pool.Allocate(), nullptr);
  EXPECT_EQ(pool.Stats().failures(), 2u);
  EXPECT_EQ(pool.Stats().cached(), 8u * 64);
}

TEST(LockFreePoolDepartureTest, BlocksOfAnEndedThreadAreAdopted) {
  Pool pool(kTwoRecords);
  void* const mine = pool.Allocate();
  std::thread([&] { GiveAll(pool, TakeAll(pool)); }).join();
  EXPECT_EQ(TakeAll(pool).size(), 7u);
  pool.Deallocate(mine);
}

TEST(LockFreePoolDepartureTest, BlocksOfADetachedThreadAreAdopted) {
  Pool pool(kTwoRecords);
  void* const mine = pool.Allocate();
  const Lingering other([&] {
    GiveAll(pool, TakeAll(pool));
    pool.DetachThread();
  });
  EXPECT_EQ(TakeAll(pool).size(), 7u);
  pool.Deallocate(mine);
}

TEST(LockFreePoolDepartureTest, TheNextThreadHasTheRecordOfAnEndedOne) {
  Pool pool(kOneRecord);
  for (int i = 0; i < 20; ++i) {
    std::thread([&] {
      const std::vector<void*> blocks = TakeAll(pool);
      EXPECT_EQ(blocks.size(), 8u);
      GiveAll(pool, blocks);
    }).join();
  }
}

TEST(LockFreePoolDepartureTest,
     AThreadWithoutARecordIsServedFromFullMagazines) {
  Pool pool(kOneRecord);
  void* const mine = pool.Allocate();
  const Lingering other([&] {
    const std::vector<void*> blocks = TakeAll(pool);
    EXPECT_EQ(blocks.size(), 4u);  // All but the rest of the loaded magazine.
    GiveAll(pool, blocks);
    EXPECT_EQ(TakeAll(pool).size(), 4u);
  });
  pool.Deallocate(mine);
}

// A thread that stops before one of its atomic operations, until it is let go.
// It takes blocks and gives them back, so that it exchanges magazines.
class Stopped {
 public:
  static constexpr size_t kBlocks = 7;

  Stopped(Pool& pool, size_t at)
      : thread_([this, &pool, at] {
          atomic_hook = {
              .action = [](void* self) { static_cast<Stopped*>(self)->Stop(); },
              .argument = this,
              .at = at};
          for (int round = 0; round < 2; ++round) {
            for (void*& block : held_) {
              block = pool.Allocate();
              if (block != nullptr) ++count_;
            }
            for (void*& block : held_) {
              if (block != nullptr) --count_;
              pool.Deallocate(block);
            }
          }
          atomic_hook = {};
          if (!stopped()) Wait(kEnded);
        }) {
    // acquire: pairs with the release in Wait.
    while (state_.load(std::memory_order_acquire) == kRuns) {
      std::this_thread::yield();
    }
  }
  ~Stopped() {
    let_go_.store(true, std::memory_order_relaxed);
    thread_.join();
  }

  // False when it got to the end.
  [[nodiscard]] bool stopped() const {
    return state_.load(std::memory_order_relaxed) == kStopped;
  }

  // How many blocks it holds, besides one that it is taking or giving back.
  [[nodiscard]] size_t count() const { return count_; }

 private:
  enum State { kRuns, kStopped, kEnded };

  void Stop() { Wait(kStopped); }
  void Wait(State state) {
    // release: pairs with the acquire above.
    state_.store(state, std::memory_order_release);
    while (!let_go_.load(std::memory_order_relaxed)) {
      std::this_thread::yield();
    }
  }

  std::atomic<State> state_ = kRuns;
  std::atomic<bool> let_go_ = false;
  void* held_[kBlocks] = {};
  size_t count_ = 0;
  std::thread thread_;
};

// 0 when the child has every block that no vanished thread held, but for one
// that was on its way, and has them a second time.
int CheckChild(Pool& pool, size_t held) {
  for (int round = 0; round < 2; ++round) {
    const std::vector<void*> blocks = TakeAll(pool);
    const size_t count = blocks.size();
    if (count + held != pool.capacity() &&
        count + held + 1 != pool.capacity()) {
      return 1;
    }
    if (std::set<void*>(blocks.begin(), blocks.end()).size() != count) return 2;
    GiveAll(pool, blocks);
    if (pool.Stats().live() != (pool.capacity() - count) * 64) return 3;
  }
  return 0;
}

// True when the other thread was stopped there.
bool ForkWhileStoppedAt(const LockFreePoolOptions& options, size_t at) {
  Pool pool(options);
  const Stopped other(pool, at);
  EXPECT_EXIT(std::_Exit(CheckChild(pool, other.count())),
              ::testing::ExitedWithCode(0), "")
      << "stopped at " << at;
  return other.stopped();
}

TEST(LockFreePoolDepartureTest, AChildHasTheBlocksOfVanishedThreadsAtRest) {
  GTEST_FLAG_SET(death_test_style, "fast");  // A bare fork().
  for (const LockFreePoolOptions& options : {kTwoRecords, kOneRecord}) {
    Pool pool(options);
    const Lingering other([&] { GiveAll(pool, TakeAll(pool)); });
    EXPECT_EXIT(std::_Exit(CheckChild(pool, 0)), ::testing::ExitedWithCode(0),
                "");
  }
}

TEST(LockFreePoolDepartureTest, AChildGoesOnFromEveryStepOfAnother) {
  GTEST_FLAG_SET(death_test_style, "fast");
  for (const LockFreePoolOptions& options :
       {LockFreePoolOptions{.block_size = 64,
                            .capacity = 8,
                            .magazine_blocks = 1,
                            .max_threads = 1},
        LockFreePoolOptions{.block_size = 64,
                            .capacity = 9,
                            .magazine_blocks = 2,
                            .max_threads = 2}}) {
    size_t steps = 0;
    while (ForkWhileStoppedAt(options, steps) && !HasFailure()) {
      steps += kStride;
    }
    EXPECT_GE(steps, 100u);
  }
}

}  // namespace
}  // namespace mmsb
