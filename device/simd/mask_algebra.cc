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

// An operand: bits from bit `shift` of the byte at `bytes` on. A vector or a
// byte of it reads one byte more than it gives when `shift` is not 0, and the
// last bit of that is one of the operand.
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

HWY_INLINE uint8_t ByteOf(Operand operand, size_t i) {
  const unsigned here = operand.bytes[i];
  if (operand.shift == 0) return static_cast<uint8_t>(here);
  const unsigned next = operand.bytes[i + 1];
  return static_cast<uint8_t>(here >> operand.shift |
                              next << (8 - operand.shift));
}

// From so many bytes on the output is written around the caches, so that its
// lines are not read before: together with the operands it is more than they
// hold.
constexpr size_t kStreamBytes = size_t{12} << 20;

template <bool kShiftA, bool kShiftB, class Operation>
HWY_INLINE void Loop(Operation operation, Operand a, Operand b, size_t bytes,
                     uint8_t* out) {
  const Tag tag;
  const size_t step = hn::Lanes(tag) * 8;
  size_t i = 0;
  if (bytes >= kStreamBytes && a.bytes != out && b.bytes != out) {
    for (; (reinterpret_cast<uintptr_t>(out) + i) % step != 0; ++i) {
      out[i] = static_cast<uint8_t>(
          operation(unsigned{ByteOf(a, i)}, unsigned{ByteOf(b, i)}));
    }
    for (; bytes - i >= step; i += step) {
      hn::Stream(
          operation(VectorOf<kShiftA>(tag, a, i), VectorOf<kShiftB>(tag, b, i)),
          tag, reinterpret_cast<uint64_t*>(out + i));
    }
    hwy::FlushStream();
  }
  for (; bytes - i >= 4 * step; i += 4 * step) {
    // All loads before the first store: `out` may be `a` or `b`.
    const Vector v0 =
        operation(VectorOf<kShiftA>(tag, a, i), VectorOf<kShiftB>(tag, b, i));
    const Vector v1 = operation(VectorOf<kShiftA>(tag, a, i + step),
                                VectorOf<kShiftB>(tag, b, i + step));
    const Vector v2 = operation(VectorOf<kShiftA>(tag, a, i + 2 * step),
                                VectorOf<kShiftB>(tag, b, i + 2 * step));
    const Vector v3 = operation(VectorOf<kShiftA>(tag, a, i + 3 * step),
                                VectorOf<kShiftB>(tag, b, i + 3 * step));
    StoreWords(v0, out + i);
    StoreWords(v1, out + i + step);
    StoreWords(v2, out + i + 2 * step);
    StoreWords(v3, out + i + 3 * step);
  }
  for (; bytes - i >= step; i += step) {
    const Vector v =
        operation(VectorOf<kShiftA>(tag, a, i), VectorOf<kShiftB>(tag, b, i));
    StoreWords(v, out + i);
  }
  for (; i < bytes; ++i) {
    out[i] = static_cast<uint8_t>(
        operation(unsigned{ByteOf(a, i)}, unsigned{ByteOf(b, i)}));
  }
}

template <class Operation>
HWY_INLINE void Combine(Operation operation, Operand a, Operand b, size_t bytes,
                        uint8_t* out) {
  if (a.shift == 0 && b.shift == 0) {
    Loop<false, false>(operation, a, b, bytes, out);
  } else if (a.shift == 0) {
    Loop<false, true>(operation, a, b, bytes, out);
  } else if (b.shift == 0) {
    Loop<true, false>(operation, a, b, bytes, out);
  } else {
    Loop<true, true>(operation, a, b, bytes, out);
  }
}

struct And {
  HWY_INLINE Vector operator()(Vector a, Vector b) const {
    return hn::And(a, b);
  }
  HWY_INLINE unsigned operator()(unsigned a, unsigned b) const { return a & b; }
};
struct Or {
  HWY_INLINE Vector operator()(Vector a, Vector b) const {
    return hn::Or(a, b);
  }
  HWY_INLINE unsigned operator()(unsigned a, unsigned b) const { return a | b; }
};
struct Xor {
  HWY_INLINE Vector operator()(Vector a, Vector b) const {
    return hn::Xor(a, b);
  }
  HWY_INLINE unsigned operator()(unsigned a, unsigned b) const { return a ^ b; }
};
struct AndNot {
  HWY_INLINE Vector operator()(Vector a, Vector b) const {
    return hn::AndNot(b, a);
  }
  HWY_INLINE unsigned operator()(unsigned a, unsigned b) const {
    return a & ~b;
  }
};
struct Not {
  HWY_INLINE Vector operator()(Vector a, Vector) const { return hn::Not(a); }
  HWY_INLINE unsigned operator()(unsigned a, unsigned) const { return ~a; }
};
struct Copy {
  HWY_INLINE Vector operator()(Vector a, Vector) const { return a; }
  HWY_INLINE unsigned operator()(unsigned a, unsigned) const { return a; }
};

void AndKernel(const uint8_t* a, unsigned a_shift, const uint8_t* b,
               unsigned b_shift, size_t bytes, uint8_t* out) {
  Combine(And(), {a, a_shift}, {b, b_shift}, bytes, out);
}
void OrKernel(const uint8_t* a, unsigned a_shift, const uint8_t* b,
              unsigned b_shift, size_t bytes, uint8_t* out) {
  Combine(Or(), {a, a_shift}, {b, b_shift}, bytes, out);
}
void XorKernel(const uint8_t* a, unsigned a_shift, const uint8_t* b,
               unsigned b_shift, size_t bytes, uint8_t* out) {
  Combine(Xor(), {a, a_shift}, {b, b_shift}, bytes, out);
}
void AndNotKernel(const uint8_t* a, unsigned a_shift, const uint8_t* b,
                  unsigned b_shift, size_t bytes, uint8_t* out) {
  Combine(AndNot(), {a, a_shift}, {b, b_shift}, bytes, out);
}
void NotKernel(const uint8_t* a, unsigned a_shift, const uint8_t* b,
               unsigned b_shift, size_t bytes, uint8_t* out) {
  Combine(Not(), {a, a_shift}, {b, b_shift}, bytes, out);
}
void CopyKernel(const uint8_t* a, unsigned a_shift, const uint8_t* b,
                unsigned b_shift, size_t bytes, uint8_t* out) {
  Combine(Copy(), {a, a_shift}, {b, b_shift}, bytes, out);
}

size_t CountKernel(const uint8_t* bytes, size_t count) {
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
  size_t set =
      hn::ReduceSum(tag, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)));
  for (; count - i >= 8; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, sizeof(word));
    set += hwy::PopCount(word);
  }
  for (; i < count; ++i) set += hwy::PopCount(uint64_t{bytes[i]});
  return set;
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
HWY_EXPORT(CountKernel);
HWY_EXPORT(FirstOtherKernel);

using Kernel = void (*)(const uint8_t* a, unsigned a_shift, const uint8_t* b,
                        unsigned b_shift, size_t bytes, uint8_t* out);

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

template <class Few>
void Combine(const char* function, MaskView a, MaskView b, MaskSpan out,
             Kernel kernel, Few few) {
  MMSB_CHECK(a.bits() == b.bits(), "%s: a has %zu bits, b has %zu", function,
             a.bits(), b.bits());
  MMSB_CHECK(a.bits() == out.bits(), "%s: a has %zu bits, out has %zu",
             function, a.bits(), out.bits());
  const Parts parts(out);
  const auto combine_few = [&](size_t first, size_t bits) {
    if (bits == 0) return;
    PutFewBits(out, first, bits,
               few(FewBits(a, first, bits), FewBits(b, first, bits)));
  };
  combine_few(0, parts.head);
  if (parts.bytes != 0) {
    const MaskView a_body = a.Sub(parts.head, parts.bytes * 8);
    const MaskView b_body = b.Sub(parts.head, parts.bytes * 8);
    kernel(a_body.data(), a_body.first_bit(), b_body.data(), b_body.first_bit(),
           parts.bytes, out.Sub(parts.head, parts.bytes * 8).data());
  }
  combine_few(parts.tail_first(), parts.tail);
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

void AndMasks(MaskView a, MaskView b, MaskSpan out) {
  Combine("AndMasks", a, b, out, HWY_DYNAMIC_POINTER(AndKernel),
          [](unsigned x, unsigned y) { return x & y; });
}

void OrMasks(MaskView a, MaskView b, MaskSpan out) {
  Combine("OrMasks", a, b, out, HWY_DYNAMIC_POINTER(OrKernel),
          [](unsigned x, unsigned y) { return x | y; });
}

void XorMasks(MaskView a, MaskView b, MaskSpan out) {
  Combine("XorMasks", a, b, out, HWY_DYNAMIC_POINTER(XorKernel),
          [](unsigned x, unsigned y) { return x ^ y; });
}

void AndNotMasks(MaskView a, MaskView b, MaskSpan out) {
  Combine("AndNotMasks", a, b, out, HWY_DYNAMIC_POINTER(AndNotKernel),
          [](unsigned x, unsigned y) { return x & ~y; });
}

void NotMask(MaskView a, MaskSpan out) {
  Combine("NotMask", a, a, out, HWY_DYNAMIC_POINTER(NotKernel),
          [](unsigned x, unsigned) { return ~x; });
}

void CopyMask(MaskView a, MaskSpan out) {
  Combine("CopyMask", a, a, out, HWY_DYNAMIC_POINTER(CopyKernel),
          [](unsigned x, unsigned) { return x; });
}

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
