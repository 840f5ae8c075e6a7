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

#include "hwy/cache_control.h"
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

// `bits` as CompressBitsStore and LoadMaskBits want them.
struct StoredBits {
  explicit HWY_INLINE StoredBits(uint64_t bits) {
    std::memcpy(bytes, &bits, sizeof(bits));
  }
  uint8_t bytes[8];
};

// The lowest bits of `bits`, as many as `tag` has lanes.
template <class Tag>
HWY_INLINE uint64_t BitsForLanes(Tag tag, uint64_t bits) {
  const size_t lanes = hn::Lanes(tag);
  return lanes < 64 ? bits & ((uint64_t{1} << lanes) - 1) : bits;
}

// Bit i of `bits` is lane i of the result; bits beyond the lanes are ignored.
template <class Tag>
HWY_INLINE hn::Mask<Tag> LanesOf(Tag tag, uint64_t bits) {
  return hn::LoadMaskBits(tag, StoredBits(BitsForLanes(tag, bits)).bytes);
}

// Mask bits of the kWordBytes bytes at `before` and `after`: 1 where they
// differ.
HWY_INLINE uint64_t WordOf(ByteTag tag, const uint8_t* before,
                           const uint8_t* after) {
  const size_t lanes = hn::Lanes(tag);
  uint64_t word = 0;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  for (size_t i = 0; i < kWordBytes; i += lanes) {
    const auto differs =
        hn::Ne(hn::LoadU(tag, before + i), hn::LoadU(tag, after + i));
    word |= BitsOf(tag, differs) << i;
  }
  return word;
#else
  // Vectors are compared for equality, and one word is inverted faster than
  // several of them.
  for (size_t i = 0; i < kWordBytes; i += lanes) {
    const auto equal =
        hn::Eq(hn::LoadU(tag, before + i), hn::LoadU(tag, after + i));
    word |= BitsOf(tag, equal) << i;
  }
  return ~word;
#endif
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

// Words that kernels look at together, and the bytes they describe.
constexpr size_t kTurnWords = 4;
constexpr size_t kTurnBytes = kTurnWords * kWordBytes;

// Words that MaskPart assembles in one turn. Where a word is made of four
// vectors the compiler would assemble several words in vectors, too, which is
// slower than one word after another in a register.
#if HWY_MAX_BYTES <= 16
constexpr size_t kMaskWords = 1;
#else
constexpr size_t kMaskWords = kTurnWords;
#endif

// From so many bytes on no cache is taken to hold the two inputs: then the mask
// is written around the caches, so that its lines are not read before, and the
// inputs are asked for ahead of the loads, as the hardware itself does not over
// the ends of pages.
constexpr size_t kStreamBytes = size_t{32} << 20;
constexpr size_t kAheadBytes = 4096;

// Calls visit(word, i) for each of the words that is not 0.
template <size_t kWords, class Visit>
HWY_INLINE void VisitWords(const uint64_t (&words)[kWords], size_t i,
                           Visit& visit) {
  if constexpr (!Visit::kIgnores) {
    uint64_t any = 0;
    for (size_t w = 0; w < kWords; ++w) any |= words[w];
    if (any == 0) return;
    for (size_t w = 0; w < kWords; ++w) {
      if (words[w] != 0) visit(words[w], i + w * kWordBytes);
    }
  }
}

// The bytes from `i` to `end` of MaskLoop; `i` is a multiple of 8.
template <class Visit>
HWY_INLINE size_t MaskPart(const uint8_t* HWY_RESTRICT before,
                           const uint8_t* HWY_RESTRICT after, size_t i,
                           size_t end, uint8_t* HWY_RESTRICT mask,
                           Visit& visit) {
  const ByteTag tag;
  size_t differing = 0;
  for (; end - i >= kMaskWords * kWordBytes; i += kMaskWords * kWordBytes) {
    // All loads before the first store: faster where mask and inputs lie at the
    // same offset in their pages.
    uint64_t words[kMaskWords];
    for (size_t w = 0; w < kMaskWords; ++w) {
      words[w] =
          WordOf(tag, before + i + w * kWordBytes, after + i + w * kWordBytes);
    }
    for (size_t w = 0; w < kMaskWords; ++w) {
      differing += hwy::PopCount(words[w]);
      std::memcpy(mask + i / 8 + w * 8, &words[w], sizeof(words[w]));
    }
    VisitWords(words, i, visit);
  }
  while (i < end) {
    const size_t count = HWY_MIN(end - i, kWordBytes);
    const uint64_t words[1] = {
        count == kWordBytes ? WordOf(tag, before + i, after + i)
                            : PartialWordOf(tag, before + i, after + i, count)};
    differing += hwy::PopCount(words[0]);
    std::memcpy(mask + i / 8, &words[0], (count + 7) / 8);
    VisitWords(words, i, visit);
    i += count;
  }
  return differing;
}

#if HWY_TARGET != HWY_SCALAR
// The bytes from `*i` on, as far as whole lines of the mask go and there is
// something to ask for ahead.
template <class Visit>
HWY_INLINE size_t MaskStream(const uint8_t* HWY_RESTRICT before,
                             const uint8_t* HWY_RESTRICT after, size_t* i,
                             size_t end, uint8_t* HWY_RESTRICT mask,
                             Visit& visit) {
  constexpr size_t kWords = 8;
  constexpr size_t kLineBytes = kWords * kWordBytes;
  const ByteTag tag;
  const hn::Full128<uint64_t> pair;
  size_t differing = 0;
  for (; end - *i >= kLineBytes + kAheadBytes; *i += kLineBytes) {
    const uint8_t* const b = before + *i;
    const uint8_t* const a = after + *i;
    uint64_t words[kWords];
    for (size_t w = 0; w < kWords; ++w) {
      hwy::Prefetch(b + w * kWordBytes + kAheadBytes);
      hwy::Prefetch(a + w * kWordBytes + kAheadBytes);
    }
    for (size_t w = 0; w < kWords; ++w) {
      words[w] = WordOf(tag, b + w * kWordBytes, a + w * kWordBytes);
      differing += hwy::PopCount(words[w]);
    }
    auto* const line = reinterpret_cast<uint64_t*>(mask + *i / 8);
    for (size_t w = 0; w < kWords; w += 2) {
      hn::Stream(hn::Dup128VecFromValues(pair, words[w], words[w + 1]), pair,
                 line + w);
    }
    VisitWords(words, *i, visit);
  }
  hwy::FlushStream();
  return differing;
}
#endif

// Writes the mask of where `bytes` bytes differ, and returns how many do; calls
// visit(word, i) for each word of it that is not 0, in order, where i is the
// first byte that the word describes. A Visit with kIgnores is never called.
template <class Visit>
HWY_INLINE size_t MaskLoop(const uint8_t* HWY_RESTRICT before,
                           const uint8_t* HWY_RESTRICT after, size_t bytes,
                           uint8_t* HWY_RESTRICT mask, Visit& visit) {
  size_t i = 0;
  size_t differing = 0;
#if HWY_TARGET != HWY_SCALAR
  if (bytes >= kStreamBytes) {
    const size_t to_line = (0 - reinterpret_cast<uintptr_t>(mask)) % 64;
    differing += MaskPart(before, after, 0, to_line * 8, mask, visit);
    i = to_line * 8;
    differing += MaskStream(before, after, &i, bytes, mask, visit);
  }
#endif
  return differing + MaskPart(before, after, i, bytes, mask, visit);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
