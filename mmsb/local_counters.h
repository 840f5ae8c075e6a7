#ifndef MMSB_MMSB_LOCAL_COUNTERS_H_
#define MMSB_MMSB_LOCAL_COUNTERS_H_

#include "allocator/local_counters.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_LOCAL_COUNTERS_H_
