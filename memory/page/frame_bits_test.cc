#include "memory/page/frame_bits.h"

#include <cstddef>
#include <cstdint>
#include <random>

#include "gtest/gtest.h"
#include "memory/page/frame_counts.h"
#include "memory/page/frame_layout.h"

namespace mmsb {
namespace {

// The order of the largest free run of the word that has the run in it.
int LargestAround(uint64_t allocated, int start, int order) {
  while (order < kWordOrder) {
    const int larger = start & ~((2 << order) - 1);
    if ((allocated & RunMask(larger, order + 1)) != 0) break;
    ++order;
  }
  return order;
}

TEST(FrameBitsTest, MasksAndStarts) {
  EXPECT_EQ(RunMask(0, 0), 1u);
  EXPECT_EQ(RunMask(8, 3), 0xff00u);
  EXPECT_EQ(RunMask(0, 6), ~uint64_t{0});
  for (int order = 0; order <= kWordOrder; ++order) {
    EXPECT_EQ(RunStarts(order), ~uint64_t{0} / RunMask(0, order));
  }
}

TEST(FrameBitsTest, FindsARunWhereverOneIs) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    // From all but empty to all but full.
    uint64_t allocated = random();
    for (uint64_t n = random() % 5; n != 0; --n) {
      allocated = i % 2 == 0 ? allocated & random() : allocated | random();
    }
    for (int order = 0; order <= kWordOrder; ++order) {
      int best = -1;
      for (int start = 0; start < 64; start += 1 << order) {
        if ((allocated & RunMask(start, order)) != 0) continue;
        if (best < 0 || LargestAround(allocated, start, order) <
                            LargestAround(allocated, best, order)) {
          best = start;
        }
      }
      ASSERT_EQ(FindRun(allocated, order), best)
          << std::hex << allocated << " order " << order;
    }
  }
}

TEST(FrameBitsTest, PicksManyAsOneAfterAnother) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 5000; ++i) {
    uint64_t allocated = random();
    for (uint64_t n = random() % 5; n != 0; --n) {
      allocated = i % 2 == 0 ? allocated & random() : allocated | random();
    }
    if (i == 0) allocated = 0;
    uint64_t picked = 0;
    for (size_t n = 1; (allocated | picked) != ~uint64_t{0}; ++n) {
      picked |= uint64_t{1} << FindRun(allocated | picked, 0);
      ASSERT_EQ(PickFrames(allocated, n), picked)
          << std::hex << allocated << " " << n;
    }
  }
}

TEST(FrameCountsTest, CountsOfWordsAddUp) {
  for (const size_t frames : {0u, 1u, 63u, 64u, 65u, 511u, 512u}) {
    const uint64_t counts = frame_counts::AllFree(frames);
    EXPECT_EQ(frame_counts::Total(counts), frames);
    EXPECT_EQ(frame_counts::Total(counts | frame_counts::kUncommitted), frames);
    EXPECT_EQ(frame_counts::At(counts, 0), frames < 64 ? frames : 64);
  }
  EXPECT_EQ(frame_counts::WholeWords(0, kWordsPerHuge),
            frame_counts::AllFree(kFramesPerHuge));
  EXPECT_EQ(frame_counts::WholeWords(2, 2),
            frame_counts::Of(2, 64) + frame_counts::Of(3, 64));
}

}  // namespace
}  // namespace mmsb
