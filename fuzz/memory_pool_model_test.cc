// The model sees what it is there to see: pools broken in one way each.

#include "fuzz/memory_pool_model.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "fuzz/memory_pool_program.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using Step = MemoryPoolProgram::Step;

// A sound pool, over a region of its own; each test overrides one answer.
class SoundPool {
 public:
  static constexpr size_t kRegionBytes = 8192;

  void* Allocate() { return pool_.Allocate(); }
  void* Allocate(size_t bytes, size_t alignment) {
    return pool_.Allocate(bytes, alignment);
  }
  SizedBlock AllocateAtLeast(size_t bytes, size_t alignment) {
    return pool_.AllocateAtLeast(bytes, alignment);
  }
  void Deallocate(void* p) { pool_.Deallocate(p); }
  void Deallocate(void* p, size_t bytes, size_t alignment) {
    pool_.Deallocate(p, bytes, alignment);
  }
  bool Owns(const void* p) const { return pool_.Owns(p); }
  AllocatorStats Stats() const { return pool_.Stats(); }

 private:
  std::vector<std::byte> region_ = std::vector<std::byte>(kRegionBytes);
  MemoryPool<> pool_{region_.data(), region_.size(), {.block_size = 64}};
};

template <class Pool>
std::string RunOn(std::vector<Step> steps) {
  const MemoryPoolProgram program = {.options = {.block_size = 64},
                                     .in_region = true,
                                     .region_bytes = SoundPool::kRegionBytes,
                                     .steps = std::move(steps)};
  Pool pool;
  return MemoryPoolModel(pool, program, nullptr).Run();
}

const std::vector<Step> kSteps = {{Step::kAllocate, 10},
                                  {Step::kDeallocateOldest, 5},
                                  {Step::kAllocate, 7},
                                  {Step::kDeallocateNewest, 3},
                                  {Step::kAllocate, 4}};

TEST(MemoryPoolModelTest, FindsNothingWrongWithASoundPool) {
  EXPECT_EQ(RunOn<SoundPool>(kSteps), "");
}

TEST(MemoryPoolModelTest, SeesABlockHandedOutTwice) {
  struct Pool : SoundPool {
    using SoundPool::Allocate;
    void* Allocate() {
      void* const p = SoundPool::Allocate();
      if (first == nullptr) first = p;
      return ++calls == 9 ? first : p;
    }
    void* first = nullptr;
    int calls = 0;
  };
  EXPECT_NE(RunOn<Pool>(kSteps).find("overlaps"), std::string::npos);
}

TEST(MemoryPoolModelTest, SeesAWriteToALiveBlock) {
  struct Pool : SoundPool {
    using SoundPool::Allocate;
    void* Allocate() {
      if (last != nullptr) last[63] ^= std::byte{1};
      void* const p = SoundPool::Allocate();
      last = static_cast<std::byte*>(p);
      return p;
    }
    std::byte* last = nullptr;
  };
  EXPECT_NE(RunOn<Pool>(kSteps).find("overwritten"), std::string::npos);
}

TEST(MemoryPoolModelTest, SeesABlockThatIsMisplaced) {
  struct Pool : SoundPool {
    using SoundPool::Allocate;
    void* Allocate() {
      return static_cast<std::byte*>(SoundPool::Allocate()) + 8;
    }
  };
  EXPECT_NE(RunOn<Pool>(kSteps).find("multiple of 16"), std::string::npos);
}

TEST(MemoryPoolModelTest, SeesADeallocationThatIsDropped) {
  struct Pool : SoundPool {
    using SoundPool::Deallocate;
    void Deallocate(void*) {}
  };
  EXPECT_NE(RunOn<Pool>(kSteps).find("wrong counter"), std::string::npos);
}

TEST(MemoryPoolModelTest, SeesANullTooEarly) {
  struct Pool : SoundPool {
    using SoundPool::Allocate;
    void* Allocate() { return ++calls == 8 ? nullptr : SoundPool::Allocate(); }
    int calls = 0;
  };
  EXPECT_NE(RunOn<Pool>(kSteps).find("null, with free blocks"),
            std::string::npos);
}

TEST(MemoryPoolModelTest, SeesARequestServedThatDoesNotFit) {
  struct Pool : SoundPool {
    using SoundPool::Allocate;
    void* Allocate(size_t, size_t) { return SoundPool::Allocate(); }
  };
  EXPECT_NE(RunOn<Pool>({{Step::kAllocateSized, 65, 1}}).find("does not fit"),
            std::string::npos);
  EXPECT_NE(RunOn<Pool>({{Step::kAllocateSized, 1, 32}}).find("does not fit"),
            std::string::npos);
}

TEST(MemoryPoolModelTest, SeesACounterThatIsOffByOneBlock) {
  struct Pool : SoundPool {
    AllocatorStats Stats() const {
      const AllocatorStats stats = SoundPool::Stats();
      if (stats.live() == 0) return stats;
      return AllocatorStats({.live = stats.live() - 64,
                             .cached = stats.cached() + 64,
                             .free = stats.free(),
                             .metadata = stats.metadata(),
                             .committed = stats.committed(),
                             .peak = stats.peak(),
                             .allocations = stats.allocations(),
                             .deallocations = stats.deallocations(),
                             .failures = stats.failures()});
    }
  };
  EXPECT_EQ(RunOn<Pool>(kSteps), "step 0: wrong counter: live");
}

TEST(MemoryPoolModelTest, SeesABlockThatIsNotOwned) {
  struct Pool : SoundPool {
    bool Owns(const void*) const { return false; }
  };
  EXPECT_NE(RunOn<Pool>(kSteps).find("does not own"), std::string::npos);
}

}  // namespace
}  // namespace mmsb
