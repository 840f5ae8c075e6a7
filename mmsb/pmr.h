#ifndef MMSB_MMSB_PMR_H_
#define MMSB_MMSB_PMR_H_

#include "allocator/pmr.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PMR_H_
