#include "device/host_device.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_memory_map.h"
#include "device/device_pointer.h"
#include "primitives/alignment.h"
#include "primitives/check.h"

namespace mmsb {
namespace {

constexpr Alignment kAlignment = Alignment::FromBytes(256);
constexpr size_t kHostMemoryAlignment = 4096;

DeviceInfo InfoOf(const HostDevice::Options& options) {
  return {.index = options.index,
          .name = options.name,
          .limits = {.memory_bytes = options.memory_bytes,
                     .max_allocation_bytes = options.memory_bytes,
                     .alignment = kAlignment.bytes(),
                     .max_streams = options.max_streams}};
}

// A device pointer is an address of the host.
void Perform(const DeviceCopy& copy) {
  if (copy.bytes == 0) return;
  const void* const source = copy.kind == DeviceCopy::Kind::kToDevice
                                 ? copy.host_source
                                 : copy.device_source.ToVoid();
  void* const destination = copy.kind == DeviceCopy::Kind::kToHost
                                ? copy.host_destination
                                : copy.device_destination.ToVoid();
  std::memcpy(destination, source, copy.bytes);
}

}  // namespace

HostDevice::HostDevice() : HostDevice(Options()) {}

HostDevice::HostDevice(const Options& options) : Device(InfoOf(options)) {
  MMSB_CHECK(options.threads > 0, "HostDevice: no threads");
  threads_.reserve(options.threads);
  for (uint32_t i = 0; i < options.threads; ++i) {
    threads_.emplace_back([this] { ThreadMain(); });
  }
}

HostDevice::~HostDevice() {
  for (const std::thread& thread : threads_) {
    MMSB_CHECK(thread.get_id() != std::this_thread::get_id(),
               "HostDevice: work of device %lu let its last share go, and "
               "would wait for itself",
               static_cast<unsigned long>(info().index));
  }
  {
    absl::MutexLock lock(mutex_);
    const auto idle = [this] {
      mutex_.AssertHeld();
      for (const auto& [id, stream] : streams_) {
        if (!stream->ledger.idle()) return false;
      }
      return true;
    };
    mutex_.Await(absl::Condition(&idle));
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  absl::MutexLock lock(mutex_);
  memory_.ForEach([this](const DeviceMemoryMap::Block& block) {
    heap_.Deallocate(block.storage, block.bytes, kAlignment.bytes());
  });
  for (const auto& [address, bytes] : host_memory_) {
    heap_.Deallocate(address, bytes, kHostMemoryAlignment);
  }
}

absl::Status HostDevice::Health() const { return absl::OkStatus(); }

absl::StatusOr<DevicePointer> HostDevice::Allocate(size_t bytes) {
  size_t rounded = 0;
  if (bytes == 0) {
    return Error(absl::StatusCode::kInvalidArgument, "allocation of 0 bytes");
  }
  absl::MutexLock lock(mutex_);
  void* storage = nullptr;
  if (CheckedAlignUp(bytes, kAlignment, &rounded) &&
      rounded <= info().limits.memory_bytes - memory_.used_bytes()) {
    storage = heap_.Allocate(rounded, kAlignment.bytes());
  }
  if (storage == nullptr) {
    return Error(
        absl::StatusCode::kResourceExhausted,
        absl::StrFormat("no memory for %d bytes: %d of %d are in use", bytes,
                        memory_.used_bytes(), info().limits.memory_bytes));
  }
  const DevicePointer address = DevicePointer::FromVoid(storage);
  memory_.Add({.address = address,
               .bytes = rounded,
               .storage = static_cast<std::byte*>(storage)});
  return address;
}

absl::Status HostDevice::Free(DevicePointer pointer) {
  absl::MutexLock lock(mutex_);
  // Gone at once, so that nothing is submitted upon it while this waits.
  const std::optional<DeviceMemoryMap::Block> block = memory_.Remove(pointer);
  if (!block.has_value()) {
    return Error(
        absl::StatusCode::kNotFound,
        absl::StrFormat("free of %v: no allocation begins there", pointer));
  }
  std::vector<DeviceEvent> submitted;
  submitted.reserve(streams_.size());
  for (const auto& [id, stream] : streams_) {
    submitted.push_back({id, stream->ledger.submitted()});
  }
  const auto done = [&] {
    mutex_.AssertHeld();
    for (const DeviceEvent& event : submitted) {
      const absl::StatusOr<bool> reached = ReachedLocked(event);
      if (reached.ok() && !*reached) return false;
    }
    return true;
  };
  mutex_.Await(absl::Condition(&done));
  heap_.Deallocate(block->storage, block->bytes, kAlignment.bytes());
  return absl::OkStatus();
}

Device::MemoryUse HostDevice::Memory() const {
  absl::MutexLock lock(mutex_);
  return {.used = memory_.used_bytes(), .total = info().limits.memory_bytes};
}

absl::StatusOr<std::span<std::byte>> HostDevice::AllocateHost(size_t bytes) {
  if (bytes == 0) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "allocation of 0 bytes of the host");
  }
  void* const memory = heap_.Allocate(bytes, kHostMemoryAlignment);
  if (memory == nullptr) {
    return Error(absl::StatusCode::kResourceExhausted,
                 absl::StrFormat("no memory of the host for %d bytes", bytes));
  }
  const std::span<std::byte> span(static_cast<std::byte*>(memory), bytes);
  absl::MutexLock lock(mutex_);
  host_memory_.emplace(span.data(), bytes);
  return span;
}

absl::Status HostDevice::FreeHost(std::span<std::byte> memory) {
  absl::MutexLock lock(mutex_);
  const auto found = host_memory_.find(memory.data());
  if (found == host_memory_.end() || found->second != memory.size()) {
    return Error(absl::StatusCode::kNotFound,
                 "FreeHost: not what AllocateHost returned");
  }
  heap_.Deallocate(memory.data(), memory.size(), kHostMemoryAlignment);
  host_memory_.erase(found);
  return absl::OkStatus();
}

absl::StatusOr<StreamId> HostDevice::CreateStream() {
  absl::MutexLock lock(mutex_);
  if (streams_.size() >= info().limits.max_streams) {
    return Error(
        absl::StatusCode::kResourceExhausted,
        absl::StrFormat("%d streams are the most", info().limits.max_streams));
  }
  const StreamId id = StreamIdOf(streams_made_++);
  auto stream = std::make_unique<Stream>();
  stream->id = id;
  streams_.emplace(id, std::move(stream));
  return id;
}

absl::Status HostDevice::DestroyStream(StreamId stream) {
  absl::MutexLock lock(mutex_);
  while (true) {
    absl::StatusOr<Stream*> found = Find(stream);
    if (!found.ok()) return found.status();
    if ((*found)->ledger.idle()) break;
    WaitUntilReached({stream, (*found)->ledger.submitted()});
  }
  // Nobody waits for an idle stream: all its points are reached.
  streams_.erase(stream);
  return absl::OkStatus();
}

absl::StatusOr<HostDevice::Stream*> HostDevice::Find(StreamId stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) {
    return Error(absl::StatusCode::kNotFound,
                 absl::StrFormat("no stream %#x", stream.value()));
  }
  return found->second.get();
}

absl::StatusOr<bool> HostDevice::ReachedLocked(DeviceEvent event) const {
  if (!event.stream.valid()) return true;
  const auto found = streams_.find(event.stream);
  if (found != streams_.end()) {
    const absl::StatusOr<bool> reached =
        found->second->ledger.Reached(event.point);
    if (!reached.ok()) return Annotate(reached.status());
    return reached;
  }
  // A stream is destroyed when all was done.
  if (event.stream >= StreamIdOf(0) &&
      event.stream < StreamIdOf(streams_made_)) {
    return true;
  }
  return Error(absl::StatusCode::kInvalidArgument,
               absl::StrFormat("event of stream %#x, which is not of this "
                               "device",
                               event.stream.value()));
}

absl::Status HostDevice::Submit(StreamId stream, Operation operation) {
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  Stream& target = **found;
  target.ledger.Submit();
  target.queue.push_back(std::move(operation));
  if (!target.running && target.queue.size() == 1) Schedule(target);
  return absl::OkStatus();
}

void HostDevice::Schedule(Stream& stream) {
  to_schedule_.push_back(&stream);
  while (!to_schedule_.empty()) {
    Stream& next = *to_schedule_.back();
    to_schedule_.pop_back();
    while (!next.running && !next.queue.empty()) {
      Operation& front = next.queue.front();
      if (front.work != nullptr) {
        runnable_.push_back(&next);
        break;
      }
      // Submit() saw that the event is one.
      const absl::StatusOr<bool> reached = ReachedLocked(front.event);
      if (reached.ok() && !*reached) {
        streams_.find(front.event.stream)->second->waiters.push_back(next.id);
        break;
      }
      next.queue.pop_front();
      Finish(next);
    }
  }
}

void HostDevice::Finish(Stream& stream) {
  stream.ledger.Finish(absl::OkStatus());
  for (const StreamId id : std::exchange(stream.waiters, {})) {
    to_schedule_.push_back(streams_.find(id)->second.get());
  }
}

void HostDevice::ThreadMain() {
  absl::MutexLock lock(mutex_);
  const auto woken = [this] {
    mutex_.AssertHeld();
    return stopping_ || !runnable_.empty();
  };
  while (true) {
    mutex_.Await(absl::Condition(&woken));
    if (runnable_.empty()) return;
    Stream& stream = *runnable_.front();
    runnable_.pop_front();
    Operation operation = std::move(stream.queue.front());
    stream.queue.pop_front();
    stream.running = true;
    mutex_.unlock();
    std::move(operation.work)();
    operation.work = nullptr;  // what it holds is let go before it is done
    mutex_.lock();
    stream.running = false;
    Finish(stream);
    Schedule(stream);
  }
}

absl::Status HostDevice::Copy(StreamId stream,
                              std::span<const DeviceCopy> copies) {
  absl::MutexLock lock(mutex_);
  if (absl::Status status = memory_.Check(copies); !status.ok()) {
    return Annotate(status);
  }
  return Submit(stream,
                {.work =
                     [copies = std::vector(copies.begin(), copies.end())] {
                       for (const DeviceCopy& copy : copies) Perform(copy);
                     },
                 .event = {}});
}

absl::Status HostDevice::Fill(StreamId stream, DevicePointer pointer,
                              size_t bytes, std::byte value) {
  absl::MutexLock lock(mutex_);
  std::byte* const storage = memory_.Find(pointer, bytes);
  if (storage == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument,
                 absl::StrFormat("fill of %d bytes at %v: not inside one "
                                 "allocation",
                                 bytes, pointer));
  }
  return Submit(
      stream,
      {.work = [=] { std::memset(storage, static_cast<int>(value), bytes); },
       .event = {}});
}

absl::Status HostDevice::Run(StreamId stream,
                             absl::AnyInvocable<void() &&> work) {
  if (work == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument, "Run: no work");
  }
  absl::MutexLock lock(mutex_);
  // Work that is not taken is let go by the caller, without the lock.
  if (absl::Status status = Find(stream).status(); !status.ok()) return status;
  return Submit(stream, {.work = std::move(work), .event = {}});
}

absl::StatusOr<DeviceEvent> HostDevice::Record(StreamId stream) {
  absl::MutexLock lock(mutex_);
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  return DeviceEvent{stream, (*found)->ledger.submitted()};
}

absl::Status HostDevice::Wait(StreamId stream, DeviceEvent event,
                              IfFailed /*if_failed*/) {
  // Nothing fails here.
  absl::MutexLock lock(mutex_);
  const absl::StatusOr<bool> reached = ReachedLocked(event);
  if (!reached.ok()) return reached.status();
  return Submit(stream, {.work = nullptr, .event = event});
}

absl::StatusOr<bool> HostDevice::Reached(DeviceEvent event) {
  absl::MutexLock lock(mutex_);
  return ReachedLocked(event);
}

void HostDevice::WaitUntilReached(DeviceEvent event) {
  const auto reached = [&] {
    mutex_.AssertHeld();
    const absl::StatusOr<bool> reached = ReachedLocked(event);
    return !reached.ok() || *reached;
  };
  mutex_.Await(absl::Condition(&reached));
}

absl::Status HostDevice::Await(DeviceEvent event) {
  absl::MutexLock lock(mutex_);
  WaitUntilReached(event);
  return ReachedLocked(event).status();
}

absl::Status HostDevice::Synchronize(StreamId stream) {
  absl::MutexLock lock(mutex_);
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  WaitUntilReached({stream, (*found)->ledger.submitted()});
  return absl::OkStatus();
}

}  // namespace mmsb
