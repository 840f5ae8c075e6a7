// Many threads, blocks handed from one to another, and threads that come and
// go; run it under ThreadSanitizer too.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/slab.h"
#include "allocator/slab_size_classes.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

constexpr int kScale = kThreadSanitizer ? 1 : 8;

struct Block {
  unsigned char* p = nullptr;
  size_t bytes = 0;
  unsigned char seed = 0;

  void Write() const { std::memset(p, seed, bytes); }
  bool IsIntact() const {
    for (size_t i = 0; i < bytes; ++i) {
      if (p[i] != seed) return false;
    }
    return true;
  }
};

// Where threads leave blocks for each other.
class Exchange {
 public:
  // Puts a block in some place and takes out what was there.
  Block Swap(size_t place, const Block& block) {
    const std::lock_guard lock(mutexes_[place % kPlaces]);
    const Block old = blocks_[place % kPlaces];
    blocks_[place % kPlaces] = block;
    return old;
  }

  static constexpr size_t kPlaces = 64;

 private:
  std::mutex mutexes_[kPlaces];
  Block blocks_[kPlaces];
};

template <class Slab>
void Work(Slab& slab, Exchange& exchange, uint64_t seed, int steps,
          std::atomic<int>& failures) {
  std::mt19937_64 random(seed);
  std::vector<Block> mine;
  for (int step = 0; step < steps; ++step) {
    const uint64_t dice = random();
    if (mine.size() < 100 && dice % 2 == 0) {
      Block block;
      block.bytes = random() % (random() % 8 == 0 ? 40'000 : 600) + 1;
      block.p = static_cast<unsigned char*>(slab.Allocate(block.bytes, 8));
      block.seed = static_cast<unsigned char>(random());
      if (block.p == nullptr) {
        ++failures;
        continue;
      }
      block.Write();
      mine.push_back(block);
    } else if (!mine.empty()) {
      const size_t i = random() % mine.size();
      std::swap(mine[i], mine.back());
      Block block = mine.back();
      mine.pop_back();
      if (dice % 4 != 1) block = exchange.Swap(random(), block);
      if (block.p == nullptr) continue;
      if (!block.IsIntact()) ++failures;
      if (dice % 8 == 3) {
        slab.Deallocate(block.p);
      } else {
        slab.Deallocate(block.p, block.bytes, 8);
      }
    }
    if (step % 4096 == 4095) slab.Purge();
    if (step % 2048 == 2047 && slab.Stats().committed() == 0) ++failures;
  }
  for (const Block& block : mine) {
    if (!block.IsIntact()) ++failures;
    slab.Deallocate(block.p, block.bytes, 8);
  }
}

template <class Slab>
void GiveRest(Slab& slab, Exchange& exchange) {
  for (size_t place = 0; place < Exchange::kPlaces; ++place) {
    const Block block = exchange.Swap(place, Block());
    if (block.p != nullptr) slab.Deallocate(block.p, block.bytes, 8);
  }
}

template <class Policy>
void Stress() {
  BasicSlabAllocator<Policy> slab({.decay_ns = 4'000'000});
  Exchange exchange;
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back(
        [&, i] { Work(slab, exchange, i, 10'000 * kScale, failures); });
  }
  for (std::thread& thread : threads) thread.join();
  GiveRest(slab, exchange);
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(slab.Stats().live(), 0u);
  EXPECT_EQ(slab.Stats().allocations(), slab.Stats().deallocations());
  slab.Purge();
  EXPECT_EQ(slab.Stats().cached(), 0u);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
}

TEST(SlabStress, BlocksChangeHands) { Stress<Unchecked>(); }
TEST(SlabStress, BlocksChangeHandsChecked) { Stress<Checked>(); }

TEST(SlabStress, ThreadsComeAndGo) {
  SlabAllocator slab({.decay_ns = 4'000'000});
  Exchange exchange;
  std::atomic<int> failures = 0;
  std::vector<std::thread> spawners;
  for (uint64_t i = 0; i < 2; ++i) {
    spawners.emplace_back([&, i] {
      for (uint64_t n = 0; n < 40 * kScale; ++n) {
        std::thread([&] {
          Work(slab, exchange, i << 32 | n, 200, failures);
        }).join();
      }
    });
  }
  for (std::thread& spawner : spawners) spawner.join();
  GiveRest(slab, exchange);
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(slab.Stats().live(), 0u);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
}

TEST(SlabStress, CachesOfEndedThreadsAreAdopted) {
  SlabAllocator slab({.decay_ns = 0});
  size_t metadata = 0;
  for (int i = 0; i < 50; ++i) {
    std::thread([&] {
      void* const p = slab.Allocate(100, 8);
      slab.Deallocate(p, 100, 8);
    }).join();
    if (i == 0) metadata = slab.Stats().metadata();
  }
  // One cache served them all, and its blocks did too.
  EXPECT_EQ(slab.Stats().metadata(), metadata);
  EXPECT_GT(slab.Stats().cached(), 0u);
  slab.Purge();
  EXPECT_EQ(slab.Stats().cached(), 0u);
}

// The decay empties the caches of ended threads, and so does the walk.
TEST(SlabStress, WalksWhileTheDecayRuns) {
  SlabAllocator slab({.decay_ns = 4'000});
  for (int round = 0; round < 250 * kScale; ++round) {
    std::thread([&] {
      std::vector<void*> blocks;
      for (int i = 0; i < 600; ++i) blocks.push_back(slab.Allocate(1000, 8));
      for (void* const block : blocks) slab.Deallocate(block, 1000, 8);
      blocks.clear();
      for (int i = 0; i < 128; ++i) blocks.push_back(slab.Allocate(16, 8));
      for (void* const block : blocks) slab.Deallocate(block, 16, 8);
    }).join();
    slab.ForEachLive([](void* p, size_t) { ADD_FAILURE() << p; });
    EXPECT_EQ(slab.Stats().live(), 0u);
  }
}

TEST(SlabStress, OneThreadTakesAnotherGives) {
  SlabAllocator slab({.decay_ns = 0});
  Exchange exchange;
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;
  std::thread consumer([&] {
    size_t place = 0;
    while (!done) {
      const Block block = exchange.Swap(place++, Block());
      if (block.p == nullptr) continue;
      if (!block.IsIntact()) ++failures;
      slab.Deallocate(block.p, block.bytes, 8);
    }
  });
  for (size_t i = 0; i < 10'000 * kScale; ++i) {
    Block block;
    block.bytes = 1 + i % 300;
    block.p = static_cast<unsigned char*>(slab.Allocate(block.bytes, 8));
    block.seed = static_cast<unsigned char>(i);
    block.Write();
    const Block old = exchange.Swap(i, block);
    if (old.p != nullptr) slab.Deallocate(old.p, old.bytes, 8);
  }
  done = true;
  consumer.join();
  GiveRest(slab, exchange);
  EXPECT_EQ(failures, 0);
  // What the consumer was given came back to the producer all the while.
  EXPECT_LT(slab.Stats().committed(), 8 * kMiB);
  EXPECT_EQ(slab.Stats().live(), 0u);
}

// What an allocator may have committed while of each class up to 4 KiB no more
// than `live` blocks are live at once, one thread takes and another gives:
// their stacks and the depot full, and no slab begun while another has blocks.
size_t MostCommitted(size_t live) {
  using slab_internal::kClassShapes;
  using slab_internal::kUnitBytes;
  size_t units = 0;
  for (const auto& shape : kClassShapes) {
    if (shape.bytes > 4096) break;
    const size_t out = live + 3 * size_t{shape.cache_capacity};
    units += (out + shape.blocks - 1) / shape.blocks * shape.units;
  }
  constexpr size_t kBookkeeping = kMiB;
  return units * kUnitBytes + kBookkeeping;
}

TEST(SlabStress, AHandOffOfOneWayHoldsNoMoreTheLongerItGoesOn) {
  constexpr size_t kInFlight = 32;
  constexpr size_t kSteps = size_t{60'000} * kScale;
  SlabAllocator slab({.decay_ns = 0});
  std::array<std::atomic<Block*>, kInFlight> places = {};
  std::atomic<int> failures = 0;
  std::thread consumer([&] {
    for (size_t i = 0; i < kSteps; ++i) {
      Block* block = nullptr;
      while ((block = places[i % kInFlight].exchange(
                  nullptr, std::memory_order_acquire)) == nullptr) {
        std::this_thread::yield();
      }
      const Block its = *block;
      if (*its.p != its.seed) ++failures;
      slab.Deallocate(its.p, its.bytes, 8);
      delete block;
    }
  });
  std::mt19937_64 random(1);
  size_t handed_over = 0;
  size_t most_early = 0;
  size_t most_late = 0;
  for (size_t i = 0; i < kSteps; ++i) {
    Block block;
    block.bytes = random() % (size_t{8} << random() % 10) + 1;
    block.p = static_cast<unsigned char*>(slab.Allocate(block.bytes, 8));
    block.seed = static_cast<unsigned char>(i);
    *block.p = block.seed;
    handed_over += block.bytes;
    auto* const its = new Block(block);
    while (places[i % kInFlight].load(std::memory_order_relaxed) != nullptr) {
      std::this_thread::yield();
    }
    places[i % kInFlight].store(its, std::memory_order_release);
    if (i % 1024 == 1023) {
      size_t& most = i < kSteps / 4 ? most_early : most_late;
      most = std::max(most, slab.Stats().committed());
    }
  }
  consumer.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(slab.Stats().live(), 0u);
  EXPECT_GT(handed_over, kScale * MostCommitted(kInFlight));
  EXPECT_LE(most_late, MostCommitted(kInFlight));
  // It had come near its most in the first quarter.
  EXPECT_LE(most_late, most_early + most_early / 4);
}

TEST(SlabStress, AThreadOutlivesTheAllocatorsItUsed) {
  std::atomic<int> turn = 0;
  std::unique_ptr<SlabAllocator> slab = std::make_unique<SlabAllocator>();
  std::thread user([&] {
    for (int round = 0; round < 20; ++round) {
      while (turn != 2 * round) std::this_thread::yield();
      void* const p = slab->Allocate(100, 8);
      EXPECT_NE(p, nullptr);
      EXPECT_EQ(slab->Stats().live(), 104u);
      slab->Deallocate(p, 100, 8);
      ++turn;
    }
  });
  for (int round = 0; round < 20; ++round) {
    while (turn != 2 * round + 1) std::this_thread::yield();
    slab = std::make_unique<SlabAllocator>();
    ++turn;
  }
  user.join();
}

// Used in the destructor of a thread_local object, and after it.
struct AtThreadEnd {
  ~AtThreadEnd() {
    void* const p = slab->Allocate(48, 8);
    EXPECT_NE(p, nullptr);
    slab->Deallocate(p, 48, 8);
  }
  SlabAllocator* slab;
};

TEST(SlabStress, ServesDestructorsOfThreadLocals) {
  SlabAllocator slab;
  std::thread([&] {
    static thread_local AtThreadEnd at_end{&slab};
    EXPECT_NE(at_end.slab, nullptr);
  }).join();
  EXPECT_EQ(slab.Stats().allocations(), 1u);
  EXPECT_EQ(slab.Stats().live(), 0u);
}

}  // namespace
}  // namespace mmsb
