// Long random runs of the arena against a model of blocks and marks, with fixed
// seeds.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using TestArena = Arena<AllocatorRef<FailingUpstream>, Checked>;

class ArenaModel {
 public:
  explicit ArenaModel(uint64_t seed)
      : random_(seed),
        arena_({.first_chunk_bytes = random_() % 3000,
                .max_chunk_bytes = random_() % 20000},
               AllocatorRef(upstream_)) {}

  void Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      const uint64_t choice = random_() % 100;
      if (choice < 70) {
        Allocate();
      } else if (choice < 78) {
        DeallocateNewest();
      } else if (choice < 82) {
        Reallocate();
      } else if (choice < 92) {
        marks_.push_back(
            {arena_.Mark(), blocks_.size(), arena_.Stats().live()});
      } else if (choice < 99) {
        Rewind();
      } else {
        arena_.Reset();
        just_allocated_ = false;
        Forget(0);
        marks_.clear();
        ASSERT_EQ(arena_.Stats().live(), 0u);
      }
      Check();
    }
    ASSERT_EQ(ledger_.Check(), "");
  }

 private:
  struct Block {
    void* p;
    size_t bytes;
    size_t alignment;
  };
  struct Marked {
    TestArena::Position position;
    size_t blocks;  // how many were live
    size_t live;    // bytes
  };

  void Allocate() {
    const size_t bytes = random_() % (random_() % 20 == 0 ? 40000 : 300);
    const size_t alignment = size_t{1}
                             << random_() % (random_() % 20 == 0 ? 13 : 6);
    const size_t live = arena_.Stats().live();
    void* const p = arena_.Allocate(bytes, alignment);
    ASSERT_NE(p, nullptr);
    ASSERT_EQ(ledger_.Add(p, bytes, alignment), "");
    blocks_.push_back({p, bytes, alignment});
    ASSERT_GE(arena_.Stats().live(), live + bytes);
    ASSERT_TRUE(arena_.Owns(p));
    just_allocated_ = true;
  }

  // Unless a mark is younger, which would end with the block.
  void DeallocateNewest() {
    if (blocks_.empty()) return;
    if (!marks_.empty() && marks_.back().blocks == blocks_.size()) return;
    const Block block = blocks_.back();
    const size_t live = arena_.Stats().live();
    ASSERT_EQ(ledger_.Remove(block.p), "");
    blocks_.pop_back();
    arena_.Deallocate(block.p, block.bytes, block.alignment);
    // A block next to bytes lost to alignment may have to stay.
    if (std::exchange(just_allocated_, false)) {
      ASSERT_LE(arena_.Stats().live() + block.bytes, live);
      ASSERT_FALSE(arena_.Owns(block.p));
    } else {
      ASSERT_LE(arena_.Stats().live(), live);
    }
  }

  // Any block; a mark younger than one that grows would end with it.
  void Reallocate() {
    if (blocks_.empty()) return;
    const bool marked =
        !marks_.empty() && marks_.back().blocks == blocks_.size();
    Block& block = random_() % 2 == 0 ? blocks_.back()
                                      : blocks_[random_() % blocks_.size()];
    const size_t bytes = random_() % (2 * block.bytes + 10);
    if (marked && bytes > block.bytes) return;
    ASSERT_EQ(ledger_.Remove(block.p), "");
    void* const p =
        arena_.Reallocate(block.p, block.bytes, bytes, block.alignment);
    if (p != nullptr) {
      block.p = p;
      block.bytes = bytes;
      just_allocated_ = false;
    } else {
      ASSERT_GT(bytes, block.bytes);
    }
    ASSERT_EQ(ledger_.Add(block.p, block.bytes, block.alignment), "");
  }

  // To any mark; the younger ones end.
  void Rewind() {
    if (marks_.empty()) return;
    const size_t index = random_() % marks_.size();
    const Marked& mark = marks_[index];
    arena_.Rewind(mark.position);
    just_allocated_ = false;
    ASSERT_EQ(arena_.Stats().live(), mark.live);
    Forget(mark.blocks);
    marks_.erase(marks_.begin() + static_cast<ptrdiff_t>(index) + 1,
                 marks_.end());
  }

  void Forget(size_t keep) {
    while (blocks_.size() > keep) {
      ledger_.Drop(blocks_.back().p);
      blocks_.pop_back();
    }
  }

  void Check() {
    const AllocatorStats stats = arena_.Stats();
    peak_ = std::max(peak_, stats.live());
    ASSERT_TRUE(stats.IdentityHolds());
    ASSERT_EQ(stats.committed(), upstream_.bytes());
    ASSERT_EQ(stats.peak(), peak_);
    ASSERT_GE(stats.live(), ledger_.bytes());
  }

  std::mt19937_64 random_;
  FailingUpstream upstream_;
  TestArena arena_;
  BlockLedger ledger_;
  std::vector<Block> blocks_;
  std::vector<Marked> marks_;
  size_t peak_ = 0;
  bool just_allocated_ = false;  // the last block, and nothing since
};

TEST(ArenaPropertyTest, BehavesAsTheModelSays) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    ArenaModel(seed).Run(2000);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace mmsb
