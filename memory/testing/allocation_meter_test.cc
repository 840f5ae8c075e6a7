#include "memory/testing/allocation_meter.h"

#include <cstddef>
#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(AllocationMeterTest, SeesWhatIsAllocated) {
  const AllocationMeter meter;
  EXPECT_EQ(meter.total(), 0u);
  {
    const std::vector<std::byte> bytes(12345);
    const auto array = std::make_unique<char[]>(777);
    const auto one = std::make_unique<long>(5);
    EXPECT_NE(bytes.data(), nullptr);
    EXPECT_NE(array.get(), nullptr);
    EXPECT_NE(one.get(), nullptr);
  }
  EXPECT_EQ(meter.largest(), 12345u);
  EXPECT_EQ(meter.total(), 12345 + 777 + sizeof(long));
}

}  // namespace
}  // namespace mmsb
