#ifndef MMSB_MMSB_MASK_ALGEBRA_H_
#define MMSB_MMSB_MASK_ALGEBRA_H_

#include "device/simd/mask_algebra.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_MASK_ALGEBRA_H_
