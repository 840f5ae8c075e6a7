#ifndef MMSB_DEVICE_SIMD_SIMD_MASK_H_
#define MMSB_DEVICE_SIMD_SIMD_MASK_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace mmsb {

// Where two equally long spans of bytes differ: as a mask, or in short. What to
// do with masks is in mask_algebra.h, mask_runs.h and byte_mask.h.
//
// Of all functions here. Nothing outside the spans is read or written, whatever
// their alignment and length. `before` and `after` may be the same memory;
// `mask` overlaps neither. They run on the best instruction set of the machine
// (simd_target.h).
//
// Thread-safety: no state; any number of threads at once.
// Failure: sizes that do not match end the process with the sizes in the
// message, in every build.
// Complexity: O(n), one pass at the speed of memory; no allocation.
//
//   std::vector<uint8_t> mask((before.size() + 7) / 8);
//   if (GenerateMask(before, after, mask) == 0) return;  // nothing changed

// Compares byte by byte and writes one bit a byte to `mask`, LSB first: bit
// i % 8 of mask[i / 8] is 1 where before[i] != after[i]. The spare bits of the
// last byte are 0. Returns how many bytes differ. mask.size() must be
// (before.size() + 7) / 8; all of it is written.
size_t GenerateMask(std::span<const std::byte> before,
                    std::span<const std::byte> after, std::span<uint8_t> mask);

// The same at a coarser grain: one bit a block of `block_bytes` bytes, 1 where
// any of its bytes differs. The last block may be shorter. Returns how many
// blocks differ. `block_bytes` is 8 (a word), 64 (a cache line) or any other
// multiple of 64 (a page); mask.size() must be the number of blocks, plus 7,
// divided by 8.
size_t GenerateBlockMask(std::span<const std::byte> before,
                         std::span<const std::byte> after, size_t block_bytes,
                         std::span<uint8_t> mask);

// Whether any byte differs; looks no further than a few vectors behind it.
bool AnyDifference(std::span<const std::byte> before,
                   std::span<const std::byte> after);

// The index of the first byte that differs, or the spans' size when none does.
// Looks no further than a few vectors behind it.
size_t FirstDifference(std::span<const std::byte> before,
                       std::span<const std::byte> after);

// How many bytes differ, or `limit` when there are more: looks no further than
// 4 KiB behind the byte that makes them `limit`.
size_t CountDifferences(std::span<const std::byte> before,
                        std::span<const std::byte> after,
                        size_t limit = std::numeric_limits<size_t>::max());

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_SIMD_MASK_H_
