#include "mmsb/arena.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gtest/gtest.h"

namespace {

TEST(ArenaTest, ServesAnotherRepository) {
  mmsb::Arena arena;
  void* first = arena.Allocate(100, 64);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  std::memset(first, 1, 100);

  const auto mark = arena.Mark();
  void* second = arena.Allocate(100, 64);
  ASSERT_NE(second, nullptr);
  EXPECT_NE(first, second);
  arena.Rewind(mark);
  EXPECT_EQ(arena.Allocate(100, 64), second);
}

}  // namespace
