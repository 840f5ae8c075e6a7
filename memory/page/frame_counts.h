#ifndef MMSB_MEMORY_PAGE_FRAME_COUNTS_H_
#define MMSB_MEMORY_PAGE_FRAME_COUNTS_H_

#include <cstddef>
#include <cstdint>

#include "memory/page/frame_layout.h"

namespace mmsb {

// What an allocator knows of one huge frame beside its bitmap, in 64 bits, so
// that one compare-exchange takes anything from a single frame to all 512:
//
//   bits 7 w to 7 w + 6   free frames of word w, 0 to 64
//   bit 63                no memory may be behind the frames yet
//
// Pure functions; words are from 0 to kWordsPerHuge - 1.
namespace frame_counts {

inline constexpr int kBits = 7;
inline constexpr uint64_t kUncommitted = uint64_t{1} << 63;

// `frames` frames of word `word`: added or subtracted.
[[nodiscard]] constexpr uint64_t Of(int word, uint64_t frames) {
  return frames << (kBits * word);
}

// The free frames of word `word`.
[[nodiscard]] constexpr size_t At(uint64_t counts, int word) {
  return static_cast<size_t>(counts >> (kBits * word) & 127);
}

// All the free frames.
[[nodiscard]] constexpr size_t Total(uint64_t counts) {
  // Two words at a time, so that every sum has 14 bits; the product adds the
  // four pairs up in the highest one.
  constexpr uint64_t kOnes =
      uint64_t{1} << 42 | uint64_t{1} << 28 | 1 << 14 | 1;
  constexpr uint64_t kEven = 127 * kOnes;
  const uint64_t pairs = (counts & kEven) + (counts >> kBits & kEven);
  return static_cast<size_t>(pairs * kOnes >> 42 & 0x3fff);
}

// `words` whole words from `first` on.
[[nodiscard]] constexpr uint64_t WholeWords(int first, int words) {
  uint64_t counts = 0;
  for (int w = first; w < first + words; ++w) counts += Of(w, kFramesPerWord);
  return counts;
}

// Of a huge frame that has only its first `frames` frames, all free.
[[nodiscard]] constexpr uint64_t AllFree(size_t frames) {
  uint64_t counts = 0;
  for (int w = 0; w < kWordsPerHuge && frames != 0; ++w) {
    const size_t here = frames < kFramesPerWord ? frames : kFramesPerWord;
    counts += Of(w, here);
    frames -= here;
  }
  return counts;
}

}  // namespace frame_counts
}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_FRAME_COUNTS_H_
