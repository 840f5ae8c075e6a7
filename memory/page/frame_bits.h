#ifndef MMSB_MEMORY_PAGE_FRAME_BITS_H_
#define MMSB_MEMORY_PAGE_FRAME_BITS_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "memory/page/frame_layout.h"

namespace mmsb {

// Arithmetic on one word of a bitmap: bit i is frame i, and set when the frame
// is allocated. Pure functions; orders are from 0 to kWordOrder.

// The bits of the run of that order that starts at bit `start`.
[[nodiscard]] constexpr uint64_t RunMask(int start, int order) {
  return (order == kWordOrder ? ~uint64_t{0}
                              : (uint64_t{1} << (1 << order)) - 1)
         << start;
}

// A bit for each place where a run of that order may start.
[[nodiscard]] constexpr uint64_t RunStarts(int order) {
  // A table, as the quotient ~0 / RunMask(0, order) takes longer than all else.
  constexpr uint64_t kStarts[kWordOrder + 1] = {
      ~uint64_t{0},       0x5555555555555555, 0x1111111111111111,
      0x0101010101010101, 0x0001000100010001, 0x0000000100000001,
      0x0000000000000001};
  return kStarts[order];
}

// Where a free run of that order starts; -1 when there is none. Of several it
// is the lowest of those that break up the smallest larger run, so that larger
// runs last.
[[nodiscard]] constexpr int FindRun(uint64_t allocated, int order) {
  if (allocated == 0) return 0;
  uint64_t starts = ~allocated;
  for (int i = 0; i < order; ++i) starts &= starts >> (1 << i);
  starts &= RunStarts(order);
  if (starts == 0) return -1;
  // Ends, as some larger run has an allocated frame.
  for (;; ++order) {
    const int size = 1 << order;
    const uint64_t pairs = starts & (starts >> size) & RunStarts(order + 1);
    const uint64_t alone = starts & ~(pairs | pairs << size);
    if (alone != 0) return std::countr_zero(alone);
    starts = pairs;
  }
}

// The bits of `n` free frames, or of all when there are fewer: those of the
// smallest free runs, the lowest first, so that larger runs last.
[[nodiscard]] constexpr uint64_t PickFrames(uint64_t allocated, size_t n) {
  uint64_t picked = 0;
  uint64_t starts = ~allocated;
  for (int order = 0; order <= kWordOrder; ++order) {
    const int size = 1 << order;
    const uint64_t pairs =
        order == kWordOrder ? 0
                            : starts & (starts >> size) & RunStarts(order + 1);
    // Of the runs that are not halves of free ones.
    uint64_t alone =
        starts & ~(pairs | (order == kWordOrder ? 0 : pairs << size));
    for (; alone != 0; alone &= alone - 1) {
      const int start = std::countr_zero(alone);
      if (static_cast<size_t>(size) >= n) {
        return picked | ((~uint64_t{0} >> (kFramesPerWord - n)) << start);
      }
      picked |= RunMask(start, order);
      n -= static_cast<size_t>(size);
    }
    starts = pairs;
  }
  return picked;
}

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_FRAME_BITS_H_
