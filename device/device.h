#ifndef MMSB_DEVICE_DEVICE_H_
#define MMSB_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "memory/page/page_location.h"

namespace mmsb {

// What a device can do at the most.
struct DeviceLimits {
  size_t memory_bytes = 0;          // all of its memory
  size_t max_allocation_bytes = 0;  // one allocation
  size_t alignment = 256;           // bytes; of every allocation
  uint32_t max_streams = 0;         // alive at one time
};

// What never changes of a device.
struct DeviceInfo {
  // Pages name the device by it: PageLocation::Device(index).
  uint32_t index = 0;
  std::string name = {};  // for people
  DeviceLimits limits = {};
};

// Something that has memory and does work on it, in streams: an accelerator,
// threads of the host, a simulation. Work is submitted and done later. The
// operations of one stream are done in their order; those of two streams in any
// order, or at once, but where one waits for an event of the other.
//
// Who owns what: a device owns its memory, its streams and what was submitted.
// What a copy reads and writes on the host belongs to the caller, who leaves it
// alone until the copy is done. The destructor first does all that was
// submitted, so that nothing touches a caller's memory afterwards; then it
// frees everything. No call may be running, or come, when it begins.
//
// The states of a stream, and what becomes of each operation:
//
//               working          failed                        device lost
//   Copy, Fill  accepted, done   accepted, skipped             DataLoss
//   Run, Wait
//   Record      event            event (will be a failure)     DataLoss
//   Reached,    true when done   the failure, of an event at   DataLoss, unless
//   Await                        or behind the failed          it was reached
//                                operation                     before
//   Synchronize Ok               waits for what was            DataLoss
//                                submitted, returns the
//                                failure -> working
//   Allocate,   done             done                          DataLoss
//   Free                                                       (Free frees)
//   Destroy-    gone             gone; returns the failure     gone; DataLoss
//   Stream
//
// A stream becomes failed when one of its operations fails, or waits (with
// kFail) for an event that is a failure. What was submitted behind that
// operation is skipped, never done out of order; so nothing runs upon data that
// did not arrive. A copy or a fill that failed leaves the bytes of its
// destination undefined, and no other bytes. A device that is lost stays lost,
// and its memory with it: Health() tells.
//
// Thread-safety: any call, any thread. Two threads that share a stream do not
// know the order of what they submit; each then awaits an event of its own
// instead of synchronising. Work given to Run(), and what it holds, must not
// call the device, not even by letting its last share go, and must not throw.
//
// Failure: a status that begins with the device ("device 3 (host): ...").
//   InvalidArgument    an argument that can never be right: null, a range that
//                      is not inside one allocation, ranges that overlap
//   NotFound           no such stream or allocation
//   ResourceExhausted  memory or streams
//   Unavailable        the operation failed; the same may succeed again
//   DataLoss           the device is lost
// A call that returns an error has submitted nothing. Complexity: of a
// submission, O(log allocations) for each range.
//
//   absl::StatusOr<DevicePointer> at = device.Allocate(page.size());
//   absl::Status status = device.Copy(stream, DeviceCopy::ToDevice(*at, page));
//   status = device.Synchronize(stream);
class Device {
 public:
  enum class IfFailed { kFail, kGoOn };

  struct MemoryUse {
    size_t used = 0;   // bytes of allocations
    size_t total = 0;  // bytes of memory
  };

  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  [[nodiscard]] const DeviceInfo& info() const { return info_; }
  [[nodiscard]] PageLocation location() const {
    return PageLocation::Device(info_.index);
  }

  // Whether `stream` is named as the streams of this device are, whatever
  // became of it. Tells devices with different indexes apart.
  [[nodiscard]] bool Names(StreamId stream) const {
    return stream.valid() && stream.value() >> 32 == info_.index;
  }

  // Ok, or why the device is lost.
  [[nodiscard]] virtual absl::Status Health() const = 0;

  // --- Memory ---

  // At least `bytes` bytes, aligned to limits.alignment, contents undefined. 0
  // bytes are InvalidArgument. Both calls may wait for all work of the device;
  // DeviceMemoryPool does not.
  virtual absl::StatusOr<DevicePointer> Allocate(size_t bytes) = 0;

  // Waits until all that was submitted is done, and frees what Allocate()
  // returned. What is submitted upon it meanwhile is refused, or fails.
  virtual absl::Status Free(DevicePointer pointer) = 0;

  [[nodiscard]] virtual MemoryUse Memory() const = 0;

  // Memory of the host that the device reaches directly (pinned), aligned to
  // 4096 bytes, contents undefined; 0 bytes are InvalidArgument. Copies may use
  // any other memory of the host too, but then may be slow, and Copy() may
  // wait.
  virtual absl::StatusOr<std::span<std::byte>> AllocateHost(size_t bytes) = 0;
  // Frees what AllocateHost() returned; no copy may use it still.
  virtual absl::Status FreeHost(std::span<std::byte> memory) = 0;

  // --- Streams ---

  virtual absl::StatusOr<StreamId> CreateStream() = 0;
  // Waits until all that was submitted to it is done.
  virtual absl::Status DestroyStream(StreamId stream) = 0;

  // --- Work: submitted to a stream, done later ---

  // One operation, that fails or succeeds as one. The copies are done in any
  // order, so a range that one writes must not be touched by another.
  virtual absl::Status Copy(StreamId stream,
                            std::span<const DeviceCopy> copies) = 0;
  absl::Status Copy(StreamId stream, const DeviceCopy& copy) {
    return Copy(stream, std::span(&copy, 1));
  }

  // Sets `bytes` bytes to `value`.
  virtual absl::Status Fill(StreamId stream, DevicePointer pointer,
                            size_t bytes, std::byte value) = 0;

  // Calls `work` on some thread of the host.
  virtual absl::Status Run(StreamId stream,
                           absl::AnyInvocable<void() &&> work) = 0;

  // --- Order ---

  // The point behind all that was submitted to the stream so far.
  virtual absl::StatusOr<DeviceEvent> Record(StreamId stream) = 0;

  // What is submitted to `stream` from now on is done after `event`. An event
  // lies always in the past of the submission, so streams cannot wait for each
  // other in a circle. kGoOn is for who needs the order and not the data: the
  // wait is not a failure when the event is one, and is never skipped.
  virtual absl::Status Wait(StreamId stream, DeviceEvent event,
                            IfFailed if_failed) = 0;
  absl::Status Wait(StreamId stream, DeviceEvent event) {
    return Wait(stream, event, IfFailed::kFail);
  }

  // True when the event was reached and nothing before it failed. Never waits.
  virtual absl::StatusOr<bool> Reached(DeviceEvent event) = 0;

  // Waits until Reached() is true or an error.
  virtual absl::Status Await(DeviceEvent event) = 0;

  // Waits until what was submitted to the stream is done or skipped.
  virtual absl::Status Synchronize(StreamId stream) = 0;

 protected:
  explicit Device(DeviceInfo info) : info_(std::move(info)) {}

  // A status that begins with the name of the device.
  [[nodiscard]] absl::Status Error(absl::StatusCode code,
                                   absl::string_view message) const {
    return absl::Status(code, absl::StrFormat("device %d (%s): %s", info_.index,
                                              info_.name, message));
  }

  // `status`, as Error() would have it; Ok stays Ok.
  [[nodiscard]] absl::Status Annotate(const absl::Status& status) const {
    return status.ok() ? status : Error(status.code(), status.message());
  }

  // The name of the `ordinal`-th stream of this device.
  [[nodiscard]] StreamId StreamIdOf(uint32_t ordinal) const {
    return StreamId::FromValue(uint64_t{info_.index} << 32 | ordinal);
  }

 private:
  const DeviceInfo info_;
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_DEVICE_H_
