// The whole allocator in the ways that small programs of it can go.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "allocator/lockfree_sync.h"
#include "allocator/system_source.h"
#include "allocator/testing/model_atomic.h"
#include "allocator/testing/model_checker.h"
#include "gtest/gtest.h"
#include "memory/page/frame_layout.h"
#include "memory/page/lockfree_page_allocator.h"
#include "memory/page/testing/other_thread.h"
#include "primitives/alignment.h"
#include "primitives/check.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

using AsGiven = ModelSync<true>;
using Relaxed = ModelSync<true, ModelOrders::kRelaxed>;
using WithoutFences = ModelSync<true, ModelOrders::kAsGiven, false>;
using Symmetric = ModelSync<false>;

// Address space for the one region of all allocators.
void* Region() {
  static void* const region = [] {
    void* address = nullptr;
    const OsError error = SystemMapper().Reserve(
        2 * kHugeBytes, Alignment::FromBytes(kHugeBytes), &address);
    MMSB_CHECK(error.ok(), "no address space");
    return address;
  }();
  return region;
}

// Bookkeeping from the heap, and one region, which nobody touches, again and
// again: an exploration makes an allocator a hundred thousand times.
class CheapMapper final : public MemoryMapper {
 public:
  Alignment Granule() const override {
    return Alignment::FromBytes(kFrameBytes);
  }
  Alignment HugeGranule() const override { return Granule(); }
  OsError Reserve(size_t bytes, Alignment alignment, void** address) override {
    *address = alignment > Granule() ? Region()
                                     : heap_.Allocate(bytes, alignment.bytes());
    return OsError();
  }
  OsError Commit(void*, size_t) override { return OsError(); }
  OsError Decommit(void*, size_t) override { return OsError(); }
  OsError Discard(void*, size_t) override { return OsError(); }
  OsError Protect(void*, size_t, Access) override { return OsError(); }
  OsError AdviseHuge(void*, size_t) override { return OsError(); }
  OsError MapHuge(size_t, void**) override { return OsError(); }
  OsError Release(void* address, size_t bytes) override {
    if (address != Region()) {
      heap_.Deallocate(address, bytes, kFrameBytes);
    }
    return OsError();
  }

 private:
  SystemSource heap_;
};

// A free frame in the first of `words` words and one in the last, and a thing
// for each of the two that only its holder uses.
template <class Sync>
struct State {
  State(size_t slots, size_t words)
      : frames(*BasicLockFreePageAllocator<Sync>::Create(
            {.bytes = ((words - 1) * kFramesPerWord + 1) * kFrameBytes,
             .max_threads = slots},
            mapper)) {
    std::vector<uint64_t> bitmap = frames->Bitmap();
    std::ranges::fill(bitmap, ~uint64_t{0});
    bitmap[0] &= ~uint64_t{1};
    bitmap[words - 1] &= ~uint64_t{1};
    ModelExpect(frames->Recover(bitmap).ok(), "it is a bitmap");
  }

  void Use() {
    const absl::StatusOr<void*> p = frames->Allocate(0);
    ModelExpect(p.ok(), "none, where there is one for each thread");
    if (!p.ok()) return;
    const bool second = *p != frames->region();
    things[second].Touch();
    ModelExpect(frames->Free(*p, 0).ok(), "it was allocated");
  }

  CheapMapper mapper;
  std::unique_ptr<BasicLockFreePageAllocator<Sync>> frames;
  std::array<ModelCell, 2> things;
};

// In two huge frames, or in two words of one: with caches an allocator has an
// atomic a frame, which makes executions dear.
constexpr size_t kTwoHuges = kWordsPerHuge + 1;
constexpr size_t kTwoWords = 2;

constexpr ModelOptions kBounds = {.max_preemptions = 2, .max_stale_reads = 1};
constexpr ModelOptions kNarrow = {.max_preemptions = 1, .max_stale_reads = 1};

// As many frames as threads, each of which takes one at a time and gives it
// back. None may ever be refused, and none may have another's.
template <class Sync>
ModelResult Explore(size_t slots, int times, size_t words,
                    const ModelOptions& options = kBounds) {
  return ExploreModel(
      [=](ModelProgram& program) {
        auto state = std::make_shared<State<Sync>>(slots, words);
        for (const int n : {times, 1}) {
          program.Thread([=] {
            for (int i = 0; i < n; ++i) state->Use();
            state->frames->DetachThread();
          });
        }
        program.Finally([=] {
          ModelExpect(state->frames->FreeFrames() == 2, "both are back");
          ModelExpect(state->frames->CheckInvariants().ok(), "all is counted");
        });
      },
      options);
}

void ExpectPassed(const ModelResult& result) {
  EXPECT_TRUE(result.complete) << "ended after " << result.executions;
  EXPECT_EQ(result.error, "");
  ::testing::Test::RecordProperty("executions",
                                  std::to_string(result.executions));
}

TEST(LockFreePageAllocatorModelTest, AFrameForEachThreadIsEnough) {
  ExpectPassed(Explore<AsGiven>(2, 1, kTwoWords));
  ExpectPassed(Explore<AsGiven>(2, 2, kTwoWords, kNarrow));
  ExpectPassed(Explore<AsGiven>(2, 2, kTwoHuges, kNarrow));
}

TEST(LockFreePageAllocatorModelTest, WithOneSlotForTwoThreads) {
  ExpectPassed(Explore<AsGiven>(1, 1, kTwoWords));
  ExpectPassed(Explore<AsGiven>(1, 2, kTwoWords, kNarrow));
}

TEST(LockFreePageAllocatorModelTest, WithoutCaches) {
  ExpectPassed(Explore<Symmetric>(2, 2, kTwoHuges));
  ExpectPassed(Explore<Symmetric>(1, 2, kTwoHuges));
}

TEST(LockFreePageAllocatorModelTest, WithWeakerOrdersIsCaught) {
  EXPECT_NE(Explore<Relaxed>(2, 2, kTwoWords).error, "");
}

// Both frames are in the cache of one thread, and it and another one take two,
// which they keep: each frame goes to one of them, and to nobody else.
template <class Sync>
ModelResult ExploreStealing(const ModelOptions& options) {
  return ExploreModel(
      [](ModelProgram& program) {
        auto state = std::make_shared<State<Sync>>(2, kTwoWords);
        auto taken = std::make_shared<int>(0);
        const auto take_two = [=] {
          for (int i = 0; i < 2; ++i) {
            const absl::StatusOr<void*> p = state->frames->Allocate(0);
            if (!p.ok()) continue;
            state->things[*p != state->frames->region()].Touch();
            ++*taken;
          }
        };
        const auto fill_cache = [=] {
          void* const p = *state->frames->Allocate(0);
          void* const q = *state->frames->Allocate(0);
          ModelExpect(state->frames->Free(p, 0).ok(), "it was allocated");
          ModelExpect(state->frames->Free(q, 0).ok(), "it was allocated");
        };
        program.Thread(take_two);
        program.Thread(take_two, fill_cache);
        program.Finally([=] {
          ModelExpect(*taken == 2, "each frame is taken once");
          ModelExpect(state->frames->FreeFrames() == 0, "none is left");
          ModelExpect(state->frames->CheckInvariants().ok(), "all is counted");
        });
      },
      options);
}

TEST(LockFreePageAllocatorModelTest, AFrameOfACacheGoesToOwnerOrThief) {
  ExpectPassed(ExploreStealing<AsGiven>(kBounds));
}

TEST(LockFreePageAllocatorModelTest, StealingWithoutFencesIsCaught) {
  EXPECT_NE(ExploreStealing<WithoutFences>(
                {.max_preemptions = 1, .max_stale_reads = 2})
                .error,
            "");
}

// An atomic that lets something else happen before chosen operations: another
// thread's whole calls, at every place of one call. The model checker goes into
// calls, but not through as many of them.
class Interruption {
 public:
  // `happens` runs before operations number `at`, counted from 1, in that
  // order; again for a number that stands there again.
  static void Begin(std::vector<int> at, std::function<void()> happens) {
    at_ = std::move(at);
    happens_ = std::move(happens);
    operations_ = 0;
    next_ = 0;
    active_ = true;
  }
  // How many operations there were.
  static int End() {
    active_ = false;
    return operations_;
  }
  static void Tick() {
    if (!active_) return;
    ++operations_;
    active_ = false;
    for (; next_ < at_.size() && at_[next_] == operations_; ++next_) happens_();
    active_ = true;
  }

 private:
  static inline std::vector<int> at_;
  static inline std::function<void()> happens_;
  static inline size_t next_ = 0;
  static inline int operations_ = 0;
  static inline bool active_ = false;
};

template <class T>
class InterruptedAtomic {
 public:
  InterruptedAtomic() : InterruptedAtomic(T()) {}
  explicit InterruptedAtomic(T value) : value_(value) {}
  T load(std::memory_order order) const {
    Interruption::Tick();
    return value_.load(order);
  }
  void store(T value, std::memory_order order) {
    Interruption::Tick();
    value_.store(value, order);
  }
  T exchange(T value, std::memory_order order) {
    Interruption::Tick();
    return value_.exchange(value, order);
  }
  T fetch_add(T value, std::memory_order order) {
    Interruption::Tick();
    return value_.fetch_add(value, order);
  }
  bool compare_exchange_strong(T& expected, T desired,
                               std::memory_order success,
                               std::memory_order failure) {
    Interruption::Tick();
    return value_.compare_exchange_strong(expected, desired, success, failure);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure) {
    return compare_exchange_strong(expected, desired, success, failure);
  }

 private:
  std::atomic<T> value_;
};

struct InterruptedSync : SystemSync {
  template <class T>
  using Atomic = InterruptedAtomic<T>;
};

// A search for a frame, and one who has a frame in one huge frame, frees it and
// takes a pair in the other, and then the other way round: so that there is
// always a free frame, but now here, now there. Returns how many operations the
// search took.
int SearchBehindAMovingFrame(const std::vector<int>& moves) {
  CheapMapper mapper;
  auto frames = *BasicLockFreePageAllocator<InterruptedSync>::Create(
      {.bytes = 2 * kHugeBytes, .max_threads = 0}, mapper);
  std::vector<uint64_t> bitmap(2 * kWordsPerHuge, ~uint64_t{0});
  bitmap[kWordsPerHuge] = ~uint64_t{0b11};
  EXPECT_TRUE(frames->Recover(bitmap).ok());
  auto* const single = static_cast<std::byte*>(frames->region());
  std::byte* const pair = single + kHugeBytes;
  bool holds_single = true;
  bool going = true;
  Interruption::Begin(moves, [&] {
    if (!going) return;
    EXPECT_TRUE(
        frames->Free(holds_single ? single : pair, holds_single ? 0 : 1).ok());
    const absl::StatusOr<void*> p = frames->Allocate(holds_single ? 1 : 0);
    // Not when the search has taken it.
    going = p.ok() && *p == (holds_single ? pair : single);
    holds_single = !holds_single;
  });
  const absl::StatusOr<void*> p = frames->Allocate(0);
  const int operations = Interruption::End();
  EXPECT_TRUE(p.ok()) << p.status();
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  return operations;
}

TEST(LockFreePageAllocatorModelTest, ASearchDoesNotMissWhatMoves) {
  int most = SearchBehindAMovingFrame({});
  int rounds = 0;
  for (int i = 1; i <= most; ++i) {
    for (int j = i; j <= most; ++j) {
      for (int k = j; k <= most && !HasFailure(); ++k) {
        most = std::max(most, SearchBehindAMovingFrame({i, j, k}));
        ++rounds;
      }
    }
  }
  RecordProperty("rounds", std::to_string(rounds));
  // Longer than a search that finds something in its first round.
  EXPECT_GT(most, 2 * SearchBehindAMovingFrame({}));
}

struct SingleLook : InterruptedSync {
  static constexpr bool kLooksOnce = true;
};

// The same where the single frame is in the cache of the one who has it free,
// and a run of 64 is in the bitmap. False when the search found nothing.
template <class Sync>
bool SearchBesideACache(OtherThread& other, const std::vector<int>& moves,
                        int* operations) {
  CheapMapper mapper;
  auto frames = *BasicLockFreePageAllocator<Sync>::Create(
      {.bytes = 2 * kHugeBytes, .max_threads = 2}, mapper);
  std::vector<uint64_t> bitmap(2 * kWordsPerHuge, ~uint64_t{0});
  bitmap[0] = ~uint64_t{1};
  bitmap[kWordsPerHuge] = 0;
  EXPECT_TRUE(frames->Recover(bitmap).ok());
  auto* const single = static_cast<std::byte*>(frames->region());
  std::byte* const run = single + kHugeBytes;
  other.Run([&] {
    EXPECT_EQ(*frames->Allocate(0), single);
    EXPECT_EQ(*frames->Allocate(6), run);
    EXPECT_TRUE(frames->Free(single, 0).ok());
  });
  bool holds_single = false;
  bool going = true;
  const auto move = [&] {
    EXPECT_TRUE(
        frames->Free(holds_single ? single : run, holds_single ? 0 : 6).ok());
    const absl::StatusOr<void*> p = frames->Allocate(holds_single ? 6 : 0);
    // Not when the search has taken it.
    going = p.ok() && *p == (holds_single ? run : single);
    holds_single = !holds_single;
  };
  Interruption::Begin(moves, [&] {
    if (going) other.Run(move);
  });
  const absl::StatusOr<void*> p = frames->Allocate(0);
  *operations = Interruption::End();
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  return p.ok();
}

TEST(LockFreePageAllocatorModelTest, ASearchDoesNotMissWhatMovesToACache) {
  if (!SystemSync::HasAsymmetricFence()) {
    GTEST_SKIP() << "needs an asymmetric fence";
  }
  OtherThread other;
  int most = 0;
  EXPECT_TRUE(SearchBesideACache<InterruptedSync>(other, {}, &most));
  bool caught = false;
  int rounds = 0;
  for (int i = 1; i <= most; ++i) {
    for (int j = i; j <= most && !HasFailure(); ++j) {
      int operations = 0;
      EXPECT_TRUE(
          SearchBesideACache<InterruptedSync>(other, {i, j}, &operations))
          << i << " " << j;
      most = std::max(most, operations);
      if (!caught) {
        caught = !SearchBesideACache<SingleLook>(other, {i, j}, &operations);
      }
      ++rounds;
    }
  }
  RecordProperty("rounds", std::to_string(rounds));
  EXPECT_TRUE(caught) << "a search that looks at the caches once";
}

}  // namespace
}  // namespace mmsb
