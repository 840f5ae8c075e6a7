#ifndef MMSB_MMSB_SIMULATED_DEVICE_H_
#define MMSB_MMSB_SIMULATED_DEVICE_H_

#include "device/simulated_device.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_SIMULATED_DEVICE_H_
