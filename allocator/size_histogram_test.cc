#include "allocator/size_histogram.h"

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

constexpr size_t kMax = std::numeric_limits<size_t>::max();

using Formatter = size_t (SizeHistogram::*)(std::span<char>) const;

std::string Format(const SizeHistogram& sizes, Formatter format) {
  std::string text((sizes.*format)({}), '\0');
  EXPECT_EQ((sizes.*format)(text), text.size());
  return text;
}

TEST(SizeHistogramTest, BucketsLieEndToEnd) {
  EXPECT_EQ(SizeHistogram::SmallestOf(0), 1u);
  EXPECT_EQ(SizeHistogram::LargestOf(SizeHistogram::kBuckets - 1), kMax);
  for (size_t i = 0; i < SizeHistogram::kBuckets; ++i) {
    const size_t smallest = SizeHistogram::SmallestOf(i);
    const size_t largest = SizeHistogram::LargestOf(i);
    ASSERT_LE(smallest, largest);
    EXPECT_EQ(SizeHistogram::BucketOf(smallest), i);
    EXPECT_EQ(SizeHistogram::BucketOf(smallest + (largest - smallest) / 2), i);
    EXPECT_EQ(SizeHistogram::BucketOf(largest), i);
    if (i + 1 < SizeHistogram::kBuckets) {
      EXPECT_EQ(SizeHistogram::SmallestOf(i + 1), largest + 1);
      // A bucket is at most a quarter as wide as its smallest size.
      EXPECT_LE(largest - smallest, smallest / 4);
    }
  }
}

TEST(SizeHistogramTest, PowersOfTwoEndABucketAndZeroIsOne) {
  EXPECT_EQ(SizeHistogram::BucketOf(0), SizeHistogram::BucketOf(1));
  for (size_t bytes = 1; bytes <= SizeHistogram::kMaxBytes; bytes *= 2) {
    EXPECT_EQ(SizeHistogram::LargestOf(SizeHistogram::BucketOf(bytes)), bytes);
  }
  EXPECT_EQ(SizeHistogram::BucketOf(SizeHistogram::kMaxBytes + 1),
            SizeHistogram::kBuckets - 1);
}

TEST(SizeHistogramTest, CountsAndAdds) {
  SizeHistogram sizes;
  sizes.Add(64, 5, 2);
  sizes.Add(60, 1);
  sizes.Add(65, 1);
  EXPECT_EQ(sizes[SizeHistogram::BucketOf(64)],
            (SizeHistogram::Bucket{.allocations = 6, .deallocations = 2}));
  EXPECT_EQ(sizes.allocations(), 7u);
  EXPECT_EQ(sizes.deallocations(), 2u);
  SizeHistogram sum = sizes;
  sum += sizes;
  EXPECT_EQ(sum.allocations(), 14u);
  EXPECT_EQ(sum[SizeHistogram::BucketOf(57)].deallocations, 4u);
  EXPECT_NE(sum, sizes);
}

TEST(SizeHistogramTest, Formats) {
  SizeHistogram sizes;
  EXPECT_EQ(Format(sizes, &SizeHistogram::FormatText), "");
  EXPECT_EQ(Format(sizes, &SizeHistogram::FormatJson), "[]");
  sizes.Add(3, 1, 1);
  sizes.Add(64, 7, 5);
  EXPECT_EQ(Format(sizes, &SizeHistogram::FormatText),
            "3 live 0 allocations 1\n57..64 live 2 allocations 7\n");
  EXPECT_EQ(
      Format(sizes, &SizeHistogram::FormatJson),
      R"([{"smallest":3,"largest":3,"allocations":1,"deallocations":1},)"
      R"({"smallest":57,"largest":64,"allocations":7,"deallocations":5}])");
}

TEST(SizeHistogramTest, CutsAtEveryLengthAndWritesNoFurther) {
  SizeHistogram sizes;
  sizes.Add(64, 7, 5);
  sizes.Add(kMax, std::numeric_limits<uint64_t>::max());
  for (const Formatter format :
       {&SizeHistogram::FormatText, &SizeHistogram::FormatJson}) {
    const std::string whole = Format(sizes, format);
    for (size_t room = 0; room <= whole.size() + 3; ++room) {
      std::vector<char> out(room + 8, '#');
      EXPECT_EQ((sizes.*format)(std::span(out.data(), room)), whole.size());
      const size_t written = std::min(room, whole.size());
      EXPECT_EQ(std::string(out.data(), written), whole.substr(0, written));
      EXPECT_TRUE(std::all_of(out.begin() + static_cast<ptrdiff_t>(written),
                              out.end(), [](char c) { return c == '#'; }));
    }
  }
}

}  // namespace
}  // namespace mmsb
