#ifndef MMSB_MMSB_REALLOCATE_H_
#define MMSB_MMSB_REALLOCATE_H_

#include "allocator/reallocate.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_REALLOCATE_H_
