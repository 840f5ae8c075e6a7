#include "memory/testing/allocation_meter.h"

#include <cstddef>
#include <new>
#include <vector>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(AllocationMeterTest, SeesWhatIsAllocated) {
  const AllocationMeter meter;
  EXPECT_EQ(meter.total(), 0u);
  {
    const std::vector<std::byte> bytes(12345);
    EXPECT_NE(bytes.data(), nullptr);
    // Calls, as the compiler may leave out a new-expression.
    ::operator delete[](::operator new[](777));
    ::operator delete(::operator new(8));
  }
  EXPECT_EQ(meter.largest(), 12345u);
  EXPECT_EQ(meter.total(), 12345 + 777 + 8);
}

}  // namespace
}  // namespace mmsb
