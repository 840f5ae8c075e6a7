#ifndef MMSB_MMSB_ALLOCATE_ZEROED_H_
#define MMSB_MMSB_ALLOCATE_ZEROED_H_

#include "allocator/allocate_zeroed.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_ALLOCATE_ZEROED_H_
