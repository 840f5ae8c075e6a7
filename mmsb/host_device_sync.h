#ifndef MMSB_MMSB_HOST_DEVICE_SYNC_H_
#define MMSB_MMSB_HOST_DEVICE_SYNC_H_

#include "device/host_device_sync.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_HOST_DEVICE_SYNC_H_
