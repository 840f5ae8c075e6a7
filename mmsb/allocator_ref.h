#ifndef MMSB_MMSB_ALLOCATOR_REF_H_
#define MMSB_MMSB_ALLOCATOR_REF_H_

#include "allocator/allocator_ref.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_ALLOCATOR_REF_H_
