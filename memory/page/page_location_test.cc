#include "memory/page/page_location.h"

#include <cstdint>
#include <sstream>
#include <type_traits>
#include <unordered_set>

#include "absl/hash/hash_testing.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr uint32_t kMax = PageLocation::kMaxDeviceIndex;

TEST(PageLocationTest, IsTheHostByDefault) {
  EXPECT_EQ(PageLocation(), PageLocation::Host());
  EXPECT_TRUE(PageLocation().is_host());
  EXPECT_FALSE(PageLocation().is_unified());
  EXPECT_FALSE(PageLocation().is_device());
}

TEST(PageLocationTest, EachIsOnlyItself) {
  static_assert(PageLocation::Unified().is_unified());
  static_assert(!PageLocation::Unified().is_host());
  static_assert(!PageLocation::Unified().is_device());
  for (const uint32_t index : {0u, 1u, 7u, kMax}) {
    const PageLocation device = PageLocation::Device(index);
    EXPECT_TRUE(device.is_device());
    EXPECT_FALSE(device.is_host());
    EXPECT_FALSE(device.is_unified());
    EXPECT_EQ(device.device_index(), index);
  }
}

TEST(PageLocationTest, OnlyADeviceIsOutOfTheHostsReach) {
  EXPECT_TRUE(PageLocation::Host().host_accessible());
  EXPECT_TRUE(PageLocation::Unified().host_accessible());
  EXPECT_FALSE(PageLocation::Device(0).host_accessible());
}

TEST(PageLocationTest, Orders) {
  EXPECT_LT(PageLocation::Host(), PageLocation::Unified());
  EXPECT_LT(PageLocation::Unified(), PageLocation::Device(0));
  EXPECT_LT(PageLocation::Device(0), PageLocation::Device(1));
  EXPECT_LT(PageLocation::Device(1), PageLocation::Device(kMax));
}

TEST(PageLocationTest, DoesNotMixWithIntegers) {
  static_assert(!std::is_convertible_v<uint32_t, PageLocation>);
  static_assert(!std::is_constructible_v<PageLocation, uint32_t>);
  static_assert(!std::is_convertible_v<PageLocation, uint32_t>);
}

TEST(PageLocationTest, Hashes) {
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly(
      {PageLocation::Host(), PageLocation::Unified(), PageLocation::Device(0),
       PageLocation::Device(1), PageLocation::Device(kMax)}));
  const std::unordered_set<PageLocation> set = {
      PageLocation(), PageLocation::Host(), PageLocation::Device(2)};
  EXPECT_EQ(set.size(), 2u);
}

TEST(PageLocationTest, Prints) {
  EXPECT_EQ(absl::StrCat(PageLocation::Host()), "host");
  EXPECT_EQ(absl::StrCat(PageLocation::Unified()), "unified");
  EXPECT_EQ(absl::StrCat(PageLocation::Device(3)), "device 3");
  std::ostringstream stream;
  stream << PageLocation::Device(kMax) << ", " << PageLocation::Host();
  EXPECT_EQ(stream.str(), "device 4294967293, host");
}

TEST(PageLocationDeathTest, RefusesAnIndexThatIsNone) {
  EXPECT_DEATH((void)PageLocation::Device(kMax + 1),
               "PageLocation::Device: index 4294967294 is above 4294967293");
  EXPECT_DEATH((void)PageLocation::Host().device_index(),
               "PageLocation::device_index: the location is host");
  EXPECT_DEATH((void)PageLocation::Unified().device_index(),
               "PageLocation::device_index: the location is unified");
}

}  // namespace
}  // namespace mmsb
