#ifndef MMSB_DEVICE_SIMD_TESTING_SIMD_MASK_REFERENCE_H_
#define MMSB_DEVICE_SIMD_TESTING_SIMD_MASK_REFERENCE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mmsb {

// What GenerateMask means, a byte at a time: the oracle of its tests and the
// scalar row of its benchmark. The spans are as GenerateMask wants them;
// nothing is checked.
inline size_t GenerateMaskReference(std::span<const std::byte> before,
                                    std::span<const std::byte> after,
                                    std::span<uint8_t> mask) {
  std::fill(mask.begin(), mask.end(), uint8_t{0});
  size_t differing = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] == after[i]) continue;
    mask[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
    ++differing;
  }
  return differing;
}

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_TESTING_SIMD_MASK_REFERENCE_H_
