// An upstream that fails at its Nth call, for every N: the pool stays whole,
// goes on where it can, and gives everything back (FailingUpstream ends the
// process otherwise).

#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/check_policy.h"
#include "allocator/memory_pool.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr size_t kBlocks = 300;

template <class Policy>
class MemoryPoolFailureTest : public ::testing::Test {
 protected:
  // Allocates kBlocks times and frees everything; returns how many were served.
  static size_t Run(const MemoryPoolOptions& options,
                    FailingUpstream& upstream) {
    MemoryPool<AllocatorRef<FailingUpstream>, Policy> pool(
        options, AllocatorRef(upstream));
    BlockLedger ledger;
    std::vector<void*> blocks;
    for (size_t i = 0; i < kBlocks; ++i) {
      const uint64_t failures = upstream.failures();
      void* const p = pool.Allocate();
      if (p != nullptr) {
        EXPECT_EQ(ledger.Add(p, options.block_size, pool.alignment()), "");
        blocks.push_back(p);
      } else {
        EXPECT_GT(upstream.failures(), failures);
      }
      EXPECT_TRUE(pool.Stats().IdentityHolds());
      EXPECT_EQ(pool.Stats().committed(), upstream.bytes());
    }
    EXPECT_EQ(ledger.Check(), "");
    for (void* block : blocks) {
      EXPECT_EQ(ledger.Remove(block), "");
      pool.Deallocate(block);
    }
    EXPECT_EQ(pool.Stats().live(), 0u);
    EXPECT_EQ(pool.Stats().failures(), kBlocks - blocks.size());
    return blocks.size();
  }

  // Reserves, takes a batch, releases and takes another; the same at the end,
  // whatever failed on the way.
  static void RunBatches(FailingUpstream& upstream) {
    MemoryPool<AllocatorRef<FailingUpstream>, Policy> pool(
        {.block_size = 100, .blocks_per_chunk = 40}, AllocatorRef(upstream));
    for (int round = 0; round < 3; ++round) {
      const bool reserved = pool.Reserve(kBlocks);
      std::vector<void*> blocks(kBlocks);
      blocks.resize(pool.AllocateBatch(blocks));
      EXPECT_TRUE(!reserved || blocks.size() == kBlocks);
      EXPECT_EQ(pool.Stats().committed(), upstream.bytes());
      EXPECT_TRUE(pool.Stats().IdentityHolds());
      // All but the last, whose chunk stays.
      void* const last = blocks.empty() ? nullptr : blocks.back();
      if (last != nullptr) blocks.pop_back();
      pool.DeallocateBatch(blocks);
      pool.Release();
      EXPECT_EQ(pool.Stats().committed(), upstream.bytes());
      pool.Deallocate(last);
      EXPECT_TRUE(pool.Stats().IdentityHolds());
    }
    pool.Release();
    EXPECT_EQ(upstream.bytes(), 0u);
  }

  static void FailEveryCall(const MemoryPoolOptions& options) {
    FailingUpstream upstream;
    EXPECT_EQ(Run(options, upstream), kBlocks);
    const uint64_t calls = upstream.calls();
    ASSERT_GT(calls, 4u);
    size_t served = 0;
    for (uint64_t n = 1; n <= calls; ++n) {
      // One failure costs at most one block.
      upstream.Restart({.fail_at = n});
      EXPECT_GE(Run(options, upstream), kBlocks - 1);
      EXPECT_EQ(upstream.bytes(), 0u);
      // The later it fails for good, the more is served.
      upstream.Restart({.fail_from = n});
      const size_t now = Run(options, upstream);
      EXPECT_GE(now, served);
      EXPECT_LT(now, kBlocks);
      EXPECT_EQ(upstream.bytes(), 0u);
      served = now;
    }
  }
};

using Policies = ::testing::Types<Unchecked, Checked>;
TYPED_TEST_SUITE(MemoryPoolFailureTest, Policies);

TYPED_TEST(MemoryPoolFailureTest, ChunksOfItsOwnChoice) {
  TestFixture::FailEveryCall({.block_size = 4000});
}

TYPED_TEST(MemoryPoolFailureTest, ChunksOfAGivenSize) {
  TestFixture::FailEveryCall({.block_size = 24, .blocks_per_chunk = 7});
}

TYPED_TEST(MemoryPoolFailureTest, StrictAlignment) {
  TestFixture::FailEveryCall(
      {.block_size = 8, .alignment = 256, .blocks_per_chunk = 1});
}

TYPED_TEST(MemoryPoolFailureTest, ReserveBatchesAndRelease) {
  FailingUpstream upstream;
  TestFixture::RunBatches(upstream);
  const uint64_t calls = upstream.calls();
  ASSERT_GE(calls, 4u);
  for (uint64_t n = 1; n <= calls; ++n) {
    SCOPED_TRACE(n);
    upstream.Restart({.fail_at = n});
    TestFixture::RunBatches(upstream);
    upstream.Restart({.fail_from = n});
    TestFixture::RunBatches(upstream);
  }
}

}  // namespace
}  // namespace mmsb
