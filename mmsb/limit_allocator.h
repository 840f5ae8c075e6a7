#ifndef MMSB_MMSB_LIMIT_ALLOCATOR_H_
#define MMSB_MMSB_LIMIT_ALLOCATOR_H_

#include "allocator/limit_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_LIMIT_ALLOCATOR_H_
