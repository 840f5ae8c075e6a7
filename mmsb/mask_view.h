#ifndef MMSB_MMSB_MASK_VIEW_H_
#define MMSB_MMSB_MASK_VIEW_H_

#include "device/simd/mask_view.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_MASK_VIEW_H_
