#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/system_source.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

using CheckedArena = Arena<SystemSource, Checked>;

class ArenaDeathTest : public ::testing::Test {
 protected:
  CheckedArena arena_{{.first_chunk_bytes = 256, .max_chunk_bytes = 256}};
  void* const block_ = arena_.Allocate(32, 8);
};

TEST_F(ArenaDeathTest, DoubleFreeOfTheNewest) {
  ASSERT_NE(arena_.Allocate(8, 8), nullptr);
  void* const newest = arena_.Allocate(8, 8);
  arena_.Deallocate(newest, 8, 8);
  EXPECT_DEATH(arena_.Deallocate(newest, 8, 8),
               "Arena::Deallocate\\(0x[0-9a-f]+, 8, 8\\): not a live block");
}

TEST_F(ArenaDeathTest, ForeignPointer) {
  alignas(8) std::array<std::byte, 32> local;
  EXPECT_DEATH(arena_.Deallocate(local.data(), 32, 8), "not a live block");
  CheckedArena other;
  EXPECT_DEATH(other.Deallocate(block_, 32, 8), "not a live block");
}

TEST_F(ArenaDeathTest, BlockThatWasRewound) {
  const auto mark = arena_.Mark();
  void* const p = arena_.Allocate(8, 8);
  void* const large = arena_.Allocate(1000, 8);
  arena_.Rewind(mark);
  EXPECT_DEATH(arena_.Deallocate(p, 8, 8), "already rewound");
  EXPECT_DEATH(arena_.Deallocate(large, 1000, 8), "already rewound");
}

TEST_F(ArenaDeathTest, WrongSizeAndAlignment) {
  EXPECT_DEATH(arena_.Deallocate(block_, 256, 8), "wrong size");
  EXPECT_DEATH(arena_.Deallocate(block_, SIZE_MAX, 8), "wrong size");
  EXPECT_DEATH(arena_.Deallocate(static_cast<std::byte*>(block_) + 1, 8, 8),
               "not at a multiple of its alignment");
  EXPECT_DEATH(arena_.Deallocate(block_, 32, 0),
               "not at a multiple of its alignment");
}

TEST_F(ArenaDeathTest, PositionOfAnotherArena) {
  const CheckedArena other;
  EXPECT_DEATH(arena_.Rewind(other.Mark()),
               "Arena::Rewind\\(\\): the position is of another arena");
}

TEST_F(ArenaDeathTest, PositionThatWasRewoundPast) {
  const auto early = arena_.Mark();
  ASSERT_NE(arena_.Allocate(8, 8), nullptr);
  const auto late = arena_.Mark();
  arena_.Rewind(early);
  EXPECT_DEATH(arena_.Rewind(late), "already rewound past");
}

TEST_F(ArenaDeathTest, PositionInAChunkThatIsGone) {
  const auto early = arena_.Mark();
  for (int i = 0; i < 20; ++i) ASSERT_NE(arena_.Allocate(32, 8), nullptr);
  const auto late = arena_.Mark();
  arena_.Rewind(early);
  // The same chunk in use again is not the chunk of the position.
  for (int i = 0; i < 20; ++i) ASSERT_NE(arena_.Allocate(32, 8), nullptr);
  arena_.Rewind(early);
  EXPECT_DEATH(arena_.Rewind(late), "already rewound past");
  arena_.Reset();
  EXPECT_DEATH(arena_.Rewind(early), "already rewound past");
}

TEST_F(ArenaDeathTest, PositionUnderABlockThatCameAfterTheRewind) {
  const auto early = arena_.Mark();
  ASSERT_NE(arena_.Allocate(8, 8), nullptr);
  const auto late = arena_.Mark();
  arena_.Rewind(early);
  ASSERT_NE(arena_.Allocate(100, 8), nullptr);
  EXPECT_DEATH(arena_.Rewind(late), "already rewound past");
  // The position that was returned to, and one taken since, are as before.
  const auto now = arena_.Mark();
  ASSERT_NE(arena_.Allocate(8, 8), nullptr);
  arena_.Rewind(now);
  arena_.Rewind(early);
  EXPECT_DEATH(arena_.Rewind(now), "already rewound past");
}

TEST_F(ArenaDeathTest, PositionOnABlockThatWasDeallocated) {
  void* const p = arena_.Allocate(40, 8);
  const auto mark = arena_.Mark();
  arena_.Deallocate(p, 40, 8);
  ASSERT_NE(arena_.Allocate(100, 8), nullptr);
  EXPECT_DEATH(arena_.Rewind(mark), "a block older than it deallocated");
  CheckedArena other;
  void* const only = other.Allocate(100);
  const auto on_it = other.Mark();
  other.Deallocate(only, 100, 16);
  ASSERT_NE(other.Allocate(200), nullptr);
  EXPECT_DEATH(other.Rewind(on_it), "a block older than it deallocated");
}

TEST_F(ArenaDeathTest, PositionOnABlockThatGrew) {
  const auto older = arena_.Mark();
  void* const p = arena_.Allocate(16, 8);
  const auto mark = arena_.Mark();
  void* const grown = arena_.Reallocate(p, 16, 32, 8);
  ASSERT_NE(grown, nullptr);
  EXPECT_DEATH(arena_.Rewind(mark), "or grown");
  // Shrinking leaves it where it is, and an older position stands.
  const auto again = arena_.Mark();
  ASSERT_EQ(arena_.Reallocate(grown, 32, 8, 8), grown);
  arena_.Rewind(again);
  arena_.Rewind(older);
}

TEST_F(ArenaDeathTest, PositionAboveALargeBlockThatIsGone) {
  const auto early = arena_.Mark();
  void* const large = arena_.Allocate(1000, 8);
  const auto late = arena_.Mark();
  arena_.Deallocate(large, 1000, 8);
  ASSERT_NE(arena_.Allocate(1000, 8), nullptr);
  EXPECT_DEATH(arena_.Rewind(late), "a block older than it deallocated");
  const auto last = arena_.Mark();
  arena_.Rewind(early);
  ASSERT_NE(arena_.Allocate(1000, 8), nullptr);
  EXPECT_DEATH(arena_.Rewind(last), "already rewound past");
}

// Each level is returned to before the next one is opened, so that all of them
// have to be known.
TEST(ArenaPositionDeathTest, EveryLevelOfManyIsKnown) {
  FailingUpstream upstream;
  Arena<AllocatorRef<FailingUpstream>, Checked> arena({},
                                                      AllocatorRef(upstream));
  using Position = decltype(arena)::Position;
  std::vector<Position> live;
  std::vector<Position> ended;
  for (int level = 0; level < 100; ++level) {
    ASSERT_NE(arena.Allocate(8, 8), nullptr);
    live.push_back(arena.Mark());
    ASSERT_NE(arena.Allocate(8, 8), nullptr);
    ended.push_back(arena.Mark());
    arena.Rewind(live.back());
  }
  for (size_t level = 0; level < ended.size(); level += 9) {
    EXPECT_DEATH(arena.Rewind(ended[level]), "already rewound past") << level;
  }
  EXPECT_TRUE(arena.Stats().IdentityHolds());
  EXPECT_EQ(arena.Stats().committed(), upstream.bytes());
  while (!live.empty()) {
    arena.Rewind(live.back());
    live.pop_back();
  }
}

TEST(ArenaPositionDeathTest, WithoutMemoryNoLivePositionIsRefused) {
  FailingUpstream upstream({.fail_from = 2});
  Arena<AllocatorRef<FailingUpstream>, Checked> arena({},
                                                      AllocatorRef(upstream));
  using Position = decltype(arena)::Position;
  std::vector<Position> live;
  for (int level = 0; level < 40; ++level) {
    ASSERT_NE(arena.Allocate(8, 8), nullptr);
    live.push_back(arena.Mark());
    ASSERT_NE(arena.Allocate(8, 8), nullptr);
    arena.Rewind(live.back());
  }
  EXPECT_GT(upstream.failures(), 0u);
  EXPECT_EQ(arena.Stats().failures(), 0u);
  ASSERT_NE(arena.Allocate(8, 8), nullptr);
  const auto above = arena.Mark();
  while (!live.empty()) {
    arena.Rewind(live.back());
    live.pop_back();
  }
  // That the cursor is short of it needs no memory to be seen.
  EXPECT_DEATH(arena.Rewind(above), "already rewound past");
}

TEST_F(ArenaDeathTest, UseAfterResetIsReportedUnderPoison) {
  if (!kPoisonReported) GTEST_SKIP() << "this build watches no accesses";
  Arena arena;
  auto* const p = static_cast<volatile char*>(arena.Allocate(64, 8));
  arena.Reset();
  EXPECT_DEATH(p[0] = 1, "use-after-poison");
}

TEST(ArenaReallocateDeathTest, ResizingWhatIsNotLive) {
  Arena<SystemSource, Checked> arena;
  void* const p = arena.Allocate(64, 8);
  EXPECT_DEATH(static_cast<void>(arena.Reallocate(p, 65, 8, 8)),
               "Arena::Reallocate\\(0x[0-9a-f]+, 65, 8\\): wrong size");
  arena.Deallocate(p, 64, 8);
  EXPECT_DEATH(static_cast<void>(arena.Reallocate(p, 64, 8, 8)),
               "Arena::Reallocate\\(0x[0-9a-f]+, 64, 8\\): not a live block");
}

}  // namespace
}  // namespace mmsb
