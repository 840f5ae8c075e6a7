#ifndef MMSB_MMSB_LOCKFREE_PAGE_ALLOCATOR_H_
#define MMSB_MMSB_LOCKFREE_PAGE_ALLOCATOR_H_

#include "memory/page/lockfree_page_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_LOCKFREE_PAGE_ALLOCATOR_H_
