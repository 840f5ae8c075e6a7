#ifndef MMSB_MMSB_PAGE_ALLOCATOR_H_
#define MMSB_MMSB_PAGE_ALLOCATOR_H_

#include "memory/page/page_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_ALLOCATOR_H_
