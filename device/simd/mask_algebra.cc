#include "device/simd/mask_algebra.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "device/simd/mask_view.h"
#include "primitives/check.h"

// Highway includes this file once for each target, through the name given here.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/simd/mask_algebra.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h, which it needs.
#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mmsb {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using mask_algebra_internal::MaskOperation;

using Tag = hn::ScalableTag<uint64_t>;
using Vector = hn::Vec<Tag>;

// Words at any address, of which no pointer to a word may be made.
HWY_INLINE Vector LoadWords(Tag tag, const uint8_t* bytes) {
  const hn::Repartition<uint8_t, Tag> byte_tag;
  return hn::BitCast(tag, hn::LoadU(byte_tag, bytes));
}

HWY_INLINE void StoreWords(Vector words, uint8_t* bytes) {
  const hn::Repartition<uint8_t, Tag> byte_tag;
  hn::StoreU(hn::BitCast(byte_tag, words), byte_tag, bytes);
}

// An operand: bits from bit `shift` of the byte at `bytes` on. A vector, a
// word or a byte of it reads one byte more than it gives when `shift` is not 0,
// and the last bit of that is one of the operand.
struct Operand {
  const uint8_t* bytes;
  unsigned shift;
};

template <bool kShifted>
HWY_INLINE Vector VectorOf(Tag tag, Operand operand, size_t i) {
  const Vector here = LoadWords(tag, operand.bytes + i);
  if constexpr (!kShifted) return here;
  const Vector next = LoadWords(tag, operand.bytes + i + 1);
  return hn::Or(hn::ShiftRightSame(here, static_cast<int>(operand.shift)),
                hn::ShiftLeftSame(next, static_cast<int>(8 - operand.shift)));
}

HWY_INLINE uint64_t WordOf(Operand operand, size_t i) {
  uint64_t here;
  std::memcpy(&here, operand.bytes + i, sizeof(here));
  if (operand.shift == 0) return here;
  const uint64_t next = operand.bytes[i + sizeof(here)];
  return here >> operand.shift | next << (64 - operand.shift);
}

HWY_INLINE uint64_t ByteOf(Operand operand, size_t i) {
  const unsigned here = operand.bytes[i];
  if (operand.shift == 0) return here;
  const unsigned next = operand.bytes[i + 1];
  return here >> operand.shift | next << (8 - operand.shift);
}

// From so many bytes on, the operands lie beyond the cache that the hardware
// fetches ahead from by itself: they are asked for kAheadBytes before their
// use.
constexpr size_t kAheadFromBytes = size_t{384} << 10;
constexpr size_t kAheadBytes = 1024;

// From so many bytes on the output is written around the caches, so that its
// lines are not read before: together with the operands it is more than they
// hold.
constexpr size_t kStreamBytes = size_t{12} << 20;

// Asks for the lines of `count` bytes, of which the last may be missed.
HWY_INLINE void FetchLines(const uint8_t* bytes, size_t count) {
  for (size_t line = 0; line < count; line += 64) hwy::Prefetch(bytes + line);
}

// The operation on a vector, on several, and on a byte of each operand, from
// byte `i` on.
template <bool kShiftA, bool kShiftB, class Operation>
HWY_INLINE Vector VectorAt(Operation operation, Operand a, Operand b,
                           size_t i) {
  const Tag tag;
  return operation(VectorOf<kShiftA>(tag, a, i), VectorOf<kShiftB>(tag, b, i));
}

template <bool kShiftA, bool kShiftB, class Operation>
HWY_INLINE void PutFourVectors(Operation operation, Operand a, Operand b,
                               size_t i, uint8_t* out) {
  const size_t step = hn::Lanes(Tag()) * 8;
  // All loads before the first store: `out` may be `a` or `b`.
  const Vector v0 = VectorAt<kShiftA, kShiftB>(operation, a, b, i);
  const Vector v1 = VectorAt<kShiftA, kShiftB>(operation, a, b, i + step);
  const Vector v2 = VectorAt<kShiftA, kShiftB>(operation, a, b, i + 2 * step);
  const Vector v3 = VectorAt<kShiftA, kShiftB>(operation, a, b, i + 3 * step);
  StoreWords(v0, out + i);
  StoreWords(v1, out + i + step);
  StoreWords(v2, out + i + 2 * step);
  StoreWords(v3, out + i + 3 * step);
}

template <class Operation>
HWY_INLINE void PutByte(Operation operation, Operand a, Operand b, size_t i,
                        uint8_t* out) {
  out[i] = static_cast<uint8_t>(operation(ByteOf(a, i), ByteOf(b, i)));
}

// What Loop does first when there are many bytes; returns how many were done.
template <bool kShiftA, bool kShiftB, class Operation>
HWY_NOINLINE size_t LongLoop(Operation operation, Operand a, Operand b,
                             size_t bytes, uint8_t* out) {
  const Tag tag;
  const size_t step = hn::Lanes(tag) * 8;
  size_t i = 0;
  if (bytes >= kStreamBytes && a.bytes != out && b.bytes != out) {
    for (; (reinterpret_cast<uintptr_t>(out) + i) % step != 0; ++i) {
      PutByte(operation, a, b, i, out);
    }
    for (; bytes - i >= step; i += step) {
      hn::Stream(VectorAt<kShiftA, kShiftB>(operation, a, b, i), tag,
                 reinterpret_cast<uint64_t*>(out + i));
    }
    hwy::FlushStream();
    return i;
  }
  for (; bytes - i >= 4 * step + kAheadBytes; i += 4 * step) {
    const size_t ahead = i + kAheadBytes;
    FetchLines(out + ahead, 4 * step);
    if (a.bytes != out) FetchLines(a.bytes + ahead, 4 * step);
    if (b.bytes != out && b.bytes != a.bytes) {
      FetchLines(b.bytes + ahead, 4 * step);
    }
    PutFourVectors<kShiftA, kShiftB>(operation, a, b, i, out);
  }
  return i;
}

template <bool kShiftA, bool kShiftB, class Operation>
HWY_INLINE void Loop(Operation operation, Operand a, Operand b, size_t bytes,
                     uint8_t* out) {
  const size_t step = hn::Lanes(Tag()) * 8;
  size_t i = 0;
  if (HWY_UNLIKELY(bytes >= kAheadFromBytes)) {
    i = LongLoop<kShiftA, kShiftB>(operation, a, b, bytes, out);
  }
  for (; bytes - i >= 4 * step; i += 4 * step) {
    PutFourVectors<kShiftA, kShiftB>(operation, a, b, i, out);
  }
  for (; bytes - i >= step; i += step) {
    StoreWords(VectorAt<kShiftA, kShiftB>(operation, a, b, i), out + i);
  }
  for (; bytes - i >= 8; i += 8) {
    const uint64_t word = operation(WordOf(a, i), WordOf(b, i));
    std::memcpy(out + i, &word, sizeof(word));
  }
  for (; i < bytes; ++i) PutByte(operation, a, b, i, out);
}

struct And {
  HWY_INLINE Vector operator()(Vector a, Vector b) const {
    return hn::And(a, b);
  }
  HWY_INLINE uint64_t operator()(uint64_t a, uint64_t b) const { return a & b; }
};
struct Or {
  HWY_INLINE Vector operator()(Vector a, Vector b) const {
    return hn::Or(a, b);
  }
  HWY_INLINE uint64_t operator()(uint64_t a, uint64_t b) const { return a | b; }
};
struct Xor {
  HWY_INLINE Vector operator()(Vector a, Vector b) const {
    return hn::Xor(a, b);
  }
  HWY_INLINE uint64_t operator()(uint64_t a, uint64_t b) const { return a ^ b; }
};
struct AndNot {
  HWY_INLINE Vector operator()(Vector a, Vector b) const {
    return hn::AndNot(b, a);
  }
  HWY_INLINE uint64_t operator()(uint64_t a, uint64_t b) const {
    return a & ~b;
  }
};
struct Not {
  HWY_INLINE Vector operator()(Vector a, Vector) const { return hn::Not(a); }
  HWY_INLINE uint64_t operator()(uint64_t a, uint64_t) const { return ~a; }
};
struct Copy {
  HWY_INLINE Vector operator()(Vector a, Vector) const { return a; }
  HWY_INLINE uint64_t operator()(uint64_t a, uint64_t) const { return a; }
};

// Loop, of the operation that `operation` names.
template <bool kShiftA, bool kShiftB>
HWY_INLINE void LoopOf(MaskOperation operation, Operand a, Operand b,
                       size_t bytes, uint8_t* out) {
  switch (operation) {
    case MaskOperation::kAnd:
      return Loop<kShiftA, kShiftB>(And(), a, b, bytes, out);
    case MaskOperation::kOr:
      return Loop<kShiftA, kShiftB>(Or(), a, b, bytes, out);
    case MaskOperation::kXor:
      return Loop<kShiftA, kShiftB>(Xor(), a, b, bytes, out);
    case MaskOperation::kAndNot:
      return Loop<kShiftA, kShiftB>(AndNot(), a, b, bytes, out);
    case MaskOperation::kNot:
      return Loop<kShiftA, kShiftB>(Not(), a, b, bytes, out);
    case MaskOperation::kCopy:
      return Loop<kShiftA, kShiftB>(Copy(), a, b, bytes, out);
  }
}

void AndKernel(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  Loop<false, false>(And(), {a, 0}, {b, 0}, bytes, out);
}
void OrKernel(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  Loop<false, false>(Or(), {a, 0}, {b, 0}, bytes, out);
}
void XorKernel(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  Loop<false, false>(Xor(), {a, 0}, {b, 0}, bytes, out);
}
void AndNotKernel(const uint8_t* a, const uint8_t* b, size_t bytes,
                  uint8_t* out) {
  Loop<false, false>(AndNot(), {a, 0}, {b, 0}, bytes, out);
}
void NotKernel(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  Loop<false, false>(Not(), {a, 0}, {b, 0}, bytes, out);
}
void CopyKernel(const uint8_t* a, const uint8_t* b, size_t bytes,
                uint8_t* out) {
  Loop<false, false>(Copy(), {a, 0}, {b, 0}, bytes, out);
}

// Operands from bits `a_shift` and `b_shift` on, of which one is not 0.
void CombineShiftedKernel(MaskOperation operation, const uint8_t* a,
                          unsigned a_shift, const uint8_t* b, unsigned b_shift,
                          size_t bytes, uint8_t* out) {
  const Operand x = {a, a_shift};
  const Operand y = {b, b_shift};
  if (a_shift == 0) {
    LoopOf<false, true>(operation, x, y, bytes, out);
  } else if (b_shift == 0) {
    LoopOf<true, false>(operation, x, y, bytes, out);
  } else {
    LoopOf<true, true>(operation, x, y, bytes, out);
  }
}

// The bits of the bytes from `i` on, word by word.
HWY_INLINE size_t CountWords(const uint8_t* bytes, size_t i, size_t count) {
  size_t set = 0;
  for (; count - i >= 8; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, sizeof(word));
    set += hwy::PopCount(word);
  }
  for (; i < count; ++i) set += hwy::PopCount(uint64_t{bytes[i]});
  return set;
}

size_t CountKernel(const uint8_t* bytes, size_t count) {
  // Adding the lanes up takes as long as so many bytes do.
  if (count < 256) return CountWords(bytes, 0, count);
  const Tag tag;
  const size_t step = hn::Lanes(tag) * 8;
  Vector sum0 = hn::Zero(tag);
  Vector sum1 = hn::Zero(tag);
  Vector sum2 = hn::Zero(tag);
  Vector sum3 = hn::Zero(tag);
  size_t i = 0;
  const auto bits_at = [&](size_t at) HWY_ATTR {
    return hn::PopulationCount(LoadWords(tag, bytes + at));
  };
  for (; count - i >= 4 * step; i += 4 * step) {
    sum0 = hn::Add(sum0, bits_at(i));
    sum1 = hn::Add(sum1, bits_at(i + step));
    sum2 = hn::Add(sum2, bits_at(i + 2 * step));
    sum3 = hn::Add(sum3, bits_at(i + 3 * step));
  }
  for (; count - i >= step; i += step) sum0 = hn::Add(sum0, bits_at(i));
  const Vector sum = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
  return hn::ReduceSum(tag, sum) + CountWords(bytes, i, count);
}

// The first byte that is not `value`, 0 or 0xFF, or `count`.
size_t FirstOtherKernel(const uint8_t* bytes, size_t count, uint8_t value) {
  const Tag tag;
  const size_t step = hn::Lanes(tag) * 8;
  const uint64_t word_of_value = value == 0 ? 0 : ~uint64_t{0};
  const Vector values = hn::Set(tag, word_of_value);
  size_t i = 0;
  const auto other = [&](size_t at) HWY_ATTR {
    return hn::Xor(LoadWords(tag, bytes + at), values);
  };
  for (; count - i >= 4 * step; i += 4 * step) {
    const Vector any = hn::Or(hn::Or(other(i), other(i + step)),
                              hn::Or(other(i + 2 * step), other(i + 3 * step)));
    if (!hn::AllTrue(tag, hn::Eq(any, hn::Zero(tag)))) break;
  }
  for (; count - i >= 8; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, sizeof(word));
    if (word != word_of_value) break;
  }
  while (i < count && bytes[i] == value) ++i;
  return i;
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mmsb {
namespace {

HWY_EXPORT(AndKernel);
HWY_EXPORT(OrKernel);
HWY_EXPORT(XorKernel);
HWY_EXPORT(AndNotKernel);
HWY_EXPORT(NotKernel);
HWY_EXPORT(CopyKernel);
HWY_EXPORT(CombineShiftedKernel);
HWY_EXPORT(CountKernel);
HWY_EXPORT(FirstOtherKernel);

using mask_algebra_internal::MaskOperation;

// At most 8 bits, from bit `first` of `mask` on, as the lowest of the result.
// Reads no byte that holds none of them.
unsigned FewBits(MaskView mask, size_t first, size_t bits) {
  const size_t at = mask.first_bit() + first;
  const unsigned shift = static_cast<unsigned>(at % 8);
  const uint8_t* const bytes = mask.data() + at / 8;
  unsigned value = static_cast<unsigned>(bytes[0]) >> shift;
  if (shift + bits > 8) {
    value |= static_cast<unsigned>(bytes[1]) << (8 - shift);
  }
  return value & ((1u << bits) - 1);
}

// Sets `bits` bits of `out`, which lie in one byte, from its bit `first` on.
void PutFewBits(MaskSpan out, size_t first, size_t bits, unsigned value) {
  const size_t at = out.first_bit() + first;
  uint8_t& byte = out.data()[at / 8];
  const unsigned lanes = ((1u << bits) - 1) << (at % 8);
  byte = static_cast<uint8_t>((byte & ~lanes) | (value << (at % 8) & lanes));
}

// A range as the bits in its first byte, its whole bytes, and the bits in its
// last.
struct Parts {
  explicit Parts(MaskView mask)
      : head(std::min<size_t>((8 - mask.first_bit()) % 8, mask.bits())),
        bytes((mask.bits() - head) / 8),
        tail((mask.bits() - head) % 8) {}

  size_t tail_first() const { return head + bytes * 8; }

  size_t head;
  size_t bytes;
  size_t tail;
};

// As the operation on the lowest bits of words; the bits above them are what
// they will.
unsigned CombineFew(MaskOperation operation, unsigned a, unsigned b) {
  switch (operation) {
    case MaskOperation::kAnd:
      return a & b;
    case MaskOperation::kOr:
      return a | b;
    case MaskOperation::kXor:
      return a ^ b;
    case MaskOperation::kAndNot:
      return a & ~b;
    case MaskOperation::kNot:
      return ~a;
    case MaskOperation::kCopy:
      return a;
  }
  return 0;
}

const char* NameOf(MaskOperation operation) {
  switch (operation) {
    case MaskOperation::kAnd:
      return "AndMasks";
    case MaskOperation::kOr:
      return "OrMasks";
    case MaskOperation::kXor:
      return "XorMasks";
    case MaskOperation::kAndNot:
      return "AndNotMasks";
    case MaskOperation::kNot:
      return "NotMask";
    case MaskOperation::kCopy:
      return "CopyMask";
  }
  return "";
}

// The first bit of `mask` that is not `value`, or mask.bits().
size_t FirstOther(MaskView mask, bool value) {
  const Parts parts(mask);
  const auto few = [&](size_t first, size_t bits) {
    unsigned other = bits == 0 ? 0 : FewBits(mask, first, bits);
    if (value) other ^= (1u << bits) - 1;
    return other == 0 ? bits : static_cast<size_t>(std::countr_zero(other));
  };
  if (const size_t at = few(0, parts.head); at != parts.head) return at;
  if (parts.bytes != 0) {
    const MaskView body = mask.Sub(parts.head, parts.bytes * 8);
    const size_t byte = HWY_DYNAMIC_DISPATCH(FirstOtherKernel)(
        body.data(), parts.bytes, value ? 0xFF : 0);
    if (byte != parts.bytes) {
      const size_t first = parts.head + byte * 8;
      return first + few(first, 8);
    }
  }
  return parts.tail_first() + few(parts.tail_first(), parts.tail);
}

}  // namespace

namespace mask_algebra_internal {

void AndBytes(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(AndKernel)(a, b, bytes, out);
}
void OrBytes(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(OrKernel)(a, b, bytes, out);
}
void XorBytes(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(XorKernel)(a, b, bytes, out);
}
void AndNotBytes(const uint8_t* a, const uint8_t* b, size_t bytes,
                 uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(AndNotKernel)(a, b, bytes, out);
}
void NotBytes(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(NotKernel)(a, b, bytes, out);
}
void CopyBytes(const uint8_t* a, const uint8_t* b, size_t bytes, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(CopyKernel)(a, b, bytes, out);
}

void CombineBits(MaskOperation operation, BytesOperation* on_bytes, MaskView a,
                 MaskView b, MaskSpan out) {
  MMSB_CHECK(a.bits() == b.bits(), "%s: a has %zu bits, b has %zu",
             NameOf(operation), a.bits(), b.bits());
  MMSB_CHECK(a.bits() == out.bits(), "%s: a has %zu bits, out has %zu",
             NameOf(operation), a.bits(), out.bits());
  const Parts parts(out);
  const auto combine_few = [&](size_t first, size_t bits) {
    if (bits == 0) return;
    PutFewBits(out, first, bits,
               CombineFew(operation, FewBits(a, first, bits),
                          FewBits(b, first, bits)));
  };
  combine_few(0, parts.head);
  if (parts.bytes != 0) {
    const MaskView x = a.Sub(parts.head, parts.bytes * 8);
    const MaskView y = b.Sub(parts.head, parts.bytes * 8);
    uint8_t* const to = out.Sub(parts.head, parts.bytes * 8).data();
    if (x.first_bit() == 0 && y.first_bit() == 0) {
      on_bytes(x.data(), y.data(), parts.bytes, to);
    } else {
      HWY_DYNAMIC_DISPATCH(CombineShiftedKernel)(
          operation, x.data(), x.first_bit(), y.data(), y.first_bit(),
          parts.bytes, to);
    }
  }
  combine_few(parts.tail_first(), parts.tail);
}

}  // namespace mask_algebra_internal

void FillMask(MaskSpan out, bool value) {
  const Parts parts(out);
  const unsigned bits = value ? 0xFF : 0;
  if (parts.head != 0) PutFewBits(out, 0, parts.head, bits);
  if (parts.bytes != 0) {
    std::memset(out.Sub(parts.head, parts.bytes * 8).data(),
                static_cast<int>(bits), parts.bytes);
  }
  if (parts.tail != 0) PutFewBits(out, parts.tail_first(), parts.tail, bits);
}

size_t CountSet(MaskView mask) {
  if (mask.first_bit() == 0 && mask.bits() % 8 == 0) {
    return HWY_DYNAMIC_DISPATCH(CountKernel)(mask.data(), mask.bits() / 8);
  }
  const Parts parts(mask);
  const auto few = [&](size_t first, size_t bits) {
    return bits == 0
               ? size_t{0}
               : static_cast<size_t>(std::popcount(FewBits(mask, first, bits)));
  };
  size_t set = few(0, parts.head) + few(parts.tail_first(), parts.tail);
  if (parts.bytes != 0) {
    set += HWY_DYNAMIC_DISPATCH(CountKernel)(
        mask.Sub(parts.head, parts.bytes * 8).data(), parts.bytes);
  }
  return set;
}

bool AllSet(MaskView mask) { return FirstOther(mask, true) == mask.bits(); }

bool NoneSet(MaskView mask) { return FirstOther(mask, false) == mask.bits(); }

size_t FirstSet(MaskView mask) { return FirstOther(mask, false); }

}  // namespace mmsb
#endif  // HWY_ONCE
