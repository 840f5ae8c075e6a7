#ifndef MMSB_DEVICE_DEVICE_EVENT_H_
#define MMSB_DEVICE_DEVICE_EVENT_H_

#include <cstdint>
#include <utility>

#include "primitives/id.h"

namespace mmsb {

// The name of a stream. No two streams of devices with different indexes have
// one name, and none is used again.
using StreamId = Id<struct StreamIdTag>;

// A point of a stream: all that was submitted to the stream before
// Device::Record() returned it. Points of one stream are ordered, and reached
// in that order, so an event is a value: nothing is created or destroyed, and
// it may be asked about as often as one likes, also when its stream is gone.
//
// Default-made it is no event of any stream, and counts as reached everywhere.
struct DeviceEvent {
  StreamId stream = {};
  uint64_t point = 0;  // operations of the stream, 0: before the first

  friend bool operator==(const DeviceEvent&, const DeviceEvent&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const DeviceEvent& event) {
    return H::combine(std::move(state), event.stream, event.point);
  }
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_DEVICE_EVENT_H_
