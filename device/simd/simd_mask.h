#ifndef MMSB_DEVICE_SIMD_SIMD_MASK_H_
#define MMSB_DEVICE_SIMD_SIMD_MASK_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mmsb {

// Compares `before` and `after` byte by byte and writes one bit a byte to
// `mask`, LSB first: bit i % 8 of mask[i / 8] is 1 where before[i] != after[i].
// The spare bits of the last byte are 0. Returns how many bytes differ.
//
// Every byte of `mask` is written; nothing outside the three spans is read or
// written, whatever their alignment. `before` and `after` may be the same
// memory; `mask` overlaps neither. Runs on the best instruction set of the
// machine, chosen at the first call.
//
// Thread-safety: no state; any number of threads at once.
// Failure: before.size() != after.size(), or mask.size() other than
// (before.size() + 7) / 8, ends the process with the sizes in the message, in
// every build. Complexity: O(n), one pass at the speed of memory; no
// allocation.
//
//   std::vector<uint8_t> mask((before.size() + 7) / 8);
//   if (GenerateMask(before, after, mask) == 0) return;  // nothing changed
size_t GenerateMask(std::span<const std::byte> before,
                    std::span<const std::byte> after, std::span<uint8_t> mask);

// The instruction set that the kernels of this layer run on, as Highway names
// it: "AVX3_ZEN4", "AVX2", "NEON". Thread-safe; the name lives as long as the
// process.
std::string_view ActiveSimdTarget();

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_SIMD_MASK_H_
