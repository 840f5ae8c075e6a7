#ifndef MMSB_DEVICE_HOST_DEVICE_H_
#define MMSB_DEVICE_HOST_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <thread>
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

namespace mmsb {

// The host itself as a device: its memory is the process's heap, and threads of
// its own do the work of its streams. For machines without another device, and
// for code that is to run on either.
//
// A device pointer is the address itself, so work given to Run() may follow it
// (DevicePointer::ToVoid). One operation of a stream runs at a time, those of
// different streams at once, on as many threads as there are; threads take the
// streams in turn. Its operations do not fail, and it is never lost.
//
// As Device says. Complexity: a submission, O(1) under one lock.
//
//   HostDevice device({.threads = 4});
//   absl::StatusOr<StreamId> stream = device.CreateStream();
//   absl::Status status = device.Run(*stream, [&] { Compute(); });
class HostDevice final : public Device {
 public:
  struct Options {
    uint32_t index = 0;
    std::string name = "host";
    size_t memory_bytes = kGiB;  // that Allocate() gives at the most
    uint32_t threads = 2;        // at least 1
    uint32_t max_streams = 1024;
  };

  HostDevice();
  explicit HostDevice(const Options& options);
  ~HostDevice() override;

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

 private:
  // What is to be done, or, without work, the event that is waited for.
  struct Operation {
    absl::AnyInvocable<void() &&> work;
    DeviceEvent event;
  };

  //   state     queue            in runnable_  where
  //   idle      empty            no
  //   runnable  work in front    once
  //   blocked   event in front   no            in the waiters of its stream
  //   running   what is behind   no            a thread has the front
  struct Stream {
    StreamId id;
    StreamLedger ledger;
    std::deque<Operation> queue;
    std::vector<StreamId> waiters;  // blocked by an event of this stream
    bool running = false;
  };

  absl::StatusOr<Stream*> Find(StreamId stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> ReachedLocked(DeviceEvent event) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Submit(StreamId stream, Operation operation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes an idle or blocked stream what its queue says, and those that were
  // blocked by it.
  void Schedule(Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The front of the queue, taken out, is done: what it blocked is to be
  // scheduled.
  void Finish(Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WaitUntilReached(DeviceEvent event)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ThreadMain();

  SystemSource heap_;
  mutable absl::Mutex mutex_;
  DeviceMemoryMap memory_ ABSL_GUARDED_BY(mutex_);
  std::map<std::byte*, size_t> host_memory_ ABSL_GUARDED_BY(mutex_);
  uint32_t streams_made_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<StreamId, std::unique_ptr<Stream>> streams_
      ABSL_GUARDED_BY(mutex_);
  std::deque<Stream*> runnable_ ABSL_GUARDED_BY(mutex_);
  // That Schedule() has not looked at yet: a list and no recursion, as there
  // may be as many as streams.
  std::vector<Stream*> to_schedule_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_HOST_DEVICE_H_
