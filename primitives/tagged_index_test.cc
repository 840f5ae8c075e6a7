#include "primitives/tagged_index.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(std::is_same_v<TaggedIndex::Index, uint32_t>);
static_assert(std::is_same_v<BasicTaggedIndex<40>::Index, uint64_t>);
static_assert(TaggedIndex::kNull == 0xFFFF'FFFF);
static_assert(TaggedIndex::kMaxTag == 0xFFFF'FFFF);
static_assert(TaggedIndex().is_null() && TaggedIndex().tag() == 0);
static_assert(TaggedIndex(7, 9).word() == ((uint64_t{9} << 32) | 7));
static_assert(TaggedIndex(7, 9).WithNextTag(3) == TaggedIndex(3, 10));

TEST(TaggedIndexTest, KeepsIndexAndTagApart) {
  for (const uint32_t index : {0u, 1u, 0x8000'0000u, 0xFFFF'FFFEu}) {
    for (const uint64_t tag : {0u, 1u, 0x8000'0000u, 0xFFFF'FFFFu}) {
      const TaggedIndex both(index, tag);
      EXPECT_EQ(both.index(), index);
      EXPECT_EQ(both.tag(), tag);
      EXPECT_FALSE(both.is_null());
      EXPECT_EQ(TaggedIndex::FromWord(both.word()), both);
    }
  }
  EXPECT_TRUE(TaggedIndex(TaggedIndex::kNull, 5).is_null());
}

TEST(TaggedIndexTest, TagWrapsToZeroAndLeavesTheIndexAlone) {
  const TaggedIndex last(5, TaggedIndex::kMaxTag);
  EXPECT_EQ(last.WithNextTag(6), TaggedIndex(6, 0));
  EXPECT_EQ(last.WithNextTag(TaggedIndex::kNull).index(), TaggedIndex::kNull);
}

TEST(TaggedIndexTest, ALapOfTheTagVisitsEveryValueOnce) {
  using Narrow = BasicTaggedIndex<60>;  // A tag of 4 bits.
  const Narrow start(1, 11);
  Narrow now = start;
  for (int change = 1; change < 16; ++change) {
    now = now.WithNextTag(1);
    EXPECT_NE(now, start) << change;
  }
  EXPECT_EQ(now.WithNextTag(1), start);
}

TEST(TaggedIndexDeathTest, WhatDoesNotFitIsRefused) {
  using Narrow = BasicTaggedIndex<8>;
  EXPECT_EQ(Narrow(Narrow::kNull, 0).index(), 255u);
  EXPECT_DEATH(static_cast<void>(Narrow(256, 0)),
               "index 256 needs more than 8 bits");
  EXPECT_DEATH(static_cast<void>(Narrow().WithNextTag(300)),
               "index 300 needs more than 8 bits");
  EXPECT_DEATH(static_cast<void>(TaggedIndex(1, uint64_t{1} << 32)),
               "tag 4294967296 needs more than 32 bits");
}

// The history that makes an untagged head fail, step by step.
TEST(TaggedIndexTest, AnIndexThatCameBackIsNotMistaken) {
  // relaxed throughout: one thread.
  std::atomic<TaggedIndex> head = TaggedIndex(1, 0);
  TaggedIndex sleeper = head.load(std::memory_order_relaxed);
  head.store(sleeper.WithNextTag(2), std::memory_order_relaxed);  // Pop 1.
  head.store(head.load(std::memory_order_relaxed).WithNextTag(1),
             std::memory_order_relaxed);  // Push 1.
  EXPECT_EQ(head.load(std::memory_order_relaxed).index(), sleeper.index());
  EXPECT_FALSE(head.compare_exchange_strong(sleeper, sleeper.WithNextTag(2),
                                            std::memory_order_relaxed,
                                            std::memory_order_relaxed));
}

// A lock-free stack of indices: each element is held by one thread at a time,
// and none is lost.
TEST(TaggedIndexTest, HeadOfAStackUnderContention) {
  constexpr uint32_t kElements = 4;
  constexpr int kThreads = 4;
  constexpr int kRounds = 5000;
  std::vector<std::atomic<uint32_t>> next(kElements);
  std::vector<std::atomic<int>> holders(kElements);
  std::atomic<TaggedIndex> head = TaggedIndex();
  const auto push = [&](uint32_t element) {
    // relaxed: the exchange below catches a change.
    TaggedIndex old = head.load(std::memory_order_relaxed);
    do {
      // relaxed: published by the exchange below.
      next[element].store(old.index(), std::memory_order_relaxed);
      // release: pairs with the acquires in pop; publishes next.
    } while (!head.compare_exchange_weak(old, old.WithNextTag(element),
                                         std::memory_order_release,
                                         std::memory_order_relaxed));
  };
  const auto pop = [&]() -> uint32_t {
    // acquire: pairs with the release in push; next is there.
    TaggedIndex old = head.load(std::memory_order_acquire);
    // relaxed for next: what is read may be old, and then the exchange fails.
    // acquire, on failure too: as the load above.
    while (
        !old.is_null() &&
        !head.compare_exchange_weak(
            old,
            old.WithNextTag(next[old.index()].load(std::memory_order_relaxed)),
            std::memory_order_acquire, std::memory_order_acquire)) {
    }
    return old.index();
  };
  for (uint32_t i = 0; i < kElements; ++i) push(i);

  std::atomic<int> mix_ups = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const uint32_t element = pop();
        if (element == TaggedIndex::kNull) continue;
        // relaxed: only counts.
        if (holders[element].fetch_add(1, std::memory_order_relaxed) != 0) {
          mix_ups.fetch_add(1, std::memory_order_relaxed);
        }
        holders[element].fetch_sub(1, std::memory_order_relaxed);
        push(element);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(mix_ups.load(std::memory_order_relaxed), 0);
  std::vector<bool> seen(kElements);
  for (uint32_t i = 0; i < kElements; ++i) {
    const uint32_t element = pop();
    ASSERT_LT(element, kElements);
    EXPECT_FALSE(seen[element]);
    seen[element] = true;
  }
  EXPECT_EQ(pop(), TaggedIndex::kNull);
}

}  // namespace
}  // namespace mmsb
