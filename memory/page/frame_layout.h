#ifndef MMSB_MEMORY_PAGE_FRAME_LAYOUT_H_
#define MMSB_MEMORY_PAGE_FRAME_LAYOUT_H_

#include <cstddef>

#include "primitives/bytes.h"

namespace mmsb {

// How a region is divided. A run of order k is 2^k frames that start at a
// multiple of 2^k.
//
//   frame    4 KiB        one bit of a bitmap
//   word     64 frames    the bits of one atomic word
//   huge     512 frames   8 words, the largest run: order 9, 2 MiB
//   tree     8 huge       what one thread reserves: 16 MiB, and one cache line
//                         of counts
inline constexpr size_t kFrameBytes = 4 * kKiB;
inline constexpr int kWordOrder = 6;
inline constexpr int kHugeOrder = 9;
inline constexpr size_t kFramesPerWord = size_t{1} << kWordOrder;
inline constexpr size_t kFramesPerHuge = size_t{1} << kHugeOrder;
inline constexpr int kWordsPerHuge = 8;
inline constexpr size_t kHugeBytes = kFramesPerHuge * kFrameBytes;
inline constexpr size_t kHugesPerTree = 8;
inline constexpr size_t kFramesPerTree = kHugesPerTree * kFramesPerHuge;

// True when runs of that order exist.
[[nodiscard]] constexpr bool IsFrameOrder(int order) {
  return order >= 0 && order <= kHugeOrder;
}

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_FRAME_LAYOUT_H_
