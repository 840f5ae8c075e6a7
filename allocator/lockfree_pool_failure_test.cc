// An upstream that fails at its Nth call, for every N: the pool is empty then,
// says so, and gives everything back (FailingUpstream ends the process
// otherwise).

#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

template <class Policy>
class LockFreePoolFailureTest : public ::testing::Test {
 protected:
  using Pool = BasicLockFreePool<AllocatorRef<FailingUpstream>, Policy>;

  static void TakeAndGiveAll(FailingUpstream& upstream, size_t capacity) {
    Pool pool({.block_size = 24, .capacity = 100}, AllocatorRef(upstream));
    EXPECT_EQ(pool.capacity(), capacity);
    EXPECT_EQ(pool.Stats().committed(), upstream.bytes());
    std::vector<void*> blocks;
    while (void* const p = pool.Allocate()) blocks.push_back(p);
    EXPECT_EQ(blocks.size(), capacity);
    EXPECT_EQ(pool.Stats().failures(), 1u);
    for (void* block : blocks) pool.Deallocate(block);
    pool.DetachThread();
    EXPECT_EQ(pool.Stats().live(), 0u);
  }
};

using Policies = ::testing::Types<Unchecked, Checked>;
TYPED_TEST_SUITE(LockFreePoolFailureTest, Policies);

TYPED_TEST(LockFreePoolFailureTest, EveryCall) {
  FailingUpstream upstream;
  this->TakeAndGiveAll(upstream, 100);
  EXPECT_EQ(upstream.bytes(), 0u);
  const uint64_t calls = upstream.calls();
  EXPECT_EQ(calls, 2u);
  for (uint64_t n = 1; n <= calls; ++n) {
    upstream.Restart({.fail_at = n});
    this->TakeAndGiveAll(upstream, 0);
    EXPECT_EQ(upstream.bytes(), 0u);
    EXPECT_EQ(upstream.failures(), 1u);
  }
}

TYPED_TEST(LockFreePoolFailureTest, SizesThatDoNotFitTheAddressSpace) {
  for (const size_t block_size : {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1}) {
    for (const size_t capacity : {size_t{1}, size_t{3}, size_t{1} << 31}) {
      FailingUpstream upstream;
      typename TestFixture::Pool pool(
          {.block_size = block_size, .capacity = capacity, .alignment = 64},
          AllocatorRef(upstream));
      EXPECT_EQ(pool.Allocate(), nullptr);
      EXPECT_EQ(pool.capacity(), 0u);
    }
  }
  FailingUpstream upstream;
  typename TestFixture::Pool magazines(
      {.block_size = 8, .capacity = 8, .magazine_blocks = size_t{1} << 63},
      AllocatorRef(upstream));
  EXPECT_EQ(magazines.Allocate(), nullptr);
  typename TestFixture::Pool threads(
      {.block_size = 8, .capacity = 8, .max_threads = SIZE_MAX / 2 + 1},
      AllocatorRef(upstream));
  EXPECT_EQ(threads.Allocate(), nullptr);
  EXPECT_EQ(upstream.calls(), 0u);
}

}  // namespace
}  // namespace mmsb
