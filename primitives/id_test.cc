#include "primitives/id.h"

#include <concepts>
#include <cstdint>
#include <functional>
#include <set>
#include <type_traits>
#include <unordered_set>
#include <utility>

#include "gtest/gtest.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using BlockId = Id<struct BlockIdTag>;

static_assert(sizeof(BlockId) == 8);
static_assert(std::is_trivially_copyable_v<BlockId>);
static_assert(!std::is_convertible_v<uint64_t, BlockId>);
static_assert(!std::is_constructible_v<BlockId, uint64_t>);
static_assert(!std::is_convertible_v<BlockId, uint64_t>);
static_assert(!std::is_convertible_v<BlockId, PageId>);
static_assert(!std::equality_comparable_with<BlockId, PageId>);
static_assert(!BlockId().valid());
static_assert(BlockId::FromValue(0).valid());
static_assert(BlockId::FromValue(7).value() == 7);
static_assert(BlockId::FromValue(7) < BlockId::FromValue(8));

TEST(IdTest, OnlyTheLargestValueIsInvalid) {
  EXPECT_EQ(BlockId().value(), ~uint64_t{0});
  EXPECT_EQ(BlockId::FromValue(~uint64_t{0}), BlockId());
  EXPECT_FALSE(BlockId::FromValue(~uint64_t{0}).valid());
  EXPECT_TRUE(BlockId::FromValue(~uint64_t{0} - 1).valid());
}

TEST(IdTest, OrdersByValueWithTheInvalidLast) {
  const std::set<PageId> ids = {PageId(), PageId::FromValue(uint64_t{1} << 63),
                                PageId::FromValue(2), PageId::FromValue(1)};
  auto it = ids.begin();
  EXPECT_EQ((it++)->value(), 1u);
  EXPECT_EQ((it++)->value(), 2u);
  EXPECT_EQ((it++)->value(), uint64_t{1} << 63);
  EXPECT_FALSE(it->valid());
}

TEST(IdTest, IsAKeyOfStandardHashTables) {
  std::unordered_set<PageId> ids;
  for (uint64_t i = 0; i < 100; ++i) ids.insert(PageId::FromValue(i % 10));
  EXPECT_EQ(ids.size(), 10u);
  EXPECT_TRUE(ids.contains(PageId::FromValue(9)));
  EXPECT_FALSE(ids.contains(PageId::FromValue(10)));
}

// What Abseil's hash does with a value: states are moved, and combine() is
// given what tells values apart.
struct HashState {
  uint64_t seen = 0;
  static HashState combine(HashState state, uint64_t value) {
    state.seen = state.seen * 31 + value;
    return state;
  }
};

TEST(IdTest, GivesItsValueToAbseilsHash) {
  EXPECT_EQ(AbslHashValue(HashState{2}, PageId::FromValue(5)).seen, 67u);
}

}  // namespace
}  // namespace mmsb
