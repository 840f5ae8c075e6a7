#ifndef MMSB_MMSB_SLAB_H_
#define MMSB_MMSB_SLAB_H_

#include "allocator/slab.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_SLAB_H_
