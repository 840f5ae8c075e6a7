// The lock-free allocator beside the locked reference: every answer the same,
// but for where a run lies, and there the reference must have one free.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/page/frame_layout.h"
#include "memory/page/lockfree_page_allocator.h"
#include "memory/page/testing/locked_page_allocator.h"

namespace mmsb {
namespace {

class SideBySide {
 public:
  explicit SideBySide(size_t frames)
      : real_(*LockFreePageAllocator::Create(
            {.bytes = frames * kFrameBytes, .max_threads = 2})),
        model_(*LockedPageAllocator::Create({.bytes = frames * kFrameBytes})) {}

  void Allocate(int order) {
    const absl::StatusOr<void*> p = real_->Allocate(order);
    if (!IsFrameOrder(order)) {
      EXPECT_EQ(p.status(), model_->Allocate(order).status());
      return;
    }
    if (!p.ok()) {
      EXPECT_EQ(p.status().code(), absl::StatusCode::kResourceExhausted);
      EXPECT_FALSE(model_->AnyFree(order)) << p.status();
      return;
    }
    const auto offset = static_cast<size_t>(
        static_cast<std::byte*>(*p) - static_cast<std::byte*>(real_->region()));
    EXPECT_EQ(offset % kFrameBytes, 0u);
    EXPECT_TRUE(model_->AllocateAt(offset / kFrameBytes, order)) << offset;
    runs_.emplace_back(offset, order);
  }

  void Free(size_t offset, int order) {
    EXPECT_EQ(
        real_->Free(static_cast<std::byte*>(real_->region()) + offset, order),
        model_->Free(static_cast<std::byte*>(model_->region()) + offset,
                     order));
  }

  void FreeSome(std::mt19937_64& random) {
    if (runs_.empty()) return;
    std::swap(runs_[random() % runs_.size()], runs_.back());
    const auto [offset, order] = runs_.back();
    runs_.pop_back();
    if (random() % 4 != 0 || order == 0) return Free(offset, order);
    // In two parts, of which one may be kept.
    Free(offset, order - 1);
    const size_t half = (kFrameBytes << order) / 2;
    if (random() % 2 == 0) return Free(offset + half, order - 1);
    runs_.emplace_back(offset + half, order - 1);
  }

  void Compare() {
    ASSERT_EQ(real_->Bitmap(), model_->Bitmap());
    EXPECT_EQ(real_->FreeFrames(), model_->FreeFrames());
    EXPECT_TRUE(real_->CheckInvariants().ok()) << real_->CheckInvariants();
    EXPECT_TRUE(real_->Stats().IdentityHolds());
  }

  void Purge() { EXPECT_TRUE(real_->Purge().ok()); }

  // Goes on with allocators that were made of the bitmaps.
  void Recover() {
    const size_t frames = real_->frame_count();
    const std::vector<uint64_t> bitmap = real_->Bitmap();
    if (frames % 2 == 0) {
      real_ = *LockFreePageAllocator::Create(
          {.bytes = frames * kFrameBytes, .max_threads = 2});
    }
    EXPECT_TRUE(real_->Recover(bitmap).ok());
    EXPECT_TRUE(model_->Recover(bitmap).ok());
  }

 private:
  std::unique_ptr<LockFreePageAllocator> real_;
  std::unique_ptr<LockedPageAllocator> model_;
  std::vector<std::pair<size_t, int>> runs_;  // offsets in bytes
};

void RunProgram(uint64_t seed, size_t frames, int steps) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << " frames " << frames);
  std::mt19937_64 random(seed);
  SideBySide both(frames);
  // Phases in which taking or giving prevails, and small or large orders.
  for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
    const uint64_t phase = static_cast<uint64_t>(step) / 200 % 4;
    const uint64_t choice = random() % 100;
    if (choice < (phase % 2 == 0 ? 65u : 30u)) {
      const auto large = static_cast<int>(random() % 10);
      const auto small = static_cast<int>(random() % 3);
      both.Allocate(phase < 2 ? std::min(large, small) : large);
    } else if (choice < 95) {
      both.FreeSome(random);
    } else if (choice == 95) {
      // Anything: mostly wrong.
      both.Free(random() % (2 * frames * kFrameBytes + 1),
                static_cast<int>(random() % 12) - 1);
    } else if (choice == 96) {
      both.Free(random() % (frames + 1) * kFrameBytes,
                static_cast<int>(random() % 4));
    } else if (choice == 97) {
      both.Allocate(static_cast<int>(random() % 14) - 2);
    } else if (choice == 98) {
      both.Purge();
    } else if (random() % 4 == 0) {
      both.Recover();
    }
    if (step % 64 == 0) both.Compare();
  }
  both.Compare();
}

TEST(LockFreePageAllocatorPropertyTest, SmallRegions) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    RunProgram(seed, 1 + seed * 37 % 1100, 800);
    if (HasFailure()) return;
  }
}

TEST(LockFreePageAllocatorPropertyTest, SeveralTrees) {
  for (uint64_t seed = 100; seed < 104; ++seed) {
    RunProgram(seed, 2 * kFramesPerTree + seed * 1001 % 5000, 3000);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace mmsb
