#include "allocator/guarded_allocator.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/arena.h"
#include "allocator/memory_pool.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/os_memory.h"
#include "primitives/poison.h"
#include "primitives/testing/faulty_mapper.h"

namespace mmsb {
namespace {

// Keeps an access that the compiler would drop.
void Write(volatile char* p) { *p = 1; }
char Read(const volatile char* p) { return *p; }

size_t Granule() { return SystemMapper().Granule().bytes(); }

TEST(GuardedAllocatorTest, BlocksEndAtAGranule) {
  GuardedAllocator guarded;
  for (const size_t bytes :
       {size_t{1}, size_t{100}, Granule(), 3 * Granule()}) {
    auto* const p = static_cast<char*>(guarded.Allocate(bytes, 1));
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p + bytes) % Granule(), 0u);
    std::memset(p, 1, bytes);
    guarded.Deallocate(p, bytes, 1);
  }
}

TEST(GuardedAllocatorTest, ServesAlignmentsBeyondTheGranule) {
  GuardedAllocator guarded;
  for (size_t alignment = 1; alignment <= 2 * kMiB; alignment *= 2) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{5000}}) {
      void* const p = guarded.Allocate(bytes, alignment);
      ASSERT_NE(p, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
      std::memset(p, 1, bytes);
      guarded.CheckCanaries();
      guarded.Deallocate(p, bytes, alignment);
    }
  }
  EXPECT_EQ(guarded.Stats().live(), 0u);
}

TEST(GuardedAllocatorTest, IsZeroForThoseWhoAsk) {
  GuardedAllocator guarded;
  auto* const p = static_cast<char*>(guarded.AllocateZeroed(5000, 1));
  for (size_t i = 0; i < 5000; ++i) ASSERT_EQ(p[i], 0);
  guarded.Deallocate(p, 5000, 1);
}

TEST(GuardedAllocatorTest, QuarantineIsBounded) {
  FaultyMapper mapper;
  {
    GuardedAllocator guarded({.mapper = &mapper,
                              .quarantine_blocks = 3,
                              .quarantine_bytes = 64 * Granule()});
    for (int i = 0; i < 10; ++i) {
      void* const p = guarded.Allocate(1, 1);
      guarded.Deallocate(p, 1, 1);
    }
    EXPECT_EQ(guarded.quarantined_bytes(), size_t{3} * 3 * Granule());
    EXPECT_EQ(mapper.outstanding_bytes(), size_t{3} * 3 * Granule());
    // By bytes too: the largest leaves no room for others.
    void* const large = guarded.Allocate(62 * Granule(), 1);
    guarded.Deallocate(large, 62 * Granule(), 1);
    EXPECT_EQ(guarded.quarantined_bytes(), 64 * Granule());
    // What is larger than all of it goes back at once.
    void* const larger = guarded.Allocate(63 * Granule(), 1);
    guarded.Deallocate(larger, 63 * Granule(), 1);
    EXPECT_EQ(guarded.quarantined_bytes(), 64 * Granule());
  }
  EXPECT_EQ(mapper.outstanding_bytes(), 0u);
}

TEST(GuardedAllocatorTest, AFreedAddressIsNotUsedAgainSoon) {
  GuardedAllocator guarded;
  std::vector<void*> freed;
  for (int i = 0; i < 100; ++i) {
    void* const p = guarded.Allocate(100, 4);
    for (void* const before : freed) EXPECT_NE(p, before);
    guarded.Deallocate(p, 100, 4);
    freed.push_back(p);
  }
}

TEST(GuardedAllocatorTest, CountsGranulesOfLiveBlocksAndItsTables) {
  GuardedAllocator guarded;
  void* const p = guarded.Allocate(100, 8);
  AllocatorStats stats = guarded.Stats();
  EXPECT_EQ(stats.live(), Granule());
  EXPECT_GT(stats.metadata(), 0u);
  EXPECT_TRUE(stats.IdentityHolds());
  guarded.Deallocate(p, 100, 8);
  EXPECT_EQ(guarded.Allocate(SIZE_MAX, 1), nullptr);
  EXPECT_EQ(guarded.Allocate(1, 3), nullptr);
  stats = guarded.Stats();
  EXPECT_EQ(stats.live(), 0u);
  EXPECT_EQ(stats.peak(), Granule());
  EXPECT_EQ(stats.failures(), 2u);
  EXPECT_TRUE(stats.IdentityHolds());
}

TEST(GuardedAllocatorTest, UnmapsLiveBlocksAtItsEnd) {
  FaultyMapper mapper;
  {
    GuardedAllocator guarded({.mapper = &mapper});
    EXPECT_NE(guarded.Allocate(100, 8), nullptr);
    EXPECT_GT(mapper.outstanding_bytes(), 0u);
  }
  EXPECT_EQ(mapper.outstanding_bytes(), 0u);
}

// For every call of the mapper: that one fails, or it and all that follow while
// there is work. Consistent each time, and nothing leaked.
class GuardedAllocatorFailureTest : public ::testing::TestWithParam<uint64_t> {
};

TEST_P(GuardedAllocatorFailureTest, SurvivesAMapperThatFailsAnywhere) {
  FaultyMapper mapper;
  for (uint64_t n = 0;; ++n) {
    uint64_t failures = 0;
    {
      GuardedAllocator guarded({.mapper = &mapper, .quarantine_blocks = 2});
      mapper.FailFrom(n, GetParam(), ENOMEM);
      std::vector<void*> blocks;
      for (int i = 0; i < 12; ++i) {
        void* const p = guarded.Allocate(100, 8);
        if (p != nullptr) {
          std::memset(p, 1, 100);
          blocks.push_back(p);
        }
        EXPECT_TRUE(guarded.Stats().IdentityHolds());
        if (i % 3 == 2 && !blocks.empty()) {
          guarded.Deallocate(blocks.back(), 100, 8);
          blocks.pop_back();
        }
      }
      for (void* const p : blocks) guarded.Deallocate(p, 100, 8);
      EXPECT_EQ(guarded.Stats().live(), 0u);
      EXPECT_TRUE(guarded.Stats().IdentityHolds());
      failures = mapper.failures();
      mapper.FailFrom(0, 0, ENOMEM);
    }
    EXPECT_EQ(mapper.outstanding_bytes(), 0u) << "call " << n;
    if (failures == 0) break;
    ASSERT_LT(n, 1000u);
  }
}

INSTANTIATE_TEST_SUITE_P(OneCallOrAll, GuardedAllocatorFailureTest,
                         ::testing::Values(1, UINT64_MAX));

TEST(GuardedAllocatorTest, CountsAndPoisonsWhatTheSystemRefusesToTakeBack) {
  FaultyMapper mapper;
  {
    GuardedAllocator guarded({.mapper = &mapper, .quarantine_blocks = 1});
    auto* const p = static_cast<char*>(guarded.Allocate(100, 4));
    ASSERT_NE(p, nullptr);
    mapper.FailFrom(0, 1, ENOMEM);
    guarded.Deallocate(p, 100, 4);
    EXPECT_EQ(mapper.failures(), 1u);
    const bool watched = kPoisonReported || RunningOnValgrind();
    EXPECT_EQ(IsPoisoned(p), watched);
    EXPECT_EQ(IsPoisoned(p + 99), watched);
    AllocatorStats stats = guarded.Stats();
    EXPECT_EQ(stats.live(), 0u);
    EXPECT_EQ(stats.cached(), Granule());
    EXPECT_TRUE(stats.IdentityHolds());
    // The next takes its place in quarantine.
    guarded.Deallocate(guarded.Allocate(100, 4), 100, 4);
    stats = guarded.Stats();
    EXPECT_EQ(stats.cached(), 0u);
    EXPECT_EQ(stats.committed(), stats.metadata());
  }
  EXPECT_EQ(mapper.outstanding_bytes(), 0u);
}

TEST(GuardedAllocatorTest, EmptiesTheQuarantineBeforeItRefuses) {
  FaultyMapper mapper;
  GuardedAllocator guarded({.mapper = &mapper});
  void* p = guarded.Allocate(100, 8);
  guarded.Deallocate(p, 100, 8);
  mapper.FailFrom(0, 1, ENOMEM);
  p = guarded.Allocate(100, 8);
  EXPECT_NE(p, nullptr);
  EXPECT_EQ(guarded.quarantined_bytes(), 0u);
  guarded.Deallocate(p, 100, 8);
}

TEST(GuardedAllocatorTest, KeepsTheQuarantineWhenARequestIsInvalid) {
  GuardedAllocator guarded;
  guarded.Deallocate(guarded.Allocate(100, 8), 100, 8);
  const size_t quarantined = guarded.quarantined_bytes();
  EXPECT_GT(quarantined, 0u);
  EXPECT_EQ(guarded.Allocate(SIZE_MAX, 1), nullptr);
  EXPECT_EQ(guarded.Allocate(1, 3), nullptr);
  EXPECT_EQ(guarded.quarantined_bytes(), quarantined);
  EXPECT_EQ(guarded.Stats().failures(), 2u);
}

TEST(GuardedAllocatorTest, ServesAsAnUpstream) {
  GuardedAllocator guarded;
  Arena arena({.first_chunk_bytes = 1000}, AllocatorRef(guarded));
  EXPECT_NE(arena.Allocate(5000, 8), nullptr);
  MemoryPool pool({.block_size = 64}, AllocatorRef(guarded));
  void* const p = pool.Allocate();
  EXPECT_NE(p, nullptr);
  pool.Deallocate(p);
}

// Whatever ends the process: a fault, or under AddressSanitizer its report.
class GuardedAllocatorDeathTest : public ::testing::Test {
 protected:
  GuardedAllocator guarded_;
};

TEST_F(GuardedAllocatorDeathTest, OverrunFaults) {
  auto* const p = static_cast<char*>(guarded_.Allocate(100, 4));
  Write(p + 99);
  EXPECT_DEATH(Write(p + 100), "");
  EXPECT_DEATH(static_cast<void>(Read(p + 100)), "");
  EXPECT_DEATH(Write(p + Granule() + 99), "");
  guarded_.Deallocate(p, 100, 4);
}

TEST_F(GuardedAllocatorDeathTest, FarUnderrunFaults) {
  auto* const p = static_cast<char*>(guarded_.Allocate(100, 4));
  EXPECT_DEATH(Write(p - Granule()), "");
  guarded_.Deallocate(p, 100, 4);
}

TEST_F(GuardedAllocatorDeathTest, UseAfterFreeFaults) {
  auto* const p = static_cast<char*>(guarded_.Allocate(100, 4));
  guarded_.Deallocate(p, 100, 4);
  EXPECT_DEATH(Write(p), "");
  EXPECT_DEATH(static_cast<void>(Read(p + 50)), "");
}

TEST_F(GuardedAllocatorDeathTest, DamagedCanaries) {
  auto* const p = static_cast<char*>(guarded_.Allocate(99, 8));
  const char* const behind = kPoisonReported
                                 ? ""
                                 : "block 0x[0-9a-f]+ of 99 bytes at 8: the "
                                   "canary behind it was overwritten 4 bytes "
                                   "behind its end";
  EXPECT_DEATH(
      {
        Write(p + 103);
        guarded_.Deallocate(p, 99, 8);
      },
      behind);
  const char* const before =
      kPoisonReported ? ""
                      : "the canary before it was overwritten 10 bytes before "
                        "its first byte";
  EXPECT_DEATH(
      {
        Write(p - 10);
        guarded_.CheckCanaries();
      },
      before);
  guarded_.Deallocate(p, 99, 8);
}

TEST_F(GuardedAllocatorDeathTest, Misuse) {
  auto* const p = static_cast<char*>(guarded_.Allocate(100, 4));
  char local[8];
  EXPECT_DEATH(guarded_.Deallocate(p, 99, 4),
               "GuardedAllocator::Deallocate\\(0x[0-9a-f]+, 99, 4\\): wrong "
               "size or alignment, allocated with 100 bytes at 4");
  EXPECT_DEATH(guarded_.Deallocate(p, 100, 8), "wrong size or alignment");
  EXPECT_DEATH(guarded_.Deallocate(p + 4, 96, 4), "not a live block");
  EXPECT_DEATH(guarded_.Deallocate(local, 8, 8), "not a live block");
  guarded_.Deallocate(p, 100, 4);
  EXPECT_DEATH(guarded_.Deallocate(p, 100, 4), "double free");
}

}  // namespace
}  // namespace mmsb
