#ifndef MMSB_MMSB_LOCKED_ALLOCATOR_H_
#define MMSB_MMSB_LOCKED_ALLOCATOR_H_

#include "allocator/locked_allocator.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_LOCKED_ALLOCATOR_H_
