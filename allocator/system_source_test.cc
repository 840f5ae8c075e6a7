#include "allocator/system_source.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(std::is_empty_v<SystemSource>);

TEST(SystemSourceTest, BlocksMayBeFreedThroughAnotherInstance) {
  for (const size_t alignment :
       {size_t{1}, size_t{16}, size_t{32}, size_t{4096}, size_t{1} << 21}) {
    void* const p = SystemSource().Allocate(1000, alignment);
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
    std::memset(p, 1, 1000);
    SystemSource().Deallocate(p, 1000, alignment);
  }
  EXPECT_EQ(SystemSource(), SystemSource());
}

TEST(SystemSourceTest, RefusesWhatWouldOverflowInsideTheHeap) {
  SystemSource source;
  EXPECT_EQ(source.Allocate(SIZE_MAX, 64), nullptr);
  EXPECT_EQ(source.Allocate(SIZE_MAX - 62, 64), nullptr);
  EXPECT_EQ(source.Allocate(SystemSource::kMaxBytes + 1, 1), nullptr);
  EXPECT_EQ(source.Allocate(SystemSource::kMaxBytes + 1, 64), nullptr);
  EXPECT_EQ(source.Allocate(1, size_t{1} << 63), nullptr);
}

TEST(SystemSourceTest, ReallocatesAndFailsWithTheBlockWhole) {
  SystemSource source;
  auto* p = static_cast<unsigned char*>(source.Allocate(1000, 16));
  std::memset(p, 5, 1000);
  EXPECT_EQ(source.Reallocate(p, 1000, SIZE_MAX, 16), nullptr);
  EXPECT_EQ(source.Reallocate(p, 1000, 2000, 32), nullptr);
  p = static_cast<unsigned char*>(source.Reallocate(p, 1000, 100000, 16));
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(std::count(p, p + 1000, 5), 1000);
  source.Deallocate(p, 100000, 16);
}

TEST(SystemSourceTest, ZeroesAtEveryAlignment) {
  SystemSource source;
  for (size_t alignment = 1; alignment <= size_t{1} << 21; alignment *= 2) {
    for (int round = 0; round < 2; ++round) {
      auto* const p =
          static_cast<unsigned char*>(source.AllocateZeroed(5000, alignment));
      ASSERT_NE(p, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
      EXPECT_EQ(std::count(p, p + 5000, 0), 5000);
      std::memset(p, 1, 5000);
      source.Deallocate(p, 5000, alignment);
    }
  }
  EXPECT_EQ(source.AllocateZeroed(SIZE_MAX, 1), nullptr);
  EXPECT_EQ(source.AllocateZeroed(1, 3), nullptr);
}

}  // namespace
}  // namespace mmsb
