#include "allocator/testing/failing_upstream.h"

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(FailingUpstreamTest, FailsOneCall) {
  FailingUpstream upstream({.fail_at = 2});
  void* const a = upstream.Allocate(8, 8);
  EXPECT_EQ(upstream.Allocate(8, 8), nullptr);
  void* const b = upstream.Allocate(8, 8);
  EXPECT_NE(a, nullptr);
  EXPECT_NE(b, nullptr);
  EXPECT_EQ(upstream.calls(), 3u);
  EXPECT_EQ(upstream.failures(), 1u);
  EXPECT_EQ(upstream.bytes(), 16u);
  upstream.Deallocate(a, 8, 8);
  upstream.Deallocate(b, 8, 8);
}

TEST(FailingUpstreamTest, FailsForGoodUntilRestarted) {
  FailingUpstream upstream({.fail_from = 1});
  EXPECT_EQ(upstream.Allocate(8, 8), nullptr);
  EXPECT_EQ(upstream.Allocate(8, 8), nullptr);
  upstream.Restart({});
  void* const p = upstream.Allocate(8, 8);
  EXPECT_NE(p, nullptr);
  upstream.Deallocate(p, 8, 8);
}

TEST(FailingUpstreamTest, LimitsBytesAndAlignment) {
  FailingUpstream upstream({.max_bytes = 100, .max_alignment = 64});
  EXPECT_EQ(upstream.Allocate(8, 128), nullptr);
  void* const p = upstream.Allocate(60, 64);
  EXPECT_EQ(upstream.Allocate(41, 8), nullptr);
  void* const q = upstream.Allocate(40, 8);
  EXPECT_NE(q, nullptr);
  upstream.Deallocate(p, 60, 64);
  upstream.Deallocate(q, 40, 8);
}

TEST(FailingUpstreamDeathTest, HoldsTheCallerToTheContract) {
  EXPECT_DEATH(
      {
        FailingUpstream upstream;
        void* const p = upstream.Allocate(8, 8);
        upstream.Deallocate(p, 16, 8);
      },
      "came back as 16 at 8");
  EXPECT_DEATH(
      {
        FailingUpstream upstream;
        void* const p = upstream.Allocate(8, 8);
        upstream.Deallocate(p, 8, 8);
        upstream.Deallocate(p, 8, 8);
      },
      "is not live");
  EXPECT_DEATH(
      {
        FailingUpstream upstream;
        EXPECT_NE(upstream.Allocate(8, 8), nullptr);
      },
      "1 blocks were not given back");
}

}  // namespace
}  // namespace mmsb
