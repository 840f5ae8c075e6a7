#include "fuzz/device_memory_pool_run.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "allocator/allocator_stats.h"
#include "device/device.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/device_pointer.h"
#include "device/simulated_device.h"
#include "fuzz/program.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Op = DeviceMemoryPoolOp;
using DeviceMemory = SimulatedDevice::DeviceMemory;
using Fault = SimulatedDevice::Fault;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"chunk_units", kByte},      // of kAlignment bytes, modulo 64
    {"max_bytes", kSize},        // 0 for any
    {"threshold_bytes", kSize},  // 0 for any
    {"streams", kByte},          // one more, modulo 4
    {"gives", kByte},            // so many blocks, when there is no memory
};

constexpr ProgramKind::Op kOps[] = {
    {"kAllocate", kSize, kByte},
    {"kDeallocate", kByte, kByte},
    {"kGiveToAll", kByte},
    {"kUnknown", kByte},
    {"kSynchronize", kByte},
    {"kTrim", kSize},
    {"kAdvance", kByte},
    {"kReplace", kByte},
    {"kFail", kByte},
    {"kLose"},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kUnit = DeviceMemoryPool::kAlignment;
constexpr size_t kMemoryBytes = 64 * kKiB;

uint64_t OrNoLimit(uint64_t value) {
  return value == 0 ? std::numeric_limits<size_t>::max() : value;
}

class Model {
 public:
  explicit Model(const Program& program)
      : max_bytes_(OrNoLimit(program.setup[1])),
        threshold_bytes_(OrNoLimit(program.setup[2])),
        gives_(program.setup[4]),
        device_({.memory_bytes = kMemoryBytes}, clock_),
        pool_(device_, {.chunk_bytes = program.setup[0] % 64 * kUnit,
                        .max_bytes = max_bytes_,
                        .release_threshold_bytes = threshold_bytes_,
                        .on_out_of_memory = [this](size_t) { return Give(); }}),
        streams_(1 + program.setup[3] % 4) {
    for (StreamId& stream : streams_) stream = *device_.CreateStream();
    device_.OnCall([this](const SimulatedDevice::CallInfo&) {
      if (!in_pool_ || fail_in_ == 0) return Fault::kNone;
      --fail_in_;
      if (fail_in_ != 0) return Fault::kNone;
      refused_ = true;
      return Fault::kRefuse;
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
  struct Block {
    size_t bytes;  // with the rounding
    StreamId stream;
    uint64_t tag;  // what the stream's work wrote
  };

  StreamId StreamOf(uint64_t b) const { return streams_[b % streams_.size()]; }
  bool lost() const { return !device_.Health().ok(); }

  std::string Perform(const Program::Step& step) {
    switch (step.op) {
      case Op::kAllocate:
        return Allocate(step.a, step.b);
      case Op::kDeallocate:
        if (live_.empty()) return "";
        return Deallocate(Chosen(step.a)->first, StreamOf(step.b));
      case Op::kGiveToAll:
        if (live_.empty()) return "";
        return Deallocate(Chosen(step.a)->first, StreamId());
      case Op::kUnknown: {
        // Inside a block, beside one, and nowhere.
        const DevicePointer inside =
            live_.empty() ? DevicePointer()
                          : Chosen(step.a)->first + 1 + step.a * kUnit / 2;
        if (live_.contains(inside)) return "";
        const absl::Status status = pool_.Deallocate(inside, StreamOf(step.a));
        return absl::IsInvalidArgument(status)
                   ? ""
                   : "Deallocate took a wrong pointer";
      }
      case Op::kSynchronize:
        return Synchronize(StreamOf(step.a));
      case Op::kTrim:
        return Trim(step.a);
      case Op::kAdvance:
        clock_.Advance(static_cast<int64_t>(16 * step.a));
        return "";
      case Op::kReplace: {
        StreamId& stream = streams_[step.a % streams_.size()];
        device_.DestroyStream(stream).IgnoreError();
        absl::StatusOr<StreamId> other = device_.CreateStream();
        if (other.ok()) stream = *other;
        return "";
      }
      case Op::kFail:
        fail_in_ = step.a;
        return "";
      default:
        device_.Lose();
        return "";
    }
  }

  std::map<DevicePointer, Block>::iterator Chosen(uint64_t a) {
    return std::next(live_.begin(), static_cast<ptrdiff_t>(a % live_.size()));
  }

  // Calls the pool, whose calls to the device may then fail.
  template <typename Function>
  auto InPool(Function function) {
    in_pool_ = true;
    refused_ = false;
    auto result = function();
    in_pool_ = false;
    return result;
  }

  std::string Allocate(size_t bytes, uint64_t b) {
    const StreamId stream = StreamOf(b);
    const size_t largest = pool_.FragmentationNow().largest_bytes;
    given_ = 0;
    error_.clear();
    const absl::StatusOr<DevicePointer> at =
        InPool([&] { return pool_.Allocate(bytes, stream); });
    if (!error_.empty()) return error_;
    const bool huge = bytes > std::numeric_limits<size_t>::max() - kUnit;
    const size_t rounded =
        huge ? 0 : (std::max<size_t>(bytes, 1) + kUnit - 1) / kUnit * kUnit;
    if (!at.ok()) {
      if (lost() || refused_) return "";
      if (!absl::IsResourceExhausted(at.status())) {
        return "wrong status: " + at.status().ToString();
      }
      if (!huge && rounded <= largest) return "no memory, and a block is idle";
      if (!huge && live_.empty() &&
          rounded <= std::min<size_t>(max_bytes_, kMemoryBytes)) {
        return "no memory, and nothing is live";
      }
      return "";
    }
    if (huge) return "more memory than there is";
    if (at->address() % kUnit != 0) return "a block is misaligned";
    const auto next = live_.lower_bound(*at);
    if (next != live_.end() && next->first < *at + rounded) {
      return "two blocks overlap";
    }
    if (next != live_.begin()) {
      const auto& [before, block] = *std::prev(next);
      if (*at < before + block.bytes) return "two blocks overlap";
    }
    live_[*at] = {.bytes = rounded, .stream = stream, .tag = ++tags_};
    return Work(stream, *at, b, std::nullopt, tags_);
  }

  // The stream's work upon the block, for a while: it expects what is there,
  // and writes. So who is given a block too early is seen, whichever comes
  // first. When there are no blocks beyond the device's memory it is never an
  // error that is the stream's.
  std::string Work(StreamId stream, DevicePointer at, uint64_t b,
                   std::optional<uint64_t> expected, uint64_t tag) {
    const size_t bytes = live_.at(at).bytes;
    const absl::Status status = device_.Launch(
        stream, static_cast<int64_t>(b / 4 * 8),
        [this, at, bytes, expected, tag](const DeviceMemory& memory) {
          const absl::StatusOr<std::span<std::byte>> span =
              memory.Bytes(at, bytes);
          if (!span.ok()) {
            wrong_ = "a block is none of the device's memory";
            return absl::OkStatus();
          }
          for (size_t i = 0; i < bytes; i += kUnit) {
            uint64_t there = 0;
            std::memcpy(&there, &(*span)[i], sizeof(there));
            if (expected.has_value() && there != *expected) {
              wrong_ = "a block was used by another stream too early";
            }
            std::memcpy(&(*span)[i], &tag, sizeof(tag));
          }
          return absl::OkStatus();
        });
    return status.ok() || lost() ? "" : "Launch: " + status.ToString();
  }

  std::string Deallocate(DevicePointer at, StreamId stream) {
    const Block block = live_.at(at);
    std::string error;
    if (stream.valid() && stream != block.stream) {
      // A block goes to another stream in the order of the two.
      const absl::StatusOr<DeviceEvent> event = device_.Record(block.stream);
      if (event.ok()) device_.Wait(stream, *event).IgnoreError();
    }
    if (stream.valid()) {
      error = Work(stream, at, at.address() / kUnit * 4, block.tag, 0);
    } else if (!lost()) {
      const bool there = std::ranges::count(streams_, block.stream) != 0;
      const StreamId last = there ? block.stream : streams_[0];
      error = Work(last, at, 0, block.tag, 0);
      if (!device_.Synchronize(last).ok() && !lost()) error = "Synchronize";
    }
    if (!error.empty()) return error;
    live_.erase(at);
    const absl::Status status = pool_.Deallocate(at, stream);
    return status.ok() ? "" : "Deallocate: " + status.ToString();
  }

  // What the pool asks when there is no memory.
  bool Give() {
    if (live_.empty() || given_ == gives_ % 4) return false;
    ++given_;
    in_pool_ = false;
    error_ = Deallocate(live_.begin()->first,
                        given_ % 2 == 0 ? StreamId() : streams_[0]);
    in_pool_ = true;
    return error_.empty();
  }

  std::string Synchronize(StreamId stream) {
    const absl::Status status =
        InPool([&] { return pool_.Synchronize(stream); });
    return status.ok() || lost() || refused_
               ? ""
               : "Synchronize: " + status.ToString();
  }

  std::string Trim(size_t keep) {
    const absl::Status status = InPool([&] { return pool_.Trim(keep); });
    if (lost() || refused_) return "";
    if (!status.ok()) return "Trim: " + status.ToString();
    if (live_.empty() && pool_.Stats().committed() > keep) {
      return "idle chunks were kept";
    }
    return "";
  }

  std::string Check() {
    if (!wrong_.empty()) return wrong_;
    const AllocatorStats stats = pool_.Stats();
    size_t live = 0;
    for (const auto& [at, block] : live_) live += block.bytes;
    if (stats.live() != live) return "wrong live";
    if (!stats.IdentityHolds()) return "the identity does not hold";
    if (stats.committed() > max_bytes_) return "more than max_bytes";
    if (!lost() && stats.committed() != device_.Memory().used) {
      return "the device has other chunks";
    }
    const DeviceMemoryPool::Fragmentation idle = pool_.FragmentationNow();
    if (idle.idle_bytes != stats.committed() - live) return "wrong idle_bytes";
    const absl::Status status = pool_.CheckInvariants();
    return status.ok() ? "" : status.ToString();
  }

  std::string Drain() {
    fail_in_ = 0;
    std::string error;
    for (size_t i = 0; error.empty() && !live_.empty(); ++i) {
      error = Deallocate(live_.begin()->first, StreamOf(i));
      if (error.empty()) error = Check();
    }
    for (const StreamId stream : streams_) {
      if (error.empty()) error = Synchronize(stream);
    }
    if (error.empty()) error = Check();
    if (error.empty() && !lost() &&
        pool_.Stats().committed() > threshold_bytes_) {
      error = "idle chunks beyond the threshold were kept";
    }
    if (error.empty()) error = Trim(0);
    return error.empty() ? Check() : error;
  }

  const size_t max_bytes_;
  const size_t threshold_bytes_;
  const uint64_t gives_;
  ManualClock clock_;
  SimulatedDevice device_;
  std::string wrong_;  // what the device's work found
  bool in_pool_ = false;
  bool refused_ = false;
  uint64_t fail_in_ = 0;
  uint64_t given_ = 0;
  std::string error_;  // of Give()
  uint64_t tags_ = 0;
  std::map<DevicePointer, Block> live_;
  DeviceMemoryPool pool_;
  std::vector<StreamId> streams_;
};

}  // namespace

const ProgramKind kDeviceMemoryPoolProgram = {"DeviceMemoryPool", kSetup, kOps,
                                              RunDeviceMemoryPoolProgram};

std::string RunDeviceMemoryPoolProgram(const Program& program) {
  return Model(program).Run(program);
}

}  // namespace mmsb
