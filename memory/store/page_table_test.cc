#include "memory/store/page_table.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"
#include "memory/store/page_version.h"
#include "memory/testing/allocation_meter.h"

namespace mmsb {
namespace {

constexpr size_t kPageBytes = 512;

// The tree of docs/format.md, from its definition.
uint32_t RootOf(std::vector<uint32_t> level) {
  if (level.empty()) return 0;
  while (level.size() > 1) {
    std::vector<uint32_t> above;
    for (size_t i = 0; i < level.size(); i += 1024) {
      const size_t count = std::min<size_t>(1024, level.size() - i);
      std::vector<std::byte> bytes(count * 4);
      for (size_t k = 0; k < count; ++k) {
        StoreLittleEndian<uint32_t>(level[i + k], bytes, k * 4);
      }
      above.push_back(Crc32c(bytes));
    }
    level = above;
  }
  return level[0];
}

PageTable::Entry SomeEntry(uint64_t n) {
  return {{.position = n, .bytes = 512, .form = PageVersion::Form::kWhole},
          static_cast<uint32_t>(n * 2654435761u)};
}

TEST(PageTableTest, AgreesWithAMapAndWithTheTreesDefinition) {
  std::mt19937_64 random(1);
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  const PageTable::Entry zero = table.zero();
  EXPECT_EQ(zero.checksum, Crc32c(std::vector<std::byte>(kPageBytes)));
  std::vector<PageTable::Entry> model;
  for (int round = 0; round < 300; ++round) {
    if (round % 5 == 0) {
      const size_t pages = random() % (round % 2 == 0 ? 5000 : 3);
      ASSERT_TRUE(table.Resize(pages).ok());
      model.resize(pages, zero);
    }
    for (uint64_t edits = random() % 10; edits > 0 && !model.empty(); --edits) {
      const size_t page = random() % model.size();
      model[page] = random() % 4 == 0 ? zero : SomeEntry(random() % 1000);
      ASSERT_TRUE(table.Set(page, model[page]).ok());
    }
    std::vector<uint32_t> checksums;
    uint64_t zeros = 0;
    for (size_t page = 0; page < model.size(); ++page) {
      ASSERT_EQ(table.Get(page), model[page]);
      checksums.push_back(model[page].checksum);
      zeros += model[page] == zero ? 1 : 0;
    }
    ASSERT_EQ(table.Root(), RootOf(checksums));
    ASSERT_EQ(table.Count().zero, zeros);
    ASSERT_EQ(table.stored_pages(), model.size() - zeros);
    uint64_t next = table.NextStored(0);
    for (size_t page = 0; page < model.size(); ++page) {
      if (model[page] == zero) continue;
      ASSERT_EQ(next, page);
      next = table.NextStored(page + 1);
    }
    ASSERT_EQ(next, table.pages());
  }
}

TEST(PageTableTest, CopiesAreIndependentAndShareWhatIsAlike) {
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  ASSERT_TRUE(table.Resize(10 * 1024).ok());
  size_t live_of_one = 0;
  for (uint64_t page = 0; page < table.pages(); page += 1024) {
    ASSERT_TRUE(table.Set(page, SomeEntry(page + 1)).ok());
    if (page == 0) live_of_one = pool.Stats().live();
  }
  const uint32_t root = table.Root();
  const size_t live = pool.Stats().live();
  {
    PageTable copy = table;
    EXPECT_EQ(pool.Stats().live(), live);
    ASSERT_TRUE(copy.Set(5, SomeEntry(9)).ok());
    EXPECT_EQ(pool.Stats().live(), live + live_of_one)
        << "one leaf of ten, and the node of all";
    EXPECT_NE(copy.Root(), root);
    EXPECT_EQ(table.Get(5), table.zero());
    EXPECT_EQ(table.Root(), root);
    // A copy that is cut in the middle of a shared leaf has another last node.
    PageTable cut = table;
    ASSERT_TRUE(cut.Resize(9 * 1024 + 500).ok());
    EXPECT_NE(cut.Root(), root);
    EXPECT_EQ(table.Root(), root);
  }
  EXPECT_EQ(pool.Stats().live(), live);
  EXPECT_TRUE(pool.Stats().IdentityHolds());
}

TEST(PageTableTest, PagesThatWereCutOffComeBackAsZeros) {
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  ASSERT_TRUE(table.Resize(100).ok());
  ASSERT_TRUE(table.Set(50, SomeEntry(1)).ok());
  const PageTable before = table;
  ASSERT_TRUE(table.Resize(50).ok());
  ASSERT_TRUE(table.Resize(100).ok());
  EXPECT_EQ(table.Get(50), table.zero());
  EXPECT_EQ(before.Get(50), SomeEntry(1));
}

TEST(PageTableTest, DifferencesAreFoundWhatSizesThereAre) {
  std::mt19937_64 random(2);
  PageTablePool pool;
  for (int round = 0; round < 200; ++round) {
    PageTable a(pool, kPageBytes);
    ASSERT_TRUE(a.Resize(random() % 4000).ok());
    for (uint64_t edits = random() % 8; edits > 0 && a.pages() > 0; --edits) {
      ASSERT_TRUE(a.Set(random() % a.pages(), SomeEntry(random() % 9)).ok());
    }
    PageTable b = a;
    if (round % 2 == 0) {
      ASSERT_TRUE(b.Resize(random() % 4000).ok());
    }
    for (uint64_t edits = random() % 8; edits > 0 && b.pages() > 0; --edits) {
      ASSERT_TRUE(b.Set(random() % b.pages(), SomeEntry(random() % 9)).ok());
    }
    uint64_t next = b.NextDifference(a, 0);
    for (uint64_t page = 0; page < b.pages(); ++page) {
      if (b.Get(page) == (page < a.pages() ? a.Get(page) : a.zero())) continue;
      ASSERT_EQ(next, page);
      next = b.NextDifference(a, page + 1);
    }
    ASSERT_EQ(next, b.pages());
  }
}

// Sizes around those of nodes, of which the last may hold one leaf or a part.
TEST(PageTableTest, ManyNodesAgreeWithTheTreesDefinition) {
  constexpr uint64_t kNodePages = PageTableNode::kPages;
  std::mt19937_64 random(3);
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  std::vector<uint32_t> model;
  for (const uint64_t pages :
       {kNodePages, kNodePages + 1, 2 * kNodePages - 1, kNodePages + 5000,
        kNodePages - 1500, uint64_t{1025}, 3 * kNodePages + 1025}) {
    ASSERT_TRUE(table.Resize(pages).ok());
    model.resize(pages, table.zero().checksum);
    ASSERT_EQ(table.Root(), RootOf(model)) << pages;
    for (int edits = 0; edits < 20; ++edits) {
      // Near the end too, which the next size cuts off.
      const uint64_t page =
          edits % 2 == 0 ? random() % pages
                         : pages - 1 - random() % std::min<uint64_t>(pages, 9);
      const PageTable::Entry entry = SomeEntry(1 + random() % 1000);
      ASSERT_TRUE(table.Set(page, entry).ok());
      model[page] = entry.checksum;
    }
    ASSERT_EQ(table.Root(), RootOf(model)) << pages;
    const auto stored = std::ranges::count_if(
        model, [&](uint32_t sum) { return sum != table.zero().checksum; });
    ASSERT_EQ(table.stored_pages(), static_cast<uint64_t>(stored)) << pages;
    ASSERT_EQ(table.Count().zero, pages - static_cast<uint64_t>(stored));
  }
  EXPECT_TRUE(pool.Stats().IdentityHolds());
}

TEST(PageTableTest, WhatIsCutOffOfASharedNodeStaysInTheCopy) {
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  ASSERT_TRUE(table.Resize(PageTableNode::kPages).ok());
  for (const uint64_t page : {5, 2000, 1'000'000}) {
    ASSERT_TRUE(table.Set(page, SomeEntry(page)).ok());
  }
  const PageTable before = table;
  const uint32_t root = before.Root();
  ASSERT_TRUE(table.Resize(1500).ok());
  EXPECT_EQ(table.stored_pages(), 1u);
  ASSERT_TRUE(table.Resize(PageTableNode::kPages).ok());
  EXPECT_EQ(table.Get(5), SomeEntry(5));
  EXPECT_EQ(table.Get(2000), table.zero());
  EXPECT_EQ(table.Get(1'000'000), table.zero());
  EXPECT_NE(table.Root(), root);
  EXPECT_EQ(before.Root(), root);
  EXPECT_EQ(before.Get(1'000'000), SomeEntry(1'000'000));
  EXPECT_EQ(table.NextDifference(before, 0), 2000u);
  EXPECT_EQ(table.NextDifference(before, 2001), 1'000'000u);
}

// A forged size costs no more than this, however often a table is copied.
TEST(PageTableTest, ZeroPagesCostNoLeaves) {
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  size_t largest = 0;
  {
    const AllocationMeter meter;
    ASSERT_TRUE(table.Resize(PageTable::kMaxPages).ok());
    const PageTable copy = table;
    EXPECT_EQ(copy.NextStored(0), PageTable::kMaxPages);
    EXPECT_EQ(copy.Count().zero, PageTable::kMaxPages);
    EXPECT_NE(copy.Root(), 0u);
    largest = meter.largest();
  }
  EXPECT_LE(largest, 32u << 10);
  EXPECT_EQ(pool.Stats().live(), 0u);
}

TEST(PageTableTest, TheLimitIsAStatus) {
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  EXPECT_EQ(table.Resize(PageTable::kMaxPages + 1).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(table.pages(), 0u);
}

}  // namespace
}  // namespace mmsb
