#include "memory/log/prefix_oracle.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(PrefixOracleTest, WhatWasBegunMayBeFoundUntilItsSuccessorIsAcknowledged) {
  PrefixOracle oracle("0");
  EXPECT_TRUE(oracle.Check("0").ok());
  oracle.Begin("1");
  EXPECT_TRUE(oracle.Check("0").ok());
  EXPECT_TRUE(oracle.Check("1").ok());
  oracle.Begin("2");
  oracle.Acknowledge();
  EXPECT_TRUE(oracle.Check("2").ok());
  EXPECT_EQ(oracle.Check("1").message(),
            "recovered state 1, but state 2 was acknowledged");
  EXPECT_EQ(oracle.Check("12").message(),
            "recovered what was none of the 3 states");
  EXPECT_TRUE(absl::IsDataLoss(oracle.Check("12")));
}

}  // namespace
}  // namespace mmsb
