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
  for (uint64_t page = 0; page < table.pages(); page += 1024) {
    ASSERT_TRUE(table.Set(page, SomeEntry(page + 1)).ok());
  }
  const uint32_t root = table.Root();
  const size_t live = pool.Stats().live();
  {
    PageTable copy = table;
    EXPECT_EQ(pool.Stats().live(), live);
    ASSERT_TRUE(copy.Set(5, SomeEntry(9)).ok());
    EXPECT_EQ(pool.Stats().live(), live + live / 10) << "one leaf of ten";
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

TEST(PageTableTest, TheLimitIsAStatus) {
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  EXPECT_EQ(table.Resize(PageTable::kMaxPages + 1).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(table.pages(), 0u);
}

}  // namespace
}  // namespace mmsb
