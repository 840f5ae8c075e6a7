#include "allocator/tracking_allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/arena.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/system_source.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(RoundingAllocator<TrackingAllocator<MemoryPool<>>>);
static_assert(!RoundingAllocator<TrackingAllocator<>>);

template <class A>
std::string Leaks(const A& allocator) {
  std::string text(allocator.FormatLeaks({}), '\0');
  EXPECT_EQ(allocator.FormatLeaks(text), text.size());
  return text;
}

std::string Hex(const void* p) {
  std::ostringstream out;
  out << "0x" << std::hex << reinterpret_cast<uintptr_t>(p);
  return out.str();
}

TEST(TrackingAllocatorTest, ReportsWhatIsLiveOldestFirst) {
  TrackingAllocator tracked(TrackingAllocatorOptions{});
  EXPECT_EQ(Leaks(tracked), "");
  void* const a = tracked.Allocate(100, 8, "parser");
  void* const b = tracked.Allocate(7, 1, "gone");
  void* const c = tracked.Allocate(200, 16);
  tracked.Deallocate(b, 7, 1);
  EXPECT_EQ(Leaks(tracked), "2 live blocks, 300 bytes\n#1 " + Hex(a) +
                                " 100 bytes at 8 parser\n#3 " + Hex(c) +
                                " 200 bytes at 16\n");
  tracked.Deallocate(a, 100, 8);
  tracked.Deallocate(c, 200, 16);
  EXPECT_EQ(Leaks(tracked), "");
  EXPECT_EQ(tracked.live_blocks(), 0u);
}

TEST(TrackingAllocatorTest, CutsTheReportAtEveryLength) {
  TrackingAllocator tracked(TrackingAllocatorOptions{});
  void* const p = tracked.Allocate(100, 8, "parser");
  const std::string whole = Leaks(tracked);
  for (size_t room = 0; room <= whole.size() + 3; ++room) {
    std::vector<char> out(room + 8, '#');
    EXPECT_EQ(tracked.FormatLeaks(std::span(out.data(), room)), whole.size());
    const size_t written = std::min(room, whole.size());
    EXPECT_EQ(std::string(out.data(), written), whole.substr(0, written));
    EXPECT_TRUE(std::all_of(out.begin() + static_cast<ptrdiff_t>(written),
                            out.end(), [](char c) { return c == '#'; }));
  }
  tracked.Deallocate(p, 100, 8);
}

TEST(TrackingAllocatorTest, TheTagInForceIsTheBlocks) {
  TrackingAllocator tracked(TrackingAllocatorOptions{});
  EXPECT_EQ(tracked.SetTag("load"), nullptr);
  void* const a = tracked.Allocate(1, 1);
  EXPECT_STREQ(tracked.SetTag(nullptr), "load");
  void* const b = tracked.AllocateZeroed(1, 1);
  std::vector<std::string> tags;
  tracked.ForEachLive([&tags](const TrackedBlock& block) {
    tags.emplace_back(block.tag == nullptr ? "none" : block.tag);
  });
  EXPECT_EQ(tags, (std::vector<std::string>{"load", "none"}));
  tracked.Deallocate(a, 1, 1);
  tracked.Deallocate(b, 1, 1);
}

TEST(TrackingAllocatorTest, TellsOfLeaksAtItsEnd) {
  std::vector<size_t> leaked;
  Arena arena;
  {
    TrackingAllocator tracked(
        {.on_leak =
             [](void* context, const TrackedBlock& block) {
               static_cast<std::vector<size_t>*>(context)->push_back(
                   block.bytes);
             },
         .context = &leaked},
        AllocatorRef(arena));
    EXPECT_NE(tracked.Allocate(10, 1), nullptr);
    void* const given_back = tracked.Allocate(20, 1);
    EXPECT_NE(tracked.Allocate(30, 1), nullptr);
    tracked.Deallocate(given_back, 20, 1);
  }
  EXPECT_EQ(leaked, (std::vector<size_t>{10, 30}));
}

TEST(TrackingAllocatorTest, AResizedBlockKeepsTagAndPlace) {
  TrackingAllocator tracked(TrackingAllocatorOptions{});
  void* a = tracked.Allocate(100, 8, "first");
  void* const b = tracked.Allocate(10, 8, "second");
  std::memset(a, 5, 100);
  a = Reallocate(tracked, a, 100, 1'000'000, 8);
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(static_cast<char*>(a)[99], 5);
  EXPECT_EQ(tracked.Reallocate(a, 1'000'000, SIZE_MAX, 8), nullptr);
  EXPECT_EQ(Leaks(tracked), "2 live blocks, 1000010 bytes\n#1 " + Hex(a) +
                                " 1000000 bytes at 8 first\n#2 " + Hex(b) +
                                " 10 bytes at 8 second\n");
  EXPECT_EQ(tracked.Stats().live(), 1'000'010u);
  EXPECT_TRUE(tracked.Stats().IdentityHolds());
  tracked.Deallocate(a, 1'000'000, 8);
  tracked.Deallocate(b, 10, 8);
}

TEST(TrackingAllocatorTest, TakesARoundedBlockBackWithAnySizeBetween) {
  TrackingAllocator<MemoryPool<>> tracked({},
                                          MemoryPoolOptions{.block_size = 64});
  for (const size_t bytes : {10u, 11u, 63u, 64u}) {
    const SizedBlock block = tracked.AllocateAtLeast(10, 8);
    ASSERT_EQ(block.bytes, 64u);
    tracked.Deallocate(block.data, bytes, 8);
  }
  EXPECT_EQ(tracked.AllocateAtLeast(65, 8).data, nullptr);
  EXPECT_EQ(tracked.Stats().live(), 0u);
  EXPECT_EQ(tracked.Stats().failures(), 1u);
}

TEST(TrackingAllocatorTest, OwnsEveryByteOfALiveBlockAndNoOther) {
  TrackingAllocator tracked(TrackingAllocatorOptions{});
  auto* const p = static_cast<char*>(tracked.Allocate(100, 8));
  auto* const q = static_cast<char*>(tracked.Allocate(0, 8));
  EXPECT_TRUE(tracked.Owns(p) && tracked.Owns(p + 99) && tracked.Owns(q));
  EXPECT_FALSE(tracked.Owns(p + 100));
  tracked.Deallocate(p, 100, 8);
  EXPECT_FALSE(tracked.Owns(p));
  tracked.Deallocate(q, 0, 8);
}

TEST(TrackingAllocatorTest, FailsWhenTheTableCannotGrowAndLosesNothing) {
  FailingUpstream upstream;
  FailingUpstream table;
  {
    TrackingAllocator<AllocatorRef<FailingUpstream>,
                      AllocatorRef<FailingUpstream>>
        tracked({}, AllocatorRef(upstream), AllocatorRef(table));
    std::vector<void*> blocks;
    void* const first = tracked.Allocate(16, 8);
    ASSERT_NE(first, nullptr);
    blocks.push_back(first);
    table.Restart({.fail_from = 1});
    while (void* const p = tracked.Allocate(16, 8)) blocks.push_back(p);
    const uint64_t calls = upstream.calls();
    EXPECT_EQ(tracked.Allocate(16, 8), nullptr);
    EXPECT_EQ(upstream.calls(), calls);  // It was not even asked.
    EXPECT_EQ(upstream.blocks(), blocks.size());
    EXPECT_EQ(tracked.live_blocks(), blocks.size());
    EXPECT_TRUE(tracked.Stats().IdentityHolds());
    EXPECT_EQ(tracked.Stats().committed(), upstream.bytes() + table.bytes());
    // There is room for as many as before.
    tracked.Deallocate(blocks.back(), 16, 8);
    blocks.back() = tracked.Allocate(16, 8);
    EXPECT_NE(blocks.back(), nullptr);
    table.Restart({});
    blocks.push_back(tracked.Allocate(16, 8));
    EXPECT_NE(blocks.back(), nullptr);
    for (void* const p : blocks) tracked.Deallocate(p, 16, 8);
  }
  EXPECT_EQ(upstream.bytes(), 0u);
  EXPECT_EQ(table.bytes(), 0u);
}

class TrackingAllocatorDeathTest : public ::testing::Test {
 protected:
  ~TrackingAllocatorDeathTest() override { tracked_.Deallocate(p_, 100, 8); }

  TrackingAllocator<> tracked_;
  void* p_ = tracked_.Allocate(100, 8, "parser");
};

TEST_F(TrackingAllocatorDeathTest, DoubleFree) {
  EXPECT_DEATH(
      {
        tracked_.Deallocate(p_, 100, 8);
        tracked_.Deallocate(p_, 100, 8);
      },
      "TrackingAllocator::Deallocate\\(0x[0-9a-f]+, 100, 8\\): not a live "
      "block");
}

TEST_F(TrackingAllocatorDeathTest, ForeignAndInteriorPointers) {
  char local[8];
  EXPECT_DEATH(tracked_.Deallocate(local, 8, 8), "not a live block");
  EXPECT_DEATH(tracked_.Deallocate(static_cast<char*>(p_) + 8, 92, 8),
               "not a live block");
}

TEST_F(TrackingAllocatorDeathTest, WrongSizeAndAlignment) {
  EXPECT_DEATH(tracked_.Deallocate(p_, 99, 8),
               "wrong size or alignment, allocated with 100 bytes at 8 by "
               "parser");
  EXPECT_DEATH(tracked_.Deallocate(p_, 101, 8), "wrong size or alignment");
  EXPECT_DEATH(tracked_.Deallocate(p_, 100, 16), "wrong size or alignment");
  EXPECT_DEATH(static_cast<void>(tracked_.Reallocate(p_, 99, 200, 8)),
               "TrackingAllocator::Reallocate.*wrong size");
}

}  // namespace
}  // namespace mmsb
