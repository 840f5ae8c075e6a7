#ifndef MMSB_MMSB_DEVICE_POINTER_H_
#define MMSB_MMSB_DEVICE_POINTER_H_

#include "device/device_pointer.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DEVICE_POINTER_H_
