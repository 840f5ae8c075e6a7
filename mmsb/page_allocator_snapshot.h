#ifndef MMSB_MMSB_PAGE_ALLOCATOR_SNAPSHOT_H_
#define MMSB_MMSB_PAGE_ALLOCATOR_SNAPSHOT_H_

#include "memory/page/page_allocator_snapshot.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_ALLOCATOR_SNAPSHOT_H_
