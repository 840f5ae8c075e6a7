#include "allocator/reallocate.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "allocator/raw_allocator.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(!ReallocatingAllocator<FailingUpstream>);

// Grows in place up to twice the size it was told.
class RoomyAllocator {
 public:
  void* Allocate(size_t bytes, size_t alignment) noexcept {
    return upstream.Allocate(2 * bytes, alignment);
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    upstream.Deallocate(p, upstream_bytes == 0 ? 2 * bytes : upstream_bytes,
                        alignment);
    upstream_bytes = 0;
  }
  void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                   size_t /*alignment*/) noexcept {
    if (new_bytes > 2 * old_bytes) return nullptr;
    upstream_bytes = 2 * old_bytes;
    return p;
  }

  FailingUpstream upstream;
  size_t upstream_bytes = 0;
};
static_assert(ReallocatingAllocator<RoomyAllocator>);

TEST(ReallocateTest, CopiesWhereTheAllocatorCannotDoBetter) {
  FailingUpstream upstream;
  auto* p = static_cast<char*>(upstream.Allocate(100, 8));
  std::memset(p, 7, 100);
  p = static_cast<char*>(Reallocate(upstream, p, 100, 200, 8));
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(std::count(p, p + 100, 7), 100);
  p = static_cast<char*>(Reallocate(upstream, p, 200, 10, 8));
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(std::count(p, p + 10, 7), 10);
  EXPECT_EQ(upstream.bytes(), 10u);
  upstream.Deallocate(p, 10, 8);
}

TEST(ReallocateTest, GrowsInPlaceWhereTheAllocatorCan) {
  RoomyAllocator allocator;
  void* const p = allocator.Allocate(100, 8);
  EXPECT_EQ(Reallocate(allocator, p, 100, 200, 8), p);
  EXPECT_EQ(allocator.upstream.calls(), 1u);
  allocator.Deallocate(p, 200, 8);
}

TEST(ReallocateTest, CopiesWhereInPlaceHasNoRoom) {
  RoomyAllocator allocator;
  auto* const p = static_cast<char*>(allocator.Allocate(100, 8));
  std::memset(p, 7, 100);
  auto* const q = static_cast<char*>(Reallocate(allocator, p, 100, 201, 8));
  ASSERT_NE(q, nullptr);
  EXPECT_NE(p, q);
  EXPECT_EQ(std::count(q, q + 100, 7), 100);
  allocator.Deallocate(q, 201, 8);
}

TEST(ReallocateTest, FailureLeavesTheOldBlockWhole) {
  FailingUpstream upstream;
  auto* const p = static_cast<char*>(upstream.Allocate(100, 8));
  std::memset(p, 7, 100);
  upstream.Restart({.fail_from = 1});
  EXPECT_EQ(Reallocate(upstream, p, 100, 200, 8), nullptr);
  EXPECT_EQ(Reallocate(upstream, p, 100, SIZE_MAX, 8), nullptr);
  EXPECT_EQ(std::count(p, p + 100, 7), 100);
  EXPECT_EQ(upstream.bytes(), 100u);
  upstream.Deallocate(p, 100, 8);
}

TEST(ReallocateTest, OfNullAllocates) {
  FailingUpstream upstream;
  void* const p = Reallocate(upstream, nullptr, 0, 50, 64);
  ASSERT_NE(p, nullptr);
  upstream.Deallocate(p, 50, 64);
}

}  // namespace
}  // namespace mmsb
