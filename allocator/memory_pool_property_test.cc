// Long random runs of the pool against a model, with fixed seeds.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/memory_pool.h"
#include "allocator/system_source.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

template <class Pool>
void RunAgainstModel(Pool& pool, size_t capacity, std::mt19937_64& random) {
  BlockLedger ledger;
  std::vector<void*> live;
  size_t peak = 0;
  uint64_t served = 0;
  uint64_t refused = 0;
  for (int step = 0; step < 3000; ++step) {
    // Phases that fill and phases that empty.
    const bool fill = random() % 8 < (step / 500 % 2 == 0 ? 6u : 2u);
    if (fill) {
      void* const p = pool.Allocate();
      ASSERT_EQ(p != nullptr, live.size() < capacity);
      if (p == nullptr) {
        ++refused;
        continue;
      }
      ASSERT_EQ(ledger.Add(p, pool.block_size(), pool.alignment()), "");
      live.push_back(p);
      ++served;
      peak = std::max(peak, live.size());
    } else if (!live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      ASSERT_EQ(ledger.Remove(live.back()), "");
      pool.Deallocate(live.back());
      live.pop_back();
    }
    const AllocatorStats stats = pool.Stats();
    ASSERT_TRUE(stats.IdentityHolds());
    ASSERT_EQ(stats.allocations(), served);
    ASSERT_EQ(stats.deallocations(), served - live.size());
    ASSERT_EQ(stats.failures(), refused);
    const size_t stride = peak == 0 ? 0 : stats.peak() / peak;
    ASSERT_EQ(stats.peak(), peak * stride);
    ASSERT_EQ(stats.live(), live.size() * stride);
    ASSERT_EQ(stats.cached(), (peak - live.size()) * stride);
  }
  ASSERT_EQ(ledger.Check(), "");
  for (void* block : live) pool.Deallocate(block);
  ASSERT_EQ(pool.Stats().live(), 0u);
}

template <class Policy>
class MemoryPoolPropertyTest : public ::testing::Test {
 protected:
  static MemoryPoolOptions RandomOptions(std::mt19937_64& random) {
    return {.block_size = random() % 200 + 1,
            .alignment = random() % 2 == 0 ? 0 : size_t{1} << random() % 9,
            .blocks_per_chunk = random() % 3 == 0 ? 0 : random() % 50 + 1,
            .max_blocks = random() % 1500 + 1};
  }
};

using Policies = ::testing::Types<Unchecked, Checked>;
TYPED_TEST_SUITE(MemoryPoolPropertyTest, Policies);

TYPED_TEST(MemoryPoolPropertyTest, GrowingPool) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const MemoryPoolOptions options = this->RandomOptions(random);
    FailingUpstream upstream;
    MemoryPool<AllocatorRef<FailingUpstream>, TypeParam> pool(
        options, AllocatorRef(upstream));
    RunAgainstModel(pool, options.max_blocks, random);
    ASSERT_EQ(upstream.bytes(), pool.Stats().committed());
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(MemoryPoolPropertyTest, PoolOverARegion) {
  for (uint64_t seed = 101; seed <= 120; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const MemoryPoolOptions options = this->RandomOptions(random);
    std::vector<std::byte> region(random() % 50000);
    const size_t offset = std::min<size_t>(random() % 64, region.size());
    const auto make = [&] {
      return MemoryPool<SystemSource, TypeParam>(
          region.data() + offset, region.size() - offset, options);
    };
    size_t capacity = 0;
    {
      auto pool = make();
      while (pool.Allocate() != nullptr) ++capacity;
    }
    auto pool = make();
    RunAgainstModel(pool, capacity, random);
    if (this->HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace mmsb
