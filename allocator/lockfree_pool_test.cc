#include "allocator/lockfree_pool.h"

#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <thread>
#include <type_traits>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/lockfree_sync.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"
#include "primitives/poison.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

static_assert(!std::is_copy_constructible_v<LockFreePool>);
static_assert(!std::is_move_constructible_v<LockFreePool>);
static_assert(!std::is_convertible_v<LockFreePoolOptions, LockFreePool>);

std::vector<void*> TakeAll(auto& pool) {
  std::vector<void*> blocks;
  while (void* const p = pool.Allocate()) blocks.push_back(p);
  return blocks;
}

template <class Body>
void OnAnotherThread(Body body) {
  std::thread(body).join();
}

TEST(LockFreePoolTest, HandsOutEveryBlockOnce) {
  LockFreePool pool({.block_size = 64, .capacity = 1000});
  EXPECT_EQ(pool.capacity(), 1000u);
  EXPECT_EQ(pool.block_size(), 64u);
  const std::vector<void*> blocks = TakeAll(pool);
  EXPECT_EQ(blocks.size(), 1000u);
  EXPECT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(), 1000u);
  for (void* block : blocks) pool.Deallocate(block);
  EXPECT_EQ(TakeAll(pool).size(), 1000u);
}

TEST(LockFreePoolTest, CapacitiesFromZeroUp) {
  for (size_t capacity = 0; capacity < 200; ++capacity) {
    LockFreePool pool({.block_size = 8, .capacity = capacity});
    const std::vector<void*> blocks = TakeAll(pool);
    EXPECT_EQ(blocks.size(), capacity);
    for (void* block : blocks) pool.Deallocate(block);
    EXPECT_EQ(pool.Stats().live(), 0u);
  }
}

TEST(LockFreePoolTest, NamesItsBlocks) {
  LockFreePool pool({.block_size = 24, .capacity = 10});
  std::set<uint64_t> names;
  for (int i = 0; i < 10; ++i) {
    const BlockId id = pool.AllocateId();
    ASSERT_TRUE(id.valid());
    EXPECT_LT(id.value(), 10u);
    names.insert(id.value());
    auto* const p = static_cast<std::byte*>(pool.AddressOf(id));
    EXPECT_EQ(pool.IdOf(p), id);
    EXPECT_EQ(pool.IdOf(p + 23), id);
  }
  EXPECT_EQ(names.size(), 10u);
  EXPECT_FALSE(pool.AllocateId().valid());
  EXPECT_FALSE(pool.IdOf(&pool).valid());
  EXPECT_FALSE(pool.IdOf(nullptr).valid());
  pool.Deallocate(BlockId());
  EXPECT_EQ(pool.Stats().deallocations(), 0u);
  pool.Deallocate(BlockId::FromValue(7));
  EXPECT_EQ(pool.AllocateId(), BlockId::FromValue(7));
}

TEST(LockFreePoolTest, FreshBlocksComeInTheOrderOfAddresses) {
  LockFreePool pool({.block_size = 32, .capacity = 256, .magazine_blocks = 32});
  for (uint64_t i = 0; i < 31; ++i) {
    EXPECT_EQ(pool.AllocateId(), BlockId::FromValue(i));
  }
}

TEST(LockFreePoolTest, CountsWhatItDoes) {
  LockFreePool pool({.block_size = 48,
                     .capacity = 32,
                     .alignment = 32,
                     .magazine_blocks = 4});
  EXPECT_EQ(pool.Stats().free(), 32u * 64);
  EXPECT_EQ(pool.Stats().peak(), 0u);
  std::vector<void*> blocks;
  for (int i = 0; i < 5; ++i) blocks.push_back(pool.Allocate());
  pool.Deallocate(blocks[0]);
  pool.Deallocate(blocks[1]);
  pool.Deallocate(nullptr);
  EXPECT_EQ(pool.Allocate(49, 1), nullptr);
  const AllocatorStats stats = pool.Stats();
  EXPECT_EQ(stats.live(), 3u * 64);
  EXPECT_EQ(stats.cached(), 5u * 64);
  EXPECT_EQ(stats.free(), 24u * 64);
  EXPECT_EQ(stats.peak(), 8u * 64);
  EXPECT_EQ(stats.allocations(), 5u);
  EXPECT_EQ(stats.deallocations(), 2u);
  EXPECT_EQ(stats.failures(), 1u);
}

TEST(LockFreePoolTest, BlocksThatWereTakenOnceAreNeverFreshAgain) {
  LockFreePool pool({.block_size = 64, .capacity = 64});
  const std::vector<void*> blocks = TakeAll(pool);
  EXPECT_EQ(pool.Stats().peak(), 64u * 64);
  OnAnotherThread([&] {
    for (void* block : blocks) pool.Deallocate(block);
  });
  EXPECT_EQ(pool.Stats().cached(), 64u * 64);
  EXPECT_EQ(pool.Stats().free(), 0u);
  EXPECT_EQ(pool.Stats().peak(), 64u * 64);
}

TEST(LockFreePoolTest, SaysHowMuchOfABlockIsUsable) {
  LockFreePool pool({.block_size = 48, .capacity = 2, .alignment = 32});
  const SizedBlock block = pool.AllocateAtLeast(10, 8);
  EXPECT_NE(block.data, nullptr);
  EXPECT_EQ(block.bytes, 48u);
  pool.Deallocate(block.data, 48, 8);
  EXPECT_EQ(pool.AllocateAtLeast(49, 8).bytes, 0u);
}

TEST(LockFreePoolTest, FreeBlocksArePoisonedAndSlackToo) {
  LockFreePool pool({.block_size = 40, .capacity = 4, .alignment = 64});
  auto* const p = static_cast<std::byte*>(pool.Allocate());
  EXPECT_FALSE(IsPoisoned(p));
  EXPECT_FALSE(IsPoisoned(p + 39));
  const bool watched = kPoisonReported || RunningOnValgrind();
  EXPECT_EQ(IsPoisoned(p + 40), watched);
  EXPECT_EQ(IsPoisoned(p + 64), watched);
  pool.Deallocate(p);
  EXPECT_EQ(IsPoisoned(p), watched);
}

// How many bytes from `p` on may be touched, of `most` that are looked at.
size_t Touchable(const std::byte* p, size_t most) {
  size_t bytes = 0;
  while (bytes < most && !IsPoisoned(p + bytes)) ++bytes;
  return bytes;
}

template <class Policy>
class LockFreePoolSlackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kPoisonReported && !RunningOnValgrind()) {
      GTEST_SKIP() << "no tool that watches accesses";
    }
  }
  BasicLockFreePool<SystemSource, Policy> pool_{
      {.block_size = 100, .capacity = 4}};
};
using Policies = ::testing::Types<Unchecked, Checked>;
TYPED_TEST_SUITE(LockFreePoolSlackTest, Policies);

TYPED_TEST(LockFreePoolSlackTest, WhatWasNotAskedForIsPoisoned) {
  // The blocks are fresh at first, and then were freed.
  for (int round = 0; round < 3; ++round) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{36}, size_t{97}}) {
      auto* const p = static_cast<std::byte*>(this->pool_.Allocate(bytes, 4));
      EXPECT_EQ(Touchable(p, 100), bytes);
      this->pool_.Deallocate(p, bytes, 4);
      EXPECT_TRUE(IsPoisoned(p));
    }
    const BlockId id = this->pool_.AllocateId();
    const auto* const whole =
        static_cast<const std::byte*>(this->pool_.AddressOf(id));
    EXPECT_EQ(Touchable(whole, 100), 100u);
    this->pool_.Deallocate(id);
    const SizedBlock block = this->pool_.AllocateAtLeast(10, 1);
    EXPECT_EQ(Touchable(static_cast<const std::byte*>(block.data), 100), 100u);
    this->pool_.Deallocate(block.data, 10, 1);
  }
}

TYPED_TEST(LockFreePoolSlackTest, ResizingMovesTheEnd) {
  auto* const p = static_cast<std::byte*>(this->pool_.Allocate(10, 4));
  size_t before = 10;
  for (const size_t bytes : {size_t{50}, size_t{100}, size_t{3}, size_t{7}}) {
    EXPECT_EQ(this->pool_.Reallocate(p, before, bytes, 4), p);
    EXPECT_EQ(Touchable(p, 100), bytes);
    before = bytes;
  }
  EXPECT_EQ(this->pool_.Reallocate(p, 7, 101, 4), nullptr);
  EXPECT_EQ(Touchable(p, 100), 7u);
  this->pool_.Deallocate(p, 7, 4);
}

TEST(LockFreePoolTest, ManyPoolsOnOneThread) {
  std::vector<std::unique_ptr<LockFreePool>> pools;
  for (int i = 0; i < 30; ++i) {
    pools.push_back(std::make_unique<LockFreePool>(
        LockFreePoolOptions{.block_size = 16, .capacity = 64}));
  }
  for (int round = 0; round < 3; ++round) {
    for (auto& pool : pools) {
      const std::vector<void*> blocks = TakeAll(*pool);
      EXPECT_EQ(blocks.size(), 64u);
      for (void* block : blocks) {
        EXPECT_TRUE(pool->Owns(block));
        pool->Deallocate(block);
      }
    }
    pools[round] = std::make_unique<LockFreePool>(
        LockFreePoolOptions{.block_size = 16, .capacity = 64});
  }
}

// Other threads keep free blocks in magazines; one that needs them all gets
// every one, again and again.
template <class Pool>
class LockFreePoolExhaustionTest : public ::testing::Test {};

using Pools =
    ::testing::Types<LockFreePool, BasicLockFreePool<SystemSource, Checked>,
                     BasicLockFreePool<SystemSource, Unchecked, SymmetricSync>>;
TYPED_TEST_SUITE(LockFreePoolExhaustionTest, Pools);

TYPED_TEST(LockFreePoolExhaustionTest, FindsWhatLivesInOthersMagazines) {
  constexpr size_t kThreads = 4;
  constexpr size_t kBlocks = 256;
  for (const size_t max_threads : {0, 1, 2}) {
    TypeParam pool(
        {.block_size = 64, .capacity = kBlocks, .max_threads = max_threads});
    std::barrier barrier(kThreads + 1);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int round = 0; round < 10; ++round) {
          std::vector<void*> blocks;
          for (size_t i = 0; i < kBlocks / kThreads; ++i) {
            blocks.push_back(pool.Allocate());
          }
          barrier.arrive_and_wait();
          for (void* block : blocks) pool.Deallocate(block);
          barrier.arrive_and_wait();  // All free, much of it in magazines.
          barrier.arrive_and_wait();  // All taken and given back.
        }
      });
    }
    for (int round = 0; round < 10; ++round) {
      barrier.arrive_and_wait();
      barrier.arrive_and_wait();
      const std::vector<void*> blocks = TakeAll(pool);
      EXPECT_EQ(blocks.size(), kBlocks);
      for (void* block : blocks) pool.Deallocate(block);
      EXPECT_EQ(pool.Stats().live(), 0u);
      barrier.arrive_and_wait();
    }
    for (std::thread& thread : threads) thread.join();
  }
}

// As many blocks as threads, each of which never holds two: nobody is ever
// refused, however blocks move.
TYPED_TEST(LockFreePoolExhaustionTest, NeverRefusesWhatMustBeThere) {
  constexpr size_t kThreads = 4;
  TypeParam pool({.block_size = 64, .capacity = kThreads, .max_threads = 3});
  std::atomic<size_t> refused = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        void* const p = pool.Allocate();
        if (p == nullptr) refused.fetch_add(1, std::memory_order_relaxed);
        pool.Deallocate(p);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused.load(), 0u);
  EXPECT_EQ(pool.Stats().allocations(), kThreads * 5000);
}

TEST(LockFreePoolThreadsTest, ShortLivedThreadsLeaveTheirBlocks) {
  LockFreePool pool({.block_size = 64, .capacity = 128, .max_threads = 2});
  for (int i = 0; i < 300; ++i) {
    OnAnotherThread([&] {
      std::vector<void*> blocks;
      for (int n = 0; n < 40; ++n) blocks.push_back(pool.Allocate());
      for (void* block : blocks) {
        ASSERT_NE(block, nullptr);
        pool.Deallocate(block);
      }
    });
  }
  const std::vector<void*> blocks = TakeAll(pool);
  EXPECT_EQ(blocks.size(), 128u);
  for (void* block : blocks) pool.Deallocate(block);
}

TEST(LockFreePoolThreadsTest, BlocksOfAnEndedThreadAreAdoptedWithoutTheft) {
  LockFreePool pool({.block_size = 64, .capacity = 64, .magazine_blocks = 32});
  void* const mine = pool.Allocate();
  OnAnotherThread([&] {
    std::vector<void*> blocks = TakeAll(pool);
    for (void* block : blocks) pool.Deallocate(block);
  });
  EXPECT_EQ(TakeAll(pool).size(), 63u);
  pool.Deallocate(mine);
}

TEST(LockFreePoolThreadsTest, DetachedThreadGoesOn) {
  LockFreePool pool({.block_size = 64, .capacity = 64, .max_threads = 1});
  pool.Deallocate(pool.Allocate());
  pool.DetachThread();
  OnAnotherThread([&] {
    for (void* block : TakeAll(pool)) pool.Deallocate(block);
  });
  EXPECT_EQ(TakeAll(pool).size(), 64u);
}

TEST(LockFreePoolThreadsTest, DestructorsOfThreadLocalsMayUseIt) {
  static LockFreePool pool({.block_size = 64, .capacity = 8});
  struct Late {
    ~Late() { pool.Deallocate(block != nullptr ? block : pool.Allocate()); }
    void* block = nullptr;
  };
  OnAnotherThread([] {
    thread_local Late late;
    late.block = pool.Allocate();
  });
  EXPECT_EQ(pool.Stats().live(), 0u);
  EXPECT_EQ(TakeAll(pool).size(), 8u);
}

TEST(LockFreePoolThreadsTest, PoolGoesBeforeTheThreadsThatUsedIt) {
  std::barrier barrier(3);
  const auto use = [](LockFreePool& pool) {
    for (int i = 0; i < 100; ++i) pool.Deallocate(pool.Allocate());
  };
  std::unique_ptr<LockFreePool> pool;
  const auto renew = [&] {
    pool = std::make_unique<LockFreePool>(
        LockFreePoolOptions{.block_size = 64, .capacity = 64});
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        barrier.arrive_and_wait();
        use(*pool);
        barrier.arrive_and_wait();
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    renew();
    barrier.arrive_and_wait();
    use(*pool);
    barrier.arrive_and_wait();
    EXPECT_EQ(pool->Stats().live(), 0u);
    pool.reset();
  }
  for (std::thread& thread : threads) thread.join();
}

// Constructed before main(), and used and destroyed behind it.
LockFreePool& StaticPool() {
  static LockFreePool pool({.block_size = 64, .capacity = 64});
  return pool;
}
struct UsesItLate {
  UsesItLate() { block = StaticPool().Allocate(); }
  ~UsesItLate() { StaticPool().Deallocate(block); }
  void* block;
} uses_it_late;

TEST(LockFreePoolThreadsTest, StaticPool) {
  EXPECT_TRUE(StaticPool().Owns(uses_it_late.block));
  OnAnotherThread([] { StaticPool().Deallocate(StaticPool().Allocate()); });
}

// Runs `body` in a forked child, where it must return 0.
template <class Body>
void InChild(Body body) {
  GTEST_FLAG_SET(death_test_style, "fast");  // A bare fork().
  EXPECT_EXIT(std::_Exit(body()), ::testing::ExitedWithCode(0), "");
}

TEST(LockFreePoolForkTest, ChildHasAllBlocksOfThreadsAtRest) {
  LockFreePool pool({.block_size = 64, .capacity = 256});
  std::barrier barrier(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      std::vector<void*> blocks;
      for (int i = 0; i < 60; ++i) blocks.push_back(pool.Allocate());
      for (void* block : blocks) pool.Deallocate(block);
      barrier.arrive_and_wait();
      barrier.arrive_and_wait();
    });
  }
  barrier.arrive_and_wait();
  void* const mine = pool.Allocate();
  InChild([&] {
    for (int round = 0; round < 2; ++round) {
      const std::vector<void*> blocks = TakeAll(pool);
      if (blocks.size() != 255) return 1;
      for (void* block : blocks) pool.Deallocate(block);
    }
    int code = 0;
    if (!kThreadSanitizer) {  // It lets no such child start a thread.
      OnAnotherThread([&] { code = TakeAll(pool).size() == 255 ? 0 : 2; });
    }
    return code;
  });
  pool.Deallocate(mine);
  barrier.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(TakeAll(pool).size(), 256u);
}

TEST(LockFreePoolForkTest, ChildGoesOnWhateverOthersWereDoing) {
  constexpr size_t kThreads = 3;
  constexpr size_t kBlocks = 96;
  LockFreePool pool({.block_size = 64, .capacity = kBlocks, .max_threads = 3});
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      void* blocks[20] = {};
      while (!stop.load(std::memory_order_relaxed)) {
        for (void*& block : blocks) block = pool.Allocate();
        for (void* block : blocks) pool.Deallocate(block);
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    InChild([&] {
      // What threads held when they vanished is live for good: 20 each, and one
      // on its way.
      std::vector<void*> blocks = TakeAll(pool);
      if (blocks.size() < kBlocks - kThreads * 21) return 1;
      const size_t count = blocks.size();
      if (std::set<void*>(blocks.begin(), blocks.end()).size() != count) {
        return 2;
      }
      for (void* block : blocks) pool.Deallocate(block);
      return TakeAll(pool).size() == count ? 0 : 3;
    });
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(TakeAll(pool).size(), kBlocks);
}

}  // namespace
}  // namespace mmsb
