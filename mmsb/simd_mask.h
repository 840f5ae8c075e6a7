#ifndef MMSB_MMSB_SIMD_MASK_H_
#define MMSB_MMSB_SIMD_MASK_H_

#include "device/simd/simd_mask.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_SIMD_MASK_H_
