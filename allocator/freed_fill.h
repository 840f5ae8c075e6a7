#ifndef MMSB_ALLOCATOR_FREED_FILL_H_
#define MMSB_ALLOCATOR_FREED_FILL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "primitives/poison.h"

namespace mmsb {

// What the Checked allocators write into a block that is given back, and look
// for when they hand it out again: who wrote to it in between is found.
//
// Every byte of the filled part counts. Owns nothing; as thread-safe as writing
// to the block; takes time in proportion to its bytes. To the tools filled
// bytes are defined, and may be touched.
//
//   freed_fill::Fill(block, bytes);           // in Deallocate()
//   if (!freed_fill::IsIntact(block, bytes))  // in Allocate()
namespace freed_fill {

// No address of x86-64 or aarch64, and no small number.
inline constexpr uint64_t kWord = 0xF4EEB10CF4EEB10C;

inline bool IsWord(const std::byte* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  return word == kWord;
}

// The short way, for whole words of 16 to 64 bytes: four pieces of two words
// each, without a loop or a branch by size. They overlap where there are less
// than 64 bytes:
//
//   | first | second |    ...    | third | last |
//
// A word is compared alone, as it may be read when the store of it has not come
// to the cache yet.
class ShortWay {
 public:
  constexpr ShortWay() = default;  // of other sizes
  explicit constexpr ShortWay(size_t bytes) {
    if (bytes < kPieceBytes || bytes > kMostLast + kPieceBytes ||
        bytes % sizeof(kWord) != 0) {
      return;
    }
    last_ = bytes - kPieceBytes;
    second_ = last_ < kPieceBytes ? last_ : kPieceBytes;
  }

  [[nodiscard]] bool exists() const { return last_ <= kMostLast; }

  [[gnu::always_inline]] void Fill(std::byte* block) const {
    UnpoisonDefined(block, last_ + kPieceBytes);
    for (const size_t at :
         std::array{size_t{0}, second_, last_ - second_, last_}) {
      std::memcpy(block + at, kPiece.data(), kPieceBytes);
    }
  }

  [[nodiscard, gnu::always_inline]] bool IsIntact(
      const std::byte* block) const {
    UnpoisonDefined(block, last_ + kPieceBytes);
    for (const size_t at :
         std::array{size_t{0}, second_, last_ - second_, last_}) {
      if (!IsWord(block + at) || !IsWord(block + at + sizeof(kWord))) {
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr std::array<uint64_t, 2> kPiece = {kWord, kWord};
  static constexpr size_t kPieceBytes = sizeof(kPiece);
  static constexpr size_t kMostLast = 3 * kPieceBytes;

  size_t last_ = kMostLast + 1;  // offset in bytes, as is the other
  size_t second_ = 0;
};

// Of any number of bytes.
inline void Fill(std::byte* block, size_t bytes) {
  UnpoisonDefined(block, bytes);
  for (; bytes >= sizeof(kWord); bytes -= sizeof(kWord)) {
    std::memcpy(block, &kWord, sizeof(kWord));
    block += sizeof(kWord);
  }
  std::memcpy(block, &kWord, bytes);
}

[[nodiscard]] inline bool IsIntact(const std::byte* block, size_t bytes) {
  UnpoisonDefined(block, bytes);
  for (; bytes >= sizeof(kWord); bytes -= sizeof(kWord)) {
    if (!IsWord(block)) return false;
    block += sizeof(kWord);
  }
  return std::memcmp(block, &kWord, bytes) == 0;
}

}  // namespace freed_fill
}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_FREED_FILL_H_
