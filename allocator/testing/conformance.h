#ifndef MMSB_ALLOCATOR_TESTING_CONFORMANCE_H_
#define MMSB_ALLOCATOR_TESTING_CONFORMANCE_H_

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/raw_allocator.h"
#include "allocator/testing/block_ledger.h"
#include "gtest/gtest.h"

namespace mmsb {

// The tests that every RawAllocator passes: the contract of raw_allocator.h.
//
// A subject is a default-constructible class around one allocator:
//
//   struct ArenaSubject {
//     static constexpr size_t kMaxBytes = 4096;      // largest request served
//     static constexpr size_t kMaxAlignment = 4096;  // strictest one served
//     Arena<>& allocator() { return arena; }
//     Arena<> arena;
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Arena, AllocatorConformanceTest,
//                                  ArenaSubject);
//
// BoundedAllocatorConformanceTest is for subjects that also have a least
// capacity: from empty they serve kMinBlocks blocks of kMaxBytes at 8 bytes'
// alignment (a power of two is what kMaxBytes should be), and then run out
// before kTooManyBlocks.
template <class Subject>
class AllocatorConformanceTest : public ::testing::Test {
 protected:
  using Allocator =
      std::remove_reference_t<decltype(std::declval<Subject&>().allocator())>;
  static_assert(RawAllocator<Allocator>);

  struct Request {
    void* p;
    size_t bytes;
    size_t alignment;
  };

  Allocator& allocator() { return subject_->allocator(); }

  // Allocates and enters into the ledger. Null is passed on.
  void* Take(size_t bytes, size_t alignment) {
    void* const p = allocator().Allocate(bytes, alignment);
    if (p != nullptr) {
      EXPECT_EQ(ledger_.Add(p, bytes, alignment), "");
      if constexpr (OwningAllocator<Allocator>) {
        const auto* const first = static_cast<const std::byte*>(p);
        EXPECT_TRUE(allocator().Owns(first));
        EXPECT_TRUE(allocator().Owns(first + (std::max<size_t>(bytes, 1) - 1)));
      }
    }
    CheckStats();
    return p;
  }

  void Give(const Request& request) {
    EXPECT_EQ(ledger_.Remove(request.p), "");
    allocator().Deallocate(request.p, request.bytes, request.alignment);
    CheckStats();
  }

  void CheckStats() {
    if constexpr (CountingAllocator<Allocator>) {
      const AllocatorStats stats = allocator().Stats();
      EXPECT_TRUE(stats.IdentityHolds());
      EXPECT_GE(stats.live(), ledger_.bytes());
    }
  }

  // Takes and gives back one block: the allocator still works.
  void CheckUsable() {
    void* const p = Take(1, 1);
    ASSERT_NE(p, nullptr);
    Give({p, 1, 1});
  }

  void ExpectRefused(size_t bytes, size_t alignment) {
    void* const p = allocator().Allocate(bytes, alignment);
    EXPECT_EQ(p, nullptr) << bytes << " bytes at " << alignment;
    if (p != nullptr) allocator().Deallocate(p, bytes, alignment);
    CheckStats();
  }

  static std::vector<size_t> PowersOfTwo(size_t most) {
    std::vector<size_t> powers;
    for (size_t power = 1; power != 0 && power <= most; power *= 2) {
      powers.push_back(power);
    }
    return powers;
  }

  // On the heap, so that a subject may hold a large region.
  std::unique_ptr<Subject> subject_ = std::make_unique<Subject>();
  BlockLedger ledger_;
};

TYPED_TEST_SUITE_P(AllocatorConformanceTest);

TYPED_TEST_P(AllocatorConformanceTest, BlocksAreApartAlignedAndIntact) {
  std::mt19937_64 random(20240601);
  std::vector<typename TestFixture::Request> live;
  const auto alignments = TestFixture::PowersOfTwo(
      std::min<size_t>(TypeParam::kMaxAlignment, 4096));
  size_t served = 0;
  for (int step = 0; step < 4000; ++step) {
    if (live.size() < 200 && random() % 5 < 3) {
      const size_t bytes = random() % (random() % TypeParam::kMaxBytes + 1) + 1;
      const size_t alignment = alignments[random() % alignments.size()];
      void* const p = this->Take(bytes, alignment);
      if (p != nullptr) {
        live.push_back({p, bytes, alignment});
        ++served;
      }
    } else if (!live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      this->Give(live.back());
      live.pop_back();
    }
    if (step % 256 == 0) {
      ASSERT_EQ(this->ledger_.Check(), "");
    }
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(served, 0u);
  ASSERT_EQ(this->ledger_.Check(), "");
  for (const auto& request : live) this->Give(request);
}

TYPED_TEST_P(AllocatorConformanceTest, ServesEveryAlignmentItClaims) {
  for (const size_t alignment :
       TestFixture::PowersOfTwo(TypeParam::kMaxAlignment)) {
    for (const size_t bytes :
         {size_t{1}, std::min(alignment, TypeParam::kMaxBytes)}) {
      void* const p = this->Take(bytes, alignment);
      ASSERT_NE(p, nullptr) << bytes << " bytes at " << alignment;
      this->Give({p, bytes, alignment});
    }
  }
}

TYPED_TEST_P(AllocatorConformanceTest, ServesOrRefusesAlignmentsTo2MiB) {
  for (const size_t alignment : TestFixture::PowersOfTwo(size_t{1} << 21)) {
    void* const p = this->Take(1, alignment);
    if (p != nullptr) this->Give({p, 1, alignment});
  }
  this->CheckUsable();
}

TYPED_TEST_P(AllocatorConformanceTest, RefusesAlignmentsThatAreNone) {
  for (const size_t alignment :
       {size_t{0}, size_t{3}, size_t{6}, size_t{24}, size_t{4095}, size_t{4097},
        (size_t{1} << 63) + 1, std::numeric_limits<size_t>::max()}) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{64}}) {
      this->ExpectRefused(bytes, alignment);
    }
  }
  this->CheckUsable();
}

TYPED_TEST_P(AllocatorConformanceTest, ZeroBytesAreABlockOfTheirOwn) {
  std::vector<typename TestFixture::Request> live;
  for (const size_t alignment : TestFixture::PowersOfTwo(
           std::min<size_t>(TypeParam::kMaxAlignment, 64))) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{0}}) {
      void* const p = this->Take(bytes, alignment);
      ASSERT_NE(p, nullptr);
      live.push_back({p, bytes, alignment});
    }
  }
  EXPECT_EQ(this->ledger_.Check(), "");
  std::reverse(live.begin(), live.end());
  for (const auto& request : live) this->Give(request);
}

TYPED_TEST_P(AllocatorConformanceTest, RefusesSizesNearTheEndOfTheNumbers) {
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  void* const kept = this->Take(TypeParam::kMaxBytes, 1);
  for (const size_t base : {kMax, kMax / 2 + 1, kMax / 4 * 3}) {
    for (size_t less = 0; less < 200; ++less) {
      for (const size_t alignment :
           {size_t{1}, size_t{8}, size_t{64}, size_t{4096}, size_t{1} << 21}) {
        this->ExpectRefused(base - less, alignment);
      }
    }
    this->ExpectRefused(base, size_t{1} << 62);
    this->ExpectRefused(base, size_t{1} << 63);
  }
  this->ExpectRefused(1, size_t{1} << 63);
  if (kept != nullptr) this->Give({kept, TypeParam::kMaxBytes, 1});
  this->CheckUsable();
}

TYPED_TEST_P(AllocatorConformanceTest, IgnoresNull) {
  void* const p = this->Take(8, 8);
  this->allocator().Deallocate(nullptr, 8, 8);
  this->allocator().Deallocate(nullptr, 0, 1);
  this->CheckStats();
  if (p != nullptr) this->Give({p, 8, 8});
}

TYPED_TEST_P(AllocatorConformanceTest, OwnsNothingOfOthers) {
  if constexpr (OwningAllocator<typename TestFixture::Allocator>) {
    void* const p = this->Take(1, 1);
    const auto other = std::make_unique<char[]>(64);
    const char local = 0;
    EXPECT_FALSE(this->allocator().Owns(nullptr));
    EXPECT_FALSE(this->allocator().Owns(other.get()));
    EXPECT_FALSE(this->allocator().Owns(&local));
    if (p != nullptr) this->Give({p, 1, 1});
  }
}

REGISTER_TYPED_TEST_SUITE_P(
    AllocatorConformanceTest, BlocksAreApartAlignedAndIntact,
    ServesEveryAlignmentItClaims, ServesOrRefusesAlignmentsTo2MiB,
    RefusesAlignmentsThatAreNone, ZeroBytesAreABlockOfTheirOwn,
    RefusesSizesNearTheEndOfTheNumbers, IgnoresNull, OwnsNothingOfOthers);

template <class Subject>
class BoundedAllocatorConformanceTest
    : public AllocatorConformanceTest<Subject> {
 protected:
  // Takes blocks until there are no more.
  std::vector<void*> TakeAll() {
    std::vector<void*> blocks;
    while (blocks.size() < Subject::kTooManyBlocks) {
      void* const p = this->Take(Subject::kMaxBytes, 8);
      if (p == nullptr) break;
      blocks.push_back(p);
    }
    return blocks;
  }
};

TYPED_TEST_SUITE_P(BoundedAllocatorConformanceTest);

TYPED_TEST_P(BoundedAllocatorConformanceTest, RunsOutAndComesBack) {
  size_t first_round = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<void*> blocks = this->TakeAll();
    EXPECT_GE(blocks.size(), TypeParam::kMinBlocks);
    ASSERT_LT(blocks.size(), TypeParam::kTooManyBlocks);
    // It stays empty, and nothing that lives is touched.
    for (int i = 0; i < 10; ++i) this->ExpectRefused(TypeParam::kMaxBytes, 8);
    ASSERT_EQ(this->ledger_.Check(), "");
    // Newest first, which every allocator takes back.
    while (!blocks.empty()) {
      this->Give({blocks.back(), TypeParam::kMaxBytes, 8});
      blocks.pop_back();
      ++first_round;
    }
  }
  EXPECT_GE(first_round, 3 * TypeParam::kMinBlocks);
}

TYPED_TEST_P(BoundedAllocatorConformanceTest, ServesTheNextAfterAnyGivenBack) {
  std::vector<void*> blocks = this->TakeAll();
  ASSERT_FALSE(blocks.empty());
  for (int i = 0; i < 10; ++i) {
    this->Give({blocks.back(), TypeParam::kMaxBytes, 8});
    blocks.back() = this->Take(TypeParam::kMaxBytes, 8);
    ASSERT_NE(blocks.back(), nullptr);
  }
  ASSERT_EQ(this->ledger_.Check(), "");
  while (!blocks.empty()) {
    this->Give({blocks.back(), TypeParam::kMaxBytes, 8});
    blocks.pop_back();
  }
}

REGISTER_TYPED_TEST_SUITE_P(BoundedAllocatorConformanceTest,
                            RunsOutAndComesBack,
                            ServesTheNextAfterAnyGivenBack);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_TESTING_CONFORMANCE_H_
