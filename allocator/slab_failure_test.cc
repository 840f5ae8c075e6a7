// A system that refuses at each place in turn.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/reallocate.h"
#include "allocator/slab.h"
#include "allocator/slab_chunk.h"
#include "allocator/slab_memory.h"
#include "allocator/slab_metadata.h"
#include "allocator/slab_size_classes.h"
#include "allocator/slab_units.h"
#include "allocator/testing/block_ledger.h"
#include "gtest/gtest.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"
#include "primitives/poison.h"
#include "primitives/testing/faulty_mapper.h"

namespace mmsb {
namespace {

struct Request {
  void* p;
  size_t bytes;
  size_t alignment;
};

// Uses every part of an allocator once, on a mapper that fails calls `from` to
// `from + count`; true when any did.
template <class Policy>
bool Use(uint64_t from, uint64_t count) {
  FaultyMapper mapper;
  mapper.FailFrom(from, count, ENOMEM);
  bool failed = false;
  {
    BasicSlabAllocator<Policy> slab({.decay_ns = 0, .mapper = &mapper});
    BlockLedger ledger;
    std::vector<Request> live;
    const auto take = [&](size_t bytes, size_t alignment) {
      const uint64_t before = mapper.failures();
      void* const p = slab.Allocate(bytes, alignment);
      if (p != nullptr) {
        EXPECT_EQ(ledger.Add(p, bytes, alignment), "");
        live.push_back({p, bytes, alignment});
      } else {
        EXPECT_GT(mapper.failures(), before);
      }
      if (mapper.failures() != before) {
        EXPECT_TRUE(slab.Stats().IdentityHolds());
      }
    };
    const auto give = [&] {
      const uint64_t before = mapper.failures();
      EXPECT_EQ(ledger.Remove(live.back().p), "");
      slab.Deallocate(live.back().p, live.back().bytes, live.back().alignment);
      live.pop_back();
      if (mapper.failures() != before) {
        EXPECT_TRUE(slab.Stats().IdentityHolds());
      }
    };
    const auto resize = [&](size_t bytes) {
      if (live.empty()) return;
      const uint64_t before = mapper.failures();
      auto& [p, old_bytes, alignment] = live.back();
      EXPECT_EQ(ledger.Remove(p), "");
      void* const now = slab.Reallocate(p, old_bytes, bytes, alignment);
      if (now != nullptr) {
        p = now;
        old_bytes = bytes;
      }
      EXPECT_EQ(ledger.Add(p, old_bytes, alignment), "");
      if (mapper.failures() != before) {
        EXPECT_TRUE(slab.Stats().IdentityHolds());
      }
    };
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < 40; ++i) take(3000, 8);
      for (int i = 0; i < 20; ++i) take(20000, 8);
      take(100, kMiB);
      // More than the first directory of large blocks has room for.
      for (int i = 0; i < (round == 0 ? 180 : 2); ++i) take(33000, 8);
      take(100'000, 8);
      resize(120'000);
      resize(40'000);
      take(33'000, kMiB);
      resize(50'000);
      EXPECT_EQ(ledger.Check(), "");
      while (live.size() > 3) give();
      slab.Purge();
      EXPECT_TRUE(slab.Stats().IdentityHolds());
    }
    while (!live.empty()) give();
    failed = mapper.failures() != 0;
    // What is not refused any more works again.
    mapper.FailFrom(0, 0, ENOMEM);
    for (int i = 0; i < 100; ++i) take(500, 8);
    EXPECT_EQ(live.size(), 100u);
    while (!live.empty()) give();
    slab.Purge();
    EXPECT_EQ(slab.Stats().live(), 0u);
    EXPECT_EQ(slab.Stats().cached(), 0u);
    EXPECT_EQ(slab.Stats().free(), 0u);
    EXPECT_TRUE(slab.Stats().IdentityHolds());
  }
  // What is neither committed nor taken back keeps its addresses.
  if (count == 1) {
    EXPECT_EQ(mapper.outstanding_bytes(), 0u) << "call " << from;
  }
  return failed;
}

TEST(SlabFailure, EveryCallOfTheMapperMayFailOnce) {
  uint64_t n = 0;
  while (Use<Unchecked>(n, 1)) {
    ASSERT_FALSE(::testing::Test::HasFailure()) << "call " << n;
    ++n;
  }
  EXPECT_GT(n, 100u);
}

TEST(SlabFailure, EveryCallOfTheMapperMayBeTheFirstOfAllThatFail) {
  uint64_t n = 0;
  while (Use<Unchecked>(n, std::numeric_limits<uint64_t>::max())) {
    ASSERT_FALSE(::testing::Test::HasFailure()) << "call " << n;
    ++n;
  }
  EXPECT_GT(n, 100u);
}

// No place in the map for a chunk, and the system takes nothing back.
TEST(SlabFailure, AChunkWithoutAPlaceCommitsNothing) {
  FaultyMapper mapper;
  slab_internal::Memory memory(mapper);
  slab_internal::Metadata metadata(memory);
  slab_internal::Units units(memory, metadata, /*live_bits=*/false);
  uint64_t n = 0;
  slab_internal::Slab* slab = nullptr;
  for (; slab == nullptr; ++n) {
    mapper.FailFrom(n, std::numeric_limits<uint64_t>::max(), ENOMEM);
    slab = units.Take(0);
    EXPECT_EQ(memory.committed(),
              metadata.bytes() + units.GetSums().descriptors +
                  (slab != nullptr ? slab_internal::kUnitBytes : 0))
        << "call " << n;
    ASSERT_LT(n, 20u);
  }
  EXPECT_GT(n, 4u);
  mapper.FailFrom(0, 0, ENOMEM);
}

TEST(SlabFailure, EveryCallOfTheMapperMayFailOnceWithChecks) {
  uint64_t n = 0;
  while (Use<Checked>(n, 1)) {
    ASSERT_FALSE(::testing::Test::HasFailure()) << "call " << n;
    ++n;
  }
}

TEST(SlabFailure, NullWhileTheSystemHasNothing) {
  FaultyMapper mapper;
  SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
  mapper.FailFrom(0, std::numeric_limits<uint64_t>::max(), ENOMEM);
  for (const size_t bytes : {size_t{1}, size_t{1000}, kMiB}) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(slab.Allocate(bytes, 8), nullptr);
  }
  EXPECT_EQ(slab.Stats().failures(), 30u);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
  mapper.FailFrom(0, 0, ENOMEM);
  void* const p = slab.Allocate(1, 1);
  EXPECT_NE(p, nullptr);
  slab.Deallocate(p, 1, 1);
}

// A system with a limit on what it commits.
class CommitLimitMapper final : public MemoryMapper {
 public:
  // No more is committed than is now.
  void Fill() { limit_ = committed_; }

  Alignment Granule() const override { return system_.Granule(); }
  Alignment HugeGranule() const override { return system_.HugeGranule(); }
  OsError Reserve(size_t bytes, Alignment alignment, void** address) override {
    return system_.Reserve(bytes, alignment, address);
  }
  OsError Commit(void* address, size_t bytes) override {
    if (committed_ + bytes > limit_) return OsError("the limit", ENOMEM);
    committed_ += bytes;
    return system_.Commit(address, bytes);
  }
  OsError Decommit(void* address, size_t bytes) override {
    committed_ -= bytes;
    return system_.Decommit(address, bytes);
  }
  OsError Discard(void* address, size_t bytes) override {
    return system_.Discard(address, bytes);
  }
  OsError Protect(void* address, size_t bytes, Access access) override {
    return system_.Protect(address, bytes, access);
  }
  OsError AdviseHuge(void* address, size_t bytes) override {
    return system_.AdviseHuge(address, bytes);
  }
  OsError MapHuge(size_t bytes, void** address) override {
    return system_.MapHuge(bytes, address);
  }
  OsError Release(void* address, size_t bytes) override {
    return system_.Release(address, bytes);
  }

 private:
  MemoryMapper& system_ = SystemMapper();
  size_t committed_ = 0;
  size_t limit_ = std::numeric_limits<size_t>::max();
};

// What was refused may have lost access on the way.
TEST(SlabFailure, UsesMemoryThatTheSystemDidNotTakeBack) {
  FaultyMapper mapper;
  SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
  for (int round = 0; round < 3; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 400; ++i) {
      blocks.push_back(slab.Allocate(1000, 8));
      ASSERT_NE(blocks.back(), nullptr);
      std::memset(blocks.back(), 1, 1000);
    }
    for (void* const block : blocks) slab.Deallocate(block, 1000, 8);
    mapper.FailFrom(0, std::numeric_limits<uint64_t>::max(), ENOMEM);
    EXPECT_EQ(slab.Purge(), 0u);
    mapper.FailFrom(0, 0, ENOMEM);
  }
  slab.Purge();
  EXPECT_EQ(slab.Stats().committed(), slab.Stats().metadata());
}

// A class that has nothing gets what another class has no use for.
TEST(SlabFailure, TriesWhatLiesIdleBeforeItGivesUp) {
  FaultyMapper mapper;
  SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
  std::vector<void*> blocks;
  for (int i = 0; i < 65; ++i) blocks.push_back(slab.Allocate(1024, 8));
  for (void* const block : blocks) slab.Deallocate(block, 1024, 8);
  EXPECT_GT(slab.Stats().cached(), 0u);
  mapper.FailFrom(0, std::numeric_limits<uint64_t>::max(), ENOMEM);
  void* const p = slab.Allocate(100, 8);
  EXPECT_NE(p, nullptr);
  slab.Deallocate(p, 100, 8);
  mapper.FailFrom(0, 0, ENOMEM);
}

TEST(SlabFailure, TriesWhatLiesIdleForALargeBlockToo) {
  FaultyMapper mapper;
  SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
  std::vector<void*> blocks;
  for (int i = 0; i < 650; ++i) blocks.push_back(slab.Allocate(1024, 8));
  for (void* const block : blocks) slab.Deallocate(block, 1024, 8);
  const size_t idle = slab.Stats().committed();
  mapper.FailFrom(0, 1, ENOMEM);
  void* const p = slab.Allocate(kMiB, 8);
  EXPECT_NE(p, nullptr);
  EXPECT_EQ(mapper.failures(), 1u);
  EXPECT_LT(slab.Stats().committed(), kMiB + idle / 2);
  EXPECT_EQ(slab.Stats().failures(), 0u);
  slab.Deallocate(p, kMiB, 8);
}

// What can never be served costs nobody his idle blocks.
TEST(SlabFailure, KeepsWhatLiesIdleWhenARequestIsInvalid) {
  SlabAllocator slab({.decay_ns = 0});
  slab.Deallocate(slab.Allocate(1024, 8), 1024, 8);
  const size_t cached = slab.Stats().cached();
  EXPECT_EQ(slab.Allocate(kMiB, 3), nullptr);
  EXPECT_EQ(slab.Allocate(std::numeric_limits<size_t>::max(), 8), nullptr);
  EXPECT_EQ(slab.Stats().cached(), cached);
}

// The end of a large block that shrinks is kept, and poisoned, where the system
// does not take it, until it does.
TEST(SlabFailure, ShrinksALargeBlockWhoseEndTheSystemRefuses) {
  FaultyMapper mapper;
  {
    SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
    auto* const p = static_cast<std::byte*>(slab.Allocate(kMiB, 8));
    ASSERT_NE(p, nullptr);
    std::memset(p, 1, kMiB);
    mapper.FailFrom(0, 1, ENOMEM);
    EXPECT_EQ(slab.Reallocate(p, kMiB, 100'000, 8), p);
    EXPECT_EQ(mapper.failures(), 1u);
    const size_t kept = 102'400;  // whole granules
    EXPECT_EQ(slab.UsableSize(p), kept);
    EXPECT_TRUE(slab.Owns(p + kept - 1));
    EXPECT_FALSE(slab.Owns(p + kept));
    EXPECT_EQ(p[99'999], std::byte{1});
    const bool watched = kPoisonReported || RunningOnValgrind();
    EXPECT_FALSE(IsPoisoned(p + 99'999));
    for (const size_t offset : {size_t{100'000}, kept, kMiB - 1}) {
      EXPECT_EQ(IsPoisoned(p + offset), watched) << offset;
    }
    AllocatorStats stats = slab.Stats();
    EXPECT_TRUE(stats.IdentityHolds());
    EXPECT_EQ(stats.live(), kept);
    EXPECT_EQ(stats.cached(), kMiB - kept);
    EXPECT_EQ(slab.Purge(), kMiB - kept);
    stats = slab.Stats();
    EXPECT_TRUE(stats.IdentityHolds());
    EXPECT_EQ(stats.cached(), 0u);
    slab.Deallocate(p, 100'000, 8);
    EXPECT_EQ(slab.Stats().live(), 0u);
  }
  EXPECT_EQ(mapper.outstanding_bytes(), 0u);
}

// A system that does not let a large block grow leaves it as it was, and who
// asks for a copy then has one.
TEST(SlabFailure, KeepsALargeBlockThatTheSystemDoesNotLetGrow) {
  for (const size_t alignment : {size_t{8}, 2 * kMiB}) {
    FaultyMapper mapper;
    {
      SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
      auto* p = static_cast<std::byte*>(slab.Allocate(100'000, alignment));
      ASSERT_NE(p, nullptr);
      std::memset(p, 1, 100'000);
      const AllocatorStats before = slab.Stats();
      const size_t outstanding = mapper.outstanding_bytes();
      mapper.FailFrom(0, 1, ENOMEM);
      EXPECT_EQ(slab.Reallocate(p, 100'000, kMiB, alignment), nullptr);
      EXPECT_EQ(mapper.failures(), 1u);
      const AllocatorStats after = slab.Stats();
      EXPECT_TRUE(after.IdentityHolds());
      EXPECT_EQ(after.live(), before.live());
      EXPECT_EQ(after.committed(), before.committed());
      EXPECT_EQ(after.peak(), before.peak());
      EXPECT_EQ(after.allocations(), before.allocations());
      EXPECT_EQ(after.failures(), 0u);
      EXPECT_EQ(mapper.outstanding_bytes(), outstanding);
      EXPECT_EQ(slab.UsableSize(p), before.live());
      const bool watched = kPoisonReported || RunningOnValgrind();
      EXPECT_EQ(IsPoisoned(p + 100'000), watched);
      mapper.FailFrom(0, 1, ENOMEM);
      p = static_cast<std::byte*>(
          Reallocate(slab, p, 100'000, kMiB, alignment));
      ASSERT_NE(p, nullptr);
      EXPECT_EQ(std::count(p, p + 100'000, std::byte{1}), 100'000);
      slab.Deallocate(p, kMiB, alignment);
    }
    EXPECT_EQ(mapper.outstanding_bytes(), 0u);
  }
}

// Of slabs of four units: the one that was committed and is idle does, and not
// the one in front of it for which there is nothing.
TEST(SlabFailure, PrefersIdleUnitsToThoseWithoutMemory) {
  FaultyMapper mapper;
  SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
  std::vector<void*> front;
  for (int i = 0; i < 800; ++i) front.push_back(slab.Allocate(1000, 8));
  std::vector<void*> idle;
  for (int i = 0; i < 12; ++i) idle.push_back(slab.Allocate(20'000, 8));
  for (void* const block : front) slab.Deallocate(block, 1000, 8);
  slab.Purge();
  for (void* const block : idle) slab.Deallocate(block, 20'000, 8);
  // Sends them home and gives nothing back.
  slab.ForEachLive([](void*, size_t) {});
  const size_t committed = slab.Stats().committed();
  mapper.FailFrom(0, std::numeric_limits<uint64_t>::max(), ENOMEM);
  void* const p = slab.Allocate(30'000, 8);
  EXPECT_NE(p, nullptr);
  EXPECT_EQ(slab.Stats().committed(), committed);
  slab.Deallocate(p, 30'000, 8);
  mapper.FailFrom(0, 0, ENOMEM);
}

// No four idle units lie side by side, but the system makes others of them.
TEST(SlabFailure, GivesIdleUnitsBackForOthers) {
  CommitLimitMapper mapper;
  SlabAllocator slab({.decay_ns = 0, .mapper = &mapper});
  std::vector<void*> kept;
  std::vector<void*> idle;
  for (size_t i = 0; i < 2 * kMiB / 1024; ++i) {
    void* const p = slab.Allocate(1024, 8);
    const uintptr_t unit = reinterpret_cast<uintptr_t>(p) / (64 * kKiB);
    (unit % 2 == 0 ? kept : idle).push_back(p);
  }
  mapper.Fill();
  for (void* const p : idle) slab.Deallocate(p, 1024, 8);
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) {
    blocks.push_back(slab.Allocate(30'000, 8));
    EXPECT_NE(blocks.back(), nullptr) << i;
  }
  for (void* const p : blocks) slab.Deallocate(p, 30'000, 8);
  for (void* const p : kept) slab.Deallocate(p, 1024, 8);
  EXPECT_TRUE(slab.Stats().IdentityHolds());
}

}  // namespace
}  // namespace mmsb
