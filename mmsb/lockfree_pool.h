#ifndef MMSB_MMSB_LOCKFREE_POOL_H_
#define MMSB_MMSB_LOCKFREE_POOL_H_

#include "allocator/lockfree_pool.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_LOCKFREE_POOL_H_
