#ifndef MMSB_DEVICE_SIMD_MASK_RUNS_H_
#define MMSB_DEVICE_SIMD_MASK_RUNS_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "device/simd/mask_view.h"

namespace mmsb {

// Bits that are 1, one after another.
struct MaskRun {
  size_t first;
  size_t bits;

  friend bool operator==(const MaskRun&, const MaskRun&) = default;
};

// Calls visit(MaskRun) for each maximal run of bits that are 1, in order: none
// is empty, and between two of them lies a 0. Reads each byte of the mask once,
// 64 bits at a time; O(bits / 64 + runs). Allocates nothing. The mask must not
// be written meanwhile, by `visit` either.
//
//   ForEachRun(dirty_lines, [&](MaskRun run) {
//     Copy(from + run.first * 64, to + run.first * 64, run.bits * 64);
//   });
template <class Visit>
void ForEachRun(MaskView mask, Visit visit);

// The runs of `mask`, after those that `runs` already holds, in O(bits / 64 +
// runs).
void AppendRuns(MaskView mask, std::vector<MaskRun>& runs);

// Sets each bit of `out` to whether it lies in one of `runs`, which need not be
// maximal or in order, and may overlap. A run that `out` does not hold ends the
// process. O(bits of `out` and of the runs); no allocation.
void MaskFromRuns(std::span<const MaskRun> runs, MaskSpan out);

template <class Visit>
void ForEachRun(MaskView mask, Visit visit) {
  const uint8_t* bytes = mask.data();
  size_t begin = 0;  // of the run that is open
  uint64_t open = 0;
  // Looks at the next `count` bits, from bit `at` of the mask on.
  const auto look = [&](uint64_t bits, size_t at, size_t count) {
    // 1 where a bit is not what the bit before it is.
    uint64_t edges = bits ^ (bits << 1 | open);
    if (count < 64) edges &= (uint64_t{1} << count) - 1;
    for (; edges != 0; edges &= edges - 1) {
      const size_t edge = at + static_cast<size_t>(std::countr_zero(edges));
      if (open == 0) {
        begin = edge;
      } else {
        visit(MaskRun{begin, edge - begin});
      }
      open ^= 1;
    }
  };
  size_t at = 0;
  if (mask.first_bit() != 0 && !mask.empty()) {
    const size_t count = std::min<size_t>(8 - mask.first_bit(), mask.bits());
    look(static_cast<uint64_t>(*bytes) >> mask.first_bit(), 0, count);
    at = count;
    ++bytes;
  }
  for (; mask.bits() - at >= 64; at += 64, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, sizeof(word));
    look(word, at, 64);
  }
  if (const size_t rest = mask.bits() - at; rest != 0) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, MaskBytes(rest));
    look(word, at, rest);
  }
  if (open != 0) visit(MaskRun{begin, mask.bits() - begin});
}

static_assert(std::endian::native == std::endian::little,
              "eight bytes of a mask are loaded as one word");

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_MASK_RUNS_H_
