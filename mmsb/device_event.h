#ifndef MMSB_MMSB_DEVICE_EVENT_H_
#define MMSB_MMSB_DEVICE_EVENT_H_

#include "device/device_event.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DEVICE_EVENT_H_
