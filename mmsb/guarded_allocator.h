#ifndef MMSB_MMSB_GUARDED_ALLOCATOR_H_
#define MMSB_MMSB_GUARDED_ALLOCATOR_H_

#include "allocator/guarded_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_GUARDED_ALLOCATOR_H_
