#ifndef MMSB_MMSB_FALLBACK_ALLOCATOR_H_
#define MMSB_MMSB_FALLBACK_ALLOCATOR_H_

#include "allocator/fallback_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_FALLBACK_ALLOCATOR_H_
