#include "allocator/allocate_zeroed.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(AllocateZeroedTest, ZeroesWhatAPoolHadBefore) {
  MemoryPool pool({.block_size = 64});
  void* const used = pool.Allocate();
  std::memset(used, 1, 64);
  pool.Deallocate(used);
  auto* const p = static_cast<char*>(AllocateZeroed(pool, 64, 8));
  ASSERT_EQ(p, used);
  EXPECT_EQ(std::count(p, p + 64, 0), 64);
  pool.Deallocate(p);
}

TEST(AllocateZeroedTest, AsksTheAllocatorThatKnows) {
  struct Knowing : SystemSource {
    void* AllocateZeroed(size_t bytes, size_t alignment) noexcept {
      asked = true;
      return SystemSource::AllocateZeroed(bytes, alignment);
    }
    bool asked = false;
  } source;
  static_assert(ZeroingAllocator<Knowing>);
  void* const p = AllocateZeroed(source, 10, 1);
  EXPECT_TRUE(source.asked);
  source.Deallocate(p, 10, 1);
}

TEST(AllocateZeroedTest, PassesRefusalsOn) {
  MemoryPool pool({.block_size = 64});
  SystemSource source;
  EXPECT_EQ(AllocateZeroed(pool, 65, 1), nullptr);
  EXPECT_EQ(AllocateZeroed(pool, 1, 0), nullptr);
  EXPECT_EQ(AllocateZeroed(source, SIZE_MAX, 1), nullptr);
}

}  // namespace
}  // namespace mmsb
