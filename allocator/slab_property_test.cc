// Random programs of operations against a model of intervals and contents.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/raw_allocator.h"
#include "allocator/size_histogram.h"
#include "allocator/slab.h"
#include "allocator/slab_size_classes.h"
#include "allocator/testing/block_ledger.h"
#include "gtest/gtest.h"
#include "primitives/os_clock.h"
#include "primitives/testing/faulty_mapper.h"

namespace mmsb {
namespace {

struct Request {
  void* p;
  size_t bytes;
  size_t alignment;
};

template <class Policy>
class Program {
 public:
  explicit Program(uint64_t seed) : random_(seed) {}

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
      const uint64_t dice = random_() % 100;
      // The program grows and shrinks in turn.
      const uint64_t takes = step / 1000 % 2 == 0 ? 55 : 35;
      if (dice < takes) {
        Take();
      } else if (dice < 92) {
        Give();
      } else if (dice < 97) {
        Resize();
      } else if (dice == 97 && random_() % 10 == 0) {
        slab_.Purge();
      } else if (dice == 98) {
        clock_.Advance(static_cast<int64_t>(random_() % 4'000'000'000));
        slab_.Decay();
      } else if (dice == 99 && random_() % 10 == 0) {
        Walk();
      }
      if (step % 64 == 0) CheckStats();
      if (step % 1024 == 0) {
        EXPECT_EQ(ledger_.Check(), "");
      }
    }
    while (!live_.empty()) Give();
    CheckStats();
    slab_.Purge();
    EXPECT_EQ(slab_.Stats().live(), 0u);
    EXPECT_EQ(slab_.Stats().committed(), slab_.Stats().metadata());
  }

 private:
  size_t RandomBytes() {
    switch (random_() % 16) {
      case 0:
        return random_() % 200'000;
      case 1:
        return random_() % 40'000;
      case 2:
        return size_t{1} << random_() % 17;
      default:
        return random_() % (random_() % 4096 + 1);
    }
  }

  void Take() {
    const size_t bytes = RandomBytes();
    const size_t alignment =
        size_t{1} << (random_() % 8 == 0 ? random_() % 18 : random_() % 5);
    Request request = {nullptr, bytes, alignment};
    if (random_() % 8 == 0) {
      const SizedBlock block = slab_.AllocateAtLeast(bytes, alignment);
      EXPECT_GE(block.bytes, bytes);
      request.p = block.data;
      request.bytes = block.bytes;
    } else {
      request.p = slab_.Allocate(bytes, alignment);
    }
    ASSERT_NE(request.p, nullptr);
    EXPECT_EQ(ledger_.Add(request.p, request.bytes, alignment), "");
    EXPECT_TRUE(slab_.Owns(request.p));
    block_bytes_ += slab_.UsableSize(request.p);
    live_.push_back(request);
  }

  void Give() {
    if (live_.empty()) return;
    std::swap(live_[random_() % live_.size()], live_.back());
    const Request request = live_.back();
    live_.pop_back();
    EXPECT_EQ(ledger_.Remove(request.p), "");
    block_bytes_ -= slab_.UsableSize(request.p);
    if (random_() % 4 == 0) {
      slab_.Deallocate(request.p);
    } else {
      slab_.Deallocate(request.p, request.bytes, request.alignment);
    }
  }

  void Resize() {
    if (live_.empty()) return;
    Request& request = live_[random_() % live_.size()];
    const size_t before = slab_.UsableSize(request.p);
    const size_t bytes = request.bytes / 2 + random_() % (request.bytes + 1);
    EXPECT_EQ(ledger_.Remove(request.p), "");
    // The ledger knows the ends of a block alone.
    const auto value = static_cast<unsigned char>(random_());
    std::memset(request.p, value, request.bytes);
    void* const p =
        slab_.Reallocate(request.p, request.bytes, bytes, request.alignment);
    if (p == nullptr) {
      EXPECT_EQ(ledger_.Add(request.p, request.bytes, request.alignment), "");
      return;
    }
    // Only the system moves a block, and then without a copy.
    if (IsSlabRequest(bytes, request.alignment) || bytes <= request.bytes) {
      ASSERT_EQ(p, request.p);
    }
    EXPECT_GE(slab_.UsableSize(p), bytes);
    block_bytes_ += slab_.UsableSize(p) - before;
    const auto* const data = static_cast<const unsigned char*>(p);
    EXPECT_TRUE(std::all_of(data, data + std::min(bytes, request.bytes),
                            [=](unsigned char byte) { return byte == value; }));
    EXPECT_EQ(ledger_.Add(p, bytes, request.alignment), "");
    request.p = p;
    request.bytes = bytes;
  }

  void Walk() {
    std::map<uintptr_t, size_t> seen;
    slab_.ForEachLive([&](void* p, size_t bytes) {
      EXPECT_TRUE(seen.emplace(reinterpret_cast<uintptr_t>(p), bytes).second);
    });
    EXPECT_EQ(seen.size(), live_.size());
    for (const Request& request : live_) {
      const auto found = seen.find(reinterpret_cast<uintptr_t>(request.p));
      ASSERT_NE(found, seen.end());
      EXPECT_EQ(found->second, slab_.UsableSize(request.p));
    }
  }

  void CheckStats() {
    const AllocatorStats stats = slab_.Stats();
    EXPECT_TRUE(stats.IdentityHolds());
    EXPECT_EQ(stats.live(), block_bytes_);
    EXPECT_EQ(stats.allocations() - stats.deallocations(), live_.size());
    const SizeHistogram sizes = slab_.Histogram();
    EXPECT_EQ(sizes.allocations(), stats.allocations());
    EXPECT_EQ(sizes.deallocations(), stats.deallocations());
  }

  std::mt19937_64 random_;
  ManualClock clock_;
  FaultyMapper mapper_;
  BasicSlabAllocator<Policy> slab_{
      SlabOptions{.decay_ns = 0, .clock = &clock_, .mapper = &mapper_}};
  BlockLedger ledger_;
  std::vector<Request> live_;
  size_t block_bytes_ = 0;
};

TEST(SlabProperty, AgreesWithTheModel) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    Program<Unchecked>(seed).Run(6000);
  }
}

TEST(SlabProperty, AgreesWithTheModelWhenChecked) {
  for (uint64_t seed = 11; seed <= 13; ++seed) {
    SCOPED_TRACE(seed);
    Program<Checked>(seed).Run(6000);
  }
}

}  // namespace
}  // namespace mmsb
