// An upstream that fails at its Nth call, for every N: each adaptor passes the
// null on, stays whole, and gives everything back (FailingUpstream ends the
// process otherwise).

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "allocator/allocate_zeroed.h"
#include "allocator/allocator_ref.h"
#include "allocator/fallback_allocator.h"
#include "allocator/limit_allocator.h"
#include "allocator/locked_allocator.h"
#include "allocator/memory_pool.h"
#include "allocator/pmr.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/stats_allocator.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "allocator/tracking_allocator.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using Ref = AllocatorRef<FailingUpstream>;

struct StatsSubject {
  explicit StatsSubject(FailingUpstream& upstream) : allocator(Ref(upstream)) {}
  StatsAllocator<Ref> allocator;
};
struct LimitSubject {
  explicit LimitSubject(FailingUpstream& upstream)
      : allocator({.max_bytes = 1'000'000}, Ref(upstream)) {}
  ~LimitSubject() { EXPECT_EQ(allocator.used(), 0u); }
  LimitAllocator<Ref> allocator;
};
struct TrackingSubject {
  explicit TrackingSubject(FailingUpstream& upstream)
      : allocator({}, Ref(upstream), Ref(upstream)) {}
  ~TrackingSubject() { EXPECT_EQ(allocator.live_blocks(), 0u); }
  TrackingAllocator<Ref, Ref> allocator;
};
struct LockedSubject {
  explicit LockedSubject(FailingUpstream& upstream)
      : allocator(Ref(upstream)) {}
  LockedAllocator<Ref> allocator;
};
struct FallbackSubject {
  explicit FallbackSubject(FailingUpstream& upstream)
      : pool({.block_size = 64, .max_blocks = 20}, Ref(upstream)),
        allocator(AllocatorRef(pool), Ref(upstream)) {}
  MemoryPool<Ref> pool;
  FallbackAllocator<AllocatorRef<MemoryPool<Ref>>, Ref> allocator;
};
struct PmrRoundTripSubject {
  explicit PmrRoundTripSubject(FailingUpstream& upstream)
      : resource(Ref(upstream)), allocator(&resource) {}
  PmrResource<Ref> resource;
  PmrUpstream allocator;
};
struct DeepSubject {
  explicit DeepSubject(FailingUpstream& upstream)
      : tracking({}, Ref(upstream), Ref(upstream)),
        allocator(LimitAllocatorOptions{.max_bytes = 1'000'000},
                  AllocatorRef(tracking)) {}
  using Tracking = TrackingAllocator<Ref, Ref>;
  Tracking tracking;
  LockedAllocator<StatsAllocator<LimitAllocator<AllocatorRef<Tracking>>>>
      allocator;
};

template <class Subject>
class AdaptorFailureTest : public ::testing::Test {
 protected:
  static constexpr size_t kBlocks = 150;

  // Allocates, zeroes, resizes and gives back; returns how many requests were
  // served.
  static size_t Run(FailingUpstream& upstream) {
    Subject subject(upstream);
    auto& allocator = subject.allocator;
    using A = std::remove_reference_t<decltype(allocator)>;
    BlockLedger ledger;
    struct Block {
      void* p;
      size_t bytes;
    };
    std::vector<Block> blocks;
    size_t served = 0;
    for (size_t i = 0; i < kBlocks; ++i) {
      const size_t bytes = i % 100;
      void* const p = i % 3 == 0 ? AllocateZeroed(allocator, bytes, 8)
                                 : allocator.Allocate(bytes, 8);
      if (p != nullptr) {
        EXPECT_EQ(ledger.Add(p, bytes, 8), "");
        blocks.push_back({p, bytes});
        ++served;
      }
      if (i % 10 == 5 && !blocks.empty()) {
        Block& block = blocks[blocks.size() / 2];
        EXPECT_EQ(ledger.Remove(block.p), "");
        void* const resized =
            Reallocate(allocator, block.p, block.bytes, block.bytes + 50, 8);
        if (resized != nullptr) {
          block = {resized, block.bytes + 50};
          ++served;
        }
        EXPECT_EQ(ledger.Add(block.p, block.bytes, 8), "");
      }
      if constexpr (CountingAllocator<A>) {
        EXPECT_TRUE(allocator.Stats().IdentityHolds());
      }
      EXPECT_EQ(ledger.Check(), "");
    }
    for (const Block& block : blocks) {
      EXPECT_EQ(ledger.Remove(block.p), "");
      allocator.Deallocate(block.p, block.bytes, 8);
    }
    if constexpr (CountingAllocator<A>) {
      EXPECT_EQ(allocator.Stats().live(), 0u);
    }
    return served;
  }
};

using Subjects =
    ::testing::Types<StatsSubject, LimitSubject, TrackingSubject, LockedSubject,
                     FallbackSubject, PmrRoundTripSubject, DeepSubject>;
TYPED_TEST_SUITE(AdaptorFailureTest, Subjects);

TYPED_TEST(AdaptorFailureTest, AtEveryCall) {
  FailingUpstream upstream;
  const size_t all = TestFixture::Run(upstream);
  EXPECT_EQ(all, TestFixture::kBlocks + TestFixture::kBlocks / 10);
  const uint64_t calls = upstream.calls();
  ASSERT_GT(calls, 10u);
  for (uint64_t n = 1; n <= calls; ++n) {
    upstream.Restart({.fail_at = n});
    // Whoever has a second way needs no new request.
    EXPECT_GE(TestFixture::Run(upstream) + 1, all) << "call " << n;
    EXPECT_EQ(upstream.bytes(), 0u);
    EXPECT_EQ(upstream.failures(), 1u);
    upstream.Restart({.fail_from = n});
    EXPECT_LT(TestFixture::Run(upstream), all) << "from call " << n;
    EXPECT_EQ(upstream.bytes(), 0u);
  }
}

}  // namespace
}  // namespace mmsb
