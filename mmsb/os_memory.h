#ifndef MMSB_MMSB_OS_MEMORY_H_
#define MMSB_MMSB_OS_MEMORY_H_

#include "primitives/os_memory.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_OS_MEMORY_H_
