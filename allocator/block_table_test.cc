#include "allocator/block_table.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <random>
#include <unordered_map>

#include "allocator/allocator_ref.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using Table = BlockTable<AllocatorRef<FailingUpstream>>;

void* At(uintptr_t address) { return reinterpret_cast<void*>(address); }

TEST(BlockTableTest, FindsNothingWhenEmpty) {
  FailingUpstream upstream;
  const Table table{AllocatorRef(upstream)};
  EXPECT_EQ(table.Find(nullptr), nullptr);
  EXPECT_EQ(table.Oldest(), nullptr);
  EXPECT_EQ(table.bytes(), 0u);
  EXPECT_EQ(upstream.calls(), 0u);
}

TEST(BlockTableTest, KeepsWhatItHasWhenItCannotGrow) {
  FailingUpstream upstream;
  Table table{AllocatorRef(upstream)};
  ASSERT_TRUE(table.Reserve(1));
  size_t added = 0;
  upstream.Restart({.fail_from = 1});
  while (table.Reserve(added + 1)) {
    ++added;
    table.Add(At(added * 16), {.bytes = added});
  }
  EXPECT_GT(added, 0u);
  EXPECT_FALSE(table.Reserve(size_t{1} << 40));
  for (size_t i = 1; i <= added; ++i) {
    ASSERT_NE(table.Find(At(i * 16)), nullptr);
    EXPECT_EQ(table.Find(At(i * 16))->bytes, i);
  }
  upstream.Restart({});
  EXPECT_TRUE(table.Reserve(added + 1));
  EXPECT_EQ(table.Find(At(16))->bytes, 1u);
}

TEST(BlockTableTest, GrowsByLittleWhenTheUpstreamHasLittle) {
  FailingUpstream upstream({.max_bytes = 1000});
  Table table{AllocatorRef(upstream)};
  EXPECT_TRUE(table.Reserve(1));
  EXPECT_LE(table.bytes(), 1000u);
}

TEST(BlockTableTest, AgreesWithAModel) {
  FailingUpstream upstream;
  Table table{AllocatorRef(upstream)};
  std::unordered_map<uintptr_t, uint64_t> serials;
  std::list<uintptr_t> order;
  std::mt19937_64 random(20240601);
  for (uint64_t step = 1; step <= 20000; ++step) {
    // Addresses that differ in few bits, as blocks of a pool do.
    const uintptr_t address = (random() % 2000 + 1) * 64;
    Table::Entry* const entry = table.Find(At(address));
    ASSERT_EQ(entry != nullptr, serials.contains(address));
    if (entry == nullptr) {
      ASSERT_TRUE(table.Reserve(table.size() + 1));
      table.Add(At(address), {.bytes = address, .serial = step});
      serials[address] = step;
      order.push_back(address);
    } else if (random() % 4 == 0) {
      const uintptr_t target = address + 8;
      ASSERT_EQ(entry->serial, serials[address]);
      if (serials.contains(target)) continue;
      table.Move(entry, At(target));
      serials[target] = serials[address];
      serials.erase(address);
      for (uintptr_t& kept : order) {
        if (kept == address) kept = target;
      }
      table.Remove(table.Find(At(target)));
      serials.erase(target);
      order.remove(target);
    } else {
      table.Remove(entry);
      serials.erase(address);
      order.remove(address);
    }
    ASSERT_EQ(table.size(), serials.size());
    if (step % 500 == 0) {
      const Table::Entry* kept = table.Oldest();
      for (const uintptr_t expected : order) {
        ASSERT_NE(kept, nullptr);
        ASSERT_EQ(kept->address(), At(expected));
        ASSERT_EQ(kept->serial, serials[expected]);
        kept = table.NewerThan(kept);
      }
      ASSERT_EQ(kept, nullptr);
    }
  }
}

}  // namespace
}  // namespace mmsb
