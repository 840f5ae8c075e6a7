#ifndef MMSB_MMSB_BYTE_MASK_H_
#define MMSB_MMSB_BYTE_MASK_H_

#include "device/simd/byte_mask.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_BYTE_MASK_H_
