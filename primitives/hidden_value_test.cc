#include "primitives/hidden_value.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(HiddenValueTest, IsTheValue) {
  for (const uintptr_t value : {uintptr_t{0}, uintptr_t{1}, UINTPTR_MAX}) {
    EXPECT_EQ(HiddenValue(value), value);
  }
}

// Were the value seen, the expression would be a constant.
TEST(HiddenValueTest, IsNotSeenThrough) {
  EXPECT_FALSE(__builtin_constant_p(HiddenValue(1)));
}

}  // namespace
}  // namespace mmsb
