#ifndef MMSB_MMSB_SYSTEM_SOURCE_H_
#define MMSB_MMSB_SYSTEM_SOURCE_H_

#include "allocator/system_source.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_SYSTEM_SOURCE_H_
