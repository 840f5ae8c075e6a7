#ifndef MMSB_MMSB_DEVICE_H_
#define MMSB_MMSB_DEVICE_H_

#include "device/device.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DEVICE_H_
