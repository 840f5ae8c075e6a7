#ifndef MMSB_DEVICE_SIMD_BYTE_MASK_H_
#define MMSB_DEVICE_SIMD_BYTE_MASK_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace mmsb {

// Masks of one byte a flag, as bool arrays have them, beside masks of one bit a
// flag (LSB first).
//
// `bits` must have (bytes.size() + 7) / 8 bytes, else the process ends with the
// sizes in the message, in every build; the two do not overlap. Nothing outside
// them is touched.
// Thread-safety: no state. Complexity: O(n); no allocation.
//
//   std::vector<uint8_t> flags(n);
//   BytesFromMask(mask, flags);  // flags[i] is 1 where bit i is, else 0

// Writes 1 for each bit that is 1, and 0 for each that is 0. The spare bits of
// `bits` are not looked at.
void BytesFromMask(std::span<const uint8_t> bits, std::span<uint8_t> bytes);

// Writes a 1 for each byte that is not 0, and returns how many these are. The
// spare bits of the last byte of `bits` are 0.
size_t MaskFromBytes(std::span<const uint8_t> bytes, std::span<uint8_t> bits);

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_BYTE_MASK_H_
