#ifndef MMSB_PRIMITIVES_ALIGNMENT_H_
#define MMSB_PRIMITIVES_ALIGNMENT_H_

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>

#include "primitives/bytes.h"
#include "primitives/check.h"

namespace mmsb {

// An alignment in bytes: always a power of two, from 1 to 2^63.
//
// A value type of one byte. An Alignment that exists is valid, so functions
// that take one have nothing to check; numbers from outside are tried with
// IsValid() first, or turned over to FromBytes(), which ends the process on any
// other number. Ordered by strictness: the larger needs more.
//
//   constexpr Alignment kLine = Alignment::FromBytes(64);
//   size_t rounded;
//   if (!CheckedAlignUp(bytes, kLine, &rounded)) return nullptr;
class Alignment {
 public:
  // One byte: every address has it.
  constexpr Alignment() = default;

  // True when `bytes` is a power of two; zero is none.
  [[nodiscard]] static constexpr bool IsValid(size_t bytes) {
    return std::has_single_bit(bytes);
  }

  // The alignment that the language asks of T.
  template <class T>
  [[nodiscard]] static constexpr Alignment Of() {
    return Alignment(std::countr_zero(alignof(T)));
  }

  // `bytes` must be a power of two; the process ends when it is not.
  [[nodiscard]] static constexpr Alignment FromBytes(size_t bytes) {
    MMSB_CHECK(IsValid(bytes), "alignment of %zu bytes is not a power of two",
               bytes);
    return Alignment(std::countr_zero(bytes));
  }

  [[nodiscard]] constexpr size_t bytes() const { return size_t{1} << log2_; }
  [[nodiscard]] constexpr int log2() const { return log2_; }

  friend constexpr auto operator<=>(Alignment, Alignment) = default;

 private:
  explicit constexpr Alignment(int log2) : log2_(static_cast<uint8_t>(log2)) {}

  uint8_t log2_ = 0;
};

// True when `n` (an offset or a size in bytes) is a multiple of the alignment.
[[nodiscard]] constexpr bool IsAligned(size_t n, Alignment alignment) {
  return (n & (alignment.bytes() - 1)) == 0;
}

// True when the address `p` is a multiple of the alignment; null always is.
[[nodiscard]] inline bool IsAligned(const void* p, Alignment alignment) {
  return IsAligned(reinterpret_cast<uintptr_t>(p), alignment);
}

// Stores the smallest multiple of the alignment that is at least `n` in `*out`
// and returns true, or returns false and leaves `*out` as it was when that
// multiple does not fit size_t.
[[nodiscard]] constexpr bool CheckedAlignUp(size_t n, Alignment alignment,
                                            size_t* out) {
  const size_t mask = alignment.bytes() - 1;
  size_t bumped = 0;
  if (!CheckedAdd(n, mask, &bumped)) return false;
  *out = bumped & ~mask;
  return true;
}

// The largest multiple of the alignment that is at most `n`.
[[nodiscard]] constexpr size_t AlignDown(size_t n, Alignment alignment) {
  return n & ~(alignment.bytes() - 1);
}

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_ALIGNMENT_H_
