#ifndef MMSB_MMSB_DELTA_MESSAGE_H_
#define MMSB_MMSB_DELTA_MESSAGE_H_

#include "memory/delta/delta_message.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DELTA_MESSAGE_H_
