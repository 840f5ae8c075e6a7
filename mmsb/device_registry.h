#ifndef MMSB_MMSB_DEVICE_REGISTRY_H_
#define MMSB_MMSB_DEVICE_REGISTRY_H_

#include "device/device_registry.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DEVICE_REGISTRY_H_
