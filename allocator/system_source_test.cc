#include "allocator/system_source.h"

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

TEST(SystemSourceTest, RefusesWhatWouldOverflowInsideOperatorNew) {
  SystemSource source;
  EXPECT_EQ(source.Allocate(SIZE_MAX, 64), nullptr);
  EXPECT_EQ(source.Allocate(SIZE_MAX - 62, 64), nullptr);
  EXPECT_EQ(source.Allocate(SystemSource::kMaxBytes + 1, 1), nullptr);
  EXPECT_EQ(source.Allocate(SystemSource::kMaxBytes + 1, 64), nullptr);
  EXPECT_EQ(source.Allocate(1, size_t{1} << 63), nullptr);
}

}  // namespace
}  // namespace mmsb
