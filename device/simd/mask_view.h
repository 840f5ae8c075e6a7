#ifndef MMSB_DEVICE_SIMD_MASK_VIEW_H_
#define MMSB_DEVICE_SIMD_MASK_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "primitives/check.h"

namespace mmsb {

// Bits of a mask that lie one after another, from any bit to any bit; LSB
// first, so bit i of a mask is bit i % 8 of its byte i / 8. MaskView reads
// them, MaskSpan writes them too.
//
// Owns nothing: the bytes must outlive it. As thread-safe as a span; two spans
// that share a byte must not be written at once, though they share no bit. A
// range that its mask does not hold ends the process. All O(1).
//
//   const MaskView page(mask, /*first=*/4096 * number, /*bits=*/4096);
//   if (NoneSet(page)) return;
template <class Byte>
class BasicMaskSpan {
 public:
  static_assert(std::is_same_v<std::remove_const_t<Byte>, uint8_t>);

  // No bits.
  BasicMaskSpan() = default;

  // All bits of `mask`, its spare bits too.
  template <class Mask>
    requires std::is_convertible_v<Mask&&, std::span<Byte>>
  BasicMaskSpan(Mask&& mask) {  // NOLINT(google-explicit-constructor)
    const std::span<Byte> bytes(mask);
    data_ = bytes.data();
    bits_ = bytes.size() * 8;
  }

  // The `bits` bits of `mask` from bit `first` on.
  BasicMaskSpan(std::span<Byte> mask, size_t first, size_t bits)
      : data_(mask.data() + first / 8),
        bit_(static_cast<unsigned>(first % 8)),
        bits_(bits) {
    MMSB_CHECK(first <= mask.size() * 8 && bits <= mask.size() * 8 - first,
               "MaskView: %zu bits from bit %zu, of a mask of %zu bits", bits,
               first, mask.size() * 8);
  }

  // What can be written can be read.
  BasicMaskSpan(const BasicMaskSpan<uint8_t>& other)  // NOLINT
    requires std::is_const_v<Byte>
      : data_(other.data()), bit_(other.first_bit()), bits_(other.bits()) {}

  BasicMaskSpan(const BasicMaskSpan&) = default;
  BasicMaskSpan& operator=(const BasicMaskSpan&) = default;

  size_t bits() const { return bits_; }
  bool empty() const { return bits_ == 0; }

  // Bit `i`, which must be one of bits().
  bool operator[](size_t i) const {
    const size_t at = bit_ + i;
    return (data_[at / 8] >> (at % 8) & 1) != 0;
  }

  // The `bits` bits from bit `first` on.
  BasicMaskSpan Sub(size_t first, size_t bits) const {
    MMSB_CHECK(first <= bits_ && bits <= bits_ - first,
               "MaskView: %zu bits from bit %zu, of %zu bits", bits, first,
               bits_);
    BasicMaskSpan sub = *this;
    const size_t at = bit_ + first;
    sub.data_ += at / 8;
    sub.bit_ = static_cast<unsigned>(at % 8);
    sub.bits_ = bits;
    return sub;
  }

  // The byte that holds the first bit, and which of its bits that is.
  Byte* data() const { return data_; }
  unsigned first_bit() const { return bit_; }

 private:
  Byte* data_ = nullptr;
  unsigned bit_ = 0;
  size_t bits_ = 0;
};

using MaskView = BasicMaskSpan<const uint8_t>;
using MaskSpan = BasicMaskSpan<uint8_t>;

// Bytes in a mask of `bits` bits.
constexpr size_t MaskBytes(size_t bits) {
  return bits / 8 + (bits % 8 != 0 ? 1 : 0);
}

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_MASK_VIEW_H_
