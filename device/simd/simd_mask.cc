#include "device/simd/simd_mask.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "primitives/check.h"

// Highway includes this file once for each target, through the name given here.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/simd/simd_mask.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h, which it needs.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mmsb {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

static_assert(std::endian::native == std::endian::little,
              "a word of mask bits is stored as it lies in a register");

// Bytes that one 64-bit word of mask bits describes.
constexpr size_t kWordBytes = 64;
// Words assembled in one turn of the main loop.
constexpr size_t kUnrolledWords = 4;

// No more lanes than a word has bits. The number of lanes is a power of two, so
// it divides kWordBytes.
using ByteTag = hn::CappedTag<uint8_t, kWordBytes>;

// Lane i of `differs` is bit i of the result.
template <class Mask>
HWY_INLINE uint64_t BitsOf(ByteTag tag, Mask differs) {
#if HWY_MAX_BYTES <= 64
  return hn::BitsFromMask(tag, differs);
#else
  uint64_t bits = 0;
  uint8_t stored[8] = {};
  hn::StoreMaskBits(tag, differs, stored);
  std::memcpy(&bits, stored, sizeof(bits));
  return bits;
#endif
}

// Mask bits of the kWordBytes bytes at `before` and `after`.
HWY_INLINE uint64_t WordOf(ByteTag tag, const uint8_t* before,
                           const uint8_t* after) {
  const size_t lanes = hn::Lanes(tag);
  uint64_t word = 0;
  for (size_t i = 0; i < kWordBytes; i += lanes) {
    const auto differs =
        hn::Ne(hn::LoadU(tag, before + i), hn::LoadU(tag, after + i));
    word |= BitsOf(tag, differs) << i;
  }
  return word;
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

size_t GenerateMaskKernel(const uint8_t* HWY_RESTRICT before,
                          const uint8_t* HWY_RESTRICT after, size_t bytes,
                          uint8_t* HWY_RESTRICT mask) {
  const ByteTag tag;
  size_t differing = 0;
  size_t i = 0;
  for (; bytes - i >= kUnrolledWords * kWordBytes;
       i += kUnrolledWords * kWordBytes) {
    // All loads before the first store: faster where mask and inputs lie at the
    // same offset in their pages.
    uint64_t words[kUnrolledWords];
    for (size_t w = 0; w < kUnrolledWords; ++w) {
      words[w] =
          WordOf(tag, before + i + w * kWordBytes, after + i + w * kWordBytes);
    }
    for (size_t w = 0; w < kUnrolledWords; ++w) {
      differing += hwy::PopCount(words[w]);
      std::memcpy(mask + i / 8 + w * 8, &words[w], sizeof(words[w]));
    }
  }
  for (; bytes - i >= kWordBytes; i += kWordBytes) {
    const uint64_t word = WordOf(tag, before + i, after + i);
    differing += hwy::PopCount(word);
    std::memcpy(mask + i / 8, &word, sizeof(word));
  }
  if (const size_t rest = bytes - i; rest != 0) {
    const uint64_t word = PartialWordOf(tag, before + i, after + i, rest);
    differing += hwy::PopCount(word);
    std::memcpy(mask + i / 8, &word, (rest + 7) / 8);
  }
  return differing;
}

const char* TargetNameKernel() { return hwy::TargetName(HWY_TARGET); }

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mmsb {
namespace {

HWY_EXPORT(GenerateMaskKernel);
HWY_EXPORT(TargetNameKernel);

}  // namespace

size_t GenerateMask(std::span<const std::byte> before,
                    std::span<const std::byte> after, std::span<uint8_t> mask) {
  const size_t bytes = before.size();
  MMSB_CHECK(after.size() == bytes,
             "GenerateMask: before has %zu bytes, after has %zu", bytes,
             after.size());
  const size_t mask_bytes = bytes / 8 + (bytes % 8 != 0 ? 1 : 0);
  MMSB_CHECK(mask.size() == mask_bytes,
             "GenerateMask: mask has %zu bytes, %zu bytes compared need %zu",
             mask.size(), bytes, mask_bytes);
  return HWY_DYNAMIC_DISPATCH(GenerateMaskKernel)(
      reinterpret_cast<const uint8_t*>(before.data()),
      reinterpret_cast<const uint8_t*>(after.data()), bytes, mask.data());
}

std::string_view ActiveSimdTarget() {
  return HWY_DYNAMIC_DISPATCH(TargetNameKernel)();
}

}  // namespace mmsb
#endif  // HWY_ONCE
