#ifndef MMSB_MMSB_OS_CLOCK_H_
#define MMSB_MMSB_OS_CLOCK_H_

#include "primitives/os_clock.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_OS_CLOCK_H_
