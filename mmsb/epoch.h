#ifndef MMSB_MMSB_EPOCH_H_
#define MMSB_MMSB_EPOCH_H_

#include "memory/epoch/epoch.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_EPOCH_H_
