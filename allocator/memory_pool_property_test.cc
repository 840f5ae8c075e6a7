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
class PoolModel {
 public:
  PoolModel(Pool& pool, size_t capacity, std::mt19937_64& random)
      : pool_(pool), capacity_(capacity), random_(random) {}

  void Run() {
    for (int step = 0; step < 3000 && !testing::Test::HasFailure(); ++step) {
      // Phases that fill and phases that empty.
      const bool fill = random_() % 8 < (step / 500 % 2 == 0 ? 6u : 2u);
      // Now and then many at once.
      const size_t count = random_() % 10 == 0 ? random_() % 50 : 1;
      const uint64_t choice = random_() % 100;
      if (choice < 2) {
        Reserve(random_() % (capacity_ + 10));
      } else if (choice < 4) {
        Release();
      } else if (fill) {
        Allocate(count);
      } else {
        Deallocate(count);
      }
      Check();
    }
    ASSERT_EQ(ledger_.Check(), "");
    Deallocate(live_.size());
    Check();
  }

 private:
  void Allocate(size_t count) {
    std::vector<void*> blocks(count);
    size_t got = 0;
    if (count == 1) {
      blocks[0] = pool_.Allocate();
      got = blocks[0] != nullptr ? 1 : 0;
    } else {
      got = pool_.AllocateBatch(blocks);
    }
    ASSERT_EQ(got, std::min(count, capacity_ - live_.size()));
    if (got < count) ++refused_;
    for (size_t i = 0; i < got; ++i) {
      ASSERT_EQ(ledger_.Add(blocks[i], pool_.block_size(), pool_.alignment()),
                "");
      live_.push_back(blocks[i]);
    }
    served_ += got;
    peak_ = std::max(peak_, live_.size());
  }

  void Deallocate(size_t count) {
    std::vector<void*> blocks;
    while (blocks.size() < count && !live_.empty()) {
      std::swap(live_[random_() % live_.size()], live_.back());
      ASSERT_EQ(ledger_.Remove(live_.back()), "");
      blocks.push_back(live_.back());
      live_.pop_back();
    }
    if (blocks.size() == 1) {
      pool_.Deallocate(blocks[0]);
    } else {
      if (random_() % 2 == 0) blocks.push_back(nullptr);
      pool_.DeallocateBatch(blocks);
    }
  }

  void Reserve(size_t count) {
    const bool fits = count <= capacity_ - live_.size();
    ASSERT_EQ(pool_.Reserve(count), fits);
    const AllocatorStats stats = pool_.Stats();
    if (fits && stride_ != 0) {
      ASSERT_GE(stats.cached() + stats.free(), count * stride_);
    }
  }

  void Release() {
    const AllocatorStats before = pool_.Stats();
    const size_t bytes = pool_.Release();
    const AllocatorStats after = pool_.Stats();
    ASSERT_EQ(after.committed() + bytes, before.committed());
    ASSERT_EQ(after.live(), before.live());
    ASSERT_EQ(ledger_.Check(), "");
    // A second time there is nothing more.
    ASSERT_EQ(pool_.Release(), 0u);
  }

  void Check() {
    const AllocatorStats stats = pool_.Stats();
    ASSERT_TRUE(stats.IdentityHolds());
    ASSERT_EQ(stats.allocations(), served_);
    ASSERT_EQ(stats.deallocations(), served_ - live_.size());
    ASSERT_EQ(stats.failures(), refused_);
    if (peak_ == 0) return;
    stride_ = stats.peak() / peak_;
    ASSERT_GE(stride_, pool_.block_size());
    ASSERT_EQ(stats.peak(), peak_ * stride_);
    ASSERT_EQ(stats.live(), live_.size() * stride_);
    ASSERT_LE(stats.cached(), (peak_ - live_.size()) * stride_);
  }

  Pool& pool_;
  const size_t capacity_;
  std::mt19937_64& random_;
  BlockLedger ledger_;
  std::vector<void*> live_;
  size_t peak_ = 0;
  size_t stride_ = 0;  // bytes
  uint64_t served_ = 0;
  uint64_t refused_ = 0;
};

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
    PoolModel(pool, options.max_blocks, random).Run();
    if (this->HasFailure()) return;
    pool.Release();
    ASSERT_EQ(pool.Stats().committed(), 0u);
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
    PoolModel(pool, capacity, random).Run();
    if (this->HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace mmsb
