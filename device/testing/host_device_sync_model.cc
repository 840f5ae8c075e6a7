#include "device/testing/host_device_sync_model.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/device_pointer.h"
#include "device/host_device_sync.h"
#include "device/integrity_checker.h"
#include "device/page_coherence.h"
#include "device/simulated_device.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using DeviceMemory = SimulatedDevice::DeviceMemory;
using Direction = HostDeviceSync::Direction;
using Fault = SimulatedDevice::Fault;
using Op = HostDeviceSyncOp;
using Report = HostDeviceSync::Report;
using State = HostDeviceSync::State;

constexpr size_t kLine = PageCoherence::kLineBytes;

bool Any(const std::vector<bool>& lines) {
  return std::ranges::count(lines, true) != 0;
}

// What a page should hold, and where the newest version of each line lies.
struct Image {
  explicit Image(size_t bytes)
      : host(bytes),
        newest(bytes),
        host_newer((bytes + kLine - 1) / kLine, true),
        device_newer(host_newer.size(), false) {}

  [[nodiscard]] size_t bytes() const { return host.size(); }

  [[nodiscard]] State state() const {
    const bool host = Any(host_newer);
    const bool device = Any(device_newer);
    const bool all = std::ranges::count(device_newer, false) == 0;
    return !placed          ? State::kHostOnly
           : host && device ? State::kBothDirty
           : host           ? State::kHostDirty
           : all            ? State::kDeviceOnly
           : device         ? State::kDeviceDirty
                            : State::kBothClean;
  }

  void Copied(Direction direction) {
    if (direction == Direction::kToDevice) {
      placed = true;
      host_newer.assign(host_newer.size(), false);
    } else {
      device_newer.assign(device_newer.size(), false);
      kernels.clear();
    }
  }

  // The host's memory is what counts.
  void Restore() {
    newest = host;
    placed = false;
    host_newer.assign(host_newer.size(), true);
    device_newer.assign(device_newer.size(), false);
    kernels.clear();
  }

  Bytes host;  // the caller's memory of the page
  Bytes newest;
  std::vector<bool> host_newer;
  std::vector<bool> device_newer;
  bool placed = false;
  std::vector<DeviceEvent> kernels;  // that wrote it, not copied back yet
};

struct Range {
  size_t offset;
  size_t bytes;
};

// Bytes of a page: the whole, an empty range, a byte, lines and what straddles
// them.
Range RangeOf(const Image& page, uint64_t b) {
  if (b == 255) return {0, page.bytes()};
  const size_t offset = b * 29 % page.bytes();
  return {offset, std::min<size_t>(b * 11 % 150, page.bytes() - offset)};
}

bool Overlaps(const std::vector<bool>& lines, Range range) {
  for (size_t at = range.offset; at < range.offset + range.bytes; ++at) {
    if (lines[at / kLine]) return true;
  }
  return false;
}

void Mark(std::vector<bool>& lines, Range range) {
  for (size_t at = range.offset; at < range.offset + range.bytes; ++at) {
    lines[at / kLine] = true;
  }
}

class Model {
 public:
  explicit Model(const HostDeviceSyncSteps& steps)
      : device_({.memory_bytes = steps.device_bytes,
                 .to_device_bytes_per_second = 1'000'000'000,
                 .to_host_bytes_per_second = 1'000'000'000,
                 .call_ns = 50,
                 .fresh = std::byte{0xdb}},
                clock_),
        pool_(device_, {.chunk_bytes = kKiB}),
        compute_(*device_.CreateStream()),
        sync_(*HostDeviceSync::Create(device_, pool_, steps.options)) {
    for (const size_t bytes : steps.page_bytes) pages_.emplace_back(bytes);
    for (Image& page : pages_) {
      for (std::byte& byte : page.host) byte = NewByte();
      page.newest = page.host;
    }
  }

  std::string Run(const HostDeviceSyncSteps& steps) {
    for (size_t i = 0; i < pages_.size(); ++i) {
      std::string error = Right(sync_->Add(IdOf(i), pages_[i].host), false);
      if (!error.empty()) return error;
    }
    if (steps.faults != nullptr) device_.OnCall(steps.faults);
    for (size_t i = 0; i < steps.steps.size() && alive(); ++i) {
      std::string error = Perform(steps.steps[i]);
      if (error.empty() && alive()) error = CheckStates();
      if (!error.empty()) return "step " + std::to_string(i) + ": " + error;
    }
    std::string error = Land();
    device_.Heal();
    // What is still to be done may be the device's end.
    device_.Synchronize(compute_).IgnoreError();
    if (error.empty()) error = alive() ? SettleAlive() : SettleLost();
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  static PageId IdOf(size_t i) { return PageId::FromValue(i); }

  // No two that follow each other are the same.
  std::byte NewByte() { return static_cast<std::byte>(++bytes_ * 37 % 251); }

  Bytes NewBytes(size_t count) {
    Bytes bytes(count);
    for (std::byte& byte : bytes) byte = NewByte();
    return bytes;
  }

  [[nodiscard]] bool alive() const { return device_.Health().ok(); }

  static std::string Right(const absl::Status& status, bool refused) {
    const bool right =
        refused ? absl::IsFailedPrecondition(status) : status.ok();
    return right ? "" : "wrong status: " + status.ToString();
  }

  std::string Perform(const HostDeviceSyncSteps::Step& step) {
    const size_t i = step.a % pages_.size();
    switch (step.op) {
      case Op::kStart:
        return Start(step.a, step.b);
      case Op::kFinish:
        return Land();
      case Op::kDrop:
        return Drop();
      case Op::kAdvance:
        clock_.Advance(static_cast<int64_t>(8 * step.a));
        return "";
      case Op::kUnknown:
        return Unknown(i, step.b);
      case Op::kFail:
        device_.FailCall(step.a + 1, FaultOf(step.b));
        return "";
      default:
        break;
    }
    // The page may be the one that is in flight: what its report says is known
    // only at Finish().
    std::string error;
    if (std::ranges::count(in_flight_, IdOf(i)) != 0) error = Land();
    if (!error.empty() || !alive()) return error;
    switch (step.op) {
      case Op::kWrite:
      case Op::kEdit:
        return Write(i, step.b, step.op == Op::kEdit);
      case Op::kWriteBeside:
        return WriteBeside(i, step.b);
      case Op::kDeviceWrite:
        return DeviceWrite(i, step.b);
      case Op::kRead:
        return Read(i, step.b);
      case Op::kAgain:
        return Again(i, step.b % 2 == 1);
      default:
        return GiveUp(i);
    }
  }

  static Fault FaultOf(uint64_t b) {
    constexpr Fault kFaults[] = {Fault::kFail, Fault::kRefuse,
                                 Fault::kFail, Fault::kRefuse,
                                 Fault::kLose, Fault::kLoseLater};
    return kFaults[b % std::size(kFaults)];
  }

  std::string Write(size_t i, uint64_t b, bool by_edit) {
    Image& page = pages_[i];
    const Range range = RangeOf(page, b);
    const Bytes value = NewBytes(range.bytes);
    const absl::Status status =
        by_edit ? sync_->Edit(IdOf(i), range.offset, range.bytes,
                              [&](std::span<std::byte> bytes) {
                                std::ranges::copy(value, bytes.begin());
                              })
                : sync_->Write(IdOf(i), range.offset, value);
    const bool refused = Overlaps(page.device_newer, range);
    std::string error = Right(status, refused);
    if (!error.empty() || refused) return error;
    Keep(page, range, value);
    Mark(page.host_newer, range);
    return "";
  }

  static void Keep(Image& page, Range range, const Bytes& value) {
    std::ranges::copy(
        value, page.newest.begin() + static_cast<ptrdiff_t>(range.offset));
  }

  // Writes the memory itself, and tells the lines.
  std::string WriteBeside(size_t i, uint64_t b) {
    Image& page = pages_[i];
    const Range range = RangeOf(page, b);
    std::vector<uint8_t> lines((page.host_newer.size() + 7) / 8);
    for (size_t at = range.offset; at < range.offset + range.bytes; ++at) {
      const size_t line = at / kLine;
      if (page.device_newer[line]) continue;
      page.host[at] = page.newest[at] = NewByte();
      page.host_newer[line] = true;
      lines[line / 8] |= static_cast<uint8_t>(1u << line % 8);
    }
    return Right(sync_->MarkHostWrite(IdOf(i), lines), false);
  }

  std::string DeviceWrite(size_t i, uint64_t b) {
    Image& page = pages_[i];
    const Range range = RangeOf(page, b);
    const absl::Status status =
        sync_->MarkDeviceWrite(IdOf(i), range.offset, range.bytes);
    const bool refused = !page.placed || Overlaps(page.host_newer, range);
    std::string error = Right(status, refused);
    if (!error.empty() || refused) return error;
    Mark(page.device_newer, range);
    const Bytes value = NewBytes(range.bytes);
    Keep(page, range, value);
    const absl::StatusOr<DevicePointer> at = sync_->DeviceAddress(IdOf(i));
    if (!at.ok()) return "DeviceAddress: " + at.status().ToString();
    const absl::Status launched = device_.Launch(
        compute_, static_cast<int64_t>(8 * b),
        [at = *at + range.offset, value](const DeviceMemory& memory) {
          const auto span = memory.Bytes(at, value.size());
          if (!span.ok()) return span.status();
          std::ranges::copy(value, span->begin());
          return absl::OkStatus();
        });
    const absl::StatusOr<DeviceEvent> event =
        launched.ok() ? device_.Record(compute_) : launched;
    // Otherwise nobody knows what the device has.
    if (!event.ok()) return GiveUp(i);
    page.kernels.push_back(*event);
    return "";
  }

  // The device's version of the page is worth nothing.
  std::string GiveUp(size_t i) {
    if (!alive()) return "";
    // No kernel may write it afterwards; and the stream works again.
    device_.Synchronize(compute_).IgnoreError();
    if (!alive()) return "";
    const absl::Status status = sync_->Restore(IdOf(i));
    if (status.ok()) pages_[i].Restore();
    return alive() ? Right(status, false) : "";
  }

  std::string Read(size_t i, uint64_t b) {
    const Image& page = pages_[i];
    const Range range = RangeOf(page, b);
    Bytes out(range.bytes);
    const absl::Status status = sync_->Read(IdOf(i), range.offset, out);
    const bool refused = Overlaps(page.device_newer, range);
    std::string error = Right(status, refused);
    if (!error.empty() || refused) return error;
    return std::ranges::equal(
               out, std::span(page.newest).subspan(range.offset, range.bytes))
               ? ""
               : "Read gives other bytes";
  }

  std::string Again(size_t i, bool on_device) {
    device_.Synchronize(compute_).IgnoreError();
    if (!alive()) return "";
    std::string error = Right(sync_->Remove(IdOf(i)), false);
    if (!error.empty()) return alive() ? error : "";
    Image& page = pages_[i];
    page.Restore();
    if (!on_device) return Right(sync_->Add(IdOf(i), page.host), false);
    const absl::Status status = sync_->AddOnDevice(IdOf(i), page.host);
    if (!status.ok()) {
      if (!alive()) return "";
      // There was no memory for it, or a fault in the way.
      return Right(sync_->Add(IdOf(i), page.host), false);
    }
    page.placed = true;
    page.host_newer.assign(page.host_newer.size(), false);
    page.device_newer.assign(page.device_newer.size(), true);
    // What the page holds there is to be made.
    page.newest.assign(page.bytes(), NewByte());
    const absl::StatusOr<DevicePointer> at = sync_->DeviceAddress(IdOf(i));
    if (!at.ok()) return "DeviceAddress: " + at.status().ToString();
    const absl::Status filled =
        device_.Fill(compute_, *at, page.bytes(), page.newest[0]);
    const absl::StatusOr<DeviceEvent> event =
        filled.ok() ? device_.Record(compute_) : filled;
    if (!event.ok()) return GiveUp(i);
    page.kernels.push_back(*event);
    return "";
  }

  std::string Unknown(size_t i, uint64_t b) {
    const PageId none = IdOf(pages_.size() + b);
    Bytes out(2);
    const bool right =
        !sync_->Read(none, 0, out).ok() && !sync_->Remove(none).ok() &&
        !sync_->Restore(none).ok() && !sync_->StateOf(none).ok() &&
        !sync_->MarkDeviceWrite(none, 0, 1).ok();
    if (!right) return "a page that is not there was taken";
    if (sync_->Sync(Direction::kToDevice, std::span(&none, 1)).ok()) {
      return "a page that is not there was copied";
    }
    if (!absl::IsAlreadyExists(sync_->Add(IdOf(i), pages_[i].host))) {
      return "a page was added twice";
    }
    return "";
  }

  std::vector<DeviceEvent> Kernels() const {
    std::vector<DeviceEvent> after;
    for (const PageId id : in_flight_) {
      const Image& page = pages_[id.value()];
      after.insert(after.end(), page.kernels.begin(), page.kernels.end());
    }
    return after;
  }

  std::string Start(uint64_t a, uint64_t b) {
    std::string error = Land();
    if (!error.empty() || !alive()) return error;
    in_flight_.clear();
    for (size_t i = 0; i < pages_.size(); ++i) {
      if ((a >> i & 1) != 0) in_flight_.push_back(IdOf(i));
    }
    direction_ = b % 2 == 1 ? Direction::kToHost : Direction::kToDevice;
    transfer_.emplace(sync_->Start(direction_, in_flight_, Kernels()));
    return b / 2 % 2 == 1 ? Land() : "";
  }

  // What is dropped is done or stays as it was; the next finds out which.
  std::string Drop() {
    if (!transfer_.has_value()) return "";
    transfer_.reset();
    if (!alive()) {
      in_flight_.clear();
      return "";
    }
    transfer_.emplace(sync_->Start(direction_, in_flight_, Kernels()));
    return Land(/*dropped=*/true);
  }

  // Whether the page is as though it had been copied, and not as it was.
  bool WasCopied(PageId id) {
    const Image& page = pages_[id.value()];
    Image copied = page;
    copied.Copied(direction_);
    const absl::StatusOr<State> state = sync_->StateOf(id);
    return state.ok() && *state == copied.state() && *state != page.state();
  }

  // Finishes what was started, and takes its report into the model. When the
  // same was `dropped` before, a page that fails now may have been copied then.
  std::string Land(bool dropped = false) {
    if (!transfer_.has_value()) return "";
    HostDeviceSync::Transfer transfer = *std::move(transfer_);
    transfer_.reset();
    const Report report = sync_->Finish(std::move(transfer));
    const std::vector<PageId> ids = std::exchange(in_flight_, {});
    // With the device go pages beside the copy, and SettleLost() sees that they
    // had to.
    const std::vector<PageId> lost = sync_->LostPages();
    for (const HostDeviceSync::PageFailure& failure : report.failed) {
      if (std::ranges::count(ids, failure.page) == 0 &&
          std::ranges::count(lost, failure.page) == 0) {
        return "a page that was not copied is reported";
      }
      if (!failure.status.message().starts_with(
              "page " + std::to_string(failure.page.value()) + ": ")) {
        return "a status names no page: " + failure.status.ToString();
      }
    }
    if (!alive()) return "";  // SettleLost() looks at the pages
    for (const PageId id : ids) {
      Image& page = pages_[id.value()];
      const bool failed =
          std::ranges::count(report.failed, id,
                             &HostDeviceSync::PageFailure::page) != 0;
      if (!failed || (dropped && WasCopied(id))) {
        page.Copied(direction_);
        continue;
      }
      bool kernel_failed = false;
      for (const DeviceEvent& kernel : page.kernels) {
        kernel_failed |= !device_.Reached(kernel).ok();
      }
      if (!kernel_failed) continue;
      std::string error = GiveUp(id.value());
      if (!error.empty() || !alive()) return error;
    }
    if (!report.ok()) device_.Synchronize(compute_).IgnoreError();
    return "";
  }

  std::string CheckStates() {
    for (size_t i = 0; i < pages_.size(); ++i) {
      if (std::ranges::count(in_flight_, IdOf(i)) != 0) continue;
      const absl::StatusOr<State> state = sync_->StateOf(IdOf(i));
      if (!state.ok() || *state != pages_[i].state()) {
        return "page " + std::to_string(i) + " is in another state";
      }
    }
    const absl::Status status = pool_.CheckInvariants();
    return status.ok() ? "" : status.ToString();
  }

  // Nothing fails any more: everything must come to agree, but for pages that
  // the device has no memory for, which are reported.
  std::string SettleAlive() {
    for (size_t i = 0; i < pages_.size(); ++i) {
      bool failed = false;
      for (const DeviceEvent& kernel : pages_[i].kernels) {
        failed |= !device_.Await(kernel).ok();
      }
      std::string error = failed ? GiveUp(i) : "";
      if (!error.empty()) return error;
    }
    const std::vector<PageId> ids = sync_->Pages();
    const Report back = sync_->Sync(Direction::kToHost, ids);
    if (!back.ok()) return "to the host: " + back.failed[0].status.ToString();
    for (const Image& page : pages_) {
      if (page.host != page.newest) return "the host has other bytes";
    }
    const Report there = sync_->Sync(Direction::kToDevice, ids);
    std::vector<IntegrityChecker::PageCopies> copies;
    for (const PageId id : ids) {
      const auto failure = std::ranges::find(
          there.failed, id, &HostDeviceSync::PageFailure::page);
      if (failure != there.failed.end()) {
        if (absl::IsResourceExhausted(failure->status)) continue;
        return "to the device: " + failure->status.ToString();
      }
      if (*sync_->StateOf(id) != State::kBothClean) return "a page is dirty";
      copies.push_back(
          {id, pages_[id.value()].host, *sync_->DeviceAddress(id)});
    }
    IntegrityChecker checker(device_, kLine);
    const auto differences = checker.Compare(copies);
    if (!differences.ok()) return differences.status().ToString();
    if (!differences->empty()) return "the device has other bytes";
    for (const PageId id : ids) {
      std::string error = Right(sync_->Remove(id), false);
      if (!error.empty()) return error;
    }
    return pool_.Stats().live() == 0 ? "" : "device memory is kept";
  }

  // Every page is whole on the host, or reported.
  std::string SettleLost() {
    const Report report = sync_->Sync(Direction::kToHost, sync_->Pages());
    if (report.failed.size() != sync_->Pages().size()) {
      return "the device is lost, and a page is not reported";
    }
    const std::vector<PageId> lost = sync_->LostPages();
    for (const PageId id : sync_->Pages()) {
      const Image& page = pages_[id.value()];
      Bytes out(page.bytes());
      const absl::Status status = sync_->Read(id, 0, out);
      if (std::ranges::count(lost, id) == 0) {
        if (!status.ok()) return "wrong status: " + status.ToString();
        if (out != page.newest) return "the host has other bytes";
        continue;
      }
      if (!absl::IsDataLoss(status)) return "a lost page was read";
      if (!Any(page.device_newer)) return "a page is lost that was whole";
      // Of its lines those that were not newer on the device are there.
      for (size_t line = 0; line < page.device_newer.size(); ++line) {
        if (page.device_newer[line]) continue;
        const size_t offset = line * kLine;
        const size_t bytes = std::min(kLine, page.bytes() - offset);
        const std::span<std::byte> part = std::span(out).first(bytes);
        if (!sync_->Read(id, offset, part).ok() ||
            !std::ranges::equal(
                part, std::span(page.newest).subspan(offset, bytes))) {
          return "a line is lost that was not newer on the device";
        }
      }
    }
    return "";
  }

  uint64_t bytes_ = 0;
  ManualClock clock_;
  std::vector<Image> pages_;
  SimulatedDevice device_;
  DeviceMemoryPool pool_;
  const StreamId compute_;
  std::unique_ptr<HostDeviceSync> sync_;
  std::optional<HostDeviceSync::Transfer> transfer_;
  std::vector<PageId> in_flight_;
  Direction direction_ = Direction::kToDevice;
};

}  // namespace

std::string RunBesideModel(const HostDeviceSyncSteps& steps) {
  return Model(steps).Run(steps);
}

}  // namespace mmsb
