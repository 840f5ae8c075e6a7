#include "allocator/slab.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/size_histogram.h"
#include "allocator/slab_size_classes.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"
#include "primitives/poison.h"
#include "primitives/sanitizer.h"
#include "primitives/testing/faulty_mapper.h"

namespace mmsb {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

struct Uncounted : Unchecked {
  static constexpr bool kCountsCalls = false;
};

struct Request {
  void* p;
  size_t bytes;
};

// Takes blocks of `bytes` until they fill `total` bytes.
std::vector<Request> Fill(SlabAllocator& slab, size_t bytes, size_t total) {
  std::vector<Request> live;
  for (size_t sum = 0; sum < total; sum += bytes) {
    void* const p = slab.Allocate(bytes, 8);
    if (p == nullptr) break;
    std::memset(p, 1, bytes);
    live.push_back({p, bytes});
  }
  return live;
}

void Give(SlabAllocator& slab, std::vector<Request>& live) {
  for (const Request& request : live) {
    slab.Deallocate(request.p, request.bytes, 8);
  }
  live.clear();
}

TEST(SlabAllocator, TakesNothingBeforeTheFirstAllocation) {
  const SlabAllocator slab;
  EXPECT_EQ(slab.Stats().committed(), 0u);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
}

TEST(SlabAllocator, HandsOutWhatWasGivenBackLast) {
  SlabAllocator slab;
  void* const p = slab.Allocate(100, 8);
  slab.Deallocate(p, 100, 8);
  EXPECT_EQ(slab.Allocate(97, 8), p);
  slab.Deallocate(p);
}

TEST(SlabAllocator, CountsCallsAndBlocks) {
  SlabAllocator slab;
  void* const small = slab.Allocate(65, 8);
  void* const large = slab.Allocate(kMiB + 1, 8);
  ASSERT_NE(small, nullptr);
  ASSERT_NE(large, nullptr);
  EXPECT_EQ(slab.Allocate(std::numeric_limits<size_t>::max(), 8), nullptr);
  AllocatorStats stats = slab.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), slab.UsableSize(small) + slab.UsableSize(large));
  EXPECT_EQ(stats.allocations(), 2u);
  EXPECT_EQ(stats.deallocations(), 0u);
  EXPECT_EQ(stats.failures(), 1u);
  slab.Deallocate(small, 65, 8);
  slab.Deallocate(large, kMiB + 1, 8);
  stats = slab.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), 0u);
  EXPECT_EQ(stats.deallocations(), 2u);
  EXPECT_GE(stats.peak(), kMiB + 1 + 72);
}

TEST(SlabAllocator, CountsNoCallsWhenToldSo) {
  BasicSlabAllocator<Uncounted> slab;
  std::vector<void*> live;
  for (int i = 0; i < 1000; ++i) {
    live.push_back(slab.Allocate(65, 8));
    live.push_back(slab.Allocate(kMiB, 8));
    slab.Deallocate(live.front());
    live.erase(live.begin());
  }
  size_t bytes = 0;
  for (void* const p : live) bytes += slab.UsableSize(p);
  AllocatorStats stats = slab.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), bytes);
  EXPECT_EQ(stats.allocations(), 0u);
  EXPECT_EQ(stats.deallocations(), 0u);
  EXPECT_EQ(slab.Histogram().allocations(), 0u);
  for (void* const p : live) slab.Deallocate(p);
  stats = slab.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), 0u);
  EXPECT_EQ(stats.deallocations(), 0u);
}

TEST(SlabAllocator, TellsHowLargeABlockIs) {
  SlabAllocator slab;
  for (const size_t bytes : {size_t{1}, size_t{64}, size_t{65}, size_t{4097},
                             kSlabMaxBytes, kSlabMaxBytes + 1, kMiB}) {
    void* const p = slab.Allocate(bytes, 1);
    ASSERT_NE(p, nullptr);
    EXPECT_GE(slab.UsableSize(p), bytes);
    slab.Deallocate(p);
    const SizedBlock block = slab.AllocateAtLeast(bytes, 1);
    ASSERT_NE(block.data, nullptr);
    EXPECT_EQ(slab.UsableSize(block.data), block.bytes);
    std::memset(block.data, 1, block.bytes);
    slab.Deallocate(block.data, block.bytes, 1);
  }
  EXPECT_EQ(slab.Stats().live(), 0u);
}

TEST(SlabAllocator, ServesAlignmentsTo2MiB) {
  SlabAllocator slab;
  for (size_t alignment = 1; alignment <= 2 * kMiB; alignment *= 2) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{5000}, kMiB}) {
      void* const a = slab.Allocate(bytes, alignment);
      void* const b = slab.Allocate(bytes, alignment);
      ASSERT_NE(a, nullptr);
      ASSERT_NE(b, nullptr);
      EXPECT_NE(a, b);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % alignment, 0u);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % alignment, 0u);
      std::memset(a, 1, bytes);
      slab.Deallocate(a, bytes, alignment);
      slab.Deallocate(b);
    }
  }
  EXPECT_EQ(slab.Stats().live(), 0u);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
}

TEST(SlabAllocator, ReallocatesInPlaceWithinABlock) {
  SlabAllocator slab;
  auto* const p = static_cast<char*>(slab.Allocate(129, 8));
  EXPECT_EQ(slab.Reallocate(p, 129, 144, 8), p);
  std::memset(p, 7, 144);
  EXPECT_EQ(slab.Reallocate(p, 144, 145, 8), nullptr);
  EXPECT_EQ(slab.Reallocate(p, 144, kMiB, 8), nullptr);
  EXPECT_EQ(p[143], 7);
  EXPECT_EQ(slab.Reallocate(p, 144, 130, 8), p);
  slab.Deallocate(p, 130, 8);
}

TEST(SlabAllocator, GivesTheEndOfAShrunkLargeBlockBack) {
  SlabAllocator slab;
  auto* const p = static_cast<char*>(slab.Allocate(4 * kMiB, 8));
  p[0] = 7;
  const size_t before = slab.Stats().committed();
  EXPECT_EQ(slab.Reallocate(p, 4 * kMiB, kMiB, 8), p);
  EXPECT_EQ(slab.Stats().committed(), before - 3 * kMiB);
  EXPECT_EQ(slab.UsableSize(p), kMiB);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
  EXPECT_EQ(p[0], 7);
  slab.Deallocate(p, kMiB, 8);
}

// Tools that do not follow memory that moves.
bool CanGrow() {
  return !kAddressSanitizer && !kMemorySanitizer && !RunningOnValgrind();
}

// Words that tell where they lie in a block of `bytes` bytes.
void Number(void* p, size_t begin, size_t bytes) {
  for (size_t i = begin / 8; i < bytes / 8; ++i) {
    static_cast<uint64_t*>(p)[i] = i;
  }
}
bool IsNumbered(const void* p, size_t bytes) {
  for (size_t i = 0; i < bytes / 8; ++i) {
    if (static_cast<const uint64_t*>(p)[i] != i) return false;
  }
  return true;
}

// Of two at a time, that lie in each other's way; adds to `*moves`.
template <class Policy>
void GrowLargeBlocks(size_t alignment, size_t* moves) {
  FaultyMapper mapper;
  BasicSlabAllocator<Policy> slab({.decay_ns = 0, .mapper = &mapper});
  for (const size_t step : {size_t{8}, size_t{4096}, size_t{70'000}, kMiB}) {
    SCOPED_TRACE(::testing::Message() << alignment << ", " << step);
    size_t bytes = 40'000;
    void* blocks[2] = {};
    for (void*& p : blocks) {
      p = slab.Allocate(bytes, alignment);
      ASSERT_NE(p, nullptr);
      Number(p, 0, bytes);
    }
    for (int i = 0; i < 5; ++i, bytes += step) {
      for (void*& p : blocks) {
        const AllocatorStats before = slab.Stats();
        const size_t block_bytes = slab.UsableSize(p);
        void* now = slab.Reallocate(p, bytes, bytes + step, alignment);
        if (CanGrow() || bytes + step <= block_bytes) {
          ASSERT_NE(now, nullptr);
        } else {
          ASSERT_EQ(now, nullptr);
          now = Reallocate(slab, p, bytes, bytes + step, alignment);
          ASSERT_NE(now, nullptr);
        }
        *moves += now != p ? 1 : 0;
        p = now;
        EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
        EXPECT_TRUE(IsNumbered(p, bytes));
        Number(p, bytes, bytes + step);
        const AllocatorStats stats = slab.Stats();
        EXPECT_TRUE(stats.IdentityHolds());
        const size_t more = slab.UsableSize(p) - block_bytes;
        EXPECT_EQ(stats.live() - before.live(), more);
        EXPECT_EQ(stats.committed() - before.committed(), more);
        // Never both at once, if nothing is copied.
        if (CanGrow()) {
          EXPECT_LE(stats.peak(), std::max(before.peak(), stats.live()));
        }
        EXPECT_EQ(stats.allocations() - stats.deallocations(), 2u);
        const SizeHistogram sizes = slab.Histogram();
        EXPECT_EQ(sizes.allocations(), stats.allocations());
        EXPECT_EQ(sizes.deallocations(), stats.deallocations());
        EXPECT_EQ(stats.failures(), 0u);
      }
    }
    std::map<void*, size_t> seen;
    slab.ForEachLive([&](void* p, size_t size) { seen[p] = size; });
    EXPECT_EQ(seen.size(), 2u);
    for (void* const p : blocks) {
      EXPECT_EQ(seen[p], slab.UsableSize(p));
      EXPECT_TRUE(slab.Owns(static_cast<char*>(p) + bytes - 1));
      EXPECT_TRUE(IsNumbered(p, bytes));
      slab.Deallocate(p, bytes, alignment);
    }
  }
  EXPECT_EQ(slab.Stats().live(), 0u);
  EXPECT_EQ(slab.Stats().committed(), slab.Stats().metadata());
  EXPECT_EQ(mapper.outstanding_bytes(), slab.Stats().committed());
}

TEST(SlabAllocator, GrowsLargeBlocksAndKeepsTheirContents) {
  size_t moves = 0;
  for (const size_t alignment :
       {size_t{8}, size_t{4096}, 64 * kKiB, 2 * kMiB}) {
    GrowLargeBlocks<Unchecked>(alignment, &moves);
    GrowLargeBlocks<Checked>(alignment, &moves);
  }
  EXPECT_GT(moves, 0u);
}

TEST(SlabAllocator, RefusesToGrowALargeBlockBeyondAllMemory) {
  SlabAllocator slab({.decay_ns = 0});
  for (const size_t alignment : {size_t{8}, 2 * kMiB}) {
    void* const p = slab.Allocate(100'000, alignment);
    Number(p, 0, 100'000);
    const size_t committed = slab.Stats().committed();
    for (const size_t bytes : {std::numeric_limits<size_t>::max(),
                               size_t{1} << 63, size_t{1} << 47}) {
      EXPECT_EQ(slab.Reallocate(p, 100'000, bytes, alignment), nullptr);
    }
    EXPECT_TRUE(IsNumbered(p, 100'000));
    EXPECT_EQ(slab.Stats().committed(), committed);
    EXPECT_EQ(slab.Stats().failures(), 0u);
    slab.Deallocate(p, 100'000, alignment);
  }
}

TEST(SlabAllocator, OwnsItsBlocksOnly) {
  SlabAllocator slab;
  SlabAllocator other;
  const auto* const small = static_cast<char*>(slab.Allocate(10, 1));
  const auto* const large = static_cast<char*>(slab.Allocate(kMiB, 1));
  EXPECT_TRUE(slab.Owns(small + 9));
  EXPECT_TRUE(slab.Owns(large + kMiB - 1));
  EXPECT_FALSE(other.Owns(small));
  EXPECT_FALSE(other.Owns(large));
  EXPECT_FALSE(slab.Owns(&slab));
  EXPECT_FALSE(slab.Owns(nullptr));
  EXPECT_FALSE(slab.Owns(reinterpret_cast<void*>(~uintptr_t{0})));
}

TEST(SlabAllocator, PurgeGivesEmptySlabsBackToTheSystem) {
  SlabAllocator slab({.decay_ns = 0});
  std::vector<Request> live;
  for (const size_t bytes : {24, 200, 1000, 5000, 30000}) {
    for (const Request& request : Fill(slab, bytes, 4 * kMiB)) {
      live.push_back(request);
    }
  }
  const size_t full = slab.Stats().committed();
  EXPECT_GE(full, 20 * kMiB);
  Give(slab, live);
  EXPECT_EQ(slab.Stats().committed(), full);
  const size_t purged = slab.Purge();
  const AllocatorStats stats = slab.Stats();
  EXPECT_EQ(stats.committed(), full - purged);
  // What is left is for the calling thread's cache and the depots.
  EXPECT_LT(stats.committed(), 256 * kKiB);
  EXPECT_EQ(stats.committed(), stats.metadata());
  EXPECT_TRUE(stats.IdentityHolds());
  live = Fill(slab, 200, kMiB);
  EXPECT_EQ(live.size(), kMiB / 200 + 1);
  Give(slab, live);
}

TEST(SlabAllocator, WhatALargeBlockGaveUpIsAnothers) {
  SlabAllocator slab({.decay_ns = 0});
  void* const shrunk = slab.Allocate(kMiB, 8);
  ASSERT_EQ(slab.Reallocate(shrunk, kMiB, 64 * kKiB, 8), shrunk);
  std::vector<void*> others;
  for (size_t bytes = 64 * kKiB; bytes <= kMiB; bytes += 64 * kKiB) {
    others.push_back(slab.Allocate(bytes, 8));
  }
  slab.Deallocate(shrunk, 64 * kKiB, 8);
  size_t bytes = 64 * kKiB;
  for (void* other : others) {
    EXPECT_FALSE(IsPoisoned(other));
    EXPECT_FALSE(IsPoisoned(static_cast<std::byte*>(other) + bytes - 1));
    slab.Deallocate(other, bytes, 8);
    bytes += 64 * kKiB;
  }
}

// Takes blocks of 4 KiB from `slab`, gives back every other one, and after
// `give_memory_back` takes as many again: which part of those that had been
// given back, and were had again, were zero, as the system's memory is. The
// others are as they were.
template <class GiveMemoryBack>
double ZerosAfter(SlabAllocator& slab, GiveMemoryBack give_memory_back) {
  constexpr size_t kBlock = 4096;
  std::vector<Request> live = Fill(slab, kBlock, 2 * kMiB);
  std::vector<Request> kept;
  std::set<void*> given;
  for (size_t i = 0; i < live.size(); ++i) {
    if (i % 2 == 0) {
      kept.push_back(live[i]);
    } else {
      slab.Deallocate(live[i].p, kBlock, 8);
      given.insert(live[i].p);
    }
  }
  give_memory_back();
  size_t back = 0;
  size_t zeros = 0;
  for (size_t i = 0; i < given.size(); ++i) {
    auto* const p = static_cast<char*>(slab.Allocate(kBlock, 8));
    if (p == nullptr) break;
    if (given.contains(p)) {
      ++back;
      UnpoisonDefined(p, kBlock);
      if (p[0] == 0 && p[kBlock - 1] == 0) ++zeros;
    }
    kept.push_back({p, kBlock});
  }
  EXPECT_EQ(kept.size(), live.size());
  EXPECT_GT(back, given.size() / 2);
  for (size_t i = 0; i < live.size() / 2; ++i) {
    EXPECT_EQ(static_cast<char*>(kept[i].p)[kBlock - 1], 1);
  }
  Give(slab, kept);
  return static_cast<double>(zeros) / static_cast<double>(back);
}

TEST(SlabAllocator, PurgeGivesGranulesOfSlabsInUseBack) {
  SlabAllocator slab({.decay_ns = 0});
  EXPECT_EQ(ZerosAfter(slab, [&] { slab.Purge(); }), 1);
}

TEST(SlabAllocator, DecayGivesGranulesOfSlabsInUseBack) {
  ManualClock clock;
  SlabAllocator slab({.decay_ns = 10 * kSecond, .clock = &clock});
  EXPECT_EQ(ZerosAfter(slab,
                       [&] {
                         // Seen to have changed, and not long enough ago.
                         slab.Decay();
                         clock.Advance(10 * kSecond - 1);
                         slab.Decay();
                       }),
            0);
  // Not all lie in slabs: the caller's stack has the newest.
  EXPECT_GT(ZerosAfter(slab,
                       [&] {
                         slab.Decay();
                         clock.Advance(10 * kSecond);
                         slab.Decay();
                       }),
            0.9);
}

TEST(SlabAllocator, GivesGranulesBackAgainWhenTheirSlabWasUsed) {
  SlabAllocator slab({.decay_ns = 0});
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(ZerosAfter(slab, [&] { slab.Purge(); }), 1);
  }
}

TEST(SlabAllocator, CountsBlocksBySize) {
  SlabAllocator slab;
  std::vector<Request> live = Fill(slab, 97, 9700);
  void* const large = slab.Allocate(kMiB, 8);
  slab.Deallocate(live.back().p, 97, 8);
  const SizeHistogram sizes = slab.Histogram();
  const SizeHistogram::Bucket& small = sizes[SizeHistogram::BucketOf(104)];
  EXPECT_EQ(small.allocations, 100u);
  EXPECT_EQ(small.deallocations, 1u);
  EXPECT_EQ(sizes[SizeHistogram::BucketOf(kMiB)].allocations, 1u);
  EXPECT_EQ(sizes.allocations(), 101u);
  slab.Deallocate(large, kMiB, 8);
}

TEST(SlabAllocator, HandsOutZeros) {
  SlabAllocator slab;
  for (const size_t bytes : {size_t{100}, size_t{100'000}}) {
    for (int round = 0; round < 3; ++round) {
      auto* const p = static_cast<char*>(slab.AllocateZeroed(bytes, 8));
      ASSERT_NE(p, nullptr);
      EXPECT_TRUE(std::all_of(p, p + bytes, [](char c) { return c == 0; }));
      std::memset(p, 1, bytes);
      slab.Deallocate(p, bytes, 8);
    }
  }
  EXPECT_EQ(slab.AllocateZeroed(std::numeric_limits<size_t>::max(), 8),
            nullptr);
}

TEST(SlabAllocator, NeverDecaysWhenToldSo) {
  ManualClock clock;
  SlabAllocator slab({.decay_ns = 0, .clock = &clock});
  std::vector<Request> live = Fill(slab, 1000, 4 * kMiB);
  Give(slab, live);
  const size_t before = slab.Stats().committed();
  clock.Advance(3600 * kSecond);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(slab.Stats().committed(), before);
}

TEST(SlabAllocator, DecaysAfterItsTimeAndNotBefore) {
  ManualClock clock;
  // The allocator's own thread may make a pass at any time too.
  SlabAllocator slab({.decay_ns = 10 * kSecond, .clock = &clock});
  std::vector<Request> live = Fill(slab, 1000, 4 * kMiB);
  const size_t full = slab.Stats().committed();
  Give(slab, live);
  slab.Decay();
  EXPECT_EQ(slab.Stats().committed(), full);
  clock.Advance(10 * kSecond - 1);
  slab.Decay();
  EXPECT_EQ(slab.Stats().committed(), full);
  clock.Advance(1);
  slab.Decay();
  EXPECT_LT(slab.Stats().committed(), full - 3 * kMiB);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
}

TEST(SlabAllocator, DecaysInAnIdleProcess) {
  ManualClock clock;
  SlabAllocator slab({.decay_ns = 10 * kSecond, .clock = &clock});
  std::vector<Request> live = Fill(slab, 1000, 4 * kMiB);
  const size_t full = slab.Stats().committed();
  Give(slab, live);
  // Nobody calls the allocator but to count; its thread looks at the clock.
  for (int i = 0; i < 5000 && slab.Stats().committed() > full - 3 * kMiB; ++i) {
    clock.Advance(kSecond);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_LE(slab.Stats().committed(), full - 3 * kMiB);
}

// None of them is many enough of a size to be sent to a slab.
TEST(SlabAllocator, DecaysWhatEndedThreadsKept) {
  ManualClock clock;
  SlabAllocator slab({.decay_ns = 10 * kSecond, .clock = &clock});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&slab] {
      for (size_t bytes = 8; bytes <= kSlabMaxBytes; bytes *= 2) {
        std::vector<Request> live = Fill(slab, bytes, 4 * bytes);
        Give(slab, live);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(slab.Stats().cached(), 64 * kKiB);
  for (int i = 0; i < 5000 && slab.Stats().committed() > kMiB; ++i) {
    clock.Advance(kSecond);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const AllocatorStats stats = slab.Stats();
  EXPECT_EQ(stats.cached(), 0u);
  EXPECT_EQ(stats.committed(), stats.metadata());
}

TEST(SlabAllocator, WalksOverAllLiveBlocks) {
  SlabAllocator slab;
  std::mt19937_64 random(7);
  std::map<void*, size_t> model;
  std::vector<Request> live;
  for (int i = 0; i < 5000; ++i) {
    const size_t bytes = random() % (random() % 40000 + 1) + 1;
    void* const p = slab.Allocate(bytes, 8);
    ASSERT_NE(p, nullptr);
    model[p] = slab.UsableSize(p);
    live.push_back({p, bytes});
    if (random() % 2 == 0) {
      std::swap(live[random() % live.size()], live.back());
      model.erase(live.back().p);
      slab.Deallocate(live.back().p, live.back().bytes, 8);
      live.pop_back();
    }
  }
  std::map<void*, size_t> seen;
  slab.ForEachLive([&](void* p, size_t bytes) {
    EXPECT_TRUE(seen.emplace(p, bytes).second);
  });
  EXPECT_EQ(seen, model);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
  Give(slab, live);
  slab.ForEachLive([](void* p, size_t) { ADD_FAILURE() << p; });
}

TEST(SlabAllocator, KeepsManyInstancesApart) {
  // More than a thread remembers at once.
  std::vector<std::unique_ptr<SlabAllocator>> slabs;
  for (int i = 0; i < 40; ++i)
    slabs.push_back(std::make_unique<SlabAllocator>());
  std::vector<void*> blocks;
  for (int round = 0; round < 3; ++round) {
    for (auto& slab : slabs) blocks.push_back(slab->Allocate(64, 8));
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    ASSERT_NE(blocks[i], nullptr);
    EXPECT_TRUE(slabs[i % 40]->Owns(blocks[i]));
    EXPECT_FALSE(slabs[(i + 1) % 40]->Owns(blocks[i]));
  }
  slabs.erase(slabs.begin() + 10, slabs.begin() + 30);
  for (auto& slab : slabs) {
    EXPECT_EQ(slab->Stats().allocations(), 3u);
    void* const p = slab->Allocate(64, 8);
    EXPECT_NE(p, nullptr);
    slab->Deallocate(p, 64, 8);
  }
}

TEST(SlabAllocator, PurgesItsCallersStacksHoweverManyInstancesThereAre) {
  std::vector<std::unique_ptr<SlabAllocator>> slabs;
  for (int i = 0; i < 9; ++i) {
    slabs.push_back(
        std::make_unique<SlabAllocator>(SlabOptions{.decay_ns = 0}));
    slabs.back()->Deallocate(slabs.back()->Allocate(64, 8), 64, 8);
  }
  for (auto& slab : slabs) {
    EXPECT_GT(slab->Stats().cached(), 0u);
    slab->Purge();
    EXPECT_EQ(slab->Stats().cached(), 0u);
  }
}

TEST(SlabAllocator, GivesEverythingBackToTheMapper) {
  FaultyMapper mapper;
  {
    SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
    std::vector<Request> kept = Fill(slab, 300, kMiB);
    void* const large = slab.Allocate(kMiB, 64);
    EXPECT_NE(large, nullptr);
    EXPECT_GT(mapper.outstanding_bytes(), 2 * kMiB);
  }
  EXPECT_EQ(mapper.outstanding_bytes(), 0u);
}

TEST(SlabAllocator, PoisonsFreedBlocksAndSlack) {
  if (!kPoisonReported && !RunningOnValgrind()) {
    GTEST_SKIP() << "no tool that watches accesses";
  }
  SlabAllocator slab;
  auto* const p = static_cast<char*>(slab.Allocate(100, 8));
  EXPECT_FALSE(IsPoisoned(p));
  EXPECT_FALSE(IsPoisoned(p + 99));
  EXPECT_TRUE(IsPoisoned(p + 100));
  EXPECT_EQ(slab.Reallocate(p, 100, 104, 8), p);
  EXPECT_FALSE(IsPoisoned(p + 103));
  slab.Deallocate(p, 104, 8);
  EXPECT_TRUE(IsPoisoned(p));
  EXPECT_TRUE(IsPoisoned(p + 103));
  const SizedBlock block = slab.AllocateAtLeast(100, 8);
  EXPECT_FALSE(IsPoisoned(static_cast<char*>(block.data) + block.bytes - 1));
  slab.Deallocate(block.data);
}

TEST(SlabAllocator, PoisonsTheSlackOfLargeBlocks) {
  if (!kPoisonReported && !RunningOnValgrind()) {
    GTEST_SKIP() << "no tool that watches accesses";
  }
  SlabAllocator slab;
  auto* p = static_cast<char*>(slab.Allocate(100'001, 8));
  const size_t block_bytes = slab.UsableSize(p);
  EXPECT_FALSE(IsPoisoned(p + 100'000));
  EXPECT_TRUE(IsPoisoned(p + 100'008));
  EXPECT_TRUE(IsPoisoned(p + block_bytes - 1));
  EXPECT_EQ(slab.Reallocate(p, 100'001, 100'100, 8), p);
  EXPECT_FALSE(IsPoisoned(p + 100'099));
  EXPECT_TRUE(IsPoisoned(p + 100'104));
  EXPECT_EQ(slab.Reallocate(p, 100'100, 40'000, 8), p);
  EXPECT_FALSE(IsPoisoned(p + 39'999));
  EXPECT_TRUE(IsPoisoned(p + 40'000));
  slab.Deallocate(p, 40'000, 8);
  p = static_cast<char*>(slab.AllocateZeroed(kSlabMaxBytes + 1, 1));
  EXPECT_FALSE(IsPoisoned(p + kSlabMaxBytes));
  EXPECT_TRUE(IsPoisoned(p + kSlabMaxBytes + 8));
  slab.Deallocate(p);
  const SizedBlock block = slab.AllocateAtLeast(kSlabMaxBytes + 1, 1);
  EXPECT_FALSE(IsPoisoned(static_cast<char*>(block.data) + block.bytes - 1));
  slab.Deallocate(block.data);
}

}  // namespace
}  // namespace mmsb
