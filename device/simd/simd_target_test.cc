#include "device/simd/simd_target.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(SimdTargetTest, TheBestIsInUseUntilAnotherIsForced) {
  const std::vector<std::string_view> targets = SimdTargets();
  ASSERT_FALSE(targets.empty());
  EXPECT_EQ(ActiveSimdTarget(), targets.front());
  for (const std::string_view target : targets) {
    ASSERT_TRUE(ForceSimdTarget(target).ok()) << target;
    EXPECT_EQ(ActiveSimdTarget(), target);
    EXPECT_EQ(SimdTargets(), targets) << "all are listed while one is forced";
  }
  ASSERT_TRUE(ForceSimdTarget("").ok());
  EXPECT_EQ(ActiveSimdTarget(), targets.front());
}

TEST(SimdTargetTest, OneWithoutVectorInstructionsIsThere) {
  const std::vector<std::string_view> targets = SimdTargets();
  EXPECT_NE(std::ranges::find(targets, "EMU128"), targets.end());
}

TEST(SimdTargetTest, WhatIsNotThereIsRefusedWithTheChoices) {
  const std::string_view before = ActiveSimdTarget();
  for (const std::string_view name : {"AVX9", "avx2", "RVV"}) {
    const absl::Status status = ForceSimdTarget(name);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(name), std::string_view::npos) << status;
    for (const std::string_view target : SimdTargets()) {
      EXPECT_NE(status.message().find(target), std::string_view::npos)
          << status;
    }
    EXPECT_EQ(ActiveSimdTarget(), before);
  }
}

}  // namespace
}  // namespace mmsb
