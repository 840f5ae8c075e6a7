#ifndef MMSB_MMSB_SIZE_HISTOGRAM_H_
#define MMSB_MMSB_SIZE_HISTOGRAM_H_

#include "allocator/size_histogram.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_SIZE_HISTOGRAM_H_
