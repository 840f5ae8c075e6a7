#include "primitives/cache_line.h"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(std::has_single_bit(kCacheLineBytes));
static_assert(kFalseSharingBytes % kCacheLineBytes == 0);

struct alignas(kFalseSharingBytes) Shard {
  std::atomic<uint64_t> count = 0;
};

TEST(CacheLineTest, NeighboursInAnArrayShareNoLine) {
  Shard shards[3];
  for (size_t i = 0; i + 1 < 3; ++i) {
    const auto here = reinterpret_cast<uintptr_t>(&shards[i].count);
    const auto next = reinterpret_cast<uintptr_t>(&shards[i + 1].count);
    EXPECT_NE(here / kFalseSharingBytes, next / kFalseSharingBytes);
    EXPECT_EQ(here % kCacheLineBytes, 0u);
  }
}

}  // namespace
}  // namespace mmsb
