#include "memory/page/page_allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "allocator/allocator_stats.h"
#include "allocator/memory_pool.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/invariants.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator_snapshot.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "memory/page/testing/unmapped_frames.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

constexpr size_t kMost = std::numeric_limits<size_t>::max();

PageId Number(uint64_t value) { return PageId::FromValue(value); }

// Gives out addresses that nothing is mapped at, so any touch ends the test;
// and checks that they come back as they went.
class UntouchableSource {
 public:
  ~UntouchableSource() { EXPECT_TRUE(live_.empty()); }

  void* Allocate(size_t bytes, size_t alignment) noexcept {
    const uintptr_t mask = alignment - 1;
    const uintptr_t address = (next_ + mask) & ~mask;
    next_ = address + bytes;
    live_[address] = {bytes, alignment};
    return reinterpret_cast<void*>(address);
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    const auto found = live_.find(reinterpret_cast<uintptr_t>(p));
    ASSERT_NE(found, live_.end());
    EXPECT_EQ(found->second, std::pair(bytes, alignment));
    live_.erase(found);
  }

  size_t live() const { return live_.size(); }

 private:
  uintptr_t next_ = uintptr_t{1} << 62;
  std::map<uintptr_t, std::pair<size_t, size_t>> live_;
};

// The heap, until it is told to have nothing more.
class StingySource {
 public:
  void* Allocate(size_t bytes, size_t alignment) noexcept {
    return empty ? nullptr : heap_.Allocate(bytes, alignment);
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    heap_.Deallocate(p, bytes, alignment);
  }

  bool empty = false;

 private:
  SystemSource heap_;
};

// An error of that code and text, from a Status or a StatusOr.
void ExpectError(const absl::Status& status, absl::StatusCode code,
                 absl::string_view message) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_EQ(status.message(), message);
}

TEST(PageAllocatorTest, AllocatesPages) {
  PageAllocator pages;
  const absl::StatusOr<Page*> page = pages.Allocate({.bytes = 4096});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ((*page)->id(), Number(0));
  EXPECT_EQ((*page)->size(), 4096u);
  EXPECT_EQ((*page)->location(), PageLocation::Host());
  EXPECT_EQ((*page)->epoch(), Epoch());
  EXPECT_EQ((*page)->metadata(), "");
  EXPECT_EQ((*page)->holds(), 0u);
  EXPECT_TRUE(IsAligned((*page)->address(), Alignment::FromBytes(4 * kKiB)));
  std::fill((*page)->contents().begin(), (*page)->contents().end(),
            std::byte{0xFF});
  EXPECT_EQ(pages.Find(Number(0)), *page);
  EXPECT_EQ(std::as_const(pages).Find(Number(0)), *page);
  EXPECT_EQ(pages.page_count(), 1u);
}

TEST(PageAllocatorTest, ContentsAreAlignedAsAsked) {
  PageAllocator pages({.alignment = Alignment::FromBytes(2 * kMiB)});
  for (const size_t bytes : {size_t{1}, size_t{100}, 2 * kMiB}) {
    Page* const page = *pages.Allocate({.bytes = bytes});
    EXPECT_TRUE(IsAligned(page->address(), Alignment::FromBytes(2 * kMiB)));
    EXPECT_EQ(page->contents().size(), bytes);
  }
  EXPECT_EQ(pages.Stats().live(), 6 * kMiB);
}

TEST(PageAllocatorTest, IdsAreGivenOrChosenAndUnique) {
  PageAllocator pages;
  ASSERT_TRUE(pages.Allocate({.bytes = 1, .id = Number(1)}).ok());
  ASSERT_TRUE(pages.Allocate({.bytes = 1, .id = Number(2)}).ok());
  EXPECT_EQ((*pages.Allocate({.bytes = 1}))->id(), Number(0));
  EXPECT_EQ((*pages.Allocate({.bytes = 1}))->id(), Number(3));
  ExpectError(pages.Allocate({.bytes = 1, .id = Number(2)}).status(),
              absl::StatusCode::kAlreadyExists, "page 2: the id is in use");
  // A chosen id is not chosen again, but may be given again.
  ASSERT_TRUE(pages.Free(Number(3)).ok());
  EXPECT_EQ((*pages.Allocate({.bytes = 1}))->id(), Number(4));
  EXPECT_TRUE(pages.Allocate({.bytes = 1, .id = Number(3)}).ok());
}

TEST(PageAllocatorTest, TheLargestIdDoesNotEndTheChoice) {
  PageAllocator pages;
  EXPECT_TRUE(pages.Allocate({.bytes = 1, .id = Number(kMost - 1)}).ok());
  EXPECT_EQ((*pages.Allocate({.bytes = 1}))->id(), Number(0));
}

TEST(PageAllocatorTest, AFailedAllocationUsesUpNoId) {
  StingySource source;
  PageAllocator pages({}, source);
  source.empty = true;
  EXPECT_FALSE(pages.Allocate({.bytes = 1}).ok());
  source.empty = false;
  EXPECT_EQ((*pages.Allocate({.bytes = 1}))->id(), Number(0));
}

TEST(PageAllocatorTest, SizesThatAreNoneAreRefused) {
  PageAllocator pages;
  ExpectError(pages.Allocate({.bytes = 0}).status(),
              absl::StatusCode::kInvalidArgument,
              "page 0: a page cannot have 0 bytes");
  ExpectError(pages.Allocate({.bytes = kMost, .id = Number(9)}).status(),
              absl::StatusCode::kInvalidArgument,
              "page 9: a page cannot have 18446744073709551615 bytes");
  EXPECT_EQ(pages.Allocate({.bytes = kMost - 4 * kKiB}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(pages.page_count(), 0u);
}

TEST(PageAllocatorTest, HoldsKeepAPage) {
  PageAllocator pages;
  Page* const page = *pages.Allocate({.bytes = 1, .id = Number(7)});
  EXPECT_EQ(*pages.Acquire(Number(7)), page);
  EXPECT_EQ(*pages.Acquire(Number(7)), page);
  EXPECT_EQ(page->holds(), 2u);
  ExpectError(pages.Free(Number(7)), absl::StatusCode::kFailedPrecondition,
              "page 7: freed, but still held 2 times");
  EXPECT_TRUE(pages.Release(Number(7)).ok());
  EXPECT_TRUE(pages.Release(Number(7)).ok());
  ExpectError(pages.Release(Number(7)), absl::StatusCode::kFailedPrecondition,
              "page 7: released, but not held");
  EXPECT_TRUE(pages.Free(Number(7)).ok());
  EXPECT_EQ(pages.Find(Number(7)), nullptr);
}

TEST(PageAllocatorTest, HoldsHaveALimit) {
  PageAllocator pages;
  Page* const page = *pages.Allocate({.bytes = 1, .id = Number(7)});
  for (uint32_t i = 0; i < Page::kMaxHolds; ++i) {
    ASSERT_TRUE(pages.Acquire(Number(7)).ok());
  }
  ExpectError(pages.Acquire(Number(7)).status(),
              absl::StatusCode::kResourceExhausted,
              "page 7: it is held 1048576 times, the most there can be");
  EXPECT_EQ(page->holds(), Page::kMaxHolds);
}

TEST(PageAllocatorTest, WhatIsNotThereIsNotFound) {
  PageAllocator pages;
  ASSERT_TRUE(pages.Allocate({.bytes = 1}).ok());
  ASSERT_TRUE(pages.Free(Number(0)).ok());
  constexpr absl::string_view kNone = "page 0: there is no such page";
  constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
  ExpectError(pages.Acquire(Number(0)).status(), kNotFound, kNone);
  ExpectError(pages.Release(Number(0)), kNotFound, kNone);
  ExpectError(pages.Free(Number(0)), kNotFound, kNone);
  ExpectError(pages.SetMetadata(Number(0), "x"), kNotFound, kNone);
  ExpectError(pages.Free(PageId()), kNotFound, "page: the id is invalid");
  EXPECT_EQ(pages.Find(PageId()), nullptr);
}

TEST(PageAllocatorTest, MetadataIsAnyBytes) {
  PageAllocator pages;
  Page* const page = *pages.Allocate({.bytes = 1});
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
  for (const std::string& text :
       {std::string("short"), every_byte, std::string(1, '\0'),
        std::string(100'000, 'x'), std::string()}) {
    ASSERT_TRUE(pages.SetMetadata(page->id(), text).ok());
    EXPECT_EQ(page->metadata(), text);
    EXPECT_EQ(pages.PageInfos().at(0).metadata, text);
  }
}

TEST(PageAllocatorTest, MetadataMayBeSetToAPartOfItself) {
  PageAllocator pages;
  Page* const page = *pages.Allocate({.bytes = 1});
  ASSERT_TRUE(
      pages.SetMetadata(page->id(), std::string(1000, 'a') + "tail").ok());
  ASSERT_TRUE(pages.SetMetadata(page->id(), page->metadata().substr(990)).ok());
  EXPECT_EQ(page->metadata(), "aaaaaaaaaatail");
}

TEST(PageAllocatorTest, TheQuotaCountsWholeFrames) {
  PageAllocator pages({.quota_bytes = 10'000});
  EXPECT_TRUE(pages.Allocate({.bytes = 1}).ok());
  EXPECT_TRUE(pages.Allocate({.bytes = 4096}).ok());
  ExpectError(pages.Allocate({.bytes = 1}).status(),
              absl::StatusCode::kResourceExhausted,
              "page 2: 4096 bytes on top of 8192 exceed the quota of 10000 "
              "bytes");
  EXPECT_EQ(pages.Stats().failures(), 1u);
  ASSERT_TRUE(pages.Free(Number(0)).ok());
  EXPECT_TRUE(pages.Allocate({.bytes = 1}).ok());
}

TEST(PageAllocatorTest, AnExhaustedSourceIsNamedAndNothingChanges) {
  StingySource source;
  PageAllocator pages({}, source);
  ASSERT_TRUE(pages.Allocate({.bytes = 1}).ok());
  source.empty = true;
  ExpectError(pages.Allocate({.bytes = 5000, .id = Number(8)}).status(),
              absl::StatusCode::kResourceExhausted,
              "page 8: no memory for 8192 bytes, host");
  EXPECT_EQ(pages.Find(Number(8)), nullptr);
  EXPECT_EQ(pages.page_count(), 1u);
  EXPECT_EQ(pages.Stats().live(), 4096u);
  EXPECT_TRUE(pages.Stats().IdentityHolds());
}

TEST(PageAllocatorTest, FramesComeFromAnyRawAllocator) {
  MemoryPool<> pool({.block_size = 4096, .alignment = 4096, .max_blocks = 2});
  PageAllocator pages({}, pool);
  ASSERT_TRUE(pages.Allocate({.bytes = 4096}).ok());
  ASSERT_TRUE(pages.Allocate({.bytes = 17}).ok());
  EXPECT_TRUE(pool.Owns(pages.Find(Number(0))->address()));
  EXPECT_TRUE(pool.Owns(pages.Find(Number(1))->address()));
  EXPECT_EQ(pages.Allocate({.bytes = 1}).status().code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(pages.Free(Number(0)).ok());
  EXPECT_EQ(pages.Allocate({.bytes = 4097}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(pages.Allocate({.bytes = 1}).ok());
  EXPECT_EQ(pool.Stats().live(), 2 * 4096u);
}

TEST(PageAllocatorTest, EachLocationHasFramesOfItsOwn) {
  UntouchableSource device;
  SystemSource unified;
  {
    PageAllocator pages;
    const PageLocation there = PageLocation::Device(3);
    ExpectError(pages.Allocate({.bytes = 1, .location = there}).status(),
                absl::StatusCode::kFailedPrecondition,
                "page 0: no frames were added for device 3");
    ASSERT_TRUE(pages.AddFrames(there, device).ok());
    ASSERT_TRUE(pages.AddFrames(PageLocation::Unified(), unified).ok());
    ExpectError(pages.AddFrames(there, device),
                absl::StatusCode::kAlreadyExists,
                "device 3: the location has frames already");
    ExpectError(pages.AddFrames(PageLocation::Host(), unified),
                absl::StatusCode::kAlreadyExists,
                "host: the location has frames already");

    Page* const page = *pages.Allocate({.bytes = 5000, .location = there});
    EXPECT_EQ(device.live(), 1u);
    EXPECT_EQ(page->location(), there);
    EXPECT_EQ(page->size(), 5000u);
    EXPECT_NE(page->address(), nullptr);
    EXPECT_TRUE(page->contents().empty());
    EXPECT_TRUE(std::as_const(*page).contents().empty());

    Page* const shared =
        *pages.Allocate({.bytes = 10, .location = PageLocation::Unified()});
    shared->contents()[9] = std::byte{1};

    ASSERT_TRUE(pages.Free(page->id()).ok());
    EXPECT_EQ(device.live(), 0u);
    ASSERT_TRUE(pages.Allocate({.bytes = 1, .location = there}).ok());
  }
  EXPECT_EQ(device.live(), 0u);
}

TEST(PageAllocatorTest, TheDestructorGivesEverythingBack) {
  UntouchableSource source;
  {
    PageAllocator pages;
    ASSERT_TRUE(pages.AddFrames(PageLocation::Device(0), source).ok());
    for (int i = 0; i < 100; ++i) {
      Page* const page =
          *pages.Allocate({.bytes = 1, .location = PageLocation::Device(0)});
      ASSERT_TRUE(pages.SetMetadata(page->id(), std::string(100, 'm')).ok());
    }
    ASSERT_TRUE(pages.Acquire(Number(50)).ok());
  }
  EXPECT_EQ(source.live(), 0u);
}

TEST(PageAllocatorTest, CountsWhatItHolds) {
  PageAllocator pages;
  const AllocatorStats before = pages.Stats();
  EXPECT_TRUE(before.IdentityHolds());
  EXPECT_EQ(before.live(), 0u);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(pages.Allocate({.bytes = 4097}).ok());
  }
  const size_t plain = pages.Stats().metadata();
  ASSERT_TRUE(pages.SetMetadata(Number(3), std::string(5000, 'x')).ok());
  EXPECT_GE(pages.Stats().metadata(), plain + 5000);
  ASSERT_TRUE(pages.SetMetadata(Number(3), "").ok());
  EXPECT_EQ(pages.Stats().metadata(), plain);
  ASSERT_TRUE(pages.SetMetadata(Number(4), std::string(5000, 'x')).ok());
  for (uint64_t i = 0; i < 1000; i += 2) {
    ASSERT_TRUE(pages.Free(Number(i)).ok());
  }
  const AllocatorStats stats = pages.Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), 500 * 8192u);
  EXPECT_EQ(stats.peak(), 1000 * 8192u);
  EXPECT_EQ(stats.allocations(), 1000u);
  EXPECT_EQ(stats.deallocations(), 500u);
  EXPECT_LT(stats.metadata(), plain + 5000);
}

// page_index_test.cc has ids that do not follow one another.
TEST(PageAllocatorTest, BookkeepingOfManyPagesIsAtMost58BytesAPage) {
  constexpr uint64_t kPages = 200'000;
  const PageLocation there = PageLocation::Device(0);
  UnmappedFrames source;
  PageAllocator pages({.alignment = Alignment::FromBytes(64)});
  ASSERT_TRUE(pages.AddFrames(there, source).ok());
  for (uint64_t i = 0; i < kPages; ++i) {
    ASSERT_TRUE(pages.Allocate({.bytes = 64, .location = there}).ok());
  }
  EXPECT_LE(pages.Stats().metadata(), 58 * pages.page_count());
  for (uint64_t i = 0; i < kPages; i += 999) {
    ASSERT_EQ(pages.Find(Number(i))->id(), Number(i));
  }
}

// Snapshots of some pages, with all that a page can have.
class PageSnapshotTest : public testing::Test {
 protected:
  PageSnapshotTest() {
    for (uint64_t id = 0; id < 4; ++id) {
      Page* const page = *pages_.Allocate({.bytes = 100 + id});
      std::ranges::fill(page->contents(), static_cast<std::byte>(id));
    }
    EXPECT_TRUE(pages_.SetMetadata(Number(1), "of one").ok());
    EXPECT_TRUE(pages_.Find(Number(2))->AdvanceTo(Epoch::FromValue(9)).ok());
    EXPECT_TRUE(pages_.Acquire(Number(3)).ok());
  }

  PageAllocatorSnapshot Taken() { return *pages_.Snapshot(); }

  StingySource source_;
  PageAllocator pages_{{.quota_bytes = 6 * 4 * kKiB}, source_};
};

TEST_F(PageSnapshotTest, GivesEverythingBack) {
  const PageAllocatorSnapshot before = Taken();
  ASSERT_EQ(before.pages.size(), 4u);
  Page* const one = pages_.Find(Number(1));
  std::ranges::fill(one->contents(), std::byte{0xAA});
  ASSERT_TRUE(pages_.SetMetadata(Number(1), "other").ok());
  ASSERT_TRUE(pages_.SetMetadata(Number(2), "new").ok());
  ASSERT_TRUE(one->AdvanceTo(Epoch::FromValue(100)).ok());
  ASSERT_TRUE(pages_.Free(Number(0)).ok());
  ASSERT_TRUE(pages_.Acquire(Number(2)).ok());
  ASSERT_TRUE(pages_.Allocate({.bytes = 5000}).ok());
  ASSERT_TRUE(pages_.Restore(before).ok());
  EXPECT_EQ(Taken(), before);
  EXPECT_TRUE(CheckInvariants(pages_).ok());
  EXPECT_EQ(pages_.Find(Number(1)), one) << "stays where it is";
  EXPECT_EQ((*pages_.Allocate({.bytes = 1}))->id(), Number(4));
}

TEST_F(PageSnapshotTest, GoesIntoAnotherAllocator) {
  PageAllocator other;
  ASSERT_TRUE(other.Allocate({.bytes = 5000, .id = Number(2)}).ok());
  ASSERT_TRUE(other.Allocate({.bytes = 5000, .id = Number(77)}).ok());
  ASSERT_TRUE(other.Restore(Taken()).ok());
  EXPECT_EQ(*other.Snapshot(), Taken());
  EXPECT_TRUE(CheckInvariants(other).ok());
  EXPECT_EQ(other.Stats().live(), pages_.Stats().live());
  EXPECT_EQ(other.Stats().metadata(), pages_.Stats().metadata());
  EXPECT_TRUE(other.Release(Number(3)).ok()) << "holds came along";
  ASSERT_TRUE(other.Restore({}).ok());
  EXPECT_EQ(other.page_count(), 0u);
}

TEST_F(PageSnapshotTest, WhatCannotBeIsRefusedAndChangesNothing) {
  const PageAllocatorSnapshot good = Taken();
  // Changed meanwhile, so that a Restore of a part would be seen.
  std::ranges::fill(pages_.Find(Number(0))->contents(), std::byte{0xBB});
  const PageAllocatorSnapshot before = Taken();
  const Page* const first = pages_.Find(Number(0));
  const auto refuse = [&](auto spoil, absl::StatusCode code,
                          absl::string_view message) {
    PageAllocatorSnapshot bad = good;
    spoil(bad);
    ExpectError(pages_.Restore(bad), code, message);
    EXPECT_EQ(Taken(), before) << message;
    EXPECT_EQ(pages_.Find(Number(0)), first);
    EXPECT_TRUE(CheckInvariants(pages_).ok());
  };
  using Snapshot = PageAllocatorSnapshot;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
  refuse([](Snapshot& s) { s.pages[2].info.id = PageId(); }, kInvalid,
         "page: the id is invalid");
  refuse([](Snapshot& s) { s.pages[2].info.id = Number(1); }, kInvalid,
         "page 1: it is in the snapshot twice");
  refuse([](Snapshot& s) { s.pages[2].info.bytes = 0; }, kInvalid,
         "page 2: a page cannot have 0 bytes");
  refuse([](Snapshot& s) { s.pages[2].info.bytes = kMost; }, kInvalid,
         "page 2: a page cannot have 18446744073709551615 bytes");
  refuse([](Snapshot& s) { s.pages[2].contents.pop_back(); }, kInvalid,
         "page 2: it has 102 bytes, and the snapshot 101");
  refuse([](Snapshot& s) { s.pages[2].info.holds = Page::kMaxHolds + 1; },
         kInvalid,
         "page 2: it is held 1048577 times, and can be 1048576 times at most");
  refuse(
      [](Snapshot& s) { s.pages[2].info.location = PageLocation::Device(1); },
      kPrecondition, "page 2: no frames were added for device 1");
  refuse([](Snapshot& s) { s.pages.pop_back(); }, kPrecondition,
         "page 3: it would go or change its size or place, and is held 1 "
         "times");
  refuse(
      [](Snapshot& s) {
        s.pages[3].info.bytes = 200;
        s.pages[3].contents.resize(200);
      },
      kPrecondition,
      "page 3: it would go or change its size or place, and is held 1 times");
  refuse(
      [](Snapshot& s) {
        s.pages[1].info.bytes = 5 * 4 * kKiB;
        s.pages[1].contents.resize(5 * 4 * kKiB);
      },
      absl::StatusCode::kResourceExhausted,
      "page 2: 4096 bytes on top of 24576 exceed the quota of 24576 bytes");
  refuse(
      [&](Snapshot& s) {
        for (Snapshot::PageImage& page : s.pages)
          page.info.id =
              Number(page.info.id.value() + (page.info.holds == 0 ? 100 : 0));
        source_.empty = true;
      },
      absl::StatusCode::kResourceExhausted,
      "page 100: no memory for 4096 bytes, host");
}

TEST_F(PageSnapshotTest, PagesThatTheHostDoesNotReachAreRefused) {
  UntouchableSource device;
  PageAllocator pages;
  const PageLocation there = PageLocation::Device(0);
  ASSERT_TRUE(pages.AddFrames(there, device).ok());
  PageAllocatorSnapshot elsewhere = *pages.Snapshot();
  elsewhere.pages.push_back(
      {.info = {.id = Number(5), .bytes = 1, .location = there},
       .contents = std::vector<std::byte>(1)});
  ExpectError(pages.Restore(elsewhere), absl::StatusCode::kFailedPrecondition,
              "page 5: the host does not reach its contents, device 0");
  ASSERT_TRUE(pages.Allocate({.bytes = 1, .location = there}).ok());
  ExpectError(pages.Snapshot().status(), absl::StatusCode::kFailedPrecondition,
              "page 0: the host does not reach its contents, device 0");
}

TEST_F(PageSnapshotTest, AnySequenceOfChangesIsTakenBack) {
  std::mt19937_64 random(3);
  PageAllocator pages({.alignment = Alignment::FromBytes(64)});
  for (int round = 0; round < 100; ++round) {
    const PageAllocatorSnapshot before = *pages.Snapshot();
    for (int step = 0; step < 50; ++step) {
      const PageId id = Number(random() % 400);
      if (Page* const page = pages.Find(id); page == nullptr) {
        const auto made =
            pages.Allocate({.bytes = 1 + random() % 100, .id = id});
        ASSERT_TRUE(made.ok());
        std::ranges::fill((*made)->contents(), std::byte{0});
      } else if (random() % 3 == 0) {
        ASSERT_TRUE(pages.Free(id).ok());
      } else {
        std::ranges::fill(page->contents(), static_cast<std::byte>(random()));
        ASSERT_TRUE(
            pages.SetMetadata(id, std::string(random() % 40, 'x')).ok());
      }
    }
    ASSERT_TRUE(CheckInvariants(pages).ok()) << CheckInvariants(pages);
    if (random() % 2 == 0) continue;
    ASSERT_TRUE(pages.Restore(before).ok());
    ASSERT_EQ(*pages.Snapshot(), before);
    ASSERT_TRUE(CheckInvariants(pages).ok()) << CheckInvariants(pages);
  }
}

TEST(PageAllocatorTest, FreedPagesAndFrameTailsArePoisoned) {
  if (!kPoisonReported) GTEST_SKIP() << "no tool to report an access";
  MemoryPool<> pool({.block_size = 4096, .alignment = 4096});
  PageAllocator pages({}, pool);
  Page* const page = *pages.Allocate({.bytes = 104});
  auto* const bytes = static_cast<const std::byte*>(page->address());
  EXPECT_FALSE(IsPoisoned(bytes));
  EXPECT_FALSE(IsPoisoned(bytes + 103));
  EXPECT_TRUE(IsPoisoned(bytes + 104));
  EXPECT_TRUE(IsPoisoned(bytes + 4095));
  ASSERT_TRUE(pages.Free(page->id()).ok());
  EXPECT_TRUE(IsPoisoned(bytes));
  EXPECT_TRUE(IsPoisoned(page));
  // The frame is whole again in its next life.
  Page* const next = *pages.Allocate({.bytes = 4096});
  ASSERT_EQ(next->address(), bytes);
  EXPECT_FALSE(IsPoisoned(bytes + 104));
  EXPECT_FALSE(IsPoisoned(bytes + 4095));
}

// Random programs against a plain map of what each page should be.
class PageModelTest : public testing::TestWithParam<uint64_t> {
 protected:
  struct ModelPage {
    PageInfo info;
    Page* page;
    std::byte fill;
  };

  size_t FrameBytes(size_t bytes) const {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  // A page of the model, or an id that is in none.
  PageId AnyId() {
    if (model_.empty() || random_() % 8 == 0) return Number(random_() % 300);
    auto it = model_.lower_bound(Number(random_() % 300));
    return it == model_.end() ? model_.begin()->first : it->first;
  }

  void Allocate() {
    const PageLocation location =
        random_() % 4 == 0 ? PageLocation::Device(1) : PageLocation::Host();
    const PageId given =
        random_() % 2 == 0 ? PageId() : Number(random_() % 300);
    const size_t bytes = random_() % 3000;
    const absl::StatusOr<Page*> page =
        pages_.Allocate({.bytes = bytes, .id = given, .location = location});
    absl::StatusCode expected = absl::StatusCode::kOk;
    if (bytes == 0) {
      expected = absl::StatusCode::kInvalidArgument;
    } else if (given.valid() && model_.contains(given)) {
      expected = absl::StatusCode::kAlreadyExists;
    } else if (live_bytes_ + FrameBytes(bytes) > kQuota) {
      expected = absl::StatusCode::kResourceExhausted;
    }
    ASSERT_EQ(page.status().code(), expected) << page.status();
    if (!page.ok()) return;
    const PageId id = (*page)->id();
    if (given.valid()) {
      ASSERT_EQ(id, given);
    } else {
      ASSERT_FALSE(model_.contains(id));
      ASSERT_TRUE(chosen_.empty() || chosen_.back() < id);
      chosen_.push_back(id);
    }
    const auto fill = static_cast<std::byte>(random_());
    model_[id] = {
        {.id = id, .bytes = bytes, .location = location}, *page, fill};
    live_bytes_ += FrameBytes(bytes);
    std::fill((*page)->contents().begin(), (*page)->contents().end(), fill);
  }

  void Acquire(PageId id) {
    const absl::StatusOr<Page*> page = pages_.Acquire(id);
    const auto found = model_.find(id);
    ASSERT_EQ(page.ok(), found != model_.end());
    if (!page.ok()) return;
    ASSERT_EQ(*page, found->second.page);
    ++found->second.info.holds;
  }

  void Release(PageId id) {
    const auto found = model_.find(id);
    const bool held = found != model_.end() && found->second.info.holds != 0;
    ASSERT_EQ(pages_.Release(id).ok(), held);
    if (held) --found->second.info.holds;
  }

  void Free(PageId id) {
    const auto found = model_.find(id);
    const bool can = found != model_.end() && found->second.info.holds == 0;
    if (can) ExpectContents(found->second);
    ASSERT_EQ(pages_.Free(id).ok(), can);
    if (!can) return;
    live_bytes_ -= FrameBytes(found->second.info.bytes);
    model_.erase(found);
  }

  void SetMetadata(PageId id) {
    const std::string text(random_() % 50, static_cast<char>(random_()));
    const auto found = model_.find(id);
    ASSERT_EQ(pages_.SetMetadata(id, text).ok(), found != model_.end());
    if (found != model_.end()) found->second.info.metadata = text;
  }

  void Advance(PageId id) {
    const auto found = model_.find(id);
    if (found == model_.end()) return;
    const Epoch epoch = Epoch::FromValue(random_() % 1000);
    const bool forward = epoch >= found->second.info.epoch;
    ASSERT_EQ(found->second.page->AdvanceTo(epoch).ok(), forward);
    if (forward) found->second.info.epoch = epoch;
  }

  static void ExpectContents(const ModelPage& expected) {
    for (const std::byte byte : std::as_const(*expected.page).contents()) {
      ASSERT_EQ(byte, expected.fill) << expected.info.id.value();
    }
  }

  void Compare() {
    std::vector<PageInfo> expected;
    for (const auto& [id, page] : model_) {
      expected.push_back(page.info);
      ASSERT_EQ(pages_.Find(id), page.page);
      ExpectContents(page);
    }
    ASSERT_EQ(pages_.PageInfos(), expected);
    ASSERT_EQ(pages_.page_count(), expected.size());
    const AllocatorStats stats = pages_.Stats();
    ASSERT_TRUE(stats.IdentityHolds());
    ASSERT_EQ(stats.live(), live_bytes_);
    ASSERT_EQ(stats.allocations() - stats.deallocations(), expected.size());
    ASSERT_TRUE(CheckInvariants(pages_).ok()) << CheckInvariants(pages_);
  }

  static constexpr size_t kQuota = 100'000;
  static constexpr size_t kAlignment = 256;

  std::mt19937_64 random_{GetParam()};
  UntouchableSource device_;
  PageAllocator pages_{
      {.quota_bytes = kQuota, .alignment = Alignment::FromBytes(kAlignment)}};
  std::map<PageId, ModelPage> model_;
  std::vector<PageId> chosen_;
  size_t live_bytes_ = 0;
};

TEST_P(PageModelTest, AgreesWithTheModel) {
  ASSERT_TRUE(pages_.AddFrames(PageLocation::Device(1), device_).ok());
  for (int step = 0; step < 5000; ++step) {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        Allocate();
        break;
      case 3:
        Acquire(AnyId());
        break;
      case 4:
        Release(AnyId());
        break;
      case 5:
        Free(AnyId());
        break;
      case 6:
        SetMetadata(AnyId());
        break;
      case 7:
        Advance(AnyId());
        break;
    }
    if (step % 100 == 0) Compare();
    if (HasFatalFailure()) FAIL() << "step " << step;
  }
  Compare();
}

INSTANTIATE_TEST_SUITE_P(Seeds, PageModelTest, testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace mmsb
