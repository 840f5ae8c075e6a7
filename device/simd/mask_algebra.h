#ifndef MMSB_DEVICE_SIMD_MASK_ALGEBRA_H_
#define MMSB_DEVICE_SIMD_MASK_ALGEBRA_H_

#include <cstddef>
#include <cstdint>

#include "device/simd/mask_view.h"

namespace mmsb {

// The algebra of masks, over ranges of bits that begin anywhere and have any
// length.
//
// Bits beside `out` keep their value, though they lie in a byte of it. `out`
// may be `a`, or `b`, bit for bit; otherwise it shares no byte with them. Where
// all ranges begin at the same bit of a byte they run at the speed of a copy,
// and near it elsewhere.
//
// Thread-safety: no state, as MaskSpan.
// Failure: ranges of different length end the process with both lengths in the
// message, in every build.
// Complexity: O(bits); no allocation.
//
//   OrMasks(dirty, changed, dirty);              // dirty |= changed
//   if (CountSet(dirty) > dirty.bits() / 2) ...  // most of it

inline void AndMasks(MaskView a, MaskView b, MaskSpan out);
inline void OrMasks(MaskView a, MaskView b, MaskSpan out);
inline void XorMasks(MaskView a, MaskView b, MaskSpan out);
// a & ~b
inline void AndNotMasks(MaskView a, MaskView b, MaskSpan out);
inline void NotMask(MaskView a, MaskSpan out);
inline void CopyMask(MaskView a, MaskSpan out);

// Sets every bit to `value`.
void FillMask(MaskSpan out, bool value);

// How many bits are 1.
size_t CountSet(MaskView mask);

// Whether every bit is 1, or 0; both are true of no bits. They look no further
// than a few vectors behind the first that is otherwise.
bool AllSet(MaskView mask);
bool NoneSet(MaskView mask);

// The first bit that is 1, or mask.bits() when none is.
size_t FirstSet(MaskView mask);

// --- Only implementation from here on ---

namespace mask_algebra_internal {

enum class MaskOperation { kAnd, kOr, kXor, kAndNot, kNot, kCopy };

// The operations on operands of whole bytes.
using BytesOperation = void(const uint8_t* a, const uint8_t* b, size_t bytes,
                            uint8_t* out);
BytesOperation AndBytes, OrBytes, XorBytes, AndNotBytes, NotBytes, CopyBytes;

// Any operands, of which the lengths are not known to be the same.
void CombineBits(MaskOperation operation, BytesOperation* on_bytes, MaskView a,
                 MaskView b, MaskSpan out);

// Inline, so that what is known of the ranges where they are made (mostly that
// they are whole bytes) is not asked again.
inline void Combine(MaskOperation operation, BytesOperation* on_bytes,
                    MaskView a, MaskView b, MaskSpan out) {
  const size_t bits = out.bits();
  if (a.bits() == bits && b.bits() == bits && bits % 8 == 0 &&
      (a.first_bit() | b.first_bit() | out.first_bit()) == 0) {
    on_bytes(a.data(), b.data(), bits / 8, out.data());
  } else {
    CombineBits(operation, on_bytes, a, b, out);
  }
}

}  // namespace mask_algebra_internal

inline void AndMasks(MaskView a, MaskView b, MaskSpan out) {
  namespace internal = mask_algebra_internal;
  internal::Combine(internal::MaskOperation::kAnd, internal::AndBytes, a, b,
                    out);
}
inline void OrMasks(MaskView a, MaskView b, MaskSpan out) {
  namespace internal = mask_algebra_internal;
  internal::Combine(internal::MaskOperation::kOr, internal::OrBytes, a, b, out);
}
inline void XorMasks(MaskView a, MaskView b, MaskSpan out) {
  namespace internal = mask_algebra_internal;
  internal::Combine(internal::MaskOperation::kXor, internal::XorBytes, a, b,
                    out);
}
inline void AndNotMasks(MaskView a, MaskView b, MaskSpan out) {
  namespace internal = mask_algebra_internal;
  internal::Combine(internal::MaskOperation::kAndNot, internal::AndNotBytes, a,
                    b, out);
}
inline void NotMask(MaskView a, MaskSpan out) {
  namespace internal = mask_algebra_internal;
  internal::Combine(internal::MaskOperation::kNot, internal::NotBytes, a, a,
                    out);
}
inline void CopyMask(MaskView a, MaskSpan out) {
  namespace internal = mask_algebra_internal;
  internal::Combine(internal::MaskOperation::kCopy, internal::CopyBytes, a, a,
                    out);
}

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_MASK_ALGEBRA_H_
