#ifndef MMSB_MMSB_DEVICE_FRAMES_H_
#define MMSB_MMSB_DEVICE_FRAMES_H_

#include "device/device_frames.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DEVICE_FRAMES_H_
