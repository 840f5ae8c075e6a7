#ifndef MMSB_DEVICE_DEVICE_COPY_H_
#define MMSB_DEVICE_DEVICE_COPY_H_

#include <cstddef>
#include <span>

#include "device/device_pointer.h"

namespace mmsb {

// One copy of a batch (Device::Copy): `bytes` bytes from `source` to
// `destination`, each of them on the host or on the device. Owns nothing. Bytes
// of 0 are allowed, and copy nothing.
//
//   DeviceCopy copies[] = {DeviceCopy::ToDevice(at, page),
//                          DeviceCopy::ToHost(buffer, result)};
struct DeviceCopy {
  enum class Kind { kToDevice, kToHost, kOnDevice };

  [[nodiscard]] static DeviceCopy ToDevice(DevicePointer destination,
                                           std::span<const std::byte> source) {
    return {.kind = Kind::kToDevice,
            .host_source = source.data(),
            .device_destination = destination,
            .bytes = source.size()};
  }
  [[nodiscard]] static DeviceCopy ToHost(std::span<std::byte> destination,
                                         DevicePointer source) {
    return {.kind = Kind::kToHost,
            .host_destination = destination.data(),
            .device_source = source,
            .bytes = destination.size()};
  }
  // The two ranges must not overlap.
  [[nodiscard]] static DeviceCopy OnDevice(DevicePointer destination,
                                           DevicePointer source, size_t bytes) {
    return {.kind = Kind::kOnDevice,
            .device_source = source,
            .device_destination = destination,
            .bytes = bytes};
  }

  Kind kind = Kind::kOnDevice;
  const std::byte* host_source = nullptr;  // kToDevice
  std::byte* host_destination = nullptr;   // kToHost
  DevicePointer device_source = {};        // kToHost, kOnDevice
  DevicePointer device_destination = {};   // kToDevice, kOnDevice
  size_t bytes = 0;
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_DEVICE_COPY_H_
