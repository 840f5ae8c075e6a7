#include "allocator/block_magazine.h"

#include <array>
#include <cstddef>
#include <new>
#include <set>

#include "allocator/lockfree_sync.h"
#include "allocator/testing/hooked_sync.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr size_t kCapacity = 4;

// A magazine of four slots with its memory, and names for blocks.
template <class Sync>
struct State {
  using Magazine = BlockMagazine<Sync>;

  State() : magazine(::new (memory) Magazine(kCapacity, true)) {}
  ~State() { magazine->~Magazine(); }

  // What is in the magazine, taken out.
  std::multiset<std::byte*> TakeAll() {
    std::multiset<std::byte*> taken;
    while (std::byte* const block = magazine->TakeNewest()) taken.insert(block);
    return taken;
  }

  alignas(128) std::byte memory[Magazine::Bytes(kCapacity)];
  std::array<std::byte, kCapacity> blocks;
  Magazine* magazine;
};

TEST(BlockMagazineTest, HandsOutTheNewestFirst) {
  State<SystemSync> s;
  EXPECT_EQ(s.magazine->TakeNewest(), nullptr);
  std::byte* block = nullptr;
  EXPECT_FALSE(s.magazine->TakeUnlessLast(&block));
  for (std::byte& block : s.blocks) EXPECT_TRUE(s.magazine->Push(&block));
  EXPECT_TRUE(s.magazine->full());
  EXPECT_FALSE(s.magazine->Push(s.blocks.data()));
  EXPECT_TRUE(s.magazine->TakeUnlessLast(&block));
  EXPECT_EQ(block, &s.blocks[3]);
  EXPECT_EQ(s.magazine->TakeNewest(), &s.blocks[2]);
  EXPECT_TRUE(s.magazine->TakeUnlessLast(&block));
  EXPECT_EQ(block, &s.blocks[1]);
  EXPECT_FALSE(s.magazine->TakeUnlessLast(&block));
  EXPECT_EQ(s.magazine->TakeNewest(), &s.blocks[0]);
  EXPECT_EQ(s.magazine->size(), 0u);
  EXPECT_EQ(s.magazine->pushes(), 4u);
}

TEST(BlockMagazineTest, ARefusedFenceLeavesTheBlock) {
  State<HookedSync> s;
  std::byte* block = nullptr;
  using Theft = State<HookedSync>::Magazine::Theft;
  EXPECT_EQ(s.magazine->Steal(&block), Theft::kMissed);
  EXPECT_TRUE(s.magazine->Push(s.blocks.data()));
  EXPECT_EQ(s.magazine->Steal(&block), Theft::kRefused);
  EXPECT_EQ(block, nullptr);
  EXPECT_EQ(s.magazine->TakeNewest(), s.blocks.data());
}

struct Vanished {};

// The owner takes a block, or gives one, with `filled` in the magazine, and
// vanishes before its atomic operation number `at`. False when it got to the
// end. What it had in its hands may be lost, and nothing else is.
bool VanishAndRepair(size_t filled, bool take, size_t at) {
  State<HookedSync> s;
  for (size_t i = 0; i < filled; ++i) {
    EXPECT_TRUE(s.magazine->Push(&s.blocks[i]));
  }
  bool vanished = false;
  std::byte* taken = nullptr;
  atomic_hook = {.action = [](void*) { throw Vanished(); }, .at = at};
  try {
    if (take) {
      taken = s.magazine->TakeNewest();
    } else {
      EXPECT_TRUE(s.magazine->Push(&s.blocks[filled]));
    }
  } catch (const Vanished&) {
    vanished = true;
  }
  atomic_hook = {};
  s.magazine->Repair();
  const std::multiset<std::byte*> left = s.TakeAll();
  const size_t before = take ? filled - 1 : filled;
  EXPECT_TRUE(left.size() == before || left.size() == before + 1) << at;
  EXPECT_EQ(std::set<std::byte*>(left.begin(), left.end()).size(), left.size());
  if (taken != nullptr) {
    EXPECT_FALSE(left.contains(taken));
  }
  // It serves as before.
  for (std::byte& block : s.blocks) EXPECT_TRUE(s.magazine->Push(&block)) << at;
  EXPECT_EQ(s.TakeAll().size(), kCapacity);
  return vanished;
}

TEST(BlockMagazineTest, IsRepairedAfterItsOwnerVanishedAtAnyStep) {
  for (size_t filled = 0; filled <= kCapacity; ++filled) {
    for (const bool take : {true, false}) {
      if (filled == (take ? 0 : kCapacity)) continue;
      SCOPED_TRACE(filled);
      size_t steps = 0;
      while (VanishAndRepair(filled, take, steps)) ++steps;
      EXPECT_GE(steps, 4u);
    }
  }
}

}  // namespace
}  // namespace mmsb
