#ifndef MMSB_MMSB_TRACKING_ALLOCATOR_H_
#define MMSB_MMSB_TRACKING_ALLOCATOR_H_

#include "allocator/tracking_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_TRACKING_ALLOCATOR_H_
