// The thread-safe adaptors, with blocks handed from thread to thread. Every
// block is filled from its own seed, so that one that two threads got, or that
// was written by another, is seen; ThreadSanitizer sees the rest.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/fallback_allocator.h"
#include "allocator/guarded_allocator.h"
#include "allocator/limit_allocator.h"
#include "allocator/locked_allocator.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/sharded_counters.h"
#include "allocator/stats_allocator.h"
#include "allocator/system_source.h"
#include "allocator/tracking_allocator.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

// A block begins with this, and the rest is filled with `seed`.
struct Header {
  uint32_t bytes;
  unsigned char seed;
};

constexpr size_t kThreads = 4;

template <RawAllocator A>
void Stress(A& allocator, int steps) {
  // Where threads leave blocks for one another.
  std::array<std::atomic<Header*>, 64> desk{};
  const auto give_back = [&allocator](Header* block) {
    if (block == nullptr) return;
    const auto* const bytes = reinterpret_cast<const unsigned char*>(block);
    for (size_t i = sizeof(Header); i < block->bytes; ++i) {
      ASSERT_EQ(bytes[i], block->seed);
    }
    allocator.Deallocate(block, block->bytes, alignof(Header));
  };
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int step = 0; step < steps; ++step) {
        const auto bytes =
            static_cast<uint32_t>(sizeof(Header) + random() % 100);
        void* const p = allocator.Allocate(bytes, alignof(Header));
        Header* block = nullptr;
        if (p != nullptr) {
          const auto seed = static_cast<unsigned char>(random());
          std::memset(p, seed, bytes);
          block = ::new (p) Header{bytes, seed};
        }
        // Acquire-release: the contents of the block left here, and of the one
        // taken, pass with its pointer.
        give_back(desk[random() % desk.size()].exchange(
            block, std::memory_order_acq_rel));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (auto& place : desk) {
    give_back(place.load(std::memory_order_relaxed));
  }
  if constexpr (CountingAllocator<A>) {
    EXPECT_TRUE(allocator.Stats().IdentityHolds());
  }
}

TEST(AdaptorsStressTest, Stats) {
  StatsAllocator<SystemSource, ShardedCounters> counted;
  Stress(counted, 20'000);
  EXPECT_EQ(counted.Stats().live(), 0u);
  EXPECT_EQ(counted.Stats().allocations(), kThreads * 20'000);
  EXPECT_EQ(counted.Stats().deallocations(), kThreads * 20'000);
}

TEST(AdaptorsStressTest, Limit) {
  LimitAllocator limited({.max_bytes = 2000});
  Stress(limited, 20'000);
  EXPECT_EQ(limited.used(), 0u);
  EXPECT_GT(limited.refusals(), 0u);
}

TEST(AdaptorsStressTest, LockedTracking) {
  LockedAllocator<TrackingAllocator<>> locked;
  Stress(locked, 10'000);
  EXPECT_EQ(locked.With([](auto& inner) { return inner.live_blocks(); }), 0u);
}

TEST(AdaptorsStressTest, LockedPool) {
  LockedAllocator<MemoryPool<SystemSource, Checked>> locked(
      MemoryPoolOptions{.block_size = 128, .max_blocks = 50});
  Stress(locked, 10'000);
  EXPECT_EQ(locked.Stats().live(), 0u);
}

TEST(AdaptorsStressTest, LockedGuarded) {
  LockedAllocator<GuardedAllocator> locked(
      GuardedAllocatorOptions{.quarantine_blocks = 50});
  Stress(locked, 500);
  EXPECT_EQ(locked.Stats().live(), 0u);
}

TEST(AdaptorsStressTest, StatsOverLimitOverFallback) {
  using Fallback =
      FallbackAllocator<LockedAllocator<MemoryPool<SystemSource, Checked>>,
                        SystemSource>;
  StatsAllocator<LimitAllocator<Fallback>, ShardedCounters> all(
      LimitAllocatorOptions{.max_bytes = 3000},
      MemoryPoolOptions{.block_size = 64, .max_blocks = 10});
  Stress(all, 10'000);
  EXPECT_EQ(all.upstream().used(), 0u);
  EXPECT_EQ(all.upstream().upstream().first().Stats().live(), 0u);
}

}  // namespace
}  // namespace mmsb
