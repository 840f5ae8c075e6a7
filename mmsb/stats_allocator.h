#ifndef MMSB_MMSB_STATS_ALLOCATOR_H_
#define MMSB_MMSB_STATS_ALLOCATOR_H_

#include "allocator/stats_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_STATS_ALLOCATOR_H_
