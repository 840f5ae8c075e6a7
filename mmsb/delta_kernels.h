#ifndef MMSB_MMSB_DELTA_KERNELS_H_
#define MMSB_MMSB_DELTA_KERNELS_H_

#include "device/simd/delta_kernels.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DELTA_KERNELS_H_
