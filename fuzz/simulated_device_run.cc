#include "fuzz/simulated_device_run.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "device/integrity_checker.h"
#include "device/simulated_device.h"
#include "fuzz/program.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Op = SimulatedDeviceOp;
using Call = SimulatedDevice::Call;
using DeviceMemory = SimulatedDevice::DeviceMemory;
using Fault = SimulatedDevice::Fault;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"lanes", kByte},        // one more, modulo 3
    {"bandwidth", kSize},    // bytes a second, of each kind; 0 for 1 GiB
    {"call_ns", kSize},      // modulo 2^63
    {"copy_ns", kSize},      // modulo 2^63
    {"allocate_ns", kByte},  // also what Free takes
    {"fresh", kByte},        // what fresh memory holds
};

constexpr ProgramKind::Op kOps[] = {
    {"kAllocate", kByte, kSize},
    {"kFree", kByte, kByte},
    {"kAllocateHost", kByte, kSize},
    {"kFreeHost", kByte, kByte},
    {"kToDevice", kByte, kByte},
    {"kToHost", kByte, kByte},
    {"kOnDevice", kByte, kByte},
    {"kBatch", kByte, kByte},
    {"kFill", kByte, kByte},
    {"kLaunch", kByte, kByte},
    {"kLaunchBad", kByte, kByte},
    {"kRun", kByte},
    {"kRecord", kByte},
    {"kWait", kByte, kByte},
    {"kAwait", kByte},
    {"kSynchronize", kByte},
    {"kReplace", kByte},
    {"kRefused", kByte, kByte},
    {"kAdvance", kByte},
    {"kFail", kByte, kByte},
    {"kLose"},
    {"kCompare", kByte, kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kMemoryBytes = 8 * kKiB;
constexpr uint32_t kIndex = 5;
constexpr size_t kMostBlocks = 6;  // of each kind, of one lane

SimulatedDevice::Options OptionsOf(const Program& program) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  const auto& setup = program.setup;
  const uint64_t bandwidth = setup[1] == 0 ? kGiB : setup[1];
  return {.index = kIndex,
          .memory_bytes = kMemoryBytes,
          // One more than there are lanes.
          .max_streams = static_cast<uint32_t>(setup[0] % 3 + 2),
          .to_device_bytes_per_second = bandwidth,
          .to_host_bytes_per_second = bandwidth,
          .on_device_bytes_per_second = bandwidth,
          .call_ns = static_cast<int64_t>(setup[2] & kMost),
          .copy_ns = static_cast<int64_t>(setup[3] & kMost),
          .allocate_ns = static_cast<int64_t>(setup[4]),
          .free_ns = static_cast<int64_t>(setup[4]),
          // Without it zeros.
          .fresh = setup[5] == 0
                       ? std::nullopt
                       : std::optional(static_cast<std::byte>(setup[5]))};
}

// What memory should hold; nothing, of a byte that is undefined.
using Image = std::vector<std::optional<std::byte>>;

struct DeviceBlock {
  DevicePointer at;
  Image image;
};

struct HostBlock {
  std::span<std::byte> memory;
  Image image;
};

// Some bytes of a block.
struct Range {
  size_t block = 0;
  size_t offset = 0;
  size_t bytes = 0;
};

enum class Becomes { kDone, kFailed, kSkipped };

// A stream as the table in device.h has it. Nothing else touches its memory, so
// what its operations come to is known when they are submitted.
struct Lane {
  StreamId stream = {};
  uint64_t submitted = 0;
  // The failure that nobody was told of.
  std::optional<absl::StatusCode> failed = std::nullopt;
  // The newest operation that failed or was skipped, 0 for none, and why.
  uint64_t last_failed = 0;
  absl::StatusCode why = absl::StatusCode::kOk;
  std::vector<DeviceBlock> device = {};
  std::vector<HostBlock> host = {};

  // What an event has that is recorded now.
  [[nodiscard]] absl::StatusCode OutcomeNow() const {
    if (failed.has_value()) return *failed;
    return submitted != 0 && submitted == last_failed ? why
                                                      : absl::StatusCode::kOk;
  }
};

struct Event {
  DeviceEvent event;
  absl::StatusCode outcome;
};

class Model {
 public:
  explicit Model(const Program& program)
      : fresh_(static_cast<std::byte>(program.setup[5])),
        device_(OptionsOf(program), clock_),
        lanes_(1 + program.setup[0] % 3) {
    for (Lane& lane : lanes_) lane.stream = *device_.CreateStream();
    calls_ = lanes_.size();
    device_.OnCall([this](const SimulatedDevice::CallInfo& info) {
      ++calls_;
      if (info.number != calls_) wrong_ = "a call has another number";
      fault_ = fail_in_ == 1 ? next_fault_ : Fault::kNone;
      if (fail_in_ != 0) --fail_in_;
      return fault_;
    });
  }

  std::string Run(const Program& program) {
    for (size_t i = 0; i < program.steps.size(); ++i) {
      std::string error = Perform(program.steps[i]);
      if (error.empty()) error = Check();
      if (!error.empty()) return AtStep(i, error);
    }
    std::string error = Drain();
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  bool lost() const { return !device_.Health().ok(); }

  std::string Perform(const Program::Step& step) {
    Lane& lane = lanes_[step.a % lanes_.size()];
    switch (step.op) {
      case Op::kAllocate:
        return Allocate(lane, step.b);
      case Op::kFree:
        return lane.device.empty() ? ""
                                   : Free(lane, step.b % lane.device.size());
      case Op::kAllocateHost:
        return AllocateHost(lane, step.b % kKiB + 1);
      case Op::kFreeHost:
        return lane.host.empty() ? ""
                                 : FreeHost(lane, step.b % lane.host.size());
      case Op::kToDevice:
      case Op::kToHost:
      case Op::kOnDevice:
      case Op::kBatch:
        return Copy(lane, step.op, step.b);
      case Op::kFill:
        return Fill(lane, step.b);
      case Op::kLaunch:
        return Launch(lane, step.b);
      case Op::kLaunchBad:
        return LaunchBad(lane, step.b % 2 == 1);
      case Op::kRun:
        return RunWork(lane);
      case Op::kRecord:
        return Record(lane);
      case Op::kWait:
        return Wait(lane, step.b);
      case Op::kAwait:
        return events_.empty() ? "" : Await(events_[step.a % events_.size()]);
      case Op::kSynchronize:
        return Synchronize(lane);
      case Op::kReplace:
        return Replace(lane);
      case Op::kRefused:
        return Refused(lane, step.b);
      case Op::kAdvance:
        if (clock_.Now() < std::numeric_limits<int64_t>::max() / 2) {
          clock_.Advance(static_cast<int64_t>(16 * step.a));
        }
        return "";
      case Op::kFail: {
        constexpr Fault kFaults[] = {Fault::kFail, Fault::kRefuse,
                                     Fault::kFail, Fault::kRefuse,
                                     Fault::kLose, Fault::kLoseLater};
        fail_in_ = step.a;
        next_fault_ = kFaults[step.b % std::size(kFaults)];
        return "";
      }
      case Op::kCompare:
        return Compare(lane, step.b);
      default:
        device_.Lose();
        may_be_lost_ = true;
        return "";
    }
  }

  // Whether the call that returned `status` was done. When it should not have
  // been, or should have, `error` says so.
  bool Accepted(Call call, const absl::Status& status, std::string& error) {
    const bool is_work = call == Call::kCopy || call == Call::kFill ||
                         call == Call::kRun || call == Call::kLaunch;
    const Fault fault = std::exchange(fault_, Fault::kNone);
    fails_ = is_work && (fault == Fault::kFail || fault == Fault::kLoseLater);
    const bool loses =
        fault == Fault::kLose || (fault == Fault::kLoseLater && !is_work);
    may_be_lost_ |= loses || fault == Fault::kLoseLater;
    if (loses || (lost() && !status.ok())) {
      if (!absl::IsDataLoss(status)) error = "lost, and " + status.ToString();
      return false;
    }
    if (fault == Fault::kRefuse || (fault == Fault::kFail && !is_work)) {
      const bool takes = call == Call::kAllocate ||
                         call == Call::kAllocateHost ||
                         call == Call::kCreateStream;
      const bool right =
          status.code() == (takes ? absl::StatusCode::kResourceExhausted
                                  : absl::StatusCode::kUnavailable) &&
          status.message().ends_with("call " + std::to_string(calls_) + ")");
      if (!right) error = "refused, and " + status.ToString();
      return false;
    }
    if (!status.ok()) error = "wrong status: " + status.ToString();
    return status.ok();
  }

  // An operation of the lane was accepted, whose own status will be `effect`.
  Becomes Submit(Lane& lane, absl::StatusCode effect = absl::StatusCode::kOk) {
    ++lane.submitted;
    if (lane.failed.has_value()) {
      lane.last_failed = lane.submitted;
      return Becomes::kSkipped;
    }
    if (std::exchange(fails_, false)) effect = absl::StatusCode::kUnavailable;
    if (effect == absl::StatusCode::kOk) return Becomes::kDone;
    lane.failed = lane.why = effect;
    lane.last_failed = lane.submitted;
    return Becomes::kFailed;
  }

  // What is written over `range` by an operation: of one that fails nobody
  // knows what.
  template <typename Value>
  static void Put(Becomes becomes, Image& image, Range range, Value value) {
    if (becomes == Becomes::kSkipped) return;
    for (size_t i = 0; i < range.bytes; ++i) {
      image[range.offset + i] =
          becomes == Becomes::kDone ? value(i) : std::nullopt;
    }
  }

  template <typename Block>
  static Range RangeOf(const std::vector<Block>& blocks, size_t block,
                       uint64_t b) {
    const size_t size = blocks[block].image.size();
    const size_t offset = b * 37 % size;
    return {block, offset, b * 11 % (size - offset + 1)};
  }

  // `range` and another one, as short as the shorter.
  static void Match(Range& range, Range& other) {
    range.bytes = other.bytes = std::min(range.bytes, other.bytes);
  }

  std::string Allocate(Lane& lane, size_t bytes) {
    if (lane.device.size() == kMostBlocks) return "";
    const size_t idle = kMemoryBytes - used_;
    const size_t unit = device_.info().limits.alignment;
    const absl::StatusOr<DevicePointer> at = device_.Allocate(bytes);
    if (bytes == 0) {
      return absl::IsInvalidArgument(at.status()) ? "" : "0 bytes were given";
    }
    if (bytes > idle && absl::IsResourceExhausted(at.status())) {
      fault_ = Fault::kNone;
      return "";
    }
    std::string error;
    if (!Accepted(Call::kAllocate, at.status(), error)) return error;
    const size_t rounded = (bytes + unit - 1) / unit * unit;
    if (rounded > idle) return "more memory than there is";
    if (at->address() % unit != 0) return "a block is misaligned";
    if (at->address() < next_address_) return "an address is used twice";
    next_address_ = at->address() + rounded;
    lane.device.push_back({*at, Image(rounded, fresh_)});
    used_ += rounded;
    ++traffic_.allocations;
    return "";
  }

  std::string Free(Lane& lane, size_t block) {
    const auto found = lane.device.begin() + static_cast<ptrdiff_t>(block);
    std::string error;
    const absl::Status status = device_.Free(found->at);
    const bool accepted = Accepted(Call::kFree, status, error);
    if (!error.empty() || (!accepted && !lost())) return error;
    used_ -= found->image.size();
    const DevicePointer at = found->at;
    lane.device.erase(found);
    fail_in_ = 0;
    const bool was_lost = lost();
    const absl::Status again = device_.Free(at);
    return was_lost ? absl::IsDataLoss(again) ? "" : "freed, and not lost"
           : absl::IsNotFound(again) || lost() ? ""
                                               : "a block was freed twice";
  }

  std::string AllocateHost(Lane& lane, size_t bytes) {
    if (lane.host.size() == kMostBlocks) return "";
    const absl::StatusOr<std::span<std::byte>> memory =
        device_.AllocateHost(bytes);
    std::string error;
    if (!Accepted(Call::kAllocateHost, memory.status(), error)) return error;
    if (memory->size() != bytes) return "another size";
    if (reinterpret_cast<uintptr_t>(memory->data()) % (4 * kKiB) != 0) {
      return "memory of the host is misaligned";
    }
    Image image(bytes);
    for (size_t i = 0; i < bytes; ++i) {
      (*memory)[i] = static_cast<std::byte>(++seed_ * 167 >> 3);
      image[i] = (*memory)[i];
    }
    lane.host.push_back({*memory, std::move(image)});
    return "";
  }

  std::string FreeHost(Lane& lane, size_t block) {
    std::string error = Synchronize(lane);
    if (!error.empty()) return error;
    const auto found = lane.host.begin() + static_cast<ptrdiff_t>(block);
    const std::span<std::byte> memory = found->memory;
    lane.host.erase(found);
    if (!absl::IsNotFound(device_.FreeHost(memory.first(memory.size() - 1)))) {
      return "a part of a block of the host was freed";
    }
    if (!device_.FreeHost(memory).ok()) return "FreeHost";
    return absl::IsNotFound(device_.FreeHost(memory))
               ? ""
               : "a block of the host was freed twice";
  }

  std::string Copy(Lane& lane, uint8_t op, uint64_t b) {
    const size_t least = op == Op::kToDevice || op == Op::kToHost ? 1 : 2;
    if (lane.device.size() < least) return "";
    if (op != Op::kOnDevice && lane.host.size() < least) return "";
    const size_t i = b % lane.device.size();
    const size_t j = (i + 1) % lane.device.size();
    Range here = RangeOf(lane.device, i, b);
    if (op == Op::kOnDevice) {
      Range from = RangeOf(lane.device, j, b / 3);
      Match(here, from);
      return Submit(lane, {{OnDevice(lane, here, from)}}, [&](Becomes becomes) {
        const Image& source = lane.device[j].image;
        Put(becomes, lane.device[i].image, here,
            [&](size_t at) { return source[from.offset + at]; });
      });
    }
    const size_t k = b / 2 % lane.host.size();
    Range host = RangeOf(lane.host, k, b / 3);
    Match(here, host);
    if (op == Op::kToDevice) {
      return Submit(lane, {{ToDevice(lane, here, host)}}, [&](Becomes becomes) {
        TakeToDevice(becomes, lane, here, host);
      });
    }
    if (op == Op::kToHost) {
      return Submit(lane, {{ToHost(lane, host, here)}}, [&](Becomes becomes) {
        TakeToHost(becomes, lane, host, here);
      });
    }
    Range other = RangeOf(lane.device, j, b / 5);
    Range back = RangeOf(lane.host, (k + 1) % lane.host.size(), b / 7);
    Match(other, back);
    return Submit(lane,
                  {{ToDevice(lane, here, host), ToHost(lane, back, other)}},
                  [&](Becomes becomes) {
                    TakeToDevice(becomes, lane, here, host);
                    TakeToHost(becomes, lane, back, other);
                  });
  }

  static DeviceCopy ToDevice(const Lane& lane, Range to, Range from) {
    return DeviceCopy::ToDevice(
        lane.device[to.block].at + to.offset,
        lane.host[from.block].memory.subspan(from.offset, from.bytes));
  }
  static DeviceCopy ToHost(const Lane& lane, Range to, Range from) {
    return DeviceCopy::ToHost(
        lane.host[to.block].memory.subspan(to.offset, to.bytes),
        lane.device[from.block].at + from.offset);
  }
  static DeviceCopy OnDevice(const Lane& lane, Range to, Range from) {
    return DeviceCopy::OnDevice(lane.device[to.block].at + to.offset,
                                lane.device[from.block].at + from.offset,
                                to.bytes);
  }

  static void TakeToDevice(Becomes becomes, Lane& lane, Range to, Range from) {
    const Image& source = lane.host[from.block].image;
    Put(becomes, lane.device[to.block].image, to,
        [&](size_t at) { return source[from.offset + at]; });
  }
  static void TakeToHost(Becomes becomes, Lane& lane, Range to, Range from) {
    const Image& source = lane.device[from.block].image;
    Put(becomes, lane.host[to.block].image, to,
        [&](size_t at) { return source[from.offset + at]; });
  }

  template <typename Take>
  std::string Submit(Lane& lane, const std::vector<DeviceCopy>& copies,
                     Take take) {
    std::string error;
    if (!Accepted(Call::kCopy, device_.Copy(lane.stream, copies), error)) {
      return error;
    }
    for (const DeviceCopy& copy : copies) {
      ++traffic_.copies;
      (copy.kind == DeviceCopy::Kind::kToDevice ? traffic_.to_device_bytes
       : copy.kind == DeviceCopy::Kind::kToHost ? traffic_.to_host_bytes
                                                : traffic_.on_device_bytes) +=
          copy.bytes;
    }
    ++traffic_.batches;
    take(Submit(lane));
    return "";
  }

  std::string Fill(Lane& lane, uint64_t b) {
    if (lane.device.empty()) return "";
    const Range range = RangeOf(lane.device, b % lane.device.size(), b);
    DeviceBlock& block = lane.device[range.block];
    const auto value = static_cast<std::byte>(b);
    std::string error;
    if (!Accepted(Call::kFill,
                  device_.Fill(lane.stream, block.at + range.offset,
                               range.bytes, value),
                  error)) {
      return error;
    }
    traffic_.on_device_bytes += range.bytes;
    Put(Submit(lane), block.image, range,
        [value](size_t) { return std::optional(value); });
    return "";
  }

  std::string Launch(Lane& lane, uint64_t b) {
    if (lane.device.empty()) return "";
    const Range range = RangeOf(lane.device, b % lane.device.size(), b);
    DeviceBlock& block = lane.device[range.block];
    const absl::Status status =
        device_.Launch(lane.stream, static_cast<int64_t>(16 * b),
                       [at = block.at + range.offset,
                        bytes = range.bytes](const DeviceMemory& memory) {
                         const absl::StatusOr<std::span<std::byte>> span =
                             memory.Bytes(at, bytes);
                         if (!span.ok()) return span.status();
                         for (std::byte& byte : *span) byte = Next(byte);
                         return absl::OkStatus();
                       });
    std::string error;
    if (!Accepted(Call::kLaunch, status, error)) return error;
    Put(Submit(lane), block.image, range, [&](size_t i) {
      const std::optional<std::byte> byte = block.image[range.offset + i];
      return byte.has_value() ? std::optional(Next(*byte)) : std::nullopt;
    });
    return "";
  }

  static std::byte Next(std::byte byte) {
    return static_cast<std::byte>(static_cast<unsigned>(byte) + 1);
  }

  // A kernel that touches what is behind a block, or says that it failed.
  std::string LaunchBad(Lane& lane, bool fails) {
    const DevicePointer behind =
        lane.device.empty() ? DevicePointer()
                            : lane.device[0].at + lane.device[0].image.size();
    const absl::Status status = device_.Launch(
        lane.stream, 0, [fails, behind](const DeviceMemory& memory) {
          return fails ? absl::AbortedError("as it was told")
                       : memory.Bytes(behind, 1).status();
        });
    std::string error;
    if (!Accepted(Call::kLaunch, status, error)) return error;
    Submit(lane, fails ? absl::StatusCode::kAborted
                       : absl::StatusCode::kInvalidArgument);
    return "";
  }

  std::string RunWork(Lane& lane) {
    std::string error;
    if (!Accepted(Call::kRun, device_.Run(lane.stream, [this] { ++runs_; }),
                  error)) {
      return error;
    }
    if (Submit(lane) == Becomes::kDone) ++expected_runs_;
    return "";
  }

  std::string Record(Lane& lane) {
    const absl::StatusOr<DeviceEvent> event = device_.Record(lane.stream);
    std::string error;
    if (!Accepted(Call::kRecord, event.status(), error)) return error;
    ++traffic_.events;
    if (*event != DeviceEvent{lane.stream, lane.submitted}) {
      return "Record gives another point";
    }
    events_.push_back({*event, lane.OutcomeNow()});
    return "";
  }

  std::string Wait(Lane& lane, uint64_t b) {
    // Of no stream, it counts as reached.
    const Event event = events_.empty()
                            ? Event{DeviceEvent(), absl::StatusCode::kOk}
                            : events_[b / 2 % events_.size()];
    const bool goes_on = b % 2 == 1;
    const absl::Status status = device_.Wait(
        lane.stream, event.event,
        goes_on ? Device::IfFailed::kGoOn : Device::IfFailed::kFail);
    std::string error;
    if (!Accepted(Call::kWait, status, error)) return error;
    ++traffic_.waits;
    Submit(lane, goes_on ? absl::StatusCode::kOk : event.outcome);
    return "";
  }

  std::string Await(const Event& event) {
    const absl::StatusOr<bool> before = device_.Reached(event.event);
    const bool right_before =
        !before.ok() ? before.status().code() == event.outcome
                     : !*before || event.outcome == absl::StatusCode::kOk;
    if (!right_before && !lost()) return "Reached: too early";
    const absl::Status status = device_.Await(event.event);
    if (!lost() && status.code() != event.outcome) {
      return "Await: " + status.ToString();
    }
    const absl::StatusOr<bool> after = device_.Reached(event.event);
    if (after.status() != status || (after.ok() && !*after)) {
      return "Await returned before the event was reached";
    }
    return "";
  }

  // Of a call that waited for all that was submitted to the lane.
  std::string Settle(Lane& lane, const absl::Status& status) {
    const absl::StatusCode expected = lane.OutcomeNow();
    lane.failed.reset();
    if (lost()) return absl::IsDataLoss(status) ? "" : "lost, and in order";
    if (status.code() != expected) return "wrong status: " + status.ToString();
    for (const HostBlock& block : lane.host) {
      if (!Holds(block.memory, block.image)) return "the host has other bytes";
    }
    return "";
  }

  static bool Holds(std::span<const std::byte> bytes, const Image& image) {
    return std::ranges::equal(
        bytes, image, [](std::byte byte, std::optional<std::byte> expected) {
          return !expected.has_value() || byte == *expected;
        });
  }

  std::string Synchronize(Lane& lane) {
    if (!lane.stream.valid()) return "";
    return Settle(lane, device_.Synchronize(lane.stream));
  }

  std::string Replace(Lane& lane) {
    if (!lane.stream.valid()) return "";
    const StreamId before = std::exchange(lane.stream, StreamId());
    std::string error = Settle(lane, device_.DestroyStream(before));
    if (!error.empty()) return error;
    if (!absl::IsNotFound(device_.DestroyStream(before))) {
      return "a stream was destroyed twice";
    }
    lane.submitted = lane.last_failed = 0;
    absl::StatusOr<StreamId> stream = device_.CreateStream();
    if (!Accepted(Call::kCreateStream, stream.status(), error)) {
      if (!error.empty() || lost()) return error;
      // The fault was for this call alone.
      stream = device_.CreateStream();
      if (!stream.ok()) return stream.status().ToString();
    }
    lane.stream = *stream;
    return *stream == before ? "a name of a stream is used twice" : "";
  }

  // A call that is wrong, which no fault hides. It does nothing.
  std::string Refused(const Lane& lane, uint64_t b) {
    if (!lane.stream.valid()) return "";
    fail_in_ = 0;
    const size_t count = CountWrongCalls(lane);
    const WrongCall wrong = WrongCallOf(lane, b % count);
    fault_ = Fault::kNone;
    if (lost() || wrong.status.code() == wrong.code) return "";
    return "wrong call " + std::to_string(b % count) + ": " +
           wrong.status.ToString();
  }

  struct WrongCall {
    absl::Status status;
    absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  };

  // Of those behind kAnywhere the lane needs memory.
  static constexpr size_t kAnywhere = 20;
  static constexpr size_t kWrongCalls = 26;

  static size_t CountWrongCalls(const Lane& lane) {
    return lane.device.empty() || lane.host.empty() ? kAnywhere : kWrongCalls;
  }

  WrongCall WrongCallOf(const Lane& lane, size_t number) {
    constexpr auto kNotFound = absl::StatusCode::kNotFound;
    const StreamId other = StreamId::FromValue(lane.stream.value() + 1000);
    const StreamId foreign = StreamId::FromValue(uint64_t{kIndex + 1} << 32);
    std::array<std::byte, 8> bytes{};
    const DeviceCopy no_bytes[] = {{}};
    switch (number) {
      case 0:
        return {device_.Copy(other, no_bytes), kNotFound};
      case 1:
        return {device_.Fill(other, DevicePointer(), 1, bytes[0]), kNotFound};
      case 2:
        return {device_.Run(other, [] {}), kNotFound};
      case 3:
        return {
            device_.Launch(
                other, 0, [](const DeviceMemory&) { return absl::OkStatus(); }),
            kNotFound};
      case 4:
        return {device_.Record(other).status(), kNotFound};
      case 5:
        return {device_.Wait(other, DeviceEvent()), kNotFound};
      case 6:
        return {device_.Synchronize(other), kNotFound};
      case 7:
        return {device_.DestroyStream(other), kNotFound};
      case 8:
        return {device_.Run(lane.stream, nullptr)};
      case 9:
        return {device_.Launch(lane.stream, 0, nullptr)};
      case 10:
        return {device_.Launch(lane.stream, -1, [](const DeviceMemory&) {
          return absl::OkStatus();
        })};
      case 11:
        return {device_.Wait(lane.stream, {foreign, 0})};
      case 12:
        return {device_.Await({lane.stream, lane.submitted + 1})};
      case 13:
        return {device_.Reached({other, 0}).status()};
      case 14:
        return {device_.AllocateHost(0).status()};
      case 15:
        return {device_.FreeHost(bytes), kNotFound};
      case 16:
        return {device_.Free(DevicePointer()), kNotFound};
      case 17:
        return TooManyStreams();
      case 18: {
        // More bytes than can be counted.
        DeviceCopy copies[2];
        copies[0].bytes = copies[1].bytes = std::numeric_limits<size_t>::max();
        return {device_.Copy(lane.stream, copies)};
      }
      case 19:
        return {device_.Fill(lane.stream, DevicePointer(), 1, bytes[0])};
      default:
        return WrongCopy(lane, number - kAnywhere);
    }
  }

  WrongCall TooManyStreams() {
    const absl::StatusOr<StreamId> last = device_.CreateStream();
    WrongCall wrong{device_.CreateStream().status(),
                    absl::StatusCode::kResourceExhausted};
    if (last.ok() && !device_.DestroyStream(*last).ok() && !lost()) {
      wrong.status = absl::InternalError("DestroyStream");
    }
    return wrong;
  }

  WrongCall WrongCopy(const Lane& lane, size_t number) {
    const DevicePointer at = lane.device[0].at;
    const size_t size = lane.device[0].image.size();
    const HostBlock& host = lane.host[0];
    DeviceCopy copy = DeviceCopy::ToDevice(at, host.memory.first(1));
    switch (number) {
      case 0:
        copy.host_source = nullptr;
        break;
      case 1:
        copy = DeviceCopy::ToHost(host.memory.first(1), at);
        copy.host_destination = nullptr;
        break;
      case 2:
        copy.kind = static_cast<DeviceCopy::Kind>(7);
        break;
      case 3:
        copy.device_destination = at + size;
        break;
      case 4:
        copy = DeviceCopy::OnDevice(at, at + (size - 1), 2);
        break;
      default:
        copy = DeviceCopy::OnDevice(at + 1, at, size - 1);
        break;
    }
    return {device_.Copy(lane.stream, copy)};
  }

  // A block of which every byte is known, as the checker is told of it.
  struct Told {
    DevicePointer at;
    std::vector<std::byte> bytes;
  };

  // A copy that the checker makes.
  struct Part {
    size_t page;
    size_t bytes;
  };

  // What an IntegrityChecker is asked.
  struct Question {
    std::vector<Told> pages;
    bool by_sum;
    // Of one page something else is told: of its byte at `offset`, or its sum.
    bool wrong;
    size_t page;
    size_t offset;
  };

  std::string Compare(Lane& lane, uint64_t b) {
    if (!lane.stream.valid()) return "";
    // What goes on in another lane may be the device's end.
    for (Lane& other : lanes_) {
      std::string error = Synchronize(other);
      if (!error.empty()) return error;
    }
    Question question{.pages = KnownBlocks(lane),
                      .by_sum = b / 2 % 2 == 1,
                      .wrong = b % 2 == 1,
                      .page = 0,
                      .offset = 0};
    if (question.pages.empty()) return "";
    question.page = b / 8 % question.pages.size();
    question.offset = b * 37 % question.pages[question.page].bytes.size();
    const size_t chunk = b / 4 % 2 == 1 ? 300 : kKiB;
    const std::vector<Part> parts = PartsOf(question, chunk);
    // The first call makes the checker's stream.
    const size_t call = lost() || fail_in_ > parts.size() + 1 ? 0 : fail_in_;
    const bool loses = call != 0 && (next_fault_ == Fault::kLose ||
                                     next_fault_ == Fault::kLoseLater);
    const bool submits =
        next_fault_ == Fault::kFail || next_fault_ == Fault::kLoseLater;
    const size_t copies = lost()      ? 0
                          : call == 0 ? parts.size()
                          : call == 1 ? 0
                                      : call - 2 + (submits ? 1 : 0);
    const absl::StatusCode expected =
        lost() || loses ? absl::StatusCode::kDataLoss
        : call == 0     ? absl::StatusCode::kOk
        : call == 1     ? absl::StatusCode::kResourceExhausted
                        : absl::StatusCode::kUnavailable;
    may_be_lost_ |= loses;
    std::string error;
    const absl::Status status = Ask(question, chunk, error);
    fault_ = Fault::kNone;
    traffic_.copies += copies;
    traffic_.batches += copies;
    for (size_t i = 0; i < copies; ++i) {
      traffic_.to_host_bytes += parts[i].bytes;
    }
    if (status.code() != expected) return "compared: " + status.ToString();
    if (call > 1 &&
        !status.message().starts_with(
            "page " + std::to_string(parts[call - 2].page) + ": ")) {
      return "a status names no page: " + status.ToString();
    }
    return error;
  }

  static std::vector<Told> KnownBlocks(const Lane& lane) {
    std::vector<Told> known;
    for (const DeviceBlock& block : lane.device) {
      Told told{block.at, {}};
      for (const std::optional<std::byte> byte : block.image) {
        if (byte.has_value()) told.bytes.push_back(*byte);
      }
      if (told.bytes.size() == block.image.size()) {
        known.push_back(std::move(told));
      }
    }
    return known;
  }

  // Of a page that differs nothing is read behind that.
  static std::vector<Part> PartsOf(const Question& question, size_t chunk) {
    std::vector<Part> parts;
    for (size_t i = 0; i < question.pages.size(); ++i) {
      const bool differs =
          question.wrong && !question.by_sum && i == question.page;
      const size_t size = question.pages[i].bytes.size();
      const size_t end = differs ? question.offset + 1 : size;
      for (size_t at = 0; at < end; at += chunk) {
        parts.push_back({i, std::min(chunk, size - at)});
      }
    }
    return parts;
  }

  // Says in `error` whether the checker found something else than it should.
  absl::Status Ask(Question& question, size_t chunk, std::string& error) {
    IntegrityChecker checker(device_, chunk);
    std::vector<Told>& pages = question.pages;
    const PageId page = PageId::FromValue(question.page);
    const size_t found = question.wrong ? 1 : 0;
    if (question.by_sum) {
      std::vector<IntegrityChecker::PageSum> sums;
      for (size_t i = 0; i < pages.size(); ++i) {
        sums.push_back({.page = PageId::FromValue(i),
                        .device = pages[i].at,
                        .bytes = pages[i].bytes.size(),
                        .crc32c = SumOf(pages[i].bytes)});
      }
      const uint32_t right = sums[question.page].crc32c;
      if (question.wrong) sums[question.page].crc32c ^= 1;
      const auto wrong = checker.CompareSums(sums);
      if (!wrong.ok()) return wrong.status();
      if (wrong->size() != found ||
          (found != 0 &&
           (wrong->front().page != page || wrong->front().device != right ||
            wrong->front().expected != (right ^ 1)))) {
        error = "CompareSums finds something else";
      }
      return absl::OkStatus();
    }
    std::byte& byte = pages[question.page].bytes[question.offset];
    const std::byte right = byte;
    if (question.wrong) byte ^= std::byte{1};
    std::vector<IntegrityChecker::PageCopies> copies;
    for (size_t i = 0; i < pages.size(); ++i) {
      copies.push_back({.page = PageId::FromValue(i),
                        .host = pages[i].bytes,
                        .device = pages[i].at});
    }
    const auto differences = checker.Compare(copies);
    if (!differences.ok()) return differences.status();
    if (differences->size() != found ||
        (found != 0 && (differences->front().page != page ||
                        differences->front().offset != question.offset ||
                        differences->front().host != byte ||
                        differences->front().device != right))) {
      error = "Compare finds something else";
    }
    return absl::OkStatus();
  }

  static uint32_t SumOf(std::span<const std::byte> bytes) {
    return static_cast<uint32_t>(absl::ComputeCrc32c(std::string_view(
        reinterpret_cast<const char*>(bytes.data()), bytes.size())));
  }

  std::string Check() {
    if (!wrong_.empty()) return wrong_;
    if (lost() && !may_be_lost_) return "the device is lost";
    if (device_.Memory().used != used_) return "other bytes are in use";
    if (device_.calls() != calls_) return "calls are counted wrongly";
    const SimulatedDevice::Traffic traffic = device_.traffic();
    const auto numbers = [](const SimulatedDevice::Traffic& t) {
      return std::array{t.to_device_bytes, t.to_host_bytes, t.on_device_bytes,
                        t.copies,          t.batches,       t.allocations,
                        t.events,          t.waits};
    };
    return numbers(traffic) == numbers(traffic_) ? "" : "wrong traffic";
  }

  // What the device holds is read back; then all memory goes.
  std::string Drain() {
    fail_in_ = 0;
    for (Lane& lane : lanes_) {
      std::string error = Synchronize(lane);
      if (error.empty()) error = ReadBack(lane);
      while (error.empty() && !lane.host.empty()) error = FreeHost(lane, 0);
      while (error.empty() && !lane.device.empty()) error = Free(lane, 0);
      if (error.empty()) error = Check();
      if (!error.empty()) return error;
    }
    if (!lost() && runs_ != expected_runs_) return "work was left out, or more";
    return runs_ <= expected_runs_ ? "" : "work was done twice";
  }

  std::string ReadBack(Lane& lane) {
    if (lost() || !lane.stream.valid()) return "";
    for (const DeviceBlock& block : lane.device) {
      std::vector<std::byte> bytes(block.image.size());
      const DeviceCopy copy = DeviceCopy::ToHost(bytes, block.at);
      std::string error = Submit(lane, {copy}, [](Becomes) {});
      if (error.empty()) error = Synchronize(lane);
      if (!error.empty()) return error;
      if (!lost() && !Holds(bytes, block.image)) {
        return "the device has other bytes";
      }
    }
    return "";
  }

  const std::byte fresh_;
  ManualClock clock_;
  std::string wrong_;
  // How the next call that fails does, and in how many calls that is; of the
  // last call, which fault it was given.
  uint64_t fail_in_ = 0;
  Fault next_fault_ = Fault::kNone;
  Fault fault_ = Fault::kNone;
  bool fails_ = false;  // the operation that is submitted now
  bool may_be_lost_ = false;
  uint64_t calls_ = 0;
  SimulatedDevice::Traffic traffic_;
  uint64_t runs_ = 0;
  uint64_t expected_runs_ = 0;
  uint64_t seed_ = 0;
  size_t used_ = 0;
  uint64_t next_address_ = 0;
  SimulatedDevice device_;
  std::vector<Lane> lanes_;
  std::vector<Event> events_;
};

}  // namespace

const ProgramKind kSimulatedDeviceProgram = {"SimulatedDevice", kSetup, kOps,
                                             RunSimulatedDeviceProgram};

std::string RunSimulatedDeviceProgram(const Program& program) {
  return Model(program).Run(program);
}

}  // namespace mmsb
