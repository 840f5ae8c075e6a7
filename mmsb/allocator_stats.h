#ifndef MMSB_MMSB_ALLOCATOR_STATS_H_
#define MMSB_MMSB_ALLOCATOR_STATS_H_

#include "allocator/allocator_stats.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_ALLOCATOR_STATS_H_
