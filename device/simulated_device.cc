#include "device/simulated_device.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_memory_map.h"
#include "device/device_pointer.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Kind = DeviceCopy::Kind;

constexpr Alignment kAlignment = Alignment::FromBytes(256);
constexpr size_t kHostMemoryAlignment = 4096;
constexpr std::byte kGarbage{0x5a};

DeviceInfo InfoOf(const SimulatedDevice::Options& options) {
  return {.index = options.index,
          .name = options.name,
          .limits = {.memory_bytes = options.memory_bytes,
                     .max_allocation_bytes = options.memory_bytes,
                     .alignment = kAlignment.bytes(),
                     .max_streams = options.max_streams}};
}

// A sum of times that are at least 0; the end of time at the most.
int64_t After(int64_t time, int64_t ns) {
  return ns > std::numeric_limits<int64_t>::max() - time
             ? std::numeric_limits<int64_t>::max()
             : time + ns;
}

// Sleeps at most a millisecond at once, so that a clock which is not quite the
// sleep's does no harm.
SimulatedDevice::WaitUntil Sleeper(const Clock& clock) {
  return [&clock](int64_t deadline) {
    const int64_t ns = deadline - clock.Now();
    if (ns > 0) {
      absl::SleepFor(absl::Nanoseconds(std::min<int64_t>(ns, 1'000'000)));
    }
  };
}

// Moves the clock on to the deadline, and not further though several wait.
SimulatedDevice::WaitUntil Mover(ManualClock& clock) {
  return [&clock, mutex = std::make_shared<absl::Mutex>()](int64_t deadline) {
    absl::MutexLock lock(*mutex);
    const int64_t ns = deadline - clock.Now();
    if (ns > 0) clock.Advance(ns);
  };
}

const char* NameOf(SimulatedDevice::Call call) {
  using Call = SimulatedDevice::Call;
  switch (call) {
    case Call::kAllocate:
      return "Allocate";
    case Call::kFree:
      return "Free";
    case Call::kAllocateHost:
      return "AllocateHost";
    case Call::kCreateStream:
      return "CreateStream";
    case Call::kCopy:
      return "Copy";
    case Call::kFill:
      return "Fill";
    case Call::kRun:
      return "Run";
    case Call::kLaunch:
      return "Launch";
    case Call::kRecord:
      return "Record";
    case Call::kWait:
      return "Wait";
  }
  return "?";
}

bool IsWork(SimulatedDevice::Call call) {
  using Call = SimulatedDevice::Call;
  return call == Call::kCopy || call == Call::kFill || call == Call::kRun ||
         call == Call::kLaunch;
}

}  // namespace

absl::StatusOr<std::span<std::byte>> SimulatedDevice::DeviceMemory::Bytes(
    DevicePointer pointer, size_t bytes) const {
  std::byte* const storage = map_.Find(pointer, bytes);
  if (storage == nullptr) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "kernel: %d bytes at %v: not inside one allocation", bytes, pointer));
  }
  return std::span(storage, bytes);
}

SimulatedDevice::SimulatedDevice(const Options& options, ManualClock& clock)
    : SimulatedDevice(options, clock, Mover(clock)) {}

SimulatedDevice::SimulatedDevice(const Options& options)
    : SimulatedDevice(options, Clock::System(), Sleeper(Clock::System())) {}

SimulatedDevice::SimulatedDevice(const Options& options, const Clock& clock,
                                 WaitUntil wait_until)
    : Device(InfoOf(options)),
      options_(options),
      clock_(clock),
      wait_until_(std::move(wait_until)) {
  MMSB_CHECK(options.to_device_bytes_per_second > 0 &&
                 options.to_host_bytes_per_second > 0 &&
                 options.on_device_bytes_per_second > 0,
             "SimulatedDevice: a bandwidth of 0");
  MMSB_CHECK(options.call_ns >= 0 && options.copy_ns >= 0 &&
                 options.allocate_ns >= 0 && options.free_ns >= 0,
             "SimulatedDevice: a time below 0");
}

SimulatedDevice::~SimulatedDevice() {
  absl::MutexLock lock(mutex_);
  CatchUp(std::numeric_limits<int64_t>::max());
  memory_.ForEach([this](const DeviceMemoryMap::Block& block) {
    mutex_.AssertHeld();
    FreeBlock(block);
  });
  for (const auto& [address, bytes] : host_memory_) {
    heap_.Deallocate(address, bytes, kHostMemoryAlignment);
  }
}

void SimulatedDevice::FreeBlock(const DeviceMemoryMap::Block& block) {
  heap_.Deallocate(block.storage, block.bytes, kAlignment.bytes());
}

absl::Status SimulatedDevice::Lost() const {
  return Error(absl::StatusCode::kDataLoss, "the device is lost");
}

absl::Status SimulatedDevice::Health() const {
  absl::MutexLock lock(mutex_);
  return lost_ ? Lost() : absl::OkStatus();
}

absl::Status SimulatedDevice::Begin(Call call, StreamId stream, size_t bytes,
                                    Fault* fault) {
  CatchUp(clock_.Now());
  *fault = Fault::kNone;
  if (lost_) return Lost();
  ++calls_;
  if (decide_ == nullptr) return absl::OkStatus();
  *fault = decide_(CallInfo{
      .number = calls_, .call = call, .stream = stream, .bytes = bytes});
  const bool later = IsWork(call);
  if (*fault == Fault::kLose || (*fault == Fault::kLoseLater && !later)) {
    LoseLocked();
    return Lost();
  }
  if (*fault == Fault::kRefuse || (*fault == Fault::kFail && !later)) {
    const bool allocation = call == Call::kAllocate ||
                            call == Call::kAllocateHost ||
                            call == Call::kCreateStream;
    return Error(allocation ? absl::StatusCode::kResourceExhausted
                            : absl::StatusCode::kUnavailable,
                 absl::StrFormat("%s refused (injected, call %d)", NameOf(call),
                                 calls_));
  }
  return absl::OkStatus();
}

absl::StatusOr<DevicePointer> SimulatedDevice::Allocate(size_t bytes) {
  if (bytes == 0) {
    return Error(absl::StatusCode::kInvalidArgument, "allocation of 0 bytes");
  }
  int64_t done = 0;
  DevicePointer address;
  {
    absl::MutexLock lock(mutex_);
    Fault fault = Fault::kNone;
    if (absl::Status status = Begin(Call::kAllocate, {}, bytes, &fault);
        !status.ok()) {
      return status;
    }
    size_t rounded = 0;
    void* storage = nullptr;
    if (CheckedAlignUp(bytes, kAlignment, &rounded) &&
        rounded <= options_.memory_bytes - memory_.used_bytes()) {
      storage = options_.fresh.has_value()
                    ? heap_.Allocate(rounded, kAlignment.bytes())
                    : heap_.AllocateZeroed(rounded, kAlignment.bytes());
    }
    if (storage == nullptr) {
      return Error(
          absl::StatusCode::kResourceExhausted,
          absl::StrFormat("no memory for %d bytes: %d of %d are in "
                          "use",
                          bytes, memory_.used_bytes(), options_.memory_bytes));
    }
    if (options_.fresh.has_value()) {
      std::memset(storage, static_cast<int>(*options_.fresh), rounded);
    }
    address = DevicePointer::FromAddress(next_address_);
    // A gap, so that what runs over an end is outside.
    next_address_ += rounded + kAlignment.bytes();
    memory_.Add({.address = address,
                 .bytes = rounded,
                 .storage = static_cast<std::byte*>(storage)});
    ++traffic_.allocations;
    done = After(clock_.Now(), options_.allocate_ns);
  }
  if (options_.allocate_ns > 0) PassUntil(done);
  return address;
}

absl::Status SimulatedDevice::Free(DevicePointer pointer) {
  int64_t done = 0;
  absl::Status status;
  {
    absl::MutexLock lock(mutex_);
    Fault fault = Fault::kNone;
    status = Begin(Call::kFree, {}, 0, &fault);
    if (!status.ok() && !lost_) return status;
    done = clock_.Now();
    if (!plan_.empty()) done = std::max(done, plan_.rbegin()->first.first);
    done = After(done, options_.free_ns);
  }
  if (status.ok()) PassUntil(done);
  absl::MutexLock lock(mutex_);
  const std::optional<DeviceMemoryMap::Block> block = memory_.Remove(pointer);
  if (!block.has_value()) {
    if (!status.ok()) return status;
    return Error(
        absl::StatusCode::kNotFound,
        absl::StrFormat("free of %v: no allocation begins there", pointer));
  }
  FreeBlock(*block);
  return status;
}

Device::MemoryUse SimulatedDevice::Memory() const {
  absl::MutexLock lock(mutex_);
  return {.used = memory_.used_bytes(), .total = options_.memory_bytes};
}

absl::StatusOr<std::span<std::byte>> SimulatedDevice::AllocateHost(
    size_t bytes) {
  if (bytes == 0) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "allocation of 0 bytes of the host");
  }
  absl::MutexLock lock(mutex_);
  Fault fault = Fault::kNone;
  if (absl::Status status = Begin(Call::kAllocateHost, {}, bytes, &fault);
      !status.ok()) {
    return status;
  }
  void* const memory = heap_.Allocate(bytes, kHostMemoryAlignment);
  if (memory == nullptr) {
    return Error(absl::StatusCode::kResourceExhausted,
                 absl::StrFormat("no memory of the host for %d bytes", bytes));
  }
  const std::span<std::byte> span(static_cast<std::byte*>(memory), bytes);
  host_memory_.emplace(span.data(), bytes);
  return span;
}

absl::Status SimulatedDevice::FreeHost(std::span<std::byte> memory) {
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

absl::StatusOr<StreamId> SimulatedDevice::CreateStream() {
  absl::MutexLock lock(mutex_);
  Fault fault = Fault::kNone;
  if (absl::Status status = Begin(Call::kCreateStream, {}, 0, &fault);
      !status.ok()) {
    return status;
  }
  if (streams_.size() >= options_.max_streams) {
    return Error(
        absl::StatusCode::kResourceExhausted,
        absl::StrFormat("%d streams are the most", options_.max_streams));
  }
  const StreamId id = StreamIdOf(streams_made_++);
  streams_.emplace(id, std::make_unique<Stream>());
  return id;
}

absl::Status SimulatedDevice::DestroyStream(StreamId stream) {
  const absl::Status status = Synchronize(stream);
  if (absl::IsNotFound(status)) return status;
  while (true) {
    int64_t end = 0;
    {
      absl::MutexLock lock(mutex_);
      const auto found = streams_.find(stream);
      // Another thread was quicker.
      if (found == streams_.end()) return Find(stream).status();
      if (found->second->ledger.idle()) {
        if (found->second->ledger.has_failures()) {
          failed_streams_.emplace(stream, std::move(found->second->ledger));
        }
        streams_.erase(found);
        return status;
      }
      end = found->second->end;
    }
    PassUntil(end);
  }
}

absl::StatusOr<SimulatedDevice::Stream*> SimulatedDevice::Find(
    StreamId stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) {
    return Error(absl::StatusCode::kNotFound,
                 absl::StrFormat("no stream %#x", stream.value()));
  }
  return found->second.get();
}

int64_t SimulatedDevice::TransferNs(uint64_t bytes,
                                    uint64_t bytes_per_second) const {
  constexpr uint64_t kNsPerSecond = 1'000'000'000;
  const absl::uint128 ns =
      (absl::uint128(bytes) * kNsPerSecond + (bytes_per_second - 1)) /
      bytes_per_second;
  constexpr auto kMax =
      static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return ns > kMax ? static_cast<int64_t>(kMax) : static_cast<int64_t>(ns);
}

void SimulatedDevice::Submit(StreamId id, Stream& stream, int64_t end,
                             Operation operation) {
  operation.stream = id;
  stream.ledger.Submit();
  stream.end = end;
  stream.ends.push_back(end);
  plan_.emplace(std::pair(end, ++submissions_), std::move(operation));
}

absl::Status SimulatedDevice::Copy(StreamId stream,
                                   std::span<const DeviceCopy> copies) {
  absl::MutexLock lock(mutex_);
  size_t total = 0;
  uint64_t bytes[3] = {0, 0, 0};  // by kind
  for (const DeviceCopy& copy : copies) {
    if (!CheckedAdd(total, copy.bytes, &total)) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "Copy: the sizes add up to more than there can be");
    }
    const auto kind = static_cast<size_t>(copy.kind);
    // One that there is not is refused below.
    if (kind < std::size(bytes)) bytes[kind] += copy.bytes;
  }
  Fault fault = Fault::kNone;
  if (absl::Status status = Begin(Call::kCopy, stream, total, &fault);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  if (absl::Status status = memory_.Check(copies); !status.ok()) {
    return Annotate(status);
  }
  const uint64_t to_device = bytes[static_cast<size_t>(Kind::kToDevice)];
  const uint64_t to_host = bytes[static_cast<size_t>(Kind::kToHost)];
  const uint64_t on_device = bytes[static_cast<size_t>(Kind::kOnDevice)];
  int64_t begin = std::max(clock_.Now(), (*found)->end);
  if (to_device > 0) begin = std::max(begin, to_device_.free_at);
  if (to_host > 0) begin = std::max(begin, to_host_.free_at);
  const uint64_t most_copies = static_cast<uint64_t>(
      options_.copy_ns == 0
          ? 0
          : std::numeric_limits<int64_t>::max() / options_.copy_ns);
  int64_t end = After(begin, options_.call_ns);
  end =
      After(end, options_.copy_ns == 0 ? 0
                 : copies.size() > most_copies
                     ? std::numeric_limits<int64_t>::max()
                     : options_.copy_ns * static_cast<int64_t>(copies.size()));
  end = After(end, TransferNs(to_device, options_.to_device_bytes_per_second));
  end = After(end, TransferNs(to_host, options_.to_host_bytes_per_second));
  end = After(end, TransferNs(on_device, options_.on_device_bytes_per_second));
  if (to_device > 0) to_device_.free_at = end;
  if (to_host > 0) to_host_.free_at = end;
  traffic_.to_device_bytes += to_device;
  traffic_.to_host_bytes += to_host;
  traffic_.on_device_bytes += on_device;
  traffic_.copies += copies.size();
  ++traffic_.batches;
  auto effect = [this,
                 list = std::vector(copies.begin(), copies.end())](bool whole) {
    mutex_.AssertHeld();
    // Another thread may have freed it after the submission.
    if (absl::Status status = memory_.Check(list); !status.ok()) {
      return Annotate(status);
    }
    const size_t good = whole ? list.size() : list.size() / 2;
    for (size_t i = 0; i < good; ++i) memory_.Perform(list[i]);
    if (good < list.size()) {
      // Of the next one, the first half.
      const DeviceCopy& copy = list[good];
      std::byte* const torn =
          copy.kind == Kind::kToHost
              ? copy.host_destination
              : memory_.Find(copy.device_destination, copy.bytes);
      if (torn != nullptr) {
        std::memset(torn, static_cast<int>(kGarbage), (copy.bytes + 1) / 2);
      }
    }
    return absl::OkStatus();
  };
  Submit(stream, **found, end,
         {.stream = {}, .effect = std::move(effect), .fault = fault});
  return absl::OkStatus();
}

absl::Status SimulatedDevice::Fill(StreamId stream, DevicePointer pointer,
                                   size_t bytes, std::byte value) {
  absl::MutexLock lock(mutex_);
  Fault fault = Fault::kNone;
  if (absl::Status status = Begin(Call::kFill, stream, bytes, &fault);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  const auto outside = [this, pointer, bytes] {
    return Error(absl::StatusCode::kInvalidArgument,
                 absl::StrFormat("fill of %d bytes at %v: not inside one "
                                 "allocation",
                                 bytes, pointer));
  };
  if (memory_.Find(pointer, bytes) == nullptr) return outside();
  const int64_t begin = std::max(clock_.Now(), (*found)->end);
  const int64_t end =
      After(After(begin, options_.call_ns),
            TransferNs(bytes, options_.on_device_bytes_per_second));
  traffic_.on_device_bytes += bytes;
  Submit(stream, **found, end,
         {.stream = {},
          .effect =
              [this, pointer, bytes, value, outside](bool whole) {
                mutex_.AssertHeld();
                // Another thread may have freed it after the submission.
                std::byte* const storage = memory_.Find(pointer, bytes);
                if (storage == nullptr) return outside();
                std::memset(storage, static_cast<int>(whole ? value : kGarbage),
                            whole ? bytes : bytes - bytes / 2);
                return absl::OkStatus();
              },
          .fault = fault});
  return absl::OkStatus();
}

absl::Status SimulatedDevice::Run(StreamId stream,
                                  absl::AnyInvocable<void() &&> work) {
  if (work == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument, "Run: no work");
  }
  absl::MutexLock lock(mutex_);
  Fault fault = Fault::kNone;
  if (absl::Status status = Begin(Call::kRun, stream, 0, &fault);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  Submit(stream, **found, std::max(clock_.Now(), (*found)->end),
         {.stream = {},
          .effect =
              [work = std::move(work)](bool whole) mutable {
                if (whole) std::move(work)();
                return absl::OkStatus();
              },
          .fault = fault});
  return absl::OkStatus();
}

absl::Status SimulatedDevice::Launch(StreamId stream, int64_t duration_ns,
                                     Kernel kernel) {
  if (kernel == nullptr || duration_ns < 0) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "Launch: no kernel, or a time below 0");
  }
  absl::MutexLock lock(mutex_);
  Fault fault = Fault::kNone;
  if (absl::Status status = Begin(Call::kLaunch, stream, 0, &fault);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  const int64_t begin = std::max(clock_.Now(), (*found)->end);
  const int64_t end = After(After(begin, options_.call_ns), duration_ns);
  Submit(stream, **found, end,
         {.stream = {},
          .effect =
              [this, kernel = std::move(kernel)](bool whole) mutable {
                mutex_.AssertHeld();
                if (!whole) return absl::OkStatus();
                return Annotate(std::move(kernel)(DeviceMemory(memory_)));
              },
          .fault = fault});
  return absl::OkStatus();
}

absl::StatusOr<DeviceEvent> SimulatedDevice::Record(StreamId stream) {
  absl::MutexLock lock(mutex_);
  Fault fault = Fault::kNone;
  if (absl::Status status = Begin(Call::kRecord, stream, 0, &fault);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  ++traffic_.events;
  return DeviceEvent{stream, (*found)->ledger.submitted()};
}

absl::Status SimulatedDevice::Wait(StreamId stream, DeviceEvent event,
                                   IfFailed if_failed) {
  absl::MutexLock lock(mutex_);
  Fault fault = Fault::kNone;
  if (absl::Status status = Begin(Call::kWait, stream, 0, &fault);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  if (absl::Status status = LedgerOf(event).status(); !status.ok()) {
    return status;
  }
  ++traffic_.waits;
  const int64_t end = std::max({clock_.Now(), (*found)->end, EndOf(event)});
  // In the plan it lies behind what it waits for, so that has been done.
  Submit(stream, **found, end,
         {.stream = {},
          .effect =
              [this, event, if_failed](bool) {
                mutex_.AssertHeld();
                return if_failed == IfFailed::kGoOn
                           ? absl::OkStatus()
                           : ReachedLocked(event).status();
              },
          .fault = fault});
  return absl::OkStatus();
}

absl::StatusOr<const StreamLedger*> SimulatedDevice::LedgerOf(
    DeviceEvent event) const {
  const StreamLedger* ledger = nullptr;
  if (!event.stream.valid()) return ledger;
  if (const auto found = streams_.find(event.stream); found != streams_.end()) {
    ledger = &found->second->ledger;
  } else if (const auto failed = failed_streams_.find(event.stream);
             failed != failed_streams_.end()) {
    ledger = &failed->second;
  } else if (event.stream < StreamIdOf(0) ||
             event.stream >= StreamIdOf(streams_made_)) {
    return Error(absl::StatusCode::kInvalidArgument,
                 absl::StrFormat("event of stream %#x, which is not of this "
                                 "device",
                                 event.stream.value()));
  }
  if (ledger != nullptr && event.point > ledger->submitted()) {
    return Error(absl::StatusCode::kInvalidArgument,
                 absl::StrFormat(
                     "event at operation %d of stream %#x, which has %d",
                     event.point, event.stream.value(), ledger->submitted()));
  }
  return ledger;
}

absl::StatusOr<bool> SimulatedDevice::ReachedLocked(DeviceEvent event) const {
  const absl::StatusOr<const StreamLedger*> ledger = LedgerOf(event);
  if (!ledger.ok()) return ledger.status();
  // A stream is destroyed when all was done.
  if (*ledger == nullptr) return true;
  absl::StatusOr<bool> reached = (*ledger)->Reached(event.point);
  if (lost_ && !(reached.ok() && *reached)) return Lost();
  return reached;
}

int64_t SimulatedDevice::EndOf(DeviceEvent event) const {
  const auto found = streams_.find(event.stream);
  if (found == streams_.end()) return 0;
  const Stream& stream = *found->second;
  if (event.point <= stream.ledger.finished()) return 0;
  return stream.ends[event.point - stream.ledger.finished() - 1];
}

absl::StatusOr<bool> SimulatedDevice::Reached(DeviceEvent event) {
  absl::MutexLock lock(mutex_);
  CatchUp(clock_.Now());
  return ReachedLocked(event);
}

absl::Status SimulatedDevice::Await(DeviceEvent event) {
  int64_t end = 0;
  {
    absl::MutexLock lock(mutex_);
    CatchUp(clock_.Now());
    const absl::StatusOr<bool> reached = ReachedLocked(event);
    if (!reached.ok()) return reached.status();
    if (*reached) return absl::OkStatus();
    end = EndOf(event);
  }
  PassUntil(end);
  absl::MutexLock lock(mutex_);
  return ReachedLocked(event).status();
}

absl::Status SimulatedDevice::Synchronize(StreamId stream) {
  int64_t end = 0;
  uint64_t point = 0;
  {
    absl::MutexLock lock(mutex_);
    absl::StatusOr<Stream*> found = Find(stream);
    if (!found.ok()) return found.status();
    end = (*found)->end;
    point = (*found)->ledger.submitted();
  }
  PassUntil(end);
  absl::MutexLock lock(mutex_);
  absl::StatusOr<Stream*> found = Find(stream);
  if (!found.ok()) return found.status();
  const absl::Status status = (*found)->ledger.Settle(point);
  return lost_ ? Lost() : status;
}

void SimulatedDevice::PassUntil(int64_t end) {
  while (true) {
    {
      absl::MutexLock lock(mutex_);
      const int64_t now = clock_.Now();
      CatchUp(now);
      if (now >= end) return;
    }
    wait_until_(end);
  }
}

void SimulatedDevice::CatchUp(int64_t now) {
  while (!plan_.empty() && plan_.begin()->first.first <= now) {
    Operation operation = std::move(plan_.begin()->second);
    plan_.erase(plan_.begin());
    Do(std::move(operation));
  }
}

void SimulatedDevice::Do(Operation operation) {
  Stream& stream = *streams_.find(operation.stream)->second;
  const bool faulty =
      operation.fault == Fault::kFail || operation.fault == Fault::kLoseLater;
  absl::Status outcome = lost_ ? Lost() : absl::OkStatus();
  if (!lost_ && !stream.ledger.SkipsNext()) {
    outcome = std::move(operation.effect)(!faulty);
    if (faulty) {
      outcome = Error(absl::StatusCode::kUnavailable,
                      absl::StrFormat("operation %d of stream %#x failed "
                                      "(injected)",
                                      stream.ledger.finished() + 1,
                                      operation.stream.value()));
    }
    if (operation.fault == Fault::kLoseLater) {
      LoseLocked();
      outcome = Lost();
    }
  }
  stream.ledger.Finish(outcome);
  stream.ends.pop_front();
}

void SimulatedDevice::LoseLocked() {
  lost_ = true;
  memory_.ForEach([](const DeviceMemoryMap::Block& block) {
    std::memset(block.storage, static_cast<int>(kGarbage), block.bytes);
  });
}

void SimulatedDevice::OnCall(std::function<Fault(const CallInfo&)> decide) {
  absl::MutexLock lock(mutex_);
  decide_ = std::move(decide);
}

void SimulatedDevice::FailCall(uint64_t nth, Fault fault) {
  absl::MutexLock lock(mutex_);
  decide_ = [number = calls_ + nth, fault](const CallInfo& call) {
    return call.number == number ? fault : Fault::kNone;
  };
}

void SimulatedDevice::Lose() {
  absl::MutexLock lock(mutex_);
  CatchUp(clock_.Now());
  LoseLocked();
}

uint64_t SimulatedDevice::calls() const {
  absl::MutexLock lock(mutex_);
  return calls_;
}

SimulatedDevice::Traffic SimulatedDevice::traffic() const {
  absl::MutexLock lock(mutex_);
  return traffic_;
}

}  // namespace mmsb
