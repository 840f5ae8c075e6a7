// Long random runs against a model, with fixed seeds. Several threads take
// turns, so that magazines fill, run out, are exchanged, stolen from, left
// behind and adopted, while the model always knows what is live.

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/lockfree_sync.h"
#include "allocator/system_source.h"
#include "allocator/testing/block_ledger.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

// A thread that runs what it is handed, while the caller waits.
class Puppet {
 public:
  Puppet() : thread_([this] { Loop(); }) {}
  ~Puppet() {
    Run(nullptr);
    thread_.join();
  }

  void Run(std::function<void()> work) {
    std::unique_lock lock(mutex_);
    work_ = std::move(work);
    pending_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !pending_; });
  }

 private:
  void Loop() {
    std::unique_lock lock(mutex_);
    for (bool more = true; more;) {
      changed_.wait(lock, [this] { return pending_; });
      more = work_ != nullptr;
      if (more) work_();
      pending_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;
  bool pending_ = false;
  std::thread thread_;
};

template <class Pool>
void RunAgainstModel(Pool& pool, std::mt19937_64& random) {
  std::vector<std::unique_ptr<Puppet>> puppets(random() % 4 + 1);
  for (auto& puppet : puppets) puppet = std::make_unique<Puppet>();
  BlockLedger ledger;
  std::vector<void*> live;
  uint64_t served = 0;
  uint64_t refused = 0;
  size_t most_live = 0;
  size_t last_peak = 0;
  const auto on_any = [&](std::function<void()> work) {
    puppets[random() % puppets.size()]->Run(std::move(work));
  };
  for (int step = 0; step < 1200; ++step) {
    // Phases that fill and phases that empty.
    const bool fill = random() % 8 < (step / 200 % 2 == 0 ? 7u : 1u);
    if (fill) {
      void* p = nullptr;
      on_any([&] { p = pool.Allocate(); });
      ASSERT_EQ(p != nullptr, live.size() < pool.capacity());
      if (p == nullptr) {
        ++refused;
      } else {
        ASSERT_EQ(ledger.Add(p, pool.block_size(), pool.alignment()), "");
        live.push_back(p);
        ++served;
      }
    } else if (!live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      ASSERT_EQ(ledger.Remove(live.back()), "");
      on_any([&] { pool.Deallocate(live.back()); });
      live.pop_back();
    }
    if (random() % 100 == 0) {
      puppets[random() % puppets.size()] = std::make_unique<Puppet>();
    } else if (random() % 100 == 0) {
      on_any([&] { pool.DetachThread(); });
    }
    const AllocatorStats stats = pool.Stats();
    ASSERT_EQ(stats.allocations(), served);
    ASSERT_EQ(stats.deallocations(), served - live.size());
    ASSERT_EQ(stats.failures(), refused);
    const size_t bytes = stats.committed() - stats.metadata();
    const size_t stride = bytes / pool.capacity();
    ASSERT_EQ(stats.live(), live.size() * stride);
    most_live = std::max(most_live, live.size());
    ASSERT_GE(stats.peak(), most_live * stride);
    ASSERT_GE(stats.peak(), last_peak);
    ASSERT_EQ(stats.free(), bytes - stats.peak());
    ASSERT_EQ(stats.cached(), stats.peak() - stats.live());
    last_peak = stats.peak();
  }
  ASSERT_EQ(ledger.Check(), "");
  for (void* block : live) pool.Deallocate(block);
  ASSERT_EQ(pool.Stats().live(), 0u);
}

template <class Pool>
class LockFreePoolPropertyTest : public ::testing::Test {};

using Pools =
    ::testing::Types<BasicLockFreePool<SystemSource, Unchecked, SystemSync>,
                     BasicLockFreePool<SystemSource, Checked, SystemSync>,
                     BasicLockFreePool<SystemSource, Unchecked, SymmetricSync>>;
TYPED_TEST_SUITE(LockFreePoolPropertyTest, Pools);

TYPED_TEST(LockFreePoolPropertyTest, AgreesWithTheModel) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    TypeParam pool(
        {.block_size = random() % 100 + 1,
         .capacity = random() % (random() % 200 + 1) + 1,
         .alignment = random() % 2 == 0 ? 0 : size_t{1} << random() % 9,
         .magazine_blocks = random() % 2 == 0 ? 0 : size_t{1} << random() % 5,
         .max_threads = random() % 4});
    RunAgainstModel(pool, random);
    if (this->HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace mmsb
