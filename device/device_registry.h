#ifndef MMSB_DEVICE_DEVICE_REGISTRY_H_
#define MMSB_DEVICE_DEVICE_REGISTRY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "device/device.h"
#include "memory/page/page_location.h"
#include "primitives/os_clock.h"

namespace mmsb {

// The devices of a process by their index, which is what a page knows of its
// device.
//
// A device is owned by all who hold it: Find() hands out a share, and the
// device is destroyed with the last one, on the thread that lets it go. So a
// device may be unregistered while it is in use:
//
//   index        unknown       registered       leaving: unregistered, held
//   Register     -> registered AlreadyExists    AlreadyExists, since pages may
//                                               still mean the old device
//   Find         NotFound      a share          NotFound
//   Unregister   NotFound      -> leaving, or,  NotFound
//                              with no holder,
//                              unknown
//   WaitUntil-   Ok            Failed-          waits; DeadlineExceeded when it
//   Gone                       Precondition     is held still
//   last share   -             -                -> unknown, when the device's
//                                               destructor is done
//
// Thread-safety: any call, any thread; shares may outlive the registry, which
// lets go of its own when it is destroyed. Failure: a status that names the
// device. Complexity: O(log devices).
//
//   DeviceRegistry registry;
//   absl::Status status = registry.Register(std::make_unique<HostDevice>());
//   absl::StatusOr<std::shared_ptr<Device>> device = registry.Find(0);
class DeviceRegistry {
 public:
  DeviceRegistry();
  DeviceRegistry(const DeviceRegistry&) = delete;
  DeviceRegistry& operator=(const DeviceRegistry&) = delete;
  ~DeviceRegistry();

  // Takes the device, under device->info().index. After a failure it is
  // destroyed. InvalidArgument for null and for an index that no page can name.
  absl::Status Register(std::unique_ptr<Device> device);

  absl::StatusOr<std::shared_ptr<Device>> Find(uint32_t index) const;
  // InvalidArgument when the location is no device's.
  absl::StatusOr<std::shared_ptr<Device>> Find(PageLocation location) const;

  // The device is found no more; who holds it goes on. May be the last to let
  // it go, and so wait for all of its work.
  absl::Status Unregister(uint32_t index);

  // Waits until nobody holds the device that was unregistered.
  absl::Status WaitUntilGone(uint32_t index);
  // As long as until `deadline` of `clock`, in nanoseconds.
  absl::Status WaitUntilGone(uint32_t index, int64_t deadline,
                             const Clock& clock = Clock::System());

  // The indexes of what is registered, ascending.
  [[nodiscard]] std::vector<uint32_t> Indexes() const;

 private:
  struct Entry {
    std::shared_ptr<Device> device;  // null while it is leaving
  };
  // Outlives the registry while a share does.
  struct Table {
    absl::Mutex mutex;
    std::map<uint32_t, Entry> entries ABSL_GUARDED_BY(mutex);
  };

  const std::shared_ptr<Table> table_;
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_DEVICE_REGISTRY_H_
