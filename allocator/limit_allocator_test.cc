#include "allocator/limit_allocator.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/arena.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(OwningAllocator<LimitAllocator<MemoryPool<>>>);
static_assert(CountingAllocator<LimitAllocator<Arena<>>>);

TEST(LimitAllocatorTest, ServesToTheLastByteAndNoFurther) {
  LimitAllocator limited({.max_bytes = 100});
  void* const a = limited.Allocate(60, 8);
  EXPECT_EQ(limited.Allocate(41, 1), nullptr);
  void* const b = limited.Allocate(40, 1);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(limited.used(), 100u);
  EXPECT_EQ(limited.Allocate(1, 1), nullptr);
  EXPECT_EQ(limited.Allocate(0, 1), nullptr);
  EXPECT_EQ(limited.Allocate(SIZE_MAX, 1), nullptr);
  EXPECT_EQ(limited.refusals(), 4u);
  limited.Deallocate(a, 60, 8);
  EXPECT_EQ(limited.used(), 40u);
  void* const c = limited.Allocate(60, 1);
  ASSERT_NE(c, nullptr);
  limited.Deallocate(b, 40, 1);
  limited.Deallocate(c, 60, 1);
  limited.Deallocate(nullptr, 60, 1);
  EXPECT_EQ(limited.used(), 0u);
}

TEST(LimitAllocatorTest, BlocksOfNoBytesAreLimitedToo) {
  LimitAllocator limited({.max_bytes = 2});
  void* const a = limited.Allocate(0, 1);
  void* const b = limited.Allocate(0, 1);
  EXPECT_EQ(limited.Allocate(0, 1), nullptr);
  limited.Deallocate(a, 0, 1);
  limited.Deallocate(b, 0, 1);
  EXPECT_EQ(limited.used(), 0u);
}

TEST(LimitAllocatorTest, AQuotaOfNothingAndOfEverything) {
  LimitAllocator none({.max_bytes = 0});
  EXPECT_EQ(none.Allocate(0, 1), nullptr);
  LimitAllocator all(LimitAllocatorOptions{});
  EXPECT_EQ(all.max_bytes(), SIZE_MAX);
  void* const p = all.Allocate(1, 1);
  EXPECT_EQ(all.Allocate(SIZE_MAX, 1), nullptr);
  all.Deallocate(p, 1, 1);
  EXPECT_EQ(all.used(), 0u);
}

TEST(LimitAllocatorTest, GivesBackWhatTheUpstreamRefused) {
  LimitAllocator<MemoryPool<>> limited(
      {.max_bytes = 1000},
      MemoryPoolOptions{.block_size = 64, .max_blocks = 1});
  void* const p = limited.Allocate(64, 8);
  EXPECT_EQ(limited.Allocate(64, 8), nullptr);
  EXPECT_EQ(limited.Allocate(65, 8), nullptr);
  EXPECT_EQ(limited.Allocate(1, 3), nullptr);
  EXPECT_EQ(limited.used(), 64u);
  EXPECT_EQ(limited.refusals(), 0u);
  limited.Deallocate(p, 64, 8);
}

TEST(LimitAllocatorTest, ResizesWithinTheQuota) {
  LimitAllocator limited({.max_bytes = 1000});
  void* p = limited.Allocate(600, 8);
  EXPECT_EQ(Reallocate(limited, p, 600, 1001, 8), nullptr);
  EXPECT_EQ(limited.used(), 600u);
  // In place, although a copy beside the old block would not fit.
  p = Reallocate(limited, p, 600, 1000, 8);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(limited.used(), 1000u);
  p = Reallocate(limited, p, 1000, 10, 8);
  EXPECT_EQ(limited.used(), 10u);
  limited.Deallocate(p, 10, 8);
}

// Holds back what its callers have together, and sees it pass a mark.
class WatchedSource {
 public:
  explicit WatchedSource(size_t most) : most_(most) {}

  void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (live_.fetch_add(bytes, std::memory_order_acq_rel) + bytes > most_) {
      passed_.store(true, std::memory_order_relaxed);
    }
    return source_.Allocate(bytes, alignment);
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    live_.fetch_sub(bytes, std::memory_order_acq_rel);
    source_.Deallocate(p, bytes, alignment);
  }
  bool passed() const { return passed_.load(std::memory_order_relaxed); }

 private:
  const size_t most_;
  std::atomic<size_t> live_ = 0;
  std::atomic<bool> passed_ = false;
  SystemSource source_;
};

TEST(LimitAllocatorTest, ThreadsTogetherNeverPassIt) {
  constexpr size_t kMost = 10'000;
  LimitAllocator<WatchedSource> limited({.max_bytes = kMost}, kMost);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&limited, t] {
      std::mt19937 random(t);
      std::vector<std::pair<void*, size_t>> blocks;
      for (int i = 0; i < 20'000; ++i) {
        const size_t bytes = random() % 4000;
        void* const p =
            random() % 2 != 0 ? limited.Allocate(bytes + 1, 8) : nullptr;
        if (p != nullptr) {
          blocks.emplace_back(p, bytes + 1);
        } else if (!blocks.empty()) {
          limited.Deallocate(blocks.back().first, blocks.back().second, 8);
          blocks.pop_back();
        }
      }
      for (const auto& [p, bytes] : blocks) limited.Deallocate(p, bytes, 8);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(limited.upstream().passed());
  EXPECT_GT(limited.refusals(), 0u);
  EXPECT_EQ(limited.used(), 0u);
}

TEST(LimitAllocatorTest, ARefusedGiantDoesNotRefuseOthers) {
  LimitAllocator limited({.max_bytes = 100});
  std::atomic<bool> stop = false;
  std::thread giant([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      EXPECT_EQ(limited.Allocate(101, 1), nullptr);
    }
  });
  for (int i = 0; i < 20'000; ++i) {
    void* const p = limited.Allocate(100, 1);
    ASSERT_NE(p, nullptr);
    limited.Deallocate(p, 100, 1);
  }
  stop.store(true, std::memory_order_relaxed);
  giant.join();
}

}  // namespace
}  // namespace mmsb
