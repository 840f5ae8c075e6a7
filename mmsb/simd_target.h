#ifndef MMSB_MMSB_SIMD_TARGET_H_
#define MMSB_MMSB_SIMD_TARGET_H_

#include "device/simd/simd_target.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_SIMD_TARGET_H_
