// The contract, for the lock-free allocator and for the locked reference.

#include "memory/page/lockfree_page_allocator.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "allocator/allocator_stats.h"
#include "allocator/lockfree_sync.h"
#include "allocator/testing/hooked_sync.h"
#include "gtest/gtest.h"
#include "memory/page/frame_layout.h"
#include "memory/page/testing/locked_page_allocator.h"
#include "memory/page/testing/other_thread.h"
#include "primitives/bytes.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

template <class A>
std::unique_ptr<A> Make(size_t bytes, size_t max_threads = 4) {
  auto made = A::Create({.bytes = bytes, .max_threads = max_threads});
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? *std::move(made) : nullptr;
}

void ExpectError(const absl::Status& status, absl::StatusCode code,
                 const std::string& text) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
}

// The address `n` frames behind the start.
template <class A>
void* At(A& frames, size_t n) {
  return static_cast<std::byte*>(frames.region()) + n * kFrameBytes;
}

template <class A>
class FrameContractTest : public ::testing::Test {};
using Allocators = ::testing::Types<LockFreePageAllocator, LockedPageAllocator>;
TYPED_TEST_SUITE(FrameContractTest, Allocators);

TYPED_TEST(FrameContractTest, RunsOfEveryOrderAreAlignedApartAndUsable) {
  auto frames = Make<TypeParam>(8 * kMiB);
  std::vector<std::pair<std::byte*, int>> runs;
  for (int round = 0; round < 2; ++round) {
    for (int order = 0; order <= kHugeOrder; ++order) {
      const absl::StatusOr<void*> p = frames->Allocate(order);
      ASSERT_TRUE(p.ok()) << p.status();
      EXPECT_TRUE(frames->Owns(*p));
      EXPECT_EQ(reinterpret_cast<uintptr_t>(*p) % (kFrameBytes << order), 0u);
      std::memset(*p, static_cast<int>(runs.size()), kFrameBytes << order);
      runs.emplace_back(static_cast<std::byte*>(*p), order);
    }
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto& [p, order] = runs[i];
    EXPECT_TRUE(std::all_of(p, p + (kFrameBytes << order), [&](std::byte b) {
      return b == static_cast<std::byte>(i);
    }));
    EXPECT_TRUE(frames->Free(p, order).ok());
  }
  EXPECT_EQ(frames->FreeFrames(), frames->frame_count());
  EXPECT_TRUE(frames->CheckInvariants().ok());
}

TYPED_TEST(FrameContractTest, HandsOutEveryFrameBeforeItSaysNone) {
  for (const size_t count :
       {1u, 2u, 63u, 64u, 65u, 511u, 512u, 513u, 1000u, 4096u, 4097u, 9000u}) {
    auto frames = Make<TypeParam>(count * kFrameBytes);
    ASSERT_EQ(frames->frame_count(), count);
    std::set<void*> seen;
    for (size_t i = 0; i < count; ++i) {
      const absl::StatusOr<void*> p = frames->Allocate(0);
      ASSERT_TRUE(p.ok()) << p.status() << " after " << i << " of " << count;
      EXPECT_TRUE(seen.insert(*p).second);
    }
    EXPECT_EQ(*seen.rbegin(), At(*frames, count - 1));
    ExpectError(frames->Allocate(0).status(),
                absl::StatusCode::kResourceExhausted, "order 0");
    for (void* p : seen) EXPECT_TRUE(frames->Free(p, 0).ok());
    EXPECT_EQ(frames->FreeFrames(), count);
    ASSERT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  }
}

TYPED_TEST(FrameContractTest, EveryOrderFillsTheRegion) {
  for (int order = 0; order <= kHugeOrder; ++order) {
    const size_t count = 2 * kFramesPerHuge + 300;
    auto frames = Make<TypeParam>(count * kFrameBytes);
    size_t runs = 0;
    while (frames->Allocate(order).ok()) ++runs;
    EXPECT_EQ(runs, count >> order);
    EXPECT_EQ(frames->FreeFrames(), count % (size_t{1} << order));
    EXPECT_TRUE(frames->CheckInvariants().ok());
  }
}

TYPED_TEST(FrameContractTest, NoFramesAtAll) {
  for (const size_t bytes : {size_t{0}, size_t{1}, kFrameBytes - 1}) {
    auto frames = Make<TypeParam>(bytes);
    EXPECT_EQ(frames->frame_count(), 0u);
    ExpectError(frames->Allocate(0).status(),
                absl::StatusCode::kResourceExhausted, "order 0");
    ExpectError(frames->Free(frames.get(), 0),
                absl::StatusCode::kInvalidArgument, "outside");
    EXPECT_FALSE(frames->Owns(nullptr));
    EXPECT_TRUE(frames->Bitmap().empty());
    EXPECT_TRUE(frames->Recover({}).ok());
    EXPECT_EQ(*frames->Purge(), 0u);
    EXPECT_TRUE(frames->CheckInvariants().ok());
  }
}

TYPED_TEST(FrameContractTest, WhatIsLeftOverBeyondFramesIsNotUsed) {
  auto frames = Make<TypeParam>(3 * kFrameBytes + 4095);
  EXPECT_EQ(frames->frame_count(), 3u);
}

TYPED_TEST(FrameContractTest, RegionsThatNoSystemHas) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  for (const size_t bytes : {kMost, kMost - kFrameBytes, kMost - kHugeBytes,
                             kMost / 2, size_t{1} << 60, size_t{1} << 48}) {
    if (std::is_same_v<TypeParam, LockedPageAllocator> && bytes < kMost / 4) {
      continue;  // It needs a bit for each, and memory for all.
    }
    EXPECT_EQ(TypeParam::Create({.bytes = bytes}).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
}

TYPED_TEST(FrameContractTest, RefusesWrongOrders) {
  auto frames = Make<TypeParam>(4 * kMiB);
  for (const int order : {-1, 10, 64, std::numeric_limits<int>::min(),
                          std::numeric_limits<int>::max()}) {
    ExpectError(frames->Allocate(order).status(),
                absl::StatusCode::kInvalidArgument,
                "order " + std::to_string(order));
    ExpectError(frames->Free(frames->region(), order),
                absl::StatusCode::kInvalidArgument,
                "order " + std::to_string(order));
  }
}

TYPED_TEST(FrameContractTest, RefusesWrongAddresses) {
  auto frames = Make<TypeParam>(1000 * kFrameBytes);
  while (frames->Allocate(0).ok()) {
  }
  auto* const first = static_cast<std::byte*>(frames->region());
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectError(frames->Free(nullptr, 0), kInvalid, "outside the region");
  ExpectError(frames->Free(first - kFrameBytes, 0), kInvalid, "-4096 bytes");
  ExpectError(frames->Free(At(*frames, 1000), 0), kInvalid, "outside");
  ExpectError(frames->Free(At(*frames, 512), 9), kInvalid, "ends behind");
  ExpectError(frames->Free(first + 3 * kFrameBytes + 12, 0), kInvalid,
              "frame 3: an address inside it, 12 bytes");
  ExpectError(frames->Free(At(*frames, 6), 2), kInvalid,
              "frame 6: a run of order 2 starts at a multiple of 4");
  EXPECT_EQ(frames->FreeFrames(), 0u);
  EXPECT_TRUE(frames->CheckInvariants().ok());
}

TYPED_TEST(FrameContractTest, RefusesFramesThatAreNotAllocated) {
  auto frames = Make<TypeParam>(4 * kMiB);
  while (frames->Allocate(0).ok()) {
  }
  constexpr auto kFailed = absl::StatusCode::kFailedPrecondition;
  ASSERT_TRUE(frames->Free(At(*frames, 700), 0).ok());
  ExpectError(frames->Free(At(*frames, 700), 0), kFailed, "frame 700: freed");
  // Every run that the frame is in, of one word and of several.
  for (int order = 1; order <= kHugeOrder; ++order) {
    const size_t start = 700 >> order << order;
    ExpectError(frames->Free(At(*frames, start), order), kFailed, "frame 700:");
  }
  EXPECT_EQ(frames->FreeFrames(), 1u);
  EXPECT_EQ(*frames->Allocate(0), At(*frames, 700));
  EXPECT_TRUE(frames->CheckInvariants().ok());
}

TYPED_TEST(FrameContractTest, RunsAreNothingButTheirFrames) {
  auto frames = Make<TypeParam>(2 * kMiB);
  ASSERT_TRUE(frames->Allocate(9).ok());
  EXPECT_TRUE(frames->Free(At(*frames, 64), 6).ok());
  EXPECT_TRUE(frames->Free(At(*frames, 3), 0).ok());
  EXPECT_EQ(*frames->Allocate(6), At(*frames, 64));
  EXPECT_EQ(*frames->Allocate(0), At(*frames, 3));
  EXPECT_TRUE(frames->Free(At(*frames, 0), 9).ok());
  for (int i = 0; i < 512; ++i) ASSERT_TRUE(frames->Allocate(0).ok());
  EXPECT_TRUE(frames->Free(At(*frames, 0), 9).ok());
  EXPECT_EQ(frames->FreeFrames(), 512u);
}

TYPED_TEST(FrameContractTest, RecoversFromABitmap) {
  const size_t bytes = 1700 * kFrameBytes;
  auto before = Make<TypeParam>(bytes);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(before->Allocate(i % 7).ok());
  before->DetachThread();
  const std::vector<uint64_t> bitmap = before->Bitmap();
  auto after = Make<TypeParam>(bytes);
  ASSERT_TRUE(after->Allocate(0).ok());
  ASSERT_TRUE(after->Recover(bitmap).ok());
  EXPECT_EQ(after->Bitmap(), bitmap);
  EXPECT_EQ(after->FreeFrames(), before->FreeFrames());
  EXPECT_TRUE(after->CheckInvariants().ok()) << after->CheckInvariants();
  // What was allocated there is memory, and is freed here.
  for (size_t i = 0; i < 1700; ++i) {
    if ((bitmap[i / 64] >> (i % 64) & 1) == 0) continue;
    std::memset(At(*after, i), 1, kFrameBytes);
    ASSERT_TRUE(after->Free(At(*after, i), 0).ok());
  }
  EXPECT_EQ(after->FreeFrames(), 1700u);
  EXPECT_TRUE(after->CheckInvariants().ok());
}

TYPED_TEST(FrameContractTest, RefusesWrongBitmaps) {
  auto frames = Make<TypeParam>(1000 * kFrameBytes);
  ASSERT_TRUE(frames->Allocate(3).ok());
  const std::vector<uint64_t> bitmap = frames->Bitmap();
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectError(frames->Recover(std::vector<uint64_t>(15)), kInvalid, "size");
  ExpectError(frames->Recover(std::vector<uint64_t>(17)), kInvalid, "size");
  ExpectError(frames->Recover(std::vector<uint64_t>(16)), kInvalid, "beyond");
  EXPECT_EQ(frames->Bitmap(), bitmap);
  EXPECT_TRUE(frames->CheckInvariants().ok());
}

TYPED_TEST(FrameContractTest, PurgesHugeFramesThatAreFree) {
  auto frames = Make<TypeParam>(8 * kMiB);
  std::vector<void*> huge;
  for (int i = 0; i < 4; ++i) {
    huge.push_back(*frames->Allocate(9));
    std::memset(huge.back(), 7, kHugeBytes);
  }
  EXPECT_EQ(*frames->Purge(), 0u);
  ASSERT_TRUE(frames->Free(huge[1], 9).ok());
  ASSERT_TRUE(frames->Free(huge[2], 9).ok());
  EXPECT_EQ(*frames->Purge(), 2 * kHugeBytes);
  EXPECT_EQ(frames->FreeFrames(), 2 * kFramesPerHuge);
  EXPECT_TRUE(frames->CheckInvariants().ok());
  auto* const p = static_cast<std::byte*>(*frames->Allocate(9));
  UnpoisonDefined(p, kHugeBytes);  // as the system gave it
  EXPECT_TRUE(IsZero(std::span(p, kHugeBytes)));
  EXPECT_EQ(*static_cast<std::byte*>(huge[0]), std::byte{7});
}

TEST(LockFreePageAllocatorTest, StatsAddUpAtEveryStep) {
  auto made = Make<LockFreePageAllocator>(1300 * kFrameBytes);
  LockFreePageAllocator& frames = *made;
  size_t live = 0;
  const auto check = [&](size_t huges) {
    const AllocatorStats stats = frames.Stats();
    EXPECT_TRUE(stats.IdentityHolds());
    EXPECT_EQ(stats.live(), live);
    EXPECT_EQ(stats.committed(), frames.Stats().metadata() + stats.live() +
                                     stats.free() + stats.cached());
    EXPECT_GE(stats.committed(), huges * kHugeBytes);
    EXPECT_LT(stats.committed(), (huges + 1) * kHugeBytes);
  };
  check(0);
  void* const single = *frames.Allocate(0);
  live += kFrameBytes;
  check(1);
  void* const huge = *frames.Allocate(9);
  live += kHugeBytes;
  check(2);
  EXPECT_EQ(frames.Stats().allocations(), 513u);
  ASSERT_TRUE(frames.Free(huge, 9).ok());
  live -= kHugeBytes;
  check(2);
  EXPECT_EQ(*frames.Purge(), kHugeBytes);
  check(1);
  EXPECT_FALSE(frames.Allocate(10).ok());
  frames.DetachThread();
  ASSERT_TRUE(frames.Recover(frames.Bitmap()).ok());
  check(1);
  ASSERT_TRUE(frames.Free(single, 0).ok());
  live = 0;
  check(1);
  EXPECT_EQ(frames.Stats().deallocations(), 513u);
  EXPECT_EQ(frames.Stats().failures(), 0u);
}

TEST(LockFreePageAllocatorTest, BookkeepingIsSmall) {
  // 73 bytes a huge frame, 512 for caches, a little for threads, and whole
  // granules.
  EXPECT_LT(Make<LockFreePageAllocator>(kGiB, 0)->Stats().metadata(),
            size_t{512} * 73 + 8 * kKiB);
  EXPECT_LT(Make<LockFreePageAllocator>(kGiB, 4)->Stats().metadata(),
            size_t{512} * 585 + 8 * kKiB);
}

size_t Allocated(const std::vector<uint64_t>& bitmap) {
  size_t n = 0;
  for (const uint64_t word : bitmap)
    n += static_cast<size_t>(std::popcount(word));
  return n;
}

std::vector<void*> TakeAll(LockFreePageAllocator& frames) {
  std::vector<void*> all;
  for (;;) {
    const absl::StatusOr<void*> p = frames.Allocate(0);
    if (!p.ok()) return all;
    all.push_back(*p);
  }
}

void GiveAll(LockFreePageAllocator& frames, const std::vector<void*>& all) {
  for (void* p : all) EXPECT_TRUE(frames.Free(p, 0).ok());
}

// The tests of caches say so where there are none.
bool HasCaches() { return SystemSync::HasAsymmetricFence(); }

TEST(LockFreePageAllocatorTest, CachedFramesAreFreeButNotToTheBitmap) {
  if (!HasCaches()) GTEST_SKIP() << "needs an asymmetric fence";
  auto frames = Make<LockFreePageAllocator>(kHugeBytes);
  std::vector<void*> some;
  for (int i = 0; i < 200; ++i) some.push_back(*frames->Allocate(0));
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(frames->Free(some.back(), 0).ok());
    some.pop_back();
    ASSERT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  }
  const AllocatorStats stats = frames->Stats();
  EXPECT_TRUE(stats.IdentityHolds());
  EXPECT_EQ(stats.live(), 50 * kFrameBytes);
  EXPECT_GT(stats.cached(), 0u);
  EXPECT_LE(stats.cached(), 64 * kFrameBytes);
  EXPECT_EQ(stats.allocations(), 200u);
  EXPECT_EQ(stats.deallocations(), 150u);
  EXPECT_EQ(frames->FreeFrames(), kFramesPerHuge - 50);
  EXPECT_EQ(Allocated(frames->Bitmap()), 50 + stats.cached() / kFrameBytes);
  frames->DetachThread();
  EXPECT_EQ(frames->Stats().cached(), 0u);
  EXPECT_EQ(frames->Stats().allocations(), 200u);
  EXPECT_EQ(frames->Stats().deallocations(), 150u);
  EXPECT_EQ(frames->FreeFrames(), kFramesPerHuge - 50);
  EXPECT_EQ(Allocated(frames->Bitmap()), 50u);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

// To who recovers, what was in caches is allocated.
TEST(LockFreePageAllocatorTest, RecoveryCountsCachedFramesAsAllocated) {
  if (!HasCaches()) GTEST_SKIP() << "needs an asymmetric fence";
  auto frames = Make<LockFreePageAllocator>(kHugeBytes);
  void* const p = *frames->Allocate(0);
  ASSERT_TRUE(frames->Free(p, 0).ok());
  const std::vector<uint64_t> bitmap = frames->Bitmap();
  const size_t allocated = Allocated(bitmap);
  EXPECT_GT(allocated, 0u);
  ASSERT_TRUE(frames->Recover(bitmap).ok());
  EXPECT_EQ(frames->FreeFrames(), kFramesPerHuge - allocated);
  EXPECT_EQ(frames->Stats().live(), allocated * kFrameBytes);
  EXPECT_EQ(frames->Stats().cached(), 0u);
  EXPECT_TRUE(frames->Free(p, 0).ok());
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

TEST(LockFreePageAllocatorTest, FreesOfWhatIsInACacheAreRefused) {
  auto frames = Make<LockFreePageAllocator>(kHugeBytes);
  void* const p = *frames->Allocate(0);
  void* const q = *frames->Allocate(0);
  OtherThread other;
  other.Run([&] {
    // So that it has a cache.
    ASSERT_TRUE(frames->Free(*frames->Allocate(0), 0).ok());
    ASSERT_TRUE(frames->Free(p, 0).ok());
    EXPECT_EQ(frames->Free(p, 0).code(), absl::StatusCode::kFailedPrecondition);
  });
  ExpectError(frames->Free(p, 0), absl::StatusCode::kFailedPrecondition,
              "frame 0: freed");
  ExpectError(frames->Free(p, 1), absl::StatusCode::kFailedPrecondition,
              "frame 0:");
  ASSERT_TRUE(frames->Free(q, 0).ok());
  ExpectError(frames->Free(q, 0), absl::StatusCode::kFailedPrecondition,
              "frame 1: freed");
  // Neither a cache's nor anybody's.
  ExpectError(frames->Free(At(*frames, 500), 0),
              absl::StatusCode::kFailedPrecondition, "frame 500:");
  EXPECT_EQ(frames->FreeFrames(), kFramesPerHuge);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

// A frame that a cache handed out may be freed without a look at the bitmap;
// once it is back there, no more.
TEST(LockFreePageAllocatorTest, WhatACacheHandedOutIsFreedOnce) {
  auto frames = Make<LockFreePageAllocator>(kHugeBytes);
  std::vector<void*> all = TakeAll(*frames);
  GiveAll(*frames, all);
  all = TakeAll(*frames);  // most of them out of the cache
  ASSERT_EQ(all.size(), kFramesPerHuge);
  for (int order = 9; order >= 0; order -= 3) {
    ASSERT_TRUE(frames->Free(frames->region(), order).ok());
    frames->DetachThread();                     // leaves the cache
    ASSERT_TRUE(frames->Allocate(order).ok());  // has one again
    ASSERT_TRUE(frames->Free(frames->region(), order).ok());
    for (size_t i = 0; i < size_t{1} << order; ++i) {
      ExpectError(frames->Free(At(*frames, i), 0),
                  absl::StatusCode::kFailedPrecondition, "freed, but not");
    }
    ASSERT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
    const std::vector<void*> again = TakeAll(*frames);
    EXPECT_EQ(again.size(), size_t{1} << order);
  }
}

// A mistaken Free of a run leaves a frame of it as it is, though that is freed
// at any moment meanwhile.
TEST(LockFreePageAllocatorTest, AMistakenFreeLeavesOthersFramesAlone) {
  using Hooked = BasicLockFreePageAllocator<HookedSync>;
  for (size_t at = 0;; ++at) {
    SCOPED_TRACE(at);
    auto frames = Make<Hooked>(kHugeBytes);
    // Frame 4 out of the cache, with frame 5 in it.
    std::vector<void*> some;
    for (int i = 0; i < 8; ++i) some.push_back(*frames->Allocate(0));
    for (void* q : some) ASSERT_TRUE(frames->Free(q, 0).ok());
    void* const p = At(*frames, 4);
    for (some.clear(); some.empty() || some.back() != p;) {
      some.push_back(*frames->Allocate(0));
    }
    for (void* q : some) {
      if (q == p) continue;
      ASSERT_TRUE(frames->Free(q, 0).ok());
    }
    struct Owner {
      Hooked* frames;
      void* p;
      bool frees = false;
    } owner = {frames.get(), p};
    atomic_hook = {.action =
                       [](void* argument) {
                         auto& its = *static_cast<Owner*>(argument);
                         its.frees = its.frames->Free(its.p, 0).ok();
                       },
                   .argument = &owner,
                   .at = at};
    EXPECT_EQ(frames->Free(p, 1).code(), absl::StatusCode::kFailedPrecondition);
    const bool reached = atomic_hook.seen > at;
    atomic_hook = {};
    ASSERT_EQ(owner.frees, reached);
    ASSERT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
    if (!reached) break;
    EXPECT_EQ(frames->Free(p, 0).code(), absl::StatusCode::kFailedPrecondition);
  }
}

TEST(LockFreePageAllocatorTest, WhatRecoveryMakesFreeIsFreedOnce) {
  auto frames = Make<LockFreePageAllocator>(kHugeBytes);
  const std::vector<uint64_t> none = frames->Bitmap();
  ASSERT_TRUE(frames->Allocate(0).ok());
  void* const p = *frames->Allocate(0);
  ASSERT_TRUE(frames->Free(p, 0).ok());
  ASSERT_EQ(*frames->Allocate(0), p);
  ASSERT_TRUE(frames->Recover(none).ok());
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  ExpectError(frames->Free(p, 0), absl::StatusCode::kFailedPrecondition,
              "freed, but not");
}

TEST(LockFreePageAllocatorTest, WhatALivingThreadKeepsServesOthers) {
  for (const size_t max_threads : {1u, 2u}) {
    auto frames = Make<LockFreePageAllocator>(150 * kFrameBytes, max_threads);
    OtherThread other;
    other.Run([&] { GiveAll(*frames, TakeAll(*frames)); });
    for (int round = 0; round < 3; ++round) {
      const std::vector<void*> all = TakeAll(*frames);
      EXPECT_EQ(all.size(), 150u);
      other.Run([&] { GiveAll(*frames, all); });
    }
    EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  }
}

TEST(LockFreePageAllocatorTest, WhatALivingThreadKeepsServesRuns) {
  auto frames = Make<LockFreePageAllocator>(128 * kFrameBytes, 2);
  OtherThread other;
  other.Run([&] { GiveAll(*frames, TakeAll(*frames)); });
  void* const run = *frames->Allocate(6);
  GiveAll(*frames, TakeAll(*frames));
  // Its own.
  EXPECT_TRUE(frames->Allocate(6).ok());
  EXPECT_FALSE(frames->Allocate(0).ok());
  EXPECT_TRUE(frames->Free(run, 6).ok());
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

TEST(LockFreePageAllocatorTest, AThreadThatEndsLeavesNothingInItsCache) {
  auto frames = Make<LockFreePageAllocator>(150 * kFrameBytes, 2);
  std::thread([&] { GiveAll(*frames, TakeAll(*frames)); }).join();
  EXPECT_EQ(frames->Stats().cached(), 0u);
  EXPECT_TRUE(frames->Allocate(6).ok());
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

TEST(LockFreePageAllocatorTest, PurgeEmptiesCaches) {
  auto frames = Make<LockFreePageAllocator>(4 * kHugeBytes, 2);
  OtherThread other;
  other.Run([&] { GiveAll(*frames, TakeAll(*frames)); });
  GiveAll(*frames, {*frames->Allocate(0)});
  EXPECT_EQ(*frames->Purge(), 4 * kHugeBytes);
  EXPECT_EQ(frames->Stats().cached(), 0u);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

// Frames that come from other threads, in an order that no word has.
TEST(LockFreePageAllocatorTest, FramesOfManyWordsGoBackWhereTheyBelong) {
  auto frames = Make<LockFreePageAllocator>(3 * kFramesPerTree * kFrameBytes);
  std::vector<void*> all;
  OtherThread other;
  other.Run([&] { all = TakeAll(*frames); });
  ASSERT_EQ(all.size(), 3 * kFramesPerTree);
  for (size_t i = 0; i < all.size(); ++i) {
    // The factor is prime to the number of frames.
    ASSERT_TRUE(frames->Free(all[i * 1009 % all.size()], 0).ok());
  }
  EXPECT_EQ(frames->FreeFrames(), all.size());
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  frames->DetachThread();
  EXPECT_EQ(Allocated(frames->Bitmap()), 0u);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

// Single frames are taken where they leave larger runs whole.
TEST(LockFreePageAllocatorTest, KeepsHugeFramesWholeUnderFragmentation) {
  auto frames = Make<LockFreePageAllocator>(64 * kMiB);
  std::vector<void*> singles;
  for (size_t i = 0; i < 2 * kFramesPerHuge; ++i) {
    singles.push_back(*frames->Allocate(0));
  }
  // Every second one of two huge frames, and no more, is free.
  for (size_t i = 0; i < singles.size(); i += 2) {
    ASSERT_TRUE(frames->Free(singles[i], 0).ok());
  }
  for (size_t i = 0; i < kFramesPerHuge; ++i) {
    const size_t frame =
        static_cast<size_t>(static_cast<std::byte*>(*frames->Allocate(0)) -
                            static_cast<std::byte*>(frames->region())) /
        kFrameBytes;
    EXPECT_LT(frame, 2 * kFramesPerHuge);
  }
  size_t huge = 0;
  while (frames->Allocate(9).ok()) ++huge;
  EXPECT_EQ(huge, 30u);
}

TEST(LockFreePageAllocatorTest, AThreadStaysInOneTree) {
  auto frames = Make<LockFreePageAllocator>(4 * kFramesPerTree * kFrameBytes);
  std::vector<std::set<size_t>> trees(4);
  for (std::set<size_t>& mine : trees) {
    std::thread thread([&] {
      for (int i = 0; i < 100; ++i) {
        auto* const p = static_cast<std::byte*>(*frames->Allocate(i % 4));
        mine.insert(
            static_cast<size_t>(p - static_cast<std::byte*>(frames->region())) /
            kFrameBytes / kFramesPerTree);
      }
    });
    thread.join();
    EXPECT_EQ(mine.size(), 1u);
  }
  // A thread that ended has left its tree, partly filled, to the next.
  EXPECT_EQ(trees[0], trees[1]);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

TEST(LockFreePageAllocatorTest, LivingThreadsReserveDifferentTrees) {
  auto frames = Make<LockFreePageAllocator>(4 * kFramesPerTree * kFrameBytes);
  void* const mine = *frames->Allocate(0);
  void* others = nullptr;
  std::thread([&] { others = *frames->Allocate(0); }).join();
  const auto tree = [&](void* p) {
    return static_cast<size_t>(static_cast<std::byte*>(p) -
                               static_cast<std::byte*>(frames->region())) /
           kFrameBytes / kFramesPerTree;
  };
  EXPECT_NE(tree(mine), tree(others));
  EXPECT_TRUE(frames->CheckInvariants().ok());
  frames->DetachThread();
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  EXPECT_TRUE(frames->Free(mine, 0).ok());
  EXPECT_TRUE(frames->Free(others, 0).ok());
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
}

TEST(LockFreePageAllocatorTest, WithoutSlotsThreadsAreServedAsWell) {
  auto frames = Make<LockFreePageAllocator>(16 * kMiB, 0);
  std::vector<void*> runs;
  for (int i = 0; i < 100; ++i) runs.push_back(*frames->Allocate(i % 8));
  EXPECT_TRUE(frames->CheckInvariants().ok());
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(frames->Free(runs[static_cast<size_t>(i)], i % 8).ok());
  }
  EXPECT_TRUE(frames->CheckInvariants().ok());
  EXPECT_EQ(LockFreePageAllocator::Create({.max_threads = ~size_t{0}})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

// Read-modify-writes of the calling thread.
thread_local int rmws = 0;

template <class T>
class CountingAtomic : public std::atomic<T> {
 public:
  using std::atomic<T>::atomic;
  T exchange(T value, std::memory_order order) {
    ++rmws;
    return std::atomic<T>::exchange(value, order);
  }
  T fetch_add(T value, std::memory_order order) {
    ++rmws;
    return std::atomic<T>::fetch_add(value, order);
  }
  template <class... Orders>
  bool compare_exchange_strong(T& expected, T desired, Orders... orders) {
    ++rmws;
    return std::atomic<T>::compare_exchange_strong(expected, desired,
                                                   orders...);
  }
  template <class... Orders>
  bool compare_exchange_weak(T& expected, T desired, Orders... orders) {
    ++rmws;
    return std::atomic<T>::compare_exchange_strong(expected, desired,
                                                   orders...);
  }
};

template <class Base>
struct CountingSync : Base {
  template <class T>
  using Atomic = CountingAtomic<T>;
};

// How many an Allocate of that order takes, and then its Free.
template <class Sync>
std::pair<int, int> RmwsOf(BasicLockFreePageAllocator<Sync>& frames,
                           int order) {
  rmws = 0;
  void* const p = *frames.Allocate(order);
  const int allocate = std::exchange(rmws, 0);
  EXPECT_TRUE(frames.Free(p, order).ok());
  return {allocate, std::exchange(rmws, 0)};
}

TEST(LockFreePageAllocatorTest, WithoutACacheTwoReadModifyWritesAreACall) {
  auto frames =
      Make<BasicLockFreePageAllocator<CountingSync<SymmetricSync>>>(64 * kMiB);
  for (int order = 0; IsFrameOrder(order); ++order) {
    SCOPED_TRACE(order);
    (void)RmwsOf(*frames, order);  // reserves a tree, and commits memory
    const int words = order < 6 ? 1 : 1 << (order - 6);
    EXPECT_EQ(RmwsOf(*frames, order), std::pair(order < 6 ? 2 : 1, words + 1));
  }
}

TEST(LockFreePageAllocatorTest, WithACacheNoReadModifyWriteIsACall) {
  if (!HasCaches()) GTEST_SKIP() << "needs an asymmetric fence";
  auto frames =
      Make<BasicLockFreePageAllocator<CountingSync<SystemSync>>>(64 * kMiB);
  for (int i = 0; i < 3; ++i) (void)RmwsOf(*frames, 0);  // fills the cache
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(RmwsOf(*frames, 0), std::pair(0, 0));
  }
}

TEST(LockFreePageAllocatorTest, FreedFramesArePoisoned) {
  if (!kPoisonReported) GTEST_SKIP() << "needs AddressSanitizer";
  auto frames = Make<LockFreePageAllocator>(2 * kMiB);
  for (const int order : {0, 2, 6}) {
    void* const p = *frames->Allocate(order);
    EXPECT_FALSE(IsPoisoned(p));
    ASSERT_TRUE(frames->Free(p, order).ok());
    EXPECT_TRUE(IsPoisoned(p));
    EXPECT_FALSE(IsPoisoned(*frames->Allocate(order)));
  }
}

}  // namespace
}  // namespace mmsb
