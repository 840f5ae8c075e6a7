#include <array>
#include <cstddef>
#include <cstdint>

#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/system_source.h"
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
