#include "device/simd/byte_mask.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "device/simd/mask_view.h"
#include "primitives/check.h"

// Highway includes this file once for each target, through the name given here.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/simd/byte_mask.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h, which it needs.
#include "device/simd/mask_kernels-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mmsb {
namespace HWY_NAMESPACE {
namespace {

void BytesFromMaskKernel(const uint8_t* HWY_RESTRICT bits, size_t count,
                         uint8_t* HWY_RESTRICT bytes) {
  const ByteTag tag;
  const size_t lanes = hn::Lanes(tag);
  const ByteVector one = hn::Set(tag, uint8_t{1});
  size_t i = 0;
  for (; count - i >= kWordBytes; i += kWordBytes) {
    uint64_t word;
    std::memcpy(&word, bits + i / 8, sizeof(word));
    for (size_t j = 0; j < kWordBytes; j += lanes) {
      hn::StoreU(hn::IfThenElseZero(LanesOf(tag, word >> j), one), tag,
                 bytes + i + j);
    }
  }
  if (const size_t rest = count - i; rest != 0) {
    uint64_t word = 0;
    std::memcpy(&word, bits + i / 8, (rest + 7) / 8);
    for (size_t j = 0; j < rest; j += lanes) {
      hn::StoreN(hn::IfThenElseZero(LanesOf(tag, word >> j), one), tag,
                 bytes + i + j, rest - j);
    }
  }
}

size_t MaskFromBytesKernel(const uint8_t* HWY_RESTRICT bytes, size_t count,
                           uint8_t* HWY_RESTRICT bits) {
  const ByteTag tag;
  const size_t lanes = hn::Lanes(tag);
  const ByteVector zero = hn::Zero(tag);
  size_t set = 0;
  size_t i = 0;
  for (; count - i >= kWordBytes; i += kWordBytes) {
    uint64_t word = 0;
    for (size_t j = 0; j < kWordBytes; j += lanes) {
      word |= BitsOf(tag, hn::Ne(hn::LoadU(tag, bytes + i + j), zero)) << j;
    }
    set += hwy::PopCount(word);
    std::memcpy(bits + i / 8, &word, sizeof(word));
  }
  if (const size_t rest = count - i; rest != 0) {
    uint64_t word = 0;
    for (size_t j = 0; j < rest; j += lanes) {
      word |= BitsOf(tag, hn::Ne(hn::LoadN(tag, bytes + i + j, rest - j), zero))
              << j;
    }
    set += hwy::PopCount(word);
    std::memcpy(bits + i / 8, &word, (rest + 7) / 8);
  }
  return set;
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mmsb {
namespace {

HWY_EXPORT(BytesFromMaskKernel);
HWY_EXPORT(MaskFromBytesKernel);

void CheckSizes(const char* function, size_t bytes, size_t bits_bytes) {
  MMSB_CHECK(bits_bytes == MaskBytes(bytes),
             "%s: bits has %zu bytes, %zu flags need %zu", function, bits_bytes,
             bytes, MaskBytes(bytes));
}

}  // namespace

void BytesFromMask(std::span<const uint8_t> bits, std::span<uint8_t> bytes) {
  CheckSizes("BytesFromMask", bytes.size(), bits.size());
  HWY_DYNAMIC_DISPATCH(BytesFromMaskKernel)(bits.data(), bytes.size(),
                                            bytes.data());
}

size_t MaskFromBytes(std::span<const uint8_t> bytes, std::span<uint8_t> bits) {
  CheckSizes("MaskFromBytes", bytes.size(), bits.size());
  return HWY_DYNAMIC_DISPATCH(MaskFromBytesKernel)(bytes.data(), bytes.size(),
                                                   bits.data());
}

}  // namespace mmsb
#endif  // HWY_ONCE
