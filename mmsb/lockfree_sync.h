#ifndef MMSB_MMSB_LOCKFREE_SYNC_H_
#define MMSB_MMSB_LOCKFREE_SYNC_H_

#include "allocator/lockfree_sync.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_LOCKFREE_SYNC_H_
