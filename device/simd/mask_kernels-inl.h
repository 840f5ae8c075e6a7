// What the kernels of several files share: 64 bytes at a time, and one 64-bit
// word of mask bits for them. Included once for each target.

// Per-target include guard.
#if defined(MMSB_DEVICE_SIMD_MASK_KERNELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MMSB_DEVICE_SIMD_MASK_KERNELS_INL_H_
#undef MMSB_DEVICE_SIMD_MASK_KERNELS_INL_H_
#else
#define MMSB_DEVICE_SIMD_MASK_KERNELS_INL_H_
#endif

#include <atomic>
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

// Bytes of which the mask is made before it is counted or moved to its place.
constexpr size_t kBlockBytes = 4096;

// Whether bits are counted by an instruction on vectors: then those of a block
// are counted together, and its words need not come through other registers.
constexpr bool kCountsInVectors = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL;

// From so many bytes on the inputs lie beyond the cache that the hardware
// fetches ahead from by itself: they are asked for kAheadBytes before their
// use.
constexpr size_t kAheadFromBytes = size_t{1} << 20;
constexpr size_t kAheadBytes = 1024;

// From so many bytes on no cache is taken to hold the two inputs. Then the mask
// is written around the caches, a block at a time, so that its lines are not
// read before; and the inputs are not asked for ahead, which gains nothing
// there.
constexpr size_t kStreamBytes = size_t{32} << 20;

// A MaskLoop's visitor that has the bits counted and sees no word.
struct OnlyCount {
  static constexpr bool kOnlyCounts = true;
  size_t differing = 0;
};

// Keeps the compiler from making one vector of words of the mask that are
// stored beside each other: the moves into it take longer than the stores.
// The fence is the compiler's alone.
HWY_INLINE void Apart() { std::atomic_signal_fence(std::memory_order_acq_rel); }

// The mask of the kTurnBytes bytes from `i` on, to `words` and `out`; returns
// how many of them differ, where that is asked.
template <bool kAhead, bool kCounts>
HWY_INLINE size_t MaskTurn(const uint8_t* HWY_RESTRICT before,
                           const uint8_t* HWY_RESTRICT after, size_t i,
                           uint64_t (&words)[kTurnWords],
                           uint8_t* HWY_RESTRICT out) {
  const ByteTag tag;
  before += i;
  after += i;
  if constexpr (kAhead) {
    for (size_t w = 0; w < kTurnWords; ++w) {
      hwy::Prefetch(before + w * kWordBytes + kAheadBytes);
      hwy::Prefetch(after + w * kWordBytes + kAheadBytes);
    }
  }
  size_t differing = 0;
  for (size_t w = 0; w < kTurnWords; ++w) {
    words[w] = WordOf(tag, before + w * kWordBytes, after + w * kWordBytes);
    std::memcpy(out + w * 8, &words[w], sizeof(words[w]));
    Apart();
    if constexpr (kCounts) differing += hwy::PopCount(words[w]);
  }
  return differing;
}

// Has those of the mask's words for the bytes from `i` on visited that are
// not 0.
template <class Visit>
HWY_INLINE void VisitTurn(const uint64_t (&words)[kTurnWords], size_t i,
                          Visit& visit) {
  if ((words[0] | words[1] | words[2] | words[3]) == 0) return;
  for (size_t w = 0; w < kTurnWords; ++w) {
    if (words[w] != 0) visit(words[w], i + w * kWordBytes);
  }
}

// The same for a block, of which most often no byte differs.
template <class Visit>
HWY_INLINE void VisitBlock(const uint8_t* HWY_RESTRICT mask, size_t i,
                           Visit& visit) {
  const ByteTag tag;
  ByteVector any = hn::Zero(tag);
  for (size_t j = 0; j < kBlockBytes / 8; j += hn::Lanes(tag)) {
    any = hn::Or(any, hn::LoadU(tag, mask + j));
  }
  if (hn::AllTrue(tag, hn::Eq(any, hn::Zero(tag)))) return;
  for (size_t j = 0; j < kBlockBytes; j += kTurnBytes) {
    uint64_t words[kTurnWords];
    std::memcpy(words, mask + j / 8, sizeof(words));
    VisitTurn(words, i + j, visit);
  }
}

// The masks of whole blocks from byte `i` on, for as long as `left` bytes are
// left; returns where it ended. The mask of the block at `i` is made at
// put.PlaceOf(i).
template <bool kAhead, class Visit, class Put>
HWY_INLINE size_t MaskBlocks(const uint8_t* HWY_RESTRICT before,
                             const uint8_t* HWY_RESTRICT after, size_t i,
                             size_t end, size_t left, Visit& visit,
                             const Put& put) {
  const hn::ScalableTag<uint64_t> tag;
  const hn::Repartition<uint8_t, decltype(tag)> byte_tag;
  auto sum = hn::Zero(tag);
  for (; end - i >= left; i += kBlockBytes) {
    uint8_t* const out = put.PlaceOf(i);
    for (size_t j = 0; j < kBlockBytes; j += kTurnBytes) {
      uint64_t words[kTurnWords];
      const size_t differing = MaskTurn < kAhead,
                   Visit::kOnlyCounts &&
                       !kCountsInVectors >
                           (before, after, i + j, words, out + j / 8);
      if constexpr (Visit::kOnlyCounts) visit.differing += differing;
    }
    if constexpr (!Visit::kOnlyCounts) {
      VisitBlock(out, i, visit);
    } else if constexpr (kCountsInVectors) {
      for (size_t j = 0; j < kBlockBytes / 8; j += hn::Lanes(byte_tag)) {
        const auto bits = hn::BitCast(tag, hn::LoadU(byte_tag, out + j));
        sum = hn::Add(sum, hn::PopulationCount(bits));
      }
    }
    put.Finish(i);
  }
  if constexpr (Visit::kOnlyCounts && kCountsInVectors) {
    visit.differing += hn::ReduceSum(tag, sum);
  }
  return i;
}

// Where MaskBlocks puts a mask: in its place,
struct InPlace {
  HWY_INLINE uint8_t* PlaceOf(size_t i) const { return mask + i / 8; }
  HWY_INLINE void Finish(size_t) const {}
  uint8_t* mask;
};

// or in a buffer, and from there around the caches to its place, which is
// aligned to a line.
struct AroundCaches {
  HWY_INLINE uint8_t* PlaceOf(size_t) const {
    return reinterpret_cast<uint8_t*>(block);
  }
  HWY_INLINE void Finish(size_t i) const {
    const hn::CappedTag<uint64_t, 8> tag;
    auto* const out = reinterpret_cast<uint64_t*>(mask + i / 8);
    for (size_t w = 0; w < kBlockBytes / kWordBytes; w += hn::Lanes(tag)) {
      hn::Stream(hn::Load(tag, block + w), tag, out + w);
    }
  }
  uint8_t* mask;
  uint64_t* block;
};

// Stores the lowest `count` bytes of a word, 1 to 8.
HWY_INLINE void StoreSome(uint64_t word, size_t count, uint8_t* out) {
  const auto store = [&](auto part, size_t at) {
    std::memcpy(out + at, &part, sizeof(part));
  };
  if (count == 8) {
    store(word, 0);
  } else if (count >= 4) {
    store(static_cast<uint32_t>(word), 0);
    store(static_cast<uint32_t>(word >> ((count - 4) * 8)), count - 4);
  } else {
    store(static_cast<uint8_t>(word), 0);
    store(static_cast<uint8_t>(word >> (count / 2 * 8)), count / 2);
    store(static_cast<uint8_t>(word >> ((count - 1) * 8)), count - 1);
  }
}

// The bytes from `i` to `end` of MaskLoop; `i` is a multiple of 8.
template <class Visit>
HWY_INLINE void MaskPart(const uint8_t* HWY_RESTRICT before,
                         const uint8_t* HWY_RESTRICT after, size_t i,
                         size_t end, uint8_t* HWY_RESTRICT mask, Visit& visit) {
  const ByteTag tag;
  const auto meet = [&](uint64_t word) HWY_ATTR {
    if constexpr (Visit::kOnlyCounts) {
      visit.differing += hwy::PopCount(word);
    } else if (word != 0) {
      visit(word, i);
    }
  };
  i = MaskBlocks<false>(before, after, i, end, kBlockBytes, visit,
                        InPlace{mask});
  for (; end - i >= kTurnBytes; i += kTurnBytes) {
    uint64_t words[kTurnWords];
    const size_t differing = MaskTurn<false, Visit::kOnlyCounts>(
        before, after, i, words, mask + i / 8);
    if constexpr (Visit::kOnlyCounts) {
      visit.differing += differing;
    } else {
      VisitTurn(words, i, visit);
    }
  }
  for (; end - i >= kWordBytes; i += kWordBytes) {
    const uint64_t word = WordOf(tag, before + i, after + i);
    std::memcpy(mask + i / 8, &word, sizeof(word));
    meet(word);
  }
  if (i != end) {
    const uint64_t word = PartialWordOf(tag, before + i, after + i, end - i);
    StoreSome(word, (end - i + 7) / 8, mask + i / 8);
    meet(word);
  }
}

// MaskLoop, of so many bytes that caches matter.
template <class Visit>
HWY_NOINLINE Visit MaskLong(const uint8_t* HWY_RESTRICT before,
                            const uint8_t* HWY_RESTRICT after, size_t bytes,
                            uint8_t* HWY_RESTRICT mask, Visit visit) {
  size_t i = 0;
  if (bytes < kStreamBytes) {
    i = MaskBlocks<true>(before, after, i, bytes, kBlockBytes + kAheadBytes,
                         visit, InPlace{mask});
  } else {
    const size_t to_line = (0 - reinterpret_cast<uintptr_t>(mask)) % 64;
    MaskPart(before, after, i, to_line * 8, mask, visit);
    alignas(64) uint64_t block[kBlockBytes / kWordBytes];
    i = MaskBlocks<false>(before, after, to_line * 8, bytes, kBlockBytes, visit,
                          AroundCaches{mask, block});
    hwy::FlushStream();
  }
  MaskPart(before, after, i, bytes, mask, visit);
  return visit;
}

// Writes the mask of where `bytes` bytes differ. The visitor, as it is
// afterwards, is returned: an OnlyCount has counted how many differ; another is
// called, visit(word, i), for each word of the mask that is not 0, in order,
// where i is the first byte that the word describes.
template <class Visit>
HWY_INLINE Visit MaskLoop(const uint8_t* HWY_RESTRICT before,
                          const uint8_t* HWY_RESTRICT after, size_t bytes,
                          uint8_t* HWY_RESTRICT mask, Visit visit) {
  if (HWY_UNLIKELY(bytes >= kAheadFromBytes)) {
    return MaskLong(before, after, bytes, mask, visit);
  }
  MaskPart(before, after, 0, bytes, mask, visit);
  return visit;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
