#include "device/simd/simd_mask.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "device/simd/mask_view.h"
#include "primitives/check.h"

// Highway includes this file once for each target, through the name given here.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/simd/simd_mask.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h, which it needs.
#include "device/simd/mask_kernels-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mmsb {
namespace HWY_NAMESPACE {
namespace {

size_t GenerateMaskKernel(const uint8_t* HWY_RESTRICT before,
                          const uint8_t* HWY_RESTRICT after, size_t bytes,
                          uint8_t* HWY_RESTRICT mask) {
  return MaskLoop(before, after, bytes, mask, OnlyCount()).differing;
}

// Whether any of the kTurnBytes bytes differs.
HWY_INLINE bool TurnDiffers(ByteTag tag, const uint8_t* before,
                            const uint8_t* after) {
  const size_t lanes = hn::Lanes(tag);
  ByteVector differing = hn::Zero(tag);
  for (size_t i = 0; i < kTurnBytes; i += lanes) {
    differing = hn::Or(differing, hn::Xor(hn::LoadU(tag, before + i),
                                          hn::LoadU(tag, after + i)));
  }
  return !hn::AllTrue(tag, hn::Eq(differing, hn::Zero(tag)));
}

// Words of a span shorter than kTurnBytes.
HWY_INLINE uint64_t WordAt(ByteTag tag, const uint8_t* before,
                           const uint8_t* after, size_t bytes) {
  return bytes >= kWordBytes ? WordOf(tag, before, after)
                             : PartialWordOf(tag, before, after, bytes);
}

bool AnyDifferenceKernel(const uint8_t* HWY_RESTRICT before,
                         const uint8_t* HWY_RESTRICT after, size_t bytes) {
  const ByteTag tag;
  size_t i = 0;
  for (; bytes - i >= kTurnBytes; i += kTurnBytes) {
    if (TurnDiffers(tag, before + i, after + i)) return true;
  }
  for (; i < bytes; i += kWordBytes) {
    if (WordAt(tag, before + i, after + i, bytes - i) != 0) return true;
    if (bytes - i <= kWordBytes) break;
  }
  return false;
}

size_t FirstDifferenceKernel(const uint8_t* HWY_RESTRICT before,
                             const uint8_t* HWY_RESTRICT after, size_t bytes) {
  const ByteTag tag;
  size_t i = 0;
  while (bytes - i >= kTurnBytes && !TurnDiffers(tag, before + i, after + i)) {
    i += kTurnBytes;
  }
  while (i < bytes) {
    const uint64_t word = WordAt(tag, before + i, after + i, bytes - i);
    if (word != 0) return i + hwy::Num0BitsBelowLS1Bit_Nonzero64(word);
    if (bytes - i <= kWordBytes) break;
    i += kWordBytes;
  }
  return bytes;
}

size_t CountDifferencesKernel(const uint8_t* HWY_RESTRICT before,
                              const uint8_t* HWY_RESTRICT after, size_t bytes,
                              size_t limit) {
  constexpr size_t kBatchBytes = 4096;
  const ByteTag tag;
  size_t differing = 0;
  for (size_t begin = 0; begin < bytes && differing < limit;) {
    const size_t end = begin + HWY_MIN(bytes - begin, kBatchBytes);
    size_t i = begin;
    for (; end - i >= kWordBytes; i += kWordBytes) {
      differing += hwy::PopCount(WordOf(tag, before + i, after + i));
    }
    if (i != end) {
      differing +=
          hwy::PopCount(PartialWordOf(tag, before + i, after + i, end - i));
    }
    begin = end;
  }
  return HWY_MIN(differing, limit);
}

// Stores the bits of blocks, of which the `number`-th is the lowest of `word`:
// those of a whole word, or of the last.
HWY_INLINE size_t PutBlocks(uint64_t word, size_t number, size_t blocks,
                            uint8_t* HWY_RESTRICT mask) {
  std::memcpy(mask + number / 8, &word, (HWY_MIN(blocks - number, 64) + 7) / 8);
  return hwy::PopCount(word);
}

size_t WordMaskKernel(const uint8_t* HWY_RESTRICT before,
                      const uint8_t* HWY_RESTRICT after, size_t bytes,
                      uint8_t* HWY_RESTRICT mask) {
  // Blocks of 8 bytes, as lanes; no more of them than bits in a byte of mask.
  const hn::CappedTag<uint64_t, 8> tag;
  const hn::Repartition<uint8_t, hn::CappedTag<uint64_t, 8>> word_bytes_tag;
  const ByteTag byte_tag;
  const size_t lanes = hn::Lanes(tag);
  const size_t blocks = bytes / 8 + (bytes % 8 != 0 ? 1 : 0);
  size_t differing = 0;
  for (size_t number = 0; number < blocks; number += 64) {
    const size_t begin = number * 8;
    const size_t end = begin + HWY_MIN(bytes - begin, 512);
    uint64_t word = 0;
    size_t i = begin;
    for (; end - i >= kWordBytes; i += kWordBytes) {
      for (size_t j = 0; j < kWordBytes; j += lanes * 8) {
        // At any address, so that no pointer to a word may be made of it.
        const auto b =
            hn::BitCast(tag, hn::LoadU(word_bytes_tag, before + i + j));
        const auto a =
            hn::BitCast(tag, hn::LoadU(word_bytes_tag, after + i + j));
        uint8_t stored[8] = {};
        hn::StoreMaskBits(tag, hn::Ne(b, a), stored);
        word |= static_cast<uint64_t>(stored[0]) << ((i + j - begin) / 8);
      }
    }
    if (i != end) {
      const uint64_t differ =
          PartialWordOf(byte_tag, before + i, after + i, end - i);
      for (size_t block = 0; block < 8; ++block) {
        const bool any = (differ >> (block * 8) & 0xFF) != 0;
        word |= static_cast<uint64_t>(any) << ((i - begin) / 8 + block);
      }
    }
    differing += PutBlocks(word, number, blocks, mask);
  }
  return differing;
}

size_t LineMaskKernel(const uint8_t* HWY_RESTRICT before,
                      const uint8_t* HWY_RESTRICT after, size_t bytes,
                      uint8_t* HWY_RESTRICT mask) {
  const ByteTag tag;
  const size_t lines = bytes / kWordBytes + (bytes % kWordBytes != 0 ? 1 : 0);
  size_t differing = 0;
  for (size_t number = 0; number < lines; number += 64) {
    const size_t end = HWY_MIN(number + 64, lines);
    uint64_t word = 0;
    for (size_t line = number; line < end; ++line) {
      const size_t i = line * kWordBytes;
      const bool any = WordAt(tag, before + i, after + i, bytes - i) != 0;
      word |= static_cast<uint64_t>(any) << (line - number);
    }
    differing += PutBlocks(word, number, lines, mask);
  }
  return differing;
}

size_t BlockMaskKernel(const uint8_t* HWY_RESTRICT before,
                       const uint8_t* HWY_RESTRICT after, size_t bytes,
                       size_t block_bytes, uint8_t* HWY_RESTRICT mask) {
  const size_t blocks =
      bytes / block_bytes + (bytes % block_bytes != 0 ? 1 : 0);
  size_t differing = 0;
  for (size_t number = 0; number < blocks; number += 64) {
    const size_t end = HWY_MIN(number + 64, blocks);
    uint64_t word = 0;
    for (size_t block = number; block < end; ++block) {
      const size_t i = block * block_bytes;
      const bool any = AnyDifferenceKernel(before + i, after + i,
                                           HWY_MIN(bytes - i, block_bytes));
      word |= static_cast<uint64_t>(any) << (block - number);
    }
    differing += PutBlocks(word, number, blocks, mask);
  }
  return differing;
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mmsb {
namespace {

HWY_EXPORT(GenerateMaskKernel);
HWY_EXPORT(WordMaskKernel);
HWY_EXPORT(LineMaskKernel);
HWY_EXPORT(BlockMaskKernel);
HWY_EXPORT(AnyDifferenceKernel);
HWY_EXPORT(FirstDifferenceKernel);
HWY_EXPORT(CountDifferencesKernel);

const uint8_t* BytesOf(std::span<const std::byte> span) {
  return reinterpret_cast<const uint8_t*>(span.data());
}

void CheckSameSize(const char* function, std::span<const std::byte> before,
                   std::span<const std::byte> after) {
  MMSB_CHECK(before.size() == after.size(),
             "%s: before has %zu bytes, after has %zu", function, before.size(),
             after.size());
}

}  // namespace

size_t GenerateMask(std::span<const std::byte> before,
                    std::span<const std::byte> after, std::span<uint8_t> mask) {
  CheckSameSize("GenerateMask", before, after);
  const size_t mask_bytes = MaskBytes(before.size());
  MMSB_CHECK(mask.size() == mask_bytes,
             "GenerateMask: mask has %zu bytes, %zu bytes compared need %zu",
             mask.size(), before.size(), mask_bytes);
  return HWY_DYNAMIC_DISPATCH(GenerateMaskKernel)(
      BytesOf(before), BytesOf(after), before.size(), mask.data());
}

size_t GenerateBlockMask(std::span<const std::byte> before,
                         std::span<const std::byte> after, size_t block_bytes,
                         std::span<uint8_t> mask) {
  CheckSameSize("GenerateBlockMask", before, after);
  MMSB_CHECK(block_bytes == 8 || (block_bytes != 0 && block_bytes % 64 == 0),
             "GenerateBlockMask: blocks of %zu bytes; 8 or a multiple of 64 "
             "there may be",
             block_bytes);
  const size_t bytes = before.size();
  const size_t blocks =
      bytes / block_bytes + (bytes % block_bytes != 0 ? 1 : 0);
  MMSB_CHECK(mask.size() == MaskBytes(blocks),
             "GenerateBlockMask: mask has %zu bytes, %zu blocks need %zu",
             mask.size(), blocks, MaskBytes(blocks));
  if (block_bytes == 8) {
    return HWY_DYNAMIC_DISPATCH(WordMaskKernel)(BytesOf(before), BytesOf(after),
                                                bytes, mask.data());
  }
  if (block_bytes == 64) {
    return HWY_DYNAMIC_DISPATCH(LineMaskKernel)(BytesOf(before), BytesOf(after),
                                                bytes, mask.data());
  }
  return HWY_DYNAMIC_DISPATCH(BlockMaskKernel)(BytesOf(before), BytesOf(after),
                                               bytes, block_bytes, mask.data());
}

bool AnyDifference(std::span<const std::byte> before,
                   std::span<const std::byte> after) {
  CheckSameSize("AnyDifference", before, after);
  return HWY_DYNAMIC_DISPATCH(AnyDifferenceKernel)(
      BytesOf(before), BytesOf(after), before.size());
}

size_t FirstDifference(std::span<const std::byte> before,
                       std::span<const std::byte> after) {
  CheckSameSize("FirstDifference", before, after);
  return HWY_DYNAMIC_DISPATCH(FirstDifferenceKernel)(
      BytesOf(before), BytesOf(after), before.size());
}

size_t CountDifferences(std::span<const std::byte> before,
                        std::span<const std::byte> after, size_t limit) {
  CheckSameSize("CountDifferences", before, after);
  return HWY_DYNAMIC_DISPATCH(CountDifferencesKernel)(
      BytesOf(before), BytesOf(after), before.size(), limit);
}

}  // namespace mmsb
#endif  // HWY_ONCE
