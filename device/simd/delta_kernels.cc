#include "device/simd/delta_kernels.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "device/simd/mask_algebra.h"
#include "device/simd/mask_view.h"
#include "memory/delta/delta.h"
#include "primitives/check.h"

// Highway includes this file once for each target, through the name given here.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/simd/delta_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h, which it needs.
#include "device/simd/mask_kernels-inl.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mmsb {
namespace HWY_NAMESPACE {
namespace {

// Lanes that are expanded at once. AVX2 shuffles within 16 bytes, and would put
// its halves together in memory.
#if HWY_TARGET == HWY_AVX2
using ExpandTag = hn::CappedTag<uint8_t, 16>;
#else
using ExpandTag = ByteTag;
#endif

// Whether Compress and Expand of bytes are one instruction (AVX-512 VBMI2);
// elsewhere Highway takes shuffles from a table, 8 bytes at a time, and few
// bytes are moved faster one by one.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
constexpr size_t kOneByOne = 1;
#else
constexpr size_t kOneByOne = 8;
#endif

// Writes those of the 64 bytes at `from` whose bits are set in `word` to `to`,
// in order, one after another; and anything to the rest of the 64 bytes at
// `to`.
HWY_INLINE void CompressWord(uint64_t word, const uint8_t* HWY_RESTRICT from,
                             uint8_t* HWY_RESTRICT to) {
  const ByteTag tag;
  const size_t lanes = hn::Lanes(tag);
  for (size_t j = 0; j < kWordBytes; j += lanes) {
    const uint64_t part = BitsForLanes(tag, word >> j);
    to += hn::CompressBitsStore(hn::LoadU(tag, from + j),
                                StoredBits(part).bytes, tag, to);
  }
}

// The same one by one: touches nothing but the bytes that are set.
HWY_INLINE void CompressFew(uint64_t word, const uint8_t* HWY_RESTRICT from,
                            uint8_t* HWY_RESTRICT to) {
  for (; word != 0; word &= word - 1) {
    *to++ = from[hwy::Num0BitsBelowLS1Bit_Nonzero64(word)];
  }
}

// Appends the changed bytes of each word to the payload, which has room for all
// bytes: so at a word of 64 bytes there is room for 64 more.
struct AppendPayload {
  static constexpr bool kOnlyCounts = false;

  HWY_INLINE void operator()(uint64_t word, size_t i) {
    const size_t count = hwy::PopCount(word);
    if (count <= kOneByOne || bytes - i < kWordBytes) {
      CompressFew(word, after + i, payload + size);
    } else {
      CompressWord(word, after + i, payload + size);
    }
    size += count;
  }

  const uint8_t* after;
  size_t bytes;
  uint8_t* payload;
  size_t size = 0;
};

size_t MakeDeltaKernel(const uint8_t* HWY_RESTRICT before,
                       const uint8_t* HWY_RESTRICT after, size_t bytes,
                       uint8_t* HWY_RESTRICT mask,
                       uint8_t* HWY_RESTRICT payload) {
  return MaskLoop(before, after, bytes, mask,
                  AppendPayload{after, bytes, payload})
      .size;
}

// Writes the bytes at `from`, in order, to those of the 64 bytes at `page`
// whose bits are set in `word`. `left` bytes can be read from `from`.
HWY_INLINE void ExpandWord(uint64_t word, const uint8_t* HWY_RESTRICT from,
                           size_t left, uint8_t* HWY_RESTRICT page) {
  const ExpandTag tag;
  const size_t lanes = hn::Lanes(tag);
  for (size_t j = 0; j < kWordBytes; j += lanes) {
    const uint64_t part = BitsForLanes(tag, word >> j);
    const auto set = LanesOf(tag, part);
    const auto bytes =
        left >= lanes ? hn::LoadU(tag, from) : hn::LoadN(tag, from, left);
    const auto kept = hn::LoadU(tag, page + j);
    hn::StoreU(hn::IfThenElse(set, hn::Expand(bytes, set), kept), tag,
               page + j);
    const size_t count = hwy::PopCount(part);
    from += count;
    left -= count;
  }
}

HWY_INLINE void ExpandFew(uint64_t word, const uint8_t* HWY_RESTRICT from,
                          uint8_t* HWY_RESTRICT page) {
  for (; word != 0; word &= word - 1) {
    page[hwy::Num0BitsBelowLS1Bit_Nonzero64(word)] = *from++;
  }
}

// Bytes of a page that are left alone together where none of them is set.
constexpr size_t kSkipBytes = 2048;

void ApplyKernel(const uint8_t* HWY_RESTRICT mask,
                 const uint8_t* HWY_RESTRICT payload, size_t payload_bytes,
                 size_t bytes, uint8_t* HWY_RESTRICT page) {
  size_t at = 0;  // in the payload
  const auto apply = [&](uint64_t word, size_t i) HWY_ATTR {
    if (word == ~uint64_t{0}) {
      std::memcpy(page + i, payload + at, kWordBytes);
      at += kWordBytes;
      return;
    }
    const size_t count = hwy::PopCount(word);
    if (count <= kOneByOne || bytes - i < kWordBytes) {
      ExpandFew(word, payload + at, page + i);
    } else {
      ExpandWord(word, payload + at, payload_bytes - at, page + i);
    }
    at += count;
  };
  const ByteTag tag;
  const size_t lanes = hn::Lanes(tag);
  size_t i = 0;
  for (; bytes - i >= kSkipBytes; i += kSkipBytes) {
    // Most of a sparse mask is skipped in vectors.
    ByteVector any = hn::Zero(tag);
    for (size_t j = 0; j < kSkipBytes / 8; j += lanes) {
      any = hn::Or(any, hn::LoadU(tag, mask + i / 8 + j));
    }
    if (hn::AllTrue(tag, hn::Eq(any, hn::Zero(tag)))) continue;
    for (size_t j = i; j < i + kSkipBytes; j += kTurnBytes) {
      uint64_t words[kTurnWords];
      std::memcpy(words, mask + j / 8, sizeof(words));
      if ((words[0] | words[1] | words[2] | words[3]) == 0) continue;
      for (size_t w = 0; w < kTurnWords; ++w) {
        if (words[w] != 0) apply(words[w], j + w * kWordBytes);
      }
    }
  }
  while (i < bytes) {
    const size_t count = HWY_MIN(bytes - i, kWordBytes);
    uint64_t word = 0;
    std::memcpy(&word, mask + i / 8, (count + 7) / 8);
    if (word != 0) apply(word, i);
    i += count;
  }
}

// A mask and its payload, read from the front.
struct Source {
  HWY_INLINE uint64_t Word(size_t i, size_t count) const {
    uint64_t word = 0;
    std::memcpy(&word, mask + i / 8, (count + 7) / 8);
    return word;
  }
  HWY_INLINE size_t Left() const { return bytes - at; }

  const uint8_t* mask;
  const uint8_t* payload;
  size_t bytes;
  size_t at = 0;
};

// Moves `count` <= 64 bytes from the front of `source` to `out`. Where 64 can
// be moved, they are.
HWY_INLINE void Move(Source& source, size_t count, bool room,
                     uint8_t* HWY_RESTRICT out) {
  const uint8_t* const from = source.payload + source.at;
  if (room && source.Left() >= kWordBytes) {
    std::memcpy(out, from, kWordBytes);
  } else {
    std::memcpy(out, from, count);
  }
}

// `first` and `second` have bits in the word; the bytes of the second win.
HWY_INLINE void MergeWord(uint64_t first_word, const uint8_t* first,
                          uint64_t second_word, const uint8_t* second,
                          uint8_t* HWY_RESTRICT out) {
  const ExpandTag tag;
  const size_t lanes = hn::Lanes(tag);
  for (size_t j = 0; j < kWordBytes; j += lanes) {
    const uint64_t first_part = BitsForLanes(tag, first_word >> j);
    const uint64_t second_part = BitsForLanes(tag, second_word >> j);
    const auto in_first = LanesOf(tag, first_part);
    const auto in_second = LanesOf(tag, second_part);
    const auto merged =
        hn::IfThenElse(in_second, hn::Expand(hn::LoadU(tag, second), in_second),
                       hn::Expand(hn::LoadU(tag, first), in_first));
    out += hn::CompressBitsStore(
        merged, StoredBits(first_part | second_part).bytes, tag, out);
    first += hwy::PopCount(first_part);
    second += hwy::PopCount(second_part);
  }
}

// The payload of the composition of two deltas, of `out_bytes` bytes.
void ComposeKernel(const uint8_t* first_mask, const uint8_t* first_payload,
                   size_t first_bytes, const uint8_t* second_mask,
                   const uint8_t* second_payload, size_t second_bytes,
                   size_t bytes, uint8_t* HWY_RESTRICT out, size_t out_bytes) {
  Source first{first_mask, first_payload, first_bytes};
  Source second{second_mask, second_payload, second_bytes};
  size_t at = 0;
  for (size_t i = 0; i < bytes; i += kWordBytes) {
    const size_t count = HWY_MIN(bytes - i, kWordBytes);
    const uint64_t in_first = first.Word(i, count);
    const uint64_t in_second = second.Word(i, count);
    const uint64_t in_any = in_first | in_second;
    if (in_any != 0) {
      const bool room = out_bytes - at >= kWordBytes;
      if (in_any == in_second) {
        Move(second, hwy::PopCount(in_second), room, out + at);
      } else if (in_second == 0) {
        Move(first, hwy::PopCount(in_first), room, out + at);
      } else if (room && first.Left() >= kWordBytes &&
                 second.Left() >= kWordBytes) {
        MergeWord(in_first, first.payload + first.at, in_second,
                  second.payload + second.at, out + at);
      } else {
        uint8_t merged[kWordBytes];
        ExpandFew(in_first, first.payload + first.at, merged);
        ExpandFew(in_second, second.payload + second.at, merged);
        CompressFew(in_any, merged, out + at);
      }
      at += hwy::PopCount(in_any);
      first.at += hwy::PopCount(in_first);
      second.at += hwy::PopCount(in_second);
    }
    if (bytes - i <= kWordBytes) break;
  }
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mmsb {
namespace {

HWY_EXPORT(MakeDeltaKernel);
HWY_EXPORT(ApplyKernel);
HWY_EXPORT(ComposeKernel);

const uint8_t* BytesOf(std::span<const std::byte> span) {
  return reinterpret_cast<const uint8_t*>(span.data());
}

uint8_t* BytesOf(std::span<std::byte> span) {
  return reinterpret_cast<uint8_t*>(span.data());
}

void CheckSameSize(std::span<const std::byte> before,
                   std::span<const std::byte> after) {
  MMSB_CHECK(before.size() == after.size(),
             "MakeDelta: before has %zu bytes, after has %zu", before.size(),
             after.size());
}

void CheckPage(const Delta& delta, std::span<const std::byte> page) {
  MMSB_CHECK(delta.page_bytes() == page.size(),
             "ApplyDelta: the delta is of %zu bytes, page has %zu",
             delta.page_bytes(), page.size());
}

}  // namespace

size_t MakeDelta(std::span<const std::byte> before,
                 std::span<const std::byte> after, std::span<uint8_t> mask,
                 std::span<std::byte> payload) {
  CheckSameSize(before, after);
  MMSB_CHECK(mask.size() == MaskBytes(before.size()),
             "MakeDelta: mask has %zu bytes, %zu bytes compared need %zu",
             mask.size(), before.size(), MaskBytes(before.size()));
  MMSB_CHECK(payload.size() == before.size(),
             "MakeDelta: payload has %zu bytes, before has %zu", payload.size(),
             before.size());
  return HWY_DYNAMIC_DISPATCH(MakeDeltaKernel)(BytesOf(before), BytesOf(after),
                                               before.size(), mask.data(),
                                               BytesOf(payload));
}

Delta MakeDelta(std::span<const std::byte> before,
                std::span<const std::byte> after) {
  CheckSameSize(before, after);
  // So much at a time that payloads go through a piece of the stack.
  constexpr size_t kPieceBytes = 8192;
  std::array<std::byte, kPieceBytes> piece;
  std::vector<uint8_t> mask(MaskBytes(before.size()));
  std::vector<std::byte> payload;
  for (size_t at = 0; at < before.size(); at += kPieceBytes) {
    const size_t bytes = std::min(before.size() - at, kPieceBytes);
    const size_t changed =
        MakeDelta(before.subspan(at, bytes), after.subspan(at, bytes),
                  std::span(mask).subspan(at / 8, MaskBytes(bytes)),
                  std::span(piece).first(bytes));
    payload.insert(payload.end(), piece.begin(), piece.begin() + changed);
  }
  return Delta::FromTrustedParts(before.size(), std::move(mask),
                                 std::move(payload));
}

void ApplyDelta(const Delta& delta, std::span<std::byte> page) {
  CheckPage(delta, page);
  if (delta.empty()) return;
  HWY_DYNAMIC_DISPATCH(ApplyKernel)(
      delta.mask().data(), BytesOf(delta.payload()), delta.changed_bytes(),
      page.size(), BytesOf(page));
}

void ApplyDelta(std::span<const uint8_t> mask,
                std::span<const std::byte> payload, std::span<std::byte> page) {
  MMSB_CHECK(mask.size() == MaskBytes(page.size()),
             "ApplyDelta: mask has %zu bytes, a page of %zu bytes needs %zu",
             mask.size(), page.size(), MaskBytes(page.size()));
  MMSB_CHECK(
      NoneSet(MaskView(mask, page.size(), mask.size() * 8 - page.size())),
      "ApplyDelta: the mask sets bits past the page's %zu bytes", page.size());
  const size_t set = CountSet(mask);
  MMSB_CHECK(payload.size() == set,
             "ApplyDelta: payload has %zu bytes, the mask sets %zu bits",
             payload.size(), set);
  HWY_DYNAMIC_DISPATCH(ApplyKernel)(mask.data(), BytesOf(payload),
                                    payload.size(), page.size(), BytesOf(page));
}

void ApplyDeltas(std::span<const DeltaToPage> work) {
  for (const DeltaToPage& one : work) CheckPage(*one.delta, one.page);
  for (size_t i = 0; i < work.size(); ++i) {
    // The next one's mask and payload arrive meanwhile.
    if (i + 1 < work.size()) {
      hwy::Prefetch(work[i + 1].delta->mask().data());
      hwy::Prefetch(work[i + 1].delta->payload().data());
    }
    ApplyDelta(*work[i].delta, work[i].page);
  }
}

Delta ComposeDeltas(const Delta& first, const Delta& second) {
  MMSB_CHECK(first.page_bytes() == second.page_bytes(),
             "ComposeDeltas: first is of %zu bytes, second is of %zu",
             first.page_bytes(), second.page_bytes());
  std::vector<uint8_t> mask(first.mask().size());
  OrMasks(first.mask(), second.mask(), mask);
  std::vector<std::byte> payload(CountSet(mask));
  HWY_DYNAMIC_DISPATCH(ComposeKernel)(
      first.mask().data(), BytesOf(first.payload()), first.changed_bytes(),
      second.mask().data(), BytesOf(second.payload()), second.changed_bytes(),
      first.page_bytes(), BytesOf(std::span(payload)), payload.size());
  return Delta::FromTrustedParts(first.page_bytes(), std::move(mask),
                                 std::move(payload));
}

}  // namespace mmsb
#endif  // HWY_ONCE
