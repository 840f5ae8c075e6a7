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

}  // namespace
}  // namespace mmsb
