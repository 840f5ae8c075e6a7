#ifndef MMSB_DEVICE_DEVICE_FRAMES_H_
#define MMSB_DEVICE_DEVICE_FRAMES_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "allocator/raw_allocator.h"
#include "device/device.h"
#include "device/device_pointer.h"
#include "primitives/alignment.h"

namespace mmsb {

// The memory of a device as a raw allocator, so that a PageAllocator can keep
// pages there. The blocks are the device's: the host gets their addresses and
// must not follow them.
//
// Does not own the device, which outlives it. Thread-safe. Null when the device
// has no memory, or for an alignment above the device's. As fast as the
// device's own Allocate and Free.
//
//   DeviceFrames frames(device);
//   PageAllocator pages({.alignment = Alignment::FromBytes(256)});
//   absl::Status status = pages.AddFrames(device.location(), frames);
class DeviceFrames {
 public:
  explicit DeviceFrames(Device& device) : device_(device) {}

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (!Alignment::IsValid(alignment) ||
        alignment > device_.info().limits.alignment) {
      return nullptr;
    }
    const absl::StatusOr<DevicePointer> pointer =
        device_.Allocate(bytes == 0 ? 1 : bytes);
    return pointer.ok() ? pointer->ToVoid() : nullptr;
  }

  void Deallocate(void* p, size_t /*bytes*/, size_t /*alignment*/) noexcept {
    // What the device cannot take back went with it.
    if (p != nullptr) {
      device_.Free(DevicePointer::FromVoid(p)).IgnoreError();
    }
  }

 private:
  Device& device_;
};

static_assert(RawAllocator<DeviceFrames>);

}  // namespace mmsb

#endif  // MMSB_DEVICE_DEVICE_FRAMES_H_
