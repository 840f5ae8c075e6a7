#ifndef MMSB_DEVICE_SIMULATED_DEVICE_H_
#define MMSB_DEVICE_SIMULATED_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "allocator/system_source.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_memory_map.h"
#include "device/device_pointer.h"
#include "device/stream_ledger.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"

namespace mmsb {

// A device that is not there: memory that the host cannot touch, copies that
// take the time they would take, and failures where a test wants them.
//
// Memory lies at addresses that are none of the host's (above 2^60), never used
// twice, so that a pointer that strays or outlives its allocation is an error.
//
// Time is a plan: when an operation is submitted it is decided when it begins
// and ends, from the rules below; it takes effect, in one moment, when a call
// of this class finds that its end has come. No thread is needed, and with a
// clock that a test moves, every run is the same. An operation begins when the
// one before it on its stream has ended, and
//
//   Copy    when the engine of its direction is idle (to the device, to the
//           host: one each; a batch with both kinds takes both); it takes
//           call_ns + copy_ns for each copy + bytes / bandwidth
//   Fill    at once; it takes call_ns + bytes / on_device bandwidth
//   Launch  at once; it takes call_ns + what the caller says
//   Run     at once; no time
//   Wait    ends with what it waits for
//
// A call that waits lets time pass: by moving a ManualClock on, by sleeping, or
// by what the constructor is given.
//
// Faults are decided call by call (OnCall, FailCall). As Device says otherwise;
// calls that a kernel or Run() makes into the device deadlock. A submission
// costs O(log operations).
//
//   ManualClock clock;
//   SimulatedDevice device({.to_device_bytes_per_second = 16 * kGiB}, clock);
//   device.FailCall(3, SimulatedDevice::Fault::kFail);
class SimulatedDevice final : public Device {
 public:
  struct Options {
    uint32_t index = 0;
    std::string name = "simulated";
    size_t memory_bytes = 64 * kMiB;
    uint32_t max_streams = 64;
    // At least 1 each.
    uint64_t to_device_bytes_per_second = 16 * kGiB;
    uint64_t to_host_bytes_per_second = 16 * kGiB;
    uint64_t on_device_bytes_per_second = 256 * kGiB;
    int64_t call_ns = 0;  // at least 0 each
    int64_t copy_ns = 0;
    int64_t allocate_ns = 0;  // the caller waits
    int64_t free_ns = 0;
    // What fresh memory holds; without it zeros, which cost nothing.
    std::optional<std::byte> fresh = std::nullopt;
  };

  enum class Call {
    kAllocate,
    kFree,
    kAllocateHost,
    kCreateStream,
    kCopy,
    kFill,
    kRun,
    kLaunch,
    kRecord,
    kWait,
  };

  struct CallInfo {
    uint64_t number = 0;  // from 1, over all calls that can fail
    Call call = Call::kCopy;
    StreamId stream = {};  // invalid where the call has none
    size_t bytes = 0;      // of the allocation, or all that it copies or fills
  };

  enum class Fault {
    kNone,
    kRefuse,  // the call fails and does nothing: Unavailable, of an allocation
              // ResourceExhausted
    kFail,    // a copy, fill, run or launch is accepted and fails when it is
              // done: half of its destination is as it should be, some of the
              // rest is garbage. Of another call: kRefuse
    kLose,    // the device is lost at this call
    kLoseLater,  // as kFail, and then the device is lost. Of another call:
                 // kLose
  };

  // What a kernel may touch.
  class DeviceMemory {
   public:
    // InvalidArgument when the range is not inside one allocation.
    absl::StatusOr<std::span<std::byte>> Bytes(DevicePointer pointer,
                                               size_t bytes) const;

   private:
    friend class SimulatedDevice;
    explicit DeviceMemory(const DeviceMemoryMap& map) : map_(map) {}
    const DeviceMemoryMap& map_;
  };
  using Kernel = absl::AnyInvocable<absl::Status(const DeviceMemory&) &&>;

  // What was done, all streams together. Bytes and copies that failed, too.
  struct Traffic {
    uint64_t to_device_bytes = 0;
    uint64_t to_host_bytes = 0;
    uint64_t on_device_bytes = 0;
    uint64_t copies = 0;       // in all batches
    uint64_t batches = 0;      // Copy() calls
    uint64_t allocations = 0;  // Allocate() calls that succeeded
    uint64_t events = 0;       // Record() calls
    uint64_t waits = 0;        // Wait() calls
  };

  // Returns when `deadline`, of the device's clock, has come, or earlier.
  // Called without a lock.
  using WaitUntil = std::function<void(int64_t deadline)>;

  // Who waits moves `clock` on.
  SimulatedDevice(const Options& options, ManualClock& clock);
  // Real time.
  explicit SimulatedDevice(const Options& options);
  SimulatedDevice(const Options& options, const Clock& clock,
                  WaitUntil wait_until);
  // Does at once what was submitted, whatever the time.
  ~SimulatedDevice() override;

  using Device::Copy;
  using Device::Wait;

  [[nodiscard]] absl::Status Health() const override;
  absl::StatusOr<DevicePointer> Allocate(size_t bytes) override;
  absl::Status Free(DevicePointer pointer) override;
  [[nodiscard]] MemoryUse Memory() const override;
  absl::StatusOr<std::span<std::byte>> AllocateHost(size_t bytes) override;
  absl::Status FreeHost(std::span<std::byte> memory) override;
  absl::StatusOr<StreamId> CreateStream() override;
  absl::Status DestroyStream(StreamId stream) override;
  absl::Status Copy(StreamId stream,
                    std::span<const DeviceCopy> copies) override;
  absl::Status Fill(StreamId stream, DevicePointer pointer, size_t bytes,
                    std::byte value) override;
  absl::Status Run(StreamId stream,
                   absl::AnyInvocable<void() &&> work) override;
  absl::StatusOr<DeviceEvent> Record(StreamId stream) override;
  absl::Status Wait(StreamId stream, DeviceEvent event,
                    IfFailed if_failed) override;
  absl::StatusOr<bool> Reached(DeviceEvent event) override;
  absl::Status Await(DeviceEvent event) override;
  absl::Status Synchronize(StreamId stream) override;

  // Work on the device: calls `kernel` when `duration_ns` nanoseconds of it
  // have passed. Its status is the operation's.
  absl::Status Launch(StreamId stream, int64_t duration_ns, Kernel kernel);

  // `decide` is asked at every call that can fail, under the lock: it must not
  // call the device. Replaces FailCall().
  void OnCall(std::function<Fault(const CallInfo&)> decide);

  // The `nth` call from now on, 1 being the next, has `fault`; none other has.
  void FailCall(uint64_t nth, Fault fault);

  // No more faults.
  void Heal() { OnCall(nullptr); }

  // The device is lost now.
  void Lose();

  // Calls that can fail, so far.
  [[nodiscard]] uint64_t calls() const;
  [[nodiscard]] Traffic traffic() const;

 private:
  struct Operation {
    StreamId stream;
    // Given false, it leaves half done what it does; Ok when it is to succeed.
    absl::AnyInvocable<absl::Status(bool whole) &&> effect;
    Fault fault = Fault::kNone;
  };
  struct Stream {
    StreamLedger ledger;
    int64_t end = 0;  // of what was submitted last
    // Ends of operations that are not done, oldest first.
    std::deque<int64_t> ends;
  };
  struct Engine {
    int64_t free_at = 0;
  };

  // The fault of this call, and Ok when it is to go on.
  absl::Status Begin(Call call, StreamId stream, size_t bytes, Fault* fault)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Stream*> Find(StreamId stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Submit(StreamId id, Stream& stream, int64_t end, Operation operation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of the event's stream; null when it is gone and nothing of it failed.
  // InvalidArgument when the event is none of this device's.
  absl::StatusOr<const StreamLedger*> LedgerOf(DeviceEvent event) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> ReachedLocked(DeviceEvent event) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // When the event will have been reached; 0 when it is.
  int64_t EndOf(DeviceEvent event) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Does what ends until `now`, in the order of ends.
  void CatchUp(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Operation operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoseLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Lost() const;
  // Lets time pass until `end`, or everything is done.
  void PassUntil(int64_t end) ABSL_LOCKS_EXCLUDED(mutex_);
  void FreeBlock(const DeviceMemoryMap::Block& block)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t TransferNs(uint64_t bytes, uint64_t bytes_per_second) const;

  const Options options_;
  const Clock& clock_;
  const WaitUntil wait_until_;
  SystemSource heap_;

  mutable absl::Mutex mutex_;
  DeviceMemoryMap memory_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_address_ ABSL_GUARDED_BY(mutex_) = uint64_t{1} << 60;
  std::map<std::byte*, size_t> host_memory_ ABSL_GUARDED_BY(mutex_);
  uint32_t streams_made_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<StreamId, std::unique_ptr<Stream>> streams_
      ABSL_GUARDED_BY(mutex_);
  // Of streams that are gone and had failures.
  absl::flat_hash_map<StreamId, StreamLedger> failed_streams_
      ABSL_GUARDED_BY(mutex_);
  // By end, then in the order of submission.
  std::map<std::pair<int64_t, uint64_t>, Operation> plan_
      ABSL_GUARDED_BY(mutex_);
  uint64_t submissions_ ABSL_GUARDED_BY(mutex_) = 0;
  Engine to_device_ ABSL_GUARDED_BY(mutex_);
  Engine to_host_ ABSL_GUARDED_BY(mutex_);
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<Fault(const CallInfo&)> decide_ ABSL_GUARDED_BY(mutex_);
  uint64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  Traffic traffic_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMULATED_DEVICE_H_
