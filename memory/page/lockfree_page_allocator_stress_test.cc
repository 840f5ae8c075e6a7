// Threads that take, fill, hand on, look at and give back runs at once: a frame
// that two of them have at one time shows another's bytes, and is a data race
// for ThreadSanitizer.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/page/frame_layout.h"
#include "memory/page/lockfree_page_allocator.h"
#include "memory/page/testing/locked_page_allocator.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

constexpr int kSteps = kThreadSanitizer ? 3000 : 30000;
constexpr size_t kThreads = 4;

struct FilledRun {
  std::byte* p = nullptr;
  int order = 0;
  uint64_t seed = 0;
};

// The first and the last word of each frame tell of the seed, and of the frame.
void ForWords(const FilledRun& run, auto look) {
  constexpr size_t kWords = kFrameBytes / sizeof(uint64_t);
  auto* const words = reinterpret_cast<uint64_t*>(run.p);
  for (size_t frame = 0; frame < size_t{1} << run.order; ++frame) {
    look(words[frame * kWords], run.seed + 2 * frame);
    look(words[(frame + 1) * kWords - 1], run.seed + 2 * frame + 1);
  }
}

void Fill(const FilledRun& run) {
  ForWords(run, [](uint64_t& word, uint64_t value) { word = value; });
}

bool Intact(const FilledRun& run) {
  bool intact = true;
  ForWords(run,
           [&](uint64_t& word, uint64_t value) { intact &= word == value; });
  return intact;
}

// Where threads leave runs for others.
class Exchange {
 public:
  ~Exchange() {
    for (auto& place : places_) delete place.load(std::memory_order_acquire);
  }
  // Leaves `run`, and returns what lay at that place, if anything.
  std::unique_ptr<FilledRun> Swap(size_t place,
                                  std::unique_ptr<FilledRun> run) {
    // acq_rel: publishes what was written to the run, and sees it.
    return std::unique_ptr<FilledRun>(places_[place % kPlaces].exchange(
        run.release(), std::memory_order_acq_rel));
  }
  static constexpr size_t kPlaces = 16;

 private:
  std::atomic<FilledRun*> places_[kPlaces] = {};
};

struct Load {
  size_t frames;  // of the region
  size_t max_threads = kThreads;
  int max_order = 0;
  size_t hold = 100;     // runs of one thread
  bool singles = false;  // mostly
  bool purge = false;
};

template <class A>
class FrameStressTest : public ::testing::Test {
 protected:
  static void Work(A& frames, Exchange& exchange, const Load& load,
                   uint64_t seed, std::atomic<size_t>& wrong) {
    std::mt19937_64 random(seed);
    std::vector<std::unique_ptr<FilledRun>> held;
    const auto expect = [&](bool right) {
      if (!right) wrong.fetch_add(1, std::memory_order_relaxed);
    };
    const auto give = [&](std::unique_ptr<FilledRun> run) {
      if (run == nullptr) return;
      expect(Intact(*run));
      // In parts, now and then.
      if (run->order > 0 && random() % 4 == 0) {
        --run->order;
        expect(
            frames.Free(run->p + (kFrameBytes << run->order), run->order).ok());
      }
      expect(frames.Free(run->p, run->order).ok());
    };
    for (int step = 0; step < kSteps; ++step) {
      const uint64_t choice = random() % 8;
      if (choice < 4 && held.size() < load.hold) {
        const int order =
            load.singles && random() % 16 != 0
                ? 0
                : static_cast<int>(random() %
                                   static_cast<uint64_t>(load.max_order + 1));
        const absl::StatusOr<void*> p = frames.Allocate(order);
        if (!p.ok()) continue;
        held.push_back(std::make_unique<FilledRun>(
            FilledRun{static_cast<std::byte*>(*p), order, random()}));
        Fill(*held.back());
      } else if (choice < 6 && !held.empty()) {
        give(exchange.Swap(random(), std::move(held.back())));
        held.pop_back();
      } else if (!held.empty()) {
        std::swap(held[random() % held.size()], held.back());
        give(std::move(held.back()));
        held.pop_back();
      }
      if (random() % 2048 == 0) frames.DetachThread();
      if (load.purge && random() % 64 == 0) expect(frames.Purge().ok());
      // One bit a word that was seen at one time: nothing is written by it.
      if (random() % 512 == 0) expect(!frames.Bitmap().empty());
    }
    for (auto& run : held) give(std::move(run));
  }

  static void RunThreads(const Load& load, int waves = 1) {
    auto made = A::Create(
        {.bytes = load.frames * kFrameBytes, .max_threads = load.max_threads});
    ASSERT_TRUE(made.ok()) << made.status();
    A& frames = **made;
    std::atomic<size_t> wrong = 0;
    Exchange exchange;
    for (int wave = 0; wave < waves; ++wave) {
      std::vector<std::thread> threads;
      for (size_t t = 0; t < kThreads; ++t) {
        threads.emplace_back(
            [&, seed = 1 + t + 10 * static_cast<size_t>(wave)] {
              Work(frames, exchange, load, seed, wrong);
            });
      }
      for (std::thread& thread : threads) thread.join();
    }
    for (size_t i = 0; i < Exchange::kPlaces; ++i) {
      if (auto run = exchange.Swap(i, nullptr)) {
        EXPECT_TRUE(Intact(*run));
        EXPECT_TRUE(frames.Free(run->p, run->order).ok());
      }
    }
    EXPECT_EQ(wrong.load(), 0u);
    EXPECT_EQ(frames.FreeFrames(), load.frames);
    EXPECT_TRUE(frames.CheckInvariants().ok()) << frames.CheckInvariants();
    size_t n = 0;
    while (frames.Allocate(0).ok()) ++n;
    EXPECT_EQ(n, load.frames);
  }
};

using Allocators = ::testing::Types<LockFreePageAllocator, LockedPageAllocator>;
TYPED_TEST_SUITE(FrameStressTest, Allocators);

TYPED_TEST(FrameStressTest, SingleFramesAndPlenty) {
  TestFixture::RunThreads({.frames = 4 * kFramesPerTree});
}

TYPED_TEST(FrameStressTest, AllOrdersInFewHugeFrames) {
  TestFixture::RunThreads(
      {.frames = 5 * kFramesPerHuge + 77, .max_order = 9, .hold = 20});
}

TYPED_TEST(FrameStressTest, ScarceFramesOfOneWord) {
  TestFixture::RunThreads({.frames = 60, .max_order = 3, .hold = 8});
}

// So that whoever wants one finds it in another's cache, if anywhere.
TYPED_TEST(FrameStressTest, ScarceSingleFrames) {
  TestFixture::RunThreads({.frames = 150, .hold = 60});
}

TYPED_TEST(FrameStressTest, ScarceSingleFramesAndFewSlots) {
  TestFixture::RunThreads({.frames = 150, .max_threads = 2, .hold = 60}, 2);
}

TYPED_TEST(FrameStressTest, SinglesInCachesWhereRunsAreWanted) {
  TestFixture::RunThreads({.frames = 3 * kFramesPerHuge,
                           .max_order = 9,
                           .hold = 60,
                           .singles = true,
                           .purge = true});
}

TYPED_TEST(FrameStressTest, MoreThreadsThanSlots) {
  TestFixture::RunThreads(
      {.frames = 2 * kFramesPerTree + 9, .max_threads = 2, .max_order = 7});
}

TYPED_TEST(FrameStressTest, PurgesMeanwhile) {
  TestFixture::RunThreads(
      {.frames = 4 * kFramesPerHuge, .max_order = 9, .hold = 2, .purge = true});
}

TYPED_TEST(FrameStressTest, ThreadsComeAndGo) {
  TestFixture::RunThreads(
      {.frames = 3 * kFramesPerTree, .max_threads = 3, .max_order = 4}, 3);
}

// As many frames as threads: nobody is ever refused, whoever gives back where.
TEST(LockFreePageAllocatorStressTest, AFrameForEachThreadIsEnough) {
  // The last frame of one huge frame, the first of another, and two of a third,
  // in another tree.
  constexpr size_t kHuges = kHugesPerTree + 1;
  auto frames = *LockFreePageAllocator::Create(
      {.bytes = kHuges * kHugeBytes, .max_threads = 2});
  std::vector<uint64_t> bitmap(kHuges * kWordsPerHuge, ~uint64_t{0});
  bitmap[kWordsPerHuge - 1] = ~uint64_t{0} >> 1;
  bitmap[kWordsPerHuge] = ~uint64_t{1};
  bitmap[kHugesPerTree * kWordsPerHuge] = ~uint64_t{0x11};
  ASSERT_TRUE(frames->Recover(bitmap).ok());
  std::atomic<size_t> refused = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kSteps; ++i) {
        const absl::StatusOr<void*> p = frames->Allocate(0);
        if (!p.ok() || !frames->Free(*p, 0).ok()) {
          refused.fetch_add(1, std::memory_order_relaxed);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused.load(), 0u);
  EXPECT_EQ(frames->Bitmap(), bitmap);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

// A copy of the bitmaps that is made while threads work: what was allocated all
// the time is in it, and what was free all the time is not; and an allocator
// made of it is whole.
TEST(LockFreePageAllocatorStressTest, ACopyOfTheBitmapsRecovers) {
  constexpr size_t kFrames = 4 * kFramesPerHuge;
  auto frames =
      *LockFreePageAllocator::Create({.bytes = kFrames * kFrameBytes});
  // Half of every huge frame is kept, in single frames.
  std::vector<size_t> kept;
  for (size_t i = 0; i < kFrames; ++i) ASSERT_TRUE(frames->Allocate(0).ok());
  auto* const region = static_cast<std::byte*>(frames->region());
  for (size_t i = 0; i < kFrames; ++i) {
    if (i / 8 % 2 == 0) {
      kept.push_back(i);
    } else {
      ASSERT_TRUE(frames->Free(region + i * kFrameBytes, 0).ok());
    }
  }
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      std::vector<std::pair<void*, int>> held;
      while (!stop.load(std::memory_order_relaxed)) {
        const int order = static_cast<int>(random() % 4);
        if (held.size() < 60 && random() % 2 == 0) {
          if (auto p = frames->Allocate(order); p.ok()) {
            held.emplace_back(*p, order);
          }
        } else if (!held.empty()) {
          EXPECT_TRUE(frames->Free(held.back().first, held.back().second).ok());
          held.pop_back();
        }
      }
      for (const auto& [p, run_order] : held) {
        EXPECT_TRUE(frames->Free(p, run_order).ok());
      }
    });
  }
  auto copy = *LockFreePageAllocator::Create({.bytes = kFrames * kFrameBytes});
  for (int round = 0; round < 20; ++round) {
    const std::vector<uint64_t> bitmap = frames->Bitmap();
    for (const size_t i : kept) {
      ASSERT_TRUE((bitmap[i / 64] >> (i % 64) & 1) != 0) << i;
    }
    ASSERT_TRUE(copy->Recover(bitmap).ok());
    ASSERT_TRUE(copy->CheckInvariants().ok()) << copy->CheckInvariants();
    ASSERT_EQ(copy->Bitmap(), bitmap);
    // Nothing that is allocated is handed out.
    while (copy->Allocate(0).ok()) {
    }
    for (const size_t i : kept) {
      auto* const p = static_cast<std::byte*>(copy->region()) + i * kFrameBytes;
      ASSERT_TRUE(copy->Free(p, 0).ok());
    }
    ASSERT_EQ(copy->FreeFrames(), kept.size());
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(frames->FreeFrames(), kFrames - kept.size());
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

}  // namespace
}  // namespace mmsb
