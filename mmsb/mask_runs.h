#ifndef MMSB_MMSB_MASK_RUNS_H_
#define MMSB_MMSB_MASK_RUNS_H_

#include "device/simd/mask_runs.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_MASK_RUNS_H_
