#ifndef MMSB_MMSB_DEVICE_MEMORY_POOL_H_
#define MMSB_MMSB_DEVICE_MEMORY_POOL_H_

#include "device/device_memory_pool.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DEVICE_MEMORY_POOL_H_
