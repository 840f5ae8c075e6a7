#ifndef MMSB_DEVICE_SIMD_TESTING_EACH_TARGET_H_
#define MMSB_DEVICE_SIMD_TESTING_EACH_TARGET_H_

#include <string>
#include <string_view>

#include "device/simd/simd_target.h"
#include "gtest/gtest.h"

namespace mmsb {

// A fixture whose tests run once on each target that the program holds and the
// machine supports.
//
//   class FooTest : public EachTarget {};
//   TEST_P(FooTest, Bar) { ... }
//   INSTANTIATE_TEST_SUITE_P(Targets, FooTest, AllTargets(), TargetName);
class EachTarget : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(ForceSimdTarget(GetParam()).ok()) << GetParam();
    ASSERT_EQ(ActiveSimdTarget(), GetParam());
  }
  void TearDown() override { ASSERT_TRUE(ForceSimdTarget("").ok()); }
};

inline auto AllTargets() { return testing::ValuesIn(SimdTargets()); }

inline std::string TargetName(
    const testing::TestParamInfo<std::string_view>& info) {
  return std::string(info.param);
}

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_TESTING_EACH_TARGET_H_
