#ifndef MMSB_DEVICE_SIMD_MASK_ALGEBRA_H_
#define MMSB_DEVICE_SIMD_MASK_ALGEBRA_H_

#include <cstddef>

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

void AndMasks(MaskView a, MaskView b, MaskSpan out);
void OrMasks(MaskView a, MaskView b, MaskSpan out);
void XorMasks(MaskView a, MaskView b, MaskSpan out);
// a & ~b
void AndNotMasks(MaskView a, MaskView b, MaskSpan out);
void NotMask(MaskView a, MaskSpan out);
void CopyMask(MaskView a, MaskSpan out);

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

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_MASK_ALGEBRA_H_
