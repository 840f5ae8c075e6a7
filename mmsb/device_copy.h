#ifndef MMSB_MMSB_DEVICE_COPY_H_
#define MMSB_MMSB_DEVICE_COPY_H_

#include "device/device_copy.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DEVICE_COPY_H_
