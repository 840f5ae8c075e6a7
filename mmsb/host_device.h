#ifndef MMSB_MMSB_HOST_DEVICE_H_
#define MMSB_MMSB_HOST_DEVICE_H_

#include "device/host_device.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_HOST_DEVICE_H_
