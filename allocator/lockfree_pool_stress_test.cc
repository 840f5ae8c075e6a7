// Threads that take, fill, hand on, look at and give back blocks at once: a
// block that two of them have at one time shows another's bytes, and is a data
// race for ThreadSanitizer.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/lockfree_sync.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

constexpr int kSteps = kThreadSanitizer ? 4000 : 40000;

constexpr size_t kThreads = 4;
constexpr size_t kWords = 8;
constexpr size_t kBlockBytes = kWords * sizeof(uint64_t);

// Fills a block so that every word tells of the seed.
void Fill(void* block, uint64_t seed) {
  auto* const words = static_cast<uint64_t*>(block);
  for (size_t i = 0; i < kWords; ++i) words[i] = seed + i;
}

bool Intact(const void* block) {
  const auto* const words = static_cast<const uint64_t*>(block);
  for (size_t i = 1; i < kWords; ++i) {
    if (words[i] != words[0] + i) return false;
  }
  return true;
}

// Where threads leave blocks for others.
class Exchange {
 public:
  // Leaves `block`, and returns what lay at that place, or null.
  void* Swap(size_t place, void* block) {
    // acq_rel: publishes what was written to the block, and sees it.
    return places_[place % kPlaces].exchange(block, std::memory_order_acq_rel);
  }
  template <class Give>
  void Drain(Give give) {
    for (std::atomic<void*>& place : places_) {
      give(place.exchange(nullptr, std::memory_order_acq_rel));
    }
  }

 private:
  static constexpr size_t kPlaces = 16;
  std::atomic<void*> places_[kPlaces] = {};
};

template <class Pool>
class LockFreePoolStressTest : public ::testing::Test {
 protected:
  // `steps` random steps of one thread that holds up to `hold` blocks.
  static void Work(Pool& pool, Exchange& exchange, uint64_t seed, size_t hold,
                   int steps, std::atomic<size_t>& damaged) {
    std::mt19937_64 random(seed);
    std::vector<void*> held;
    const auto give = [&](void* block) {
      if (block == nullptr) return;
      if (!Intact(block)) damaged.fetch_add(1, std::memory_order_relaxed);
      pool.Deallocate(block);
    };
    for (int step = 0; step < steps; ++step) {
      const uint64_t choice = random() % 8;
      if (choice < 4 && held.size() < hold) {
        void* const block = pool.Allocate();
        if (block == nullptr) continue;
        Fill(block, random());
        held.push_back(block);
      } else if (choice < 6 && !held.empty()) {
        give(exchange.Swap(random(), held.back()));
        held.pop_back();
      } else if (!held.empty()) {
        std::swap(held[random() % held.size()], held.back());
        give(held.back());
        held.pop_back();
      }
      if (random() % 4096 == 0) pool.DetachThread();
    }
    for (void* block : held) give(block);
  }

  static void Run(const LockFreePoolOptions& options, size_t hold) {
    Pool pool(options);
    Exchange exchange;
    std::atomic<size_t> damaged = 0;
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back(
          [&, t] { Work(pool, exchange, t + 1, hold, kSteps, damaged); });
    }
    for (std::thread& thread : threads) thread.join();
    exchange.Drain([&](void* block) { pool.Deallocate(block); });
    EXPECT_EQ(damaged.load(), 0u);
    EXPECT_EQ(pool.Stats().live(), 0u);
    size_t blocks = 0;
    while (pool.Allocate() != nullptr) ++blocks;
    EXPECT_EQ(blocks, options.capacity);
  }
};

using Pools =
    ::testing::Types<LockFreePool, BasicLockFreePool<SystemSource, Checked>,
                     BasicLockFreePool<SystemSource, Unchecked, SymmetricSync>>;
TYPED_TEST_SUITE(LockFreePoolStressTest, Pools);

TYPED_TEST(LockFreePoolStressTest, PlentyOfBlocks) {
  TestFixture::Run({.block_size = kBlockBytes, .capacity = 4096}, 200);
}

TYPED_TEST(LockFreePoolStressTest, MagazinesOfTwo) {
  TestFixture::Run(
      {.block_size = kBlockBytes, .capacity = 512, .magazine_blocks = 2}, 50);
}

TYPED_TEST(LockFreePoolStressTest, ScarceBlocksAndTheft) {
  TestFixture::Run({.block_size = kBlockBytes,
                    .capacity = 24,
                    .magazine_blocks = 4,
                    .max_threads = kThreads},
                   10);
}

TYPED_TEST(LockFreePoolStressTest, MoreThreadsThanRecords) {
  TestFixture::Run({.block_size = kBlockBytes,
                    .capacity = 200,
                    .magazine_blocks = 8,
                    .max_threads = 2},
                   60);
}

// Neighbours that are smaller than what a tool keeps one state for.
TYPED_TEST(LockFreePoolStressTest, BlocksSmallerThanAGranule) {
  for (const size_t block_size : {size_t{1}, size_t{4}, size_t{12}}) {
    TypeParam pool({.block_size = block_size,
                    .capacity = 4,
                    .magazine_blocks = 1,
                    .max_threads = kThreads});
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int step = 0; step < kSteps; ++step) {
          auto* const block = static_cast<volatile char*>(pool.Allocate());
          if (block == nullptr) continue;
          block[0] = 1;
          block[block_size - 1] = 1;
          pool.Deallocate(const_cast<char*>(block));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(pool.Stats().live(), 0u);
  }
}

TYPED_TEST(LockFreePoolStressTest, ThreadsComeAndGo) {
  TypeParam pool({.block_size = kBlockBytes,
                  .capacity = 64,
                  .magazine_blocks = 4,
                  .max_threads = 3});
  Exchange exchange;
  std::atomic<size_t> damaged = 0;
  for (uint64_t wave = 0; wave < 30; ++wave) {
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        TestFixture::Work(pool, exchange, wave * kThreads + t, 20, 200,
                          damaged);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  exchange.Drain([&](void* block) { pool.Deallocate(block); });
  EXPECT_EQ(damaged.load(), 0u);
  EXPECT_EQ(pool.Stats().live(), 0u);
}

}  // namespace
}  // namespace mmsb
