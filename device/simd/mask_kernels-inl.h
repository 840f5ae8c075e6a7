// What the kernels of several files share: 64 bytes at a time, and one 64-bit
// word of mask bits for them. Included once for each target.

// Per-target include guard.
#if defined(MMSB_DEVICE_SIMD_MASK_KERNELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MMSB_DEVICE_SIMD_MASK_KERNELS_INL_H_
#undef MMSB_DEVICE_SIMD_MASK_KERNELS_INL_H_
#else
#define MMSB_DEVICE_SIMD_MASK_KERNELS_INL_H_
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mmsb {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

static_assert(std::endian::native == std::endian::little,
              "a word of mask bits is stored as it lies in a register");

// Bytes that one 64-bit word of mask bits describes.
constexpr size_t kWordBytes = 64;

// No more lanes than a word has bits. The number of lanes is a power of two, so
// it divides kWordBytes.
using ByteTag = hn::CappedTag<uint8_t, kWordBytes>;
using ByteVector = hn::Vec<ByteTag>;

// Lane i of `lanes` is bit i of the result.
template <class Mask>
HWY_INLINE uint64_t BitsOf(ByteTag tag, Mask lanes) {
#if HWY_MAX_BYTES <= 64
  return hn::BitsFromMask(tag, lanes);
#else
  uint64_t bits = 0;
  uint8_t stored[8] = {};
  hn::StoreMaskBits(tag, lanes, stored);
  std::memcpy(&bits, stored, sizeof(bits));
  return bits;
#endif
}

// Bit i of `bits` is lane i of the result; bits beyond the lanes are ignored.
HWY_INLINE hn::Mask<ByteTag> LanesOf(ByteTag tag, uint64_t bits) {
  const size_t lanes = hn::Lanes(tag);
  if (lanes < 64) bits &= (uint64_t{1} << lanes) - 1;
  uint8_t stored[8];
  std::memcpy(stored, &bits, sizeof(bits));
  return hn::LoadMaskBits(tag, stored);
}

// Mask bits of the kWordBytes bytes at `before` and `after`: 1 where they
// differ.
HWY_INLINE uint64_t WordOf(ByteTag tag, const uint8_t* before,
                           const uint8_t* after) {
  const size_t lanes = hn::Lanes(tag);
  uint64_t word = 0;
  for (size_t i = 0; i < kWordBytes; i += lanes) {
    const auto differs =
        hn::Ne(hn::LoadU(tag, before + i), hn::LoadU(tag, after + i));
    word |= BitsOf(tag, differs) << i;
  }
  return word;
}

// The same for the last `bytes` < kWordBytes; the bits beyond them are 0,
// because LoadN fills both sides with zeros.
HWY_INLINE uint64_t PartialWordOf(ByteTag tag, const uint8_t* before,
                                  const uint8_t* after, size_t bytes) {
  const size_t lanes = hn::Lanes(tag);
  uint64_t word = 0;
  for (size_t i = 0; i < bytes; i += lanes) {
    const auto differs = hn::Ne(hn::LoadN(tag, before + i, bytes - i),
                                hn::LoadN(tag, after + i, bytes - i));
    word |= BitsOf(tag, differs) << i;
  }
  return word;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
