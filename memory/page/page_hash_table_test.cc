#include "memory/page/page_hash_table.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

PageId Number(uint64_t value) { return PageId::FromValue(value); }

using Model = std::map<uint64_t, uint32_t>;

void Compare(const PageHashTable& table, const Model& model) {
  ASSERT_EQ(table.size(), model.size());
  for (const auto& [id, number] : model) {
    ASSERT_EQ(table.Find(Number(id)), number) << id;
  }
  Model visited;
  table.ForEach([&](PageId id, uint32_t number) {
    EXPECT_TRUE(visited.emplace(id.value(), number).second) << id.value();
  });
  EXPECT_EQ(visited, model);
  const absl::Status checked = table.CheckInvariants();
  EXPECT_TRUE(checked.ok()) << checked;
}

TEST(PageHashTableTest, AnEmptyTableHasNothingAndTakesNothing) {
  PageHashTable table;
  EXPECT_EQ(table.Find(Number(0)), PageHashTable::kNone);
  EXPECT_EQ(table.Find(PageId()), PageHashTable::kNone);
  EXPECT_EQ(table.bytes(), 0u);
  table.EraseIf([](PageId, uint32_t) { return true; });
  Compare(table, {});
  table.Insert(Number(7), 1);
  table.Erase(Number(7));
  EXPECT_EQ(table.bytes(), 0u);
  Compare(table, {});
}

TEST(PageHashTableTest, AnInvalidIdIsNoEntrysHoweverFullTheLines) {
  PageHashTable table;
  for (uint32_t i = 0; i < 2000; ++i) {
    table.Insert(Number(i), i);
    ASSERT_EQ(table.Find(PageId()), PageHashTable::kNone);
    ASSERT_EQ(table.Find(Number(i + 1)), PageHashTable::kNone);
  }
}

TEST(PageHashTableTest, AgreesWithAMapWhileItGrowsAndShrinks) {
  std::mt19937_64 random(1);
  PageHashTable table;
  Model model;
  for (int phase = 0; phase < 12; ++phase) {
    const bool shrinks = phase % 3 == 2;
    for (int step = 0; step < 3000; ++step) {
      const uint64_t id = random() % 8000 * 0x9E3779B97F4A7C15;
      const auto found = model.lower_bound(id);
      if (found != model.end() && random() % 8 < (shrinks ? 7u : 2u)) {
        table.Erase(Number(found->first));
        ASSERT_EQ(table.Find(Number(found->first)), PageHashTable::kNone);
        model.erase(found);
      } else if (!model.contains(id)) {
        const auto number = static_cast<uint32_t>(random() >> 33);
        table.Insert(Number(id), number);
        model[id] = number;
      }
    }
    Compare(table, model);
  }
  table.EraseIf([](PageId id, uint32_t) { return id.value() % 3 != 0; });
  std::erase_if(model, [](const auto& entry) { return entry.first % 3 != 0; });
  Compare(table, model);
  while (!model.empty()) {
    table.Erase(Number(model.begin()->first));
    model.erase(model.begin());
  }
  Compare(table, model);
  EXPECT_EQ(table.bytes(), 0u);
}

// Entries may have passed every line, each on its way to another.
TEST(PageHashTableTest, ASearchEndsThoughEveryLineWasPassed) {
  std::mt19937_64 random(1);
  PageHashTable table;
  std::vector<uint64_t> ids;
  for (uint64_t step = 0; step < 100'000; ++step) {
    if (ids.size() < 9) {
      table.Insert(Number(step), 0);
      ids.push_back(step);
    } else {
      std::swap(ids[random() % ids.size()], ids.back());
      table.Erase(Number(ids.back()));
      ids.pop_back();
    }
    ASSERT_EQ(table.Find(Number(~step)), PageHashTable::kNone);
  }
}

// Sixteen bytes an entry beside a page's 48 are 64.
TEST(PageHashTableTest, IsNeverEmptierThanItMayBe) {
  PageHashTable table;
  for (uint32_t i = 0; i < 100'000; ++i) {
    table.Insert(Number(i * uint64_t{4096}), i);
    ASSERT_LE(table.bytes(), (i + 1) * uint64_t{155} / 10 + 64) << i;
  }
  for (uint32_t i = 0; i < 100'000; ++i) {
    table.Erase(Number(i * uint64_t{4096}));
    ASSERT_LE(table.bytes(), (100'000 - i) * uint64_t{64} + 64) << i;
  }
}

}  // namespace
}  // namespace mmsb
