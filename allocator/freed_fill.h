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
// each, without a loop or a branch by size, and a word of its own if there is
// an odd number. Pieces lie at one place where there are less than 64 bytes:
//
//   | first | second | third | last |        64 bytes
//   | first, third | second, last |word|     40 bytes
//
// No two overlap in part, as a piece that does could not be read before both
// stores to it have come to the cache.
class ShortWay {
 public:
  constexpr ShortWay() = default;  // of other sizes
  explicit constexpr ShortWay(size_t bytes) {
    if (bytes < kPieceBytes || bytes > kMost || bytes % sizeof(kWord) != 0) {
      return;
    }
    bytes_ = bytes;
    second_ = bytes < 2 * kPieceBytes ? 0 : kPieceBytes;
  }

  [[nodiscard]] bool exists() const { return bytes_ <= kMost; }

  [[gnu::always_inline]] void Fill(std::byte* block) const {
    UnpoisonDefined(block, bytes_);
    for (const size_t at : Places()) {
      std::memcpy(block + at, &kPiece, kPieceBytes);
    }
    if (HasWord()) {
      std::memcpy(block + bytes_ - sizeof(kWord), &kWord, sizeof(kWord));
    }
  }

  [[nodiscard, gnu::always_inline]] bool IsIntact(
      const std::byte* block) const {
    UnpoisonDefined(block, bytes_);
    Piece wrong = {};
    for (const size_t at : Places()) {
      Piece piece;
      std::memcpy(&piece, block + at, kPieceBytes);
      wrong |= piece ^ kPiece;
    }
    if (HasWord() && !IsWord(block + bytes_ - sizeof(kWord))) return false;
    return (wrong[0] | wrong[1]) == 0;
  }

 private:
  // Two words in one register.
  using Piece [[gnu::vector_size(2 * sizeof(kWord))]] = uint64_t;
  static constexpr Piece kPiece = {kWord, kWord};
  static constexpr size_t kPieceBytes = sizeof(kPiece);
  static constexpr size_t kMost = 4 * kPieceBytes;

  [[nodiscard]] std::array<size_t, 4> Places() const {
    const size_t last = (bytes_ - kPieceBytes) & ~(kPieceBytes - 1);
    return {0, second_, last - second_, last};
  }
  [[nodiscard]] bool HasWord() const { return bytes_ % kPieceBytes != 0; }

  size_t bytes_ = kMost + 1;
  size_t second_ = 0;  // where the second piece lies
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
