#include "memory/page/page_index.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/invariants.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/page/page_location.h"
#include "memory/page/testing/unmapped_frames.h"
#include "primitives/alignment.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

PageId Number(uint64_t value) { return PageId::FromValue(value); }

// Pages that only an allocator can make, with an index that only it has.
class PageIndexTest : public testing::Test {
 protected:
  PageIndexTest() {
    EXPECT_TRUE(pages_.AddFrames(PageLocation::Device(0), none_).ok());
  }

  void Add(uint64_t id) {
    const absl::StatusOr<Page*> page = pages_.Allocate(
        {.bytes = 1, .id = Number(id), .location = PageLocation::Device(0)});
    ASSERT_TRUE(page.ok()) << page.status();
    model_[id] = *page;
  }
  void Drop(uint64_t id) {
    ASSERT_TRUE(pages_.Free(Number(id)).ok());
    model_.erase(id);
  }

  void Compare() {
    ASSERT_EQ(pages_.page_count(), model_.size());
    for (const auto& [id, page] : model_) {
      ASSERT_EQ(pages_.Find(Number(id)), page) << id;
      for (const uint64_t other : {id - 1, id + 1, id ^ 256, id + 1024}) {
        const auto found = model_.find(other);
        ASSERT_EQ(pages_.Find(Number(other)),
                  found == model_.end() ? nullptr : found->second)
            << other;
      }
    }
    const absl::Status checked = CheckInvariants(pages_);
    ASSERT_TRUE(checked.ok()) << checked;
  }

  UnmappedFrames none_;
  PageAllocator pages_{{.alignment = Alignment::FromBytes(1)}};
  std::map<uint64_t, Page*> model_;
};

TEST_F(PageIndexTest, FindsIdsNearEachEndOfTheirRange) {
  for (uint64_t i = 0; i < 300; ++i) {
    Add(i);
    Add(~uint64_t{0} - 1 - i);
  }
  Compare();
  EXPECT_EQ(pages_.Find(PageId()), nullptr);
  for (uint64_t i = 0; i < 300; ++i) Drop(i);
  Compare();
  EXPECT_EQ(pages_.Find(PageId()), nullptr);
}

TEST_F(PageIndexTest, KeepsUpWithIdsThatOnlyGrow) {
  // As a queue's: what was chosen long ago goes, but for one in a thousand.
  for (uint64_t i = 0; i < 20'000; ++i) {
    Add(i);
    if (i >= 1000 && (i - 1000) % 1000 != 0) Drop(i - 1000);
  }
  Compare();
  EXPECT_LT(pages_.Stats().metadata(), 2 * 1100 * 64u);
}

TEST_F(PageIndexTest, ClustersFarApartAndScatteredIdsAreAllFound) {
  std::mt19937_64 random(7);
  for (int cluster = 0; cluster < 5; ++cluster) {
    const uint64_t begin = random() >> 1;
    for (uint64_t i = 0; i < 1000; ++i) Add(begin + i);
  }
  for (int i = 0; i < 1000; ++i) Add(random() | 1ull << 63);
  for (uint64_t i = 0; i < 1000; ++i) Add(i * 4096);
  Compare();
}

// Random insertions and erasures, in phases that fill and empty.
TEST_F(PageIndexTest, AgreesWithAMap) {
  std::mt19937_64 random(1);
  for (int phase = 0; phase < 8; ++phase) {
    const uint64_t range = phase % 2 == 0 ? 1500 : 6000;
    const uint64_t base = phase < 4 ? 0 : range * 3;
    for (int step = 0; step < 4000; ++step) {
      const uint64_t id = base + random() % range;
      const bool drops = random() % 8 < (phase % 4 == 3 ? 7u : 2u);
      if (model_.contains(id)) {
        if (drops) Drop(id);
      } else if (!drops) {
        Add(id);
      }
      if (drops && phase % 4 == 3 && !model_.empty()) {
        const auto found = model_.lower_bound(id);
        Drop(found == model_.end() ? model_.begin()->first : found->first);
      }
    }
    Compare();
  }
  while (!model_.empty()) Drop(model_.begin()->first);
  Compare();
}

TEST_F(PageIndexTest, BookkeepingIsSmallHoweverIdsLie) {
  // The table of hashed ids is emptiest just after it grew, which it does
  // several times between.
  constexpr uint64_t kLeast = 30'000;
  constexpr uint64_t kPages = 45'000;
  for (const uint64_t stride : {uint64_t{1}, uint64_t{2}, uint64_t{3},
                                uint64_t{4096}, 0x9E3779B97F4A7C15}) {
    UnmappedFrames none;
    const PageLocation there = PageLocation::Device(0);
    PageAllocator pages({.alignment = Alignment::FromBytes(1)});
    ASSERT_TRUE(pages.AddFrames(there, none).ok());
    double most = 0;
    for (uint64_t i = 0; i < kPages; ++i) {
      const PageId id = Number(i * stride);
      ASSERT_TRUE(
          pages.Allocate({.bytes = 1, .id = id, .location = there}).ok());
      // From there on little room for objects is spare.
      if (i < kLeast || i % 64 != 0) continue;
      most = std::max(most, static_cast<double>(pages.Stats().metadata()) /
                                static_cast<double>(i + 1));
    }
    EXPECT_LE(most, stride == 1 ? 58 : 64) << "stride " << stride;
  }
}

}  // namespace
}  // namespace mmsb
