#ifndef MMSB_MMSB_DELTA_H_
#define MMSB_MMSB_DELTA_H_

#include "memory/delta/delta.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DELTA_H_
