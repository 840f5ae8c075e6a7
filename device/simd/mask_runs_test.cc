#include "device/simd/mask_runs.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "device/simd/mask_view.h"
#include "gtest/gtest.h"

namespace mmsb {

// How a run is printed when a test fails.
void PrintTo(const MaskRun& run, std::ostream* out) {
  *out << run.bits << " from " << run.first;
}

namespace {

std::vector<MaskRun> RunsOf(MaskView mask) {
  std::vector<MaskRun> runs;
  AppendRuns(mask, runs);
  return runs;
}

// Bit by bit.
std::vector<MaskRun> ExpectedRuns(MaskView mask) {
  std::vector<MaskRun> runs;
  for (size_t i = 0; i < mask.bits(); ++i) {
    if (!mask[i]) continue;
    if (i == 0 || !mask[i - 1]) runs.push_back({i, 0});
    ++runs.back().bits;
  }
  return runs;
}

TEST(MaskRunsTest, RunsAreMaximalAndInOrder) {
  const std::vector<uint8_t> mask = {0b11100110, 0b10000001, 0xFF};
  EXPECT_EQ(RunsOf(mask), (std::vector<MaskRun>{{1, 2}, {5, 4}, {15, 9}}));
  EXPECT_EQ(RunsOf(MaskView(mask, 2, 5)),
            (std::vector<MaskRun>{{0, 1}, {3, 2}}));
  EXPECT_TRUE(RunsOf({}).empty());
  EXPECT_TRUE(RunsOf(MaskView(mask, 3, 2)).empty());
}

TEST(MaskRunsTest, EveryRangeAndDensity) {
  std::mt19937_64 random(1);
  for (const uint64_t per_thousand : {0u, 1u, 20u, 500u, 980u, 1000u}) {
    std::vector<uint8_t> mask(50);
    for (size_t i = 0; i < mask.size() * 8; ++i) {
      if (random() % 1000 < per_thousand) {
        mask[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
      }
    }
    for (size_t first = 0; first < 70; ++first) {
      for (size_t bits = 0; first + bits <= mask.size() * 8; ++bits) {
        const MaskView view(mask, first, bits);
        ASSERT_EQ(RunsOf(view), ExpectedRuns(view))
            << bits << " from " << first;
      }
    }
  }
}

TEST(MaskRunsTest, RunsMakeTheirMaskAgain) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint8_t> mask(1 + random() % 40);
    for (uint8_t& byte : mask) {
      byte = static_cast<uint8_t>(random() & random());
    }
    const size_t first = random() % 9 % (mask.size() * 8);
    const MaskView view(mask, first, mask.size() * 8 - first);
    std::vector<uint8_t> again = mask;
    for (size_t i = first; i < mask.size() * 8; ++i) {
      again[i / 8] ^= static_cast<uint8_t>(random() % 2 << (i % 8));
    }
    MaskFromRuns(RunsOf(view), MaskSpan(again, first, view.bits()));
    ASSERT_EQ(again, mask);
  }
}

TEST(MaskRunsTest, RunsMayOverlapAndBeUnordered) {
  std::vector<uint8_t> mask(2, 0xFF);
  MaskFromRuns(std::vector<MaskRun>{{9, 3}, {0, 2}, {10, 4}, {5, 0}}, mask);
  EXPECT_EQ(mask, (std::vector<uint8_t>{0b00000011, 0b00111110}));
}

TEST(MaskRunsDeathTest, ARunMustLieInTheMask) {
  std::vector<uint8_t> mask(2);
  EXPECT_DEATH(MaskFromRuns(std::vector<MaskRun>{{10, 7}}, mask),
               "MaskView: 7 bits from bit 10, of 16 bits");
}

}  // namespace
}  // namespace mmsb
