#include "memory/testing/allocation_meter.h"

#include <cstddef>
#include <new>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(AllocationMeterTest, SeesWhatIsAllocated) {
  const AllocationMeter meter;
  EXPECT_EQ(meter.total(), 0u);
  // Calls, as the compiler may leave out a new-expression, and a vector's.
  ::operator delete(::operator new(12345));
  ::operator delete[](::operator new[](777));
  ::operator delete(::operator new(8));
  EXPECT_EQ(meter.largest(), 12345u);
  // A sanitizer may allocate beside it.
  EXPECT_GE(meter.total(), 12345u + 777 + 8);
}

}  // namespace
}  // namespace mmsb
