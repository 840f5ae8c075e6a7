#include "allocator/allocator_stats.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr AllocatorStats::Values kBalanced = {.live = 128,
                                              .cached = 64,
                                              .free = 32,
                                              .metadata = 16,
                                              .committed = 240,
                                              .peak = 192,
                                              .allocations = 7,
                                              .deallocations = 5,
                                              .failures = 1};

using Formatter = size_t (AllocatorStats::*)(std::span<char>) const;

std::string Format(const AllocatorStats& stats, Formatter format) {
  std::string text((stats.*format)({}), '\0');
  EXPECT_EQ((stats.*format)(text), text.size());
  return text;
}

TEST(AllocatorStatsTest, StartsAtZeroAndInBalance) {
  const AllocatorStats stats;
  EXPECT_EQ(stats.committed(), 0u);
  EXPECT_EQ(stats.failures(), 0u);
  EXPECT_TRUE(stats.IdentityHolds());
}

TEST(AllocatorStatsTest, IdentityNeedsEachSum) {
  EXPECT_TRUE(AllocatorStats(kBalanced).IdentityHolds());
  for (size_t AllocatorStats::Values::* sum :
       {&AllocatorStats::Values::live, &AllocatorStats::Values::cached,
        &AllocatorStats::Values::free, &AllocatorStats::Values::metadata,
        &AllocatorStats::Values::committed}) {
    AllocatorStats::Values values = kBalanced;
    --(values.*sum);
    EXPECT_FALSE(AllocatorStats(values).IdentityHolds());
  }
}

TEST(AllocatorStatsTest, NegativeCountsBreakTheIdentity) {
  AllocatorStats::Values values = kBalanced;
  // Balanced modulo 2^64, and still wrong.
  values.cached = size_t{0} - 64;
  values.free = 32 + 128;
  ASSERT_EQ(values.live + values.cached + values.free + values.metadata,
            values.committed);
  EXPECT_FALSE(AllocatorStats(values).IdentityHolds());
}

TEST(AllocatorStatsTest, IdentityNeedsPeakAndOperationsInOrder) {
  AllocatorStats::Values values = kBalanced;
  values.peak = values.live - 1;
  EXPECT_FALSE(AllocatorStats(values).IdentityHolds());
  values = kBalanced;
  values.deallocations = values.allocations + 1;
  EXPECT_FALSE(AllocatorStats(values).IdentityHolds());
}

TEST(AllocatorStatsTest, FormatsText) {
  EXPECT_EQ(Format(AllocatorStats(kBalanced), &AllocatorStats::FormatText),
            "live 128\ncached 64\nfree 32\nmetadata 16\ncommitted 240\n"
            "peak 192\nallocations 7\ndeallocations 5\nfailures 1\n");
}

TEST(AllocatorStatsTest, FormatsJson) {
  EXPECT_EQ(
      Format(AllocatorStats(kBalanced), &AllocatorStats::FormatJson),
      R"({"live":128,"cached":64,"free":32,"metadata":16,"committed":240,)"
      R"("peak":192,"allocations":7,"deallocations":5,"failures":1})");
}

TEST(AllocatorStatsTest, FormatsTheLargestNumbers) {
  constexpr auto kMax = std::numeric_limits<uint64_t>::max();
  const AllocatorStats stats({.live = kMax, .failures = kMax});
  const std::string text = Format(stats, &AllocatorStats::FormatText);
  EXPECT_NE(text.find("live 18446744073709551615\n"), std::string::npos);
  EXPECT_NE(text.find("failures 18446744073709551615\n"), std::string::npos);
}

TEST(AllocatorStatsTest, CutsAtEveryLengthAndWritesNoFurther) {
  const AllocatorStats stats(kBalanced);
  for (const Formatter format :
       {&AllocatorStats::FormatText, &AllocatorStats::FormatJson}) {
    const std::string whole = Format(stats, format);
    for (size_t room = 0; room <= whole.size() + 3; ++room) {
      std::vector<char> out(room + 8, '#');
      EXPECT_EQ((stats.*format)(std::span(out.data(), room)), whole.size());
      const size_t written = std::min(room, whole.size());
      EXPECT_EQ(std::string(out.data(), written), whole.substr(0, written));
      EXPECT_TRUE(std::all_of(out.begin() + static_cast<ptrdiff_t>(written),
                              out.end(), [](char c) { return c == '#'; }));
    }
  }
}

}  // namespace
}  // namespace mmsb
