#ifndef MMSB_MMSB_EPOCH_RECLAIMER_H_
#define MMSB_MMSB_EPOCH_RECLAIMER_H_

#include "memory/epoch/epoch_reclaimer.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_EPOCH_RECLAIMER_H_
