#include "allocator/freed_fill.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "gtest/gtest.h"

namespace mmsb::freed_fill {
namespace {

constexpr size_t kMost = 130;       // bytes of a block
constexpr size_t kMargin = 16;      // bytes of its neighbours
constexpr std::byte kNeighbour{3};  // in no byte of kWord

// A block between its neighbours.
class Subject {
 public:
  explicit Subject(size_t bytes) : bytes_(bytes) { memory_.fill(kNeighbour); }

  std::byte* block() { return memory_.data() + kMargin; }

  bool NeighboursAreWhole() const {
    for (size_t i = 0; i < memory_.size(); ++i) {
      const bool inside = i >= kMargin && i < kMargin + bytes_;
      if (!inside && memory_[i] != kNeighbour) return false;
    }
    return true;
  }

  // Every byte of kWord in its place.
  bool IsFilled() const {
    std::array<std::byte, sizeof(kWord)> word;
    std::memcpy(word.data(), &kWord, sizeof(kWord));
    for (size_t i = 0; i < bytes_; ++i) {
      if (memory_[kMargin + i] != word[i % sizeof(kWord)]) return false;
    }
    return true;
  }

 private:
  alignas(16) std::array<std::byte, kMost + 2 * kMargin> memory_;
  const size_t bytes_;
};

// After a change of any bit of any byte, and of none.
void ExpectEveryBitCounts(std::span<std::byte> block, auto is_intact) {
  EXPECT_TRUE(is_intact());
  for (std::byte& byte : block) {
    for (int bit = 0; bit < 8; ++bit) {
      byte ^= std::byte{1} << bit;
      ASSERT_FALSE(is_intact())
          << "bit " << bit << " of byte " << &byte - block.data() << " of "
          << block.size();
      byte ^= std::byte{1} << bit;
    }
  }
}

TEST(FreedFillTest, FillsTheBlockAloneAndEveryBitCounts) {
  for (size_t bytes = 0; bytes <= kMost; ++bytes) {
    Subject subject(bytes);
    std::byte* const block = subject.block();
    Fill(block, bytes);
    EXPECT_TRUE(subject.IsFilled()) << bytes;
    EXPECT_TRUE(subject.NeighboursAreWhole()) << bytes;
    ExpectEveryBitCounts({block, bytes},
                         [&] { return IsIntact(block, bytes); });
  }
}

TEST(FreedFillTest, TheShortWayDoesTheSame) {
  for (size_t bytes = 0; bytes <= kMost; ++bytes) {
    const ShortWay short_way(bytes);
    ASSERT_EQ(short_way.exists(), bytes >= 16 && bytes <= 64 && bytes % 8 == 0)
        << bytes;
    if (!short_way.exists()) continue;
    Subject subject(bytes);
    std::byte* const block = subject.block();
    short_way.Fill(block);
    EXPECT_TRUE(subject.IsFilled()) << bytes;
    EXPECT_TRUE(subject.NeighboursAreWhole()) << bytes;
    ExpectEveryBitCounts({block, bytes},
                         [&] { return short_way.IsIntact(block); });
  }
  EXPECT_FALSE(ShortWay().exists());
}

}  // namespace
}  // namespace mmsb::freed_fill
