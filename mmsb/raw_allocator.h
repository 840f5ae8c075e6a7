#ifndef MMSB_MMSB_RAW_ALLOCATOR_H_
#define MMSB_MMSB_RAW_ALLOCATOR_H_

#include "allocator/raw_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_RAW_ALLOCATOR_H_
