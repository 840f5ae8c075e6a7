// Forks of a process whose other threads are in the middle of calls.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/slab.h"
#include "allocator/slab_size_classes.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/os_error.h"
#include "primitives/os_fork.h"

// ThreadSanitizer: the decay's thread is started in forked children here.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace mmsb {
namespace {

// Takes and gives blocks of every kind, and looks at their contents.
bool Exercise(SlabAllocator& slab, int steps, unsigned seed) {
  std::mt19937 random(seed);
  struct Block {
    unsigned char* p;
    size_t bytes;
    unsigned char mark;  // each of its bytes
  };
  std::vector<Block> live;
  bool good = true;
  for (int step = 0; step < steps; ++step) {
    const size_t bytes = random() % (step % 50 == 0 ? 100'000 : 2000) + 1;
    auto* const p = static_cast<unsigned char*>(slab.Allocate(bytes, 8));
    if (p == nullptr) return false;
    const auto mark = static_cast<unsigned char>(bytes);
    std::memset(p, mark, bytes);
    live.push_back({p, bytes, mark});
    if (bytes > kSlabMaxBytes) {
      void* const grown = slab.Reallocate(p, bytes, 2 * bytes, 8);
      if (grown != nullptr) {
        Block& block = live.back();
        block.p = static_cast<unsigned char*>(grown);
        std::memset(block.p + bytes, mark, bytes);
        block.bytes = 2 * bytes;
      }
    }
    if (live.size() > 100) {
      std::swap(live[random() % live.size()], live.back());
      for (int i = 0; i < 2; ++i) {
        const Block block = live.back();
        live.pop_back();
        for (size_t j = 0; j < block.bytes; ++j) {
          good &= block.p[j] == block.mark;
        }
        slab.Deallocate(block.p, block.bytes, 8);
      }
    }
  }
  for (const Block& block : live) slab.Deallocate(block.p, block.bytes, 8);
  return good;
}

// Forks as a death test of the fast style does, without exec, and expects that
// `child` returns true in the child.
template <class Child>
void ExpectInChild(Child&& child) {
  GTEST_FLAG_SET(death_test_style, "fast");
  EXPECT_EXIT(std::_Exit(child() ? 0 : 1), ::testing::ExitedWithCode(0), "");
}

// A thread makes the process's first allocator while another one forks. First
// of these tests: behind another there is nothing left to make.
TEST(SlabForkDeathTest, AForkDuringTheFirstConstruction) {
  static std::atomic<bool> begun = false;
  static std::thread first;
  ForkHook hook;
  const OsError error = hook.Register(
      {.before =
           [](void*) {
             first = std::thread([] {
               begun = true;
               const SlabAllocator slab({.decay_ns = 0});
             });
             while (!begun) std::this_thread::yield();
             // Until it waits for the fork.
             std::this_thread::sleep_for(std::chrono::milliseconds(50));
           }},
      nullptr);
  ASSERT_TRUE(error.ok());
  ExpectInChild([] {
    std::thread([] {
      std::this_thread::sleep_for(std::chrono::seconds(10));
      std::_Exit(2);
    }).detach();
    SlabAllocator slab({.decay_ns = 0});
    return slab.Allocate(1, 1) != nullptr;
  });
  first.join();
}

TEST(SlabForkDeathTest, TheChildGoesOnWhateverOtherThreadsWereDoing) {
  SlabAllocator slab({.decay_ns = 1'000'000});
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      while (!done) {
        if (!Exercise(slab, 300, i)) ++failures;
      }
    });
  }
  auto* const kept = static_cast<char*>(slab.Allocate(1000, 8));
  std::memset(kept, 42, 1000);
  for (unsigned i = 0; i < 30; ++i) {
    ExpectInChild([&] {
      if (kept[999] != 42 || !Exercise(slab, 300, 100 + i)) return false;
      slab.Deallocate(kept, 1000, 8);
      slab.Purge();
      return slab.Stats().IdentityHolds();
    });
    EXPECT_TRUE(Exercise(slab, 50, i));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  slab.Deallocate(kept, 1000, 8);
  EXPECT_EQ(slab.Stats().live(), 0u);
}

TEST(SlabForkDeathTest, TheChildAdoptsTheCachesOfThreadsThatItDoesNotHave) {
  SlabAllocator slab({.decay_ns = 0});
  std::atomic<int> state = 0;
  std::thread other([&] {
    std::vector<void*> blocks;
    for (int i = 0; i < 1000; ++i) blocks.push_back(slab.Allocate(1000, 8));
    for (void* const block : blocks) slab.Deallocate(block, 1000, 8);
    state = 1;
    while (state != 2) std::this_thread::yield();
  });
  while (state != 1) std::this_thread::yield();
  EXPECT_GT(slab.Stats().cached(), 0u);
  ExpectInChild([&] {
    slab.Purge();
    return slab.Stats().cached() == 0 && slab.Stats().live() == 0 &&
           slab.Stats().IdentityHolds() && Exercise(slab, 100, 1);
  });
  state = 2;
  other.join();
}

TEST(SlabForkDeathTest, TheChildHasADecayOfItsOwn) {
  SlabAllocator slab({.decay_ns = 4'000'000});
  EXPECT_TRUE(Exercise(slab, 3000, 1));
  ExpectInChild([&] {
    std::vector<void*> blocks;
    for (int i = 0; i < 4000; ++i) blocks.push_back(slab.Allocate(1000, 8));
    const size_t full = slab.Stats().committed();
    for (void* const block : blocks) slab.Deallocate(block, 1000, 8);
    while (slab.Stats().committed() > full - 2 * kMiB) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  });
}

// Idle but for one block, which is what makes it notice that it is a child.
TEST(SlabForkDeathTest, TheChildsDecayEmptiesWhatOtherThreadsKept) {
  SlabAllocator slab({.decay_ns = 4'000'000});
  // With a cache of its own the child's thread adopts no other.
  void* const p = slab.Allocate(1000, 8);
  std::atomic<int> state = 0;
  std::thread other([&] {
    std::vector<void*> blocks;
    for (int i = 0; i < 30; ++i) blocks.push_back(slab.Allocate(1000, 8));
    for (void* const block : blocks) slab.Deallocate(block, 1000, 8);
    state = 1;
    while (state != 2) std::this_thread::yield();
  });
  while (state != 1) std::this_thread::yield();
  const size_t cached = slab.Stats().cached();
  EXPECT_GE(cached, 16'000u);
  ExpectInChild([&] {
    if (slab.Allocate(64, 8) == nullptr) return false;
    while (slab.Stats().cached() > cached / 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  });
  state = 2;
  other.join();
  slab.Deallocate(p, 1000, 8);
}

}  // namespace
}  // namespace mmsb
