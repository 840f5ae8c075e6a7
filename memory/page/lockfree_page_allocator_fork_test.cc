// Forks of a process whose other threads are in the middle of calls.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/page/frame_layout.h"
#include "memory/page/lockfree_page_allocator.h"
#include "memory/page/testing/other_thread.h"
#include "primitives/poison.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

// Under a sanitizer a fork takes some 80 ms.
constexpr int kForks = kPoisonReported || kThreadSanitizer ? 10 : 100;

// Takes and gives frames and runs, and looks at their contents.
bool Exercise(LockFreePageAllocator& frames, int steps, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::pair<unsigned char*, int>> live;
  bool good = true;
  const auto give = [&] {
    const auto [p, order] = live.back();
    live.pop_back();
    const size_t bytes = kFrameBytes << order;
    good &= p[0] == static_cast<unsigned char>(seed) && p[bytes - 1] == p[0];
    good &= frames.Free(p, order).ok();
  };
  for (int step = 0; step < steps; ++step) {
    const int order = random() % 8 == 0 ? static_cast<int>(random() % 8) : 0;
    const absl::StatusOr<void*> p = frames.Allocate(order);
    if (!p.ok()) return false;
    std::memset(*p, static_cast<int>(seed), kFrameBytes << order);
    live.emplace_back(static_cast<unsigned char*>(*p), order);
    std::swap(live[random() % live.size()], live.back());
    if (live.size() > 150) {
      while (live.size() > 20) give();
    }
  }
  while (!live.empty()) give();
  return good;
}

// Forks as a death test of the fast style does, without exec, and expects that
// `child` returns true in the child.
template <class Child>
void ExpectInChild(Child&& child) {
  GTEST_FLAG_SET(death_test_style, "fast");
  EXPECT_EXIT(std::_Exit(child() ? 0 : 1), ::testing::ExitedWithCode(0), "");
}

TEST(LockFreePageAllocatorForkDeathTest,
     TheChildGoesOnWhateverOtherThreadsWereDoing) {
  constexpr size_t kFrames = 8 * kFramesPerTree;
  constexpr size_t kThreads = 2;
  // What one of the other threads may have had: what it held, and what was in
  // its hands.
  constexpr size_t kOfThread = 151 * 128 + 32;
  auto frames =
      *LockFreePageAllocator::Create({.bytes = kFrames * kFrameBytes});
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      while (!done) {
        if (!Exercise(*frames, 300, 1 + i)) ++failures;
      }
    });
  }
  auto* const kept = static_cast<char*>(*frames->Allocate(0));
  std::memset(kept, 42, kFrameBytes);
  for (int i = 0; i < kForks; ++i) {
    ExpectInChild([&] {
      if (kept[kFrameBytes - 1] != 42) return false;
      if (!Exercise(*frames, 300, 100)) return false;
      if (!frames->Free(kept, 0).ok()) return false;
      if (frames->Free(kept, 0).ok()) return false;
      if (!frames->Purge().ok()) return false;
      // Nothing is handed out twice, and little is lost.
      std::vector<bool> seen(kFrames);
      size_t n = 0;
      for (; n <= kFrames; ++n) {
        const absl::StatusOr<void*> p = frames->Allocate(0);
        if (!p.ok()) break;
        const auto frame =
            static_cast<size_t>(static_cast<std::byte*>(*p) -
                                static_cast<std::byte*>(frames->region())) /
            kFrameBytes;
        if (seen[frame]) return false;
        seen[frame] = true;
      }
      return n + kThreads * kOfThread >= kFrames;
    });
    EXPECT_TRUE(Exercise(*frames, 50, 200));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(kept[0], 42);
  EXPECT_TRUE(frames->Free(kept, 0).ok());
  EXPECT_EQ(frames->FreeFrames(), kFrames);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

TEST(LockFreePageAllocatorForkDeathTest,
     TheChildHasTheCachesOfThreadsThatItDoesNotHave) {
  auto frames = *LockFreePageAllocator::Create(
      {.bytes = 128 * kFrameBytes, .max_threads = 2});
  void* const mine = *frames->Allocate(0);
  OtherThread other;
  other.Run([&] {
    std::vector<void*> all;
    while (true) {
      const absl::StatusOr<void*> p = frames->Allocate(0);
      if (!p.ok()) break;
      all.push_back(*p);
    }
    EXPECT_EQ(all.size(), 127u);
    for (void* p : all) EXPECT_TRUE(frames->Free(p, 0).ok());
  });
  ExpectInChild([&] {
    // The threads that are gone are in nobody's way, and have nothing.
    if (!frames->CheckInvariants().ok()) return false;
    if (frames->FreeFrames() != 127) return false;
    frames->DetachThread();
    if (frames->Stats().cached() != 0) return false;
    if (!frames->Free(mine, 0).ok()) return false;
    return frames->Allocate(6).ok() && frames->Allocate(6).ok();
  });
  EXPECT_TRUE(frames->Free(mine, 0).ok());
  EXPECT_EQ(frames->FreeFrames(), 128u);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

}  // namespace
}  // namespace mmsb
