// The lock-free allocator beside the locked reference: every answer the same,
// but for where a run lies, and there the reference must have one free.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
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
#include "memory/page/testing/other_thread.h"

namespace mmsb {
namespace {

class SideBySide {
 public:
  explicit SideBySide(size_t frames)
      : real_(*LockFreePageAllocator::Create(
            {.bytes = frames * kFrameBytes, .max_threads = 2})),
        model_(*LockedPageAllocator::Create({.bytes = frames * kFrameBytes})) {}

  // This and the next on the other thread, if `there`, which has a cache of its
  // own.
  void Allocate(int order, bool there) {
    absl::StatusOr<void*> p = nullptr;
    On(there, [&] { p = real_->Allocate(order); });
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

  void Free(size_t offset, int order, bool there) {
    absl::Status status;
    On(there, [&] {
      status =
          real_->Free(static_cast<std::byte*>(real_->region()) + offset, order);
    });
    EXPECT_EQ(status,
              model_->Free(static_cast<std::byte*>(model_->region()) + offset,
                           order));
  }

  void FreeSome(std::mt19937_64& random) {
    if (runs_.empty()) return;
    std::swap(runs_[random() % runs_.size()], runs_.back());
    const auto [offset, order] = runs_.back();
    runs_.pop_back();
    const bool there = random() % 4 == 0;
    if (random() % 4 != 0 || order == 0) return Free(offset, order, there);
    // In two parts, of which one may be kept.
    Free(offset, order - 1, there);
    const size_t half = (kFrameBytes << order) / 2;
    if (random() % 2 == 0) return Free(offset + half, order - 1, there);
    runs_.emplace_back(offset + half, order - 1);
  }

  void Compare(bool detach) {
    if (detach) Detach();
    const std::vector<uint64_t> real = real_->Bitmap();
    const std::vector<uint64_t> model = model_->Bitmap();
    // Frames in caches are allocated to the one, and free to the other.
    size_t cached = 0;
    for (size_t i = 0; i < real.size(); ++i) {
      ASSERT_EQ(real[i] & model[i], model[i]) << i;
      cached += static_cast<size_t>(std::popcount(real[i] ^ model[i]));
    }
    EXPECT_EQ(real_->Stats().cached(), cached * kFrameBytes);
    if (detach) {
      EXPECT_EQ(cached, 0u);
    }
    EXPECT_EQ(real_->Stats().live() / kFrameBytes,
              real_->frame_count() - model_->FreeFrames());
    EXPECT_EQ(real_->FreeFrames(), model_->FreeFrames());
    EXPECT_TRUE(real_->CheckInvariants().ok()) << real_->CheckInvariants();
    EXPECT_TRUE(real_->Stats().IdentityHolds());
  }

  void Purge() { EXPECT_TRUE(real_->Purge().ok()); }

  // Goes on with allocators that were made of the bitmaps.
  void Recover() {
    Detach();
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
  void On(bool there, const std::function<void()>& work) {
    if (there) {
      other_.Run(work);
    } else {
      work();
    }
  }
  void Detach() {
    for (const bool there : {false, true}) {
      On(there, [&] { real_->DetachThread(); });
    }
  }

  OtherThread other_;
  std::unique_ptr<LockFreePageAllocator> real_;
  std::unique_ptr<LockedPageAllocator> model_;
  std::vector<std::pair<size_t, int>> runs_;  // offsets in bytes
};

void RunProgram(uint64_t seed, size_t frames, int steps, bool singles = false) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << " frames " << frames);
  std::mt19937_64 random(seed);
  SideBySide both(frames);
  // Phases in which taking or giving prevails, and small or large orders.
  for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
    const uint64_t phase = static_cast<uint64_t>(step) / 200 % 4;
    const uint64_t choice = random() % 100;
    const bool there = random() % 3 == 0;
    if (choice < (phase % 2 == 0 ? 65u : 30u)) {
      const auto large = static_cast<int>(random() % 10);
      const auto small = static_cast<int>(random() % 3);
      const int order = phase < 2 ? std::min(large, small) : large;
      both.Allocate(singles ? order / 8 : order, there);
    } else if (choice < 95) {
      both.FreeSome(random);
    } else if (choice == 95) {
      // Anything: mostly wrong.
      both.Free(random() % (2 * frames * kFrameBytes + 1),
                static_cast<int>(random() % 12) - 1, there);
    } else if (choice == 96) {
      both.Free(random() % (frames + 1) * kFrameBytes,
                static_cast<int>(random() % 4), there);
    } else if (choice == 97) {
      both.Allocate(static_cast<int>(random() % 14) - 2, there);
    } else if (choice == 98) {
      both.Purge();
    } else if (random() % 4 == 0) {
      both.Recover();
    }
    if (step % 64 == 0) both.Compare(random() % 4 == 0);
  }
  both.Compare(true);
}

TEST(LockFreePageAllocatorPropertyTest, SmallRegions) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    RunProgram(seed, 1 + seed * 37 % 1100, 800);
    if (HasFailure()) return;
  }
}

// Mostly, so that caches fill and run out.
TEST(LockFreePageAllocatorPropertyTest, SingleFrames) {
  for (uint64_t seed = 200; seed < 240; ++seed) {
    RunProgram(seed, 1 + seed * 37 % 700, 2000, /*singles=*/true);
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
