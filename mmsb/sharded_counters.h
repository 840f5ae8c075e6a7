#ifndef MMSB_MMSB_SHARDED_COUNTERS_H_
#define MMSB_MMSB_SHARDED_COUNTERS_H_

#include "allocator/sharded_counters.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_SHARDED_COUNTERS_H_
