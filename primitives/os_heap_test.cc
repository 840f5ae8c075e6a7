#include "primitives/os_heap.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "gtest/gtest.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"

namespace mmsb {
namespace {

TEST(OsHeapTest, ServesEveryAlignment) {
  for (size_t alignment = 1; alignment <= 2 * kMiB; alignment *= 2) {
    for (const size_t bytes :
         {size_t{0}, size_t{1}, alignment, 3 * alignment}) {
      void* const p = HeapAllocate(bytes, Alignment::FromBytes(alignment));
      ASSERT_NE(p, nullptr);
      EXPECT_TRUE(IsAligned(p, Alignment::FromBytes(alignment)));
      std::memset(p, 1, bytes);
      HeapFree(p);
    }
  }
}

TEST(OsHeapTest, ZeroesWhatWasWrittenBefore) {
  for (const size_t bytes : {size_t{1}, size_t{100}, 4 * kMiB}) {
    for (int round = 0; round < 3; ++round) {
      auto* const p = static_cast<unsigned char*>(HeapAllocateZeroed(bytes));
      ASSERT_NE(p, nullptr);
      EXPECT_TRUE(
          std::all_of(p, p + bytes, [](auto byte) { return byte == 0; }));
      std::memset(p, 1, bytes);
      HeapFree(p);
    }
  }
}

TEST(OsHeapTest, ReallocatesWithContents) {
  auto* p = static_cast<unsigned char*>(HeapAllocate(100, Alignment()));
  std::memset(p, 7, 100);
  p = static_cast<unsigned char*>(HeapReallocate(p, 8 * kMiB));
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(std::count(p, p + 100, 7), 100);
  p = static_cast<unsigned char*>(HeapReallocate(p, 0));
  ASSERT_NE(p, nullptr);  // Not freed.
  EXPECT_EQ(*p, 7);
  HeapFree(p);
  HeapFree(nullptr);
}

}  // namespace
}  // namespace mmsb
