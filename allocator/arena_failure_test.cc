// An upstream that fails at its Nth call, for every N: the arena stays whole,
// goes on where it can, and gives everything back (FailingUpstream ends the
// process otherwise).

#include <cstddef>
#include <cstdint>

#include "allocator/allocator_ref.h"
#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using FailingArena = Arena<AllocatorRef<FailingUpstream>, Checked>;

constexpr ArenaOptions kOptions = {.first_chunk_bytes = 256,
                                   .max_chunk_bytes = 2048};

// Small blocks, large ones, and strictly aligned ones, which no chunk could
// serve by luck of its address.
constexpr size_t kRequests = 400;
size_t BytesOf(size_t i) {
  return i % 50 == 49 ? 3000 + i : i % 30 == 29 ? 2000 : i % 97 + 1;
}
size_t AlignmentOf(size_t i) {
  return size_t{1} << (i % 30 == 29 ? 12 : i % 5);
}

void CheckSums(FailingArena& arena, const FailingUpstream& upstream) {
  ASSERT_TRUE(arena.Stats().IdentityHolds());
  ASSERT_EQ(arena.Stats().committed(), upstream.bytes());
}

// Returns how many requests were served, in two halves with a rewind between.
size_t Serve(FailingUpstream& upstream) {
  FailingArena arena(kOptions, AllocatorRef(upstream));
  size_t served = 0;
  for (int half = 0; half < 2; ++half) {
    const auto mark = arena.Mark();
    BlockLedger ledger;
    for (size_t i = 0; i < kRequests; ++i) {
      const uint64_t failures = upstream.failures();
      void* const p = arena.Allocate(BytesOf(i), AlignmentOf(i));
      if (p != nullptr) {
        EXPECT_EQ(ledger.Add(p, BytesOf(i), AlignmentOf(i)), "");
        ++served;
      } else {
        EXPECT_GT(upstream.failures(), failures);
      }
      CheckSums(arena, upstream);
    }
    EXPECT_EQ(ledger.Check(), "");
    arena.Rewind(mark);
    EXPECT_EQ(arena.Stats().live(), 0u);
    CheckSums(arena, upstream);
  }
  EXPECT_EQ(arena.Stats().failures(), 2 * kRequests - served);
  return served;
}

TEST(ArenaFailureTest, FailsAtEveryCall) {
  FailingUpstream upstream;
  EXPECT_EQ(Serve(upstream), 2 * kRequests);
  const uint64_t calls = upstream.calls();
  ASSERT_GT(calls, 20u);
  for (uint64_t n = 1; n <= calls; ++n) {
    SCOPED_TRACE(n);
    upstream.Restart({.fail_at = n});
    EXPECT_GE(Serve(upstream), 2 * kRequests - 1);
    EXPECT_EQ(upstream.bytes(), 0u);
  }
}

TEST(ArenaFailureTest, FailsForGoodFromEveryCall) {
  FailingUpstream upstream;
  EXPECT_EQ(Serve(upstream), 2 * kRequests);
  const uint64_t calls = upstream.calls();
  for (uint64_t n = 1; n <= calls; ++n) {
    SCOPED_TRACE(n);
    upstream.Restart({.fail_from = n});
    EXPECT_LT(Serve(upstream), 2 * kRequests);
    EXPECT_EQ(upstream.bytes(), 0u);
  }
}

}  // namespace
}  // namespace mmsb
