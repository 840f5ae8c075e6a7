#ifndef MMSB_MMSB_MEMORY_POOL_H_
#define MMSB_MMSB_MEMORY_POOL_H_

#include "allocator/memory_pool.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_MEMORY_POOL_H_
