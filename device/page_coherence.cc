#include "device/page_coherence.h"

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "device/simd/mask_algebra.h"
#include "device/simd/mask_view.h"
#include "primitives/check.h"

namespace mmsb {

PageCoherence::PageCoherence(size_t bytes, Side newest)
    : bytes_(bytes),
      lines_(bytes / kLineBytes + (bytes % kLineBytes != 0 ? 1 : 0)),
      placed_(newest == Side::kDevice),
      host_(MaskBytes(lines_)),
      device_(MaskBytes(lines_)) {
  MMSB_CHECK(bytes > 0, "PageCoherence: a page of 0 bytes");
  FillMask(MaskSpan(mask(newest), 0, lines_), true);
}

PageCoherence::State PageCoherence::state() const {
  if (lost_) return State::kLost;
  if (!placed_) return State::kHostOnly;
  const bool host = !NoneSet(newer(Side::kHost));
  const bool device = !NoneSet(newer(Side::kDevice));
  if (host && device) return State::kBothDirty;
  if (host) return State::kHostDirty;
  if (!device) return State::kBothClean;
  return AllSet(newer(Side::kDevice)) ? State::kDeviceOnly
                                      : State::kDeviceDirty;
}

MaskView PageCoherence::newer(Side side) const {
  return MaskView(side == Side::kHost ? host_ : device_, 0, lines_);
}

absl::Status PageCoherence::CheckRange(size_t offset, size_t bytes) const {
  if (offset > bytes_ || bytes > bytes_ - offset) {
    return absl::OutOfRangeError(absl::StrFormat(
        "%d bytes from byte %d on, of a page of %d", bytes, offset, bytes_));
  }
  return absl::OkStatus();
}

PageCoherence::Lines PageCoherence::LinesOf(size_t offset, size_t bytes) {
  if (bytes == 0) return {0, 0};
  const size_t first = offset / kLineBytes;
  return {first, (offset + bytes - 1) / kLineBytes - first + 1};
}

absl::Status PageCoherence::Wrote(Side side, size_t offset, size_t bytes) {
  if (absl::Status status = CheckRange(offset, bytes); !status.ok()) {
    return status;
  }
  const Lines lines = LinesOf(offset, bytes);
  std::vector<uint8_t> written(MaskBytes(lines_));
  FillMask(MaskSpan(written, lines.first, lines.count), true);
  return Wrote(side, MaskView(written, 0, lines_));
}

absl::Status PageCoherence::Wrote(Side side, MaskView lines) {
  if (lines.bits() != lines_) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "a mask of %d lines, of a page of %d", lines.bits(), lines_));
  }
  if (lost_) {
    return absl::DataLossError("lines that were newer on the device are lost");
  }
  if (side == Side::kDevice && !placed_) {
    return absl::FailedPreconditionError("the device has no copy to write to");
  }
  const Side other = side == Side::kHost ? Side::kDevice : Side::kHost;
  std::vector<uint8_t> both(MaskBytes(lines_));
  const MaskSpan conflict(both, 0, lines_);
  AndMasks(lines, newer(other), conflict);
  if (!NoneSet(conflict)) {
    return absl::FailedPreconditionError(
        absl::StrFormat("line %d is newer on the %s", FirstSet(conflict),
                        other == Side::kHost ? "host" : "device"));
  }
  OrMasks(newer(side), lines, MaskSpan(mask(side), 0, lines_));
  return absl::OkStatus();
}

absl::Status PageCoherence::CheckReadable(Side side, size_t offset,
                                          size_t bytes) const {
  if (absl::Status status = CheckRange(offset, bytes); !status.ok()) {
    return status;
  }
  if (side == Side::kDevice && !placed_) {
    return absl::FailedPreconditionError("the device has no copy");
  }
  const Side other = side == Side::kHost ? Side::kDevice : Side::kHost;
  const Lines lines = LinesOf(offset, bytes);
  const MaskView stale = newer(other).Sub(lines.first, lines.count);
  if (NoneSet(stale)) return absl::OkStatus();
  const size_t line = lines.first + FirstSet(stale);
  if (lost_) {
    return absl::DataLossError(
        absl::StrFormat("line %d was newer on the device and is lost", line));
  }
  return absl::FailedPreconditionError(
      absl::StrFormat("line %d is newer on the %s", line,
                      other == Side::kHost ? "host" : "device"));
}

void PageCoherence::Copied(Side from) {
  if (lost_ || (from == Side::kDevice && !placed_)) return;
  FillMask(MaskSpan(mask(from), 0, lines_), false);
  placed_ = true;
}

void PageCoherence::DeviceLost() {
  if (lost_) return;
  if (NoneSet(newer(Side::kDevice))) {
    Restore();
    return;
  }
  lost_ = true;
  placed_ = false;
}

void PageCoherence::Restore() {
  lost_ = false;
  placed_ = false;
  FillMask(MaskSpan(host_, 0, lines_), true);
  FillMask(MaskSpan(device_, 0, lines_), false);
}

absl::string_view PageStateName(PageCoherence::State state) {
  using State = PageCoherence::State;
  switch (state) {
    case State::kHostOnly:
      return "host-only";
    case State::kBothClean:
      return "both-clean";
    case State::kHostDirty:
      return "host-dirty";
    case State::kDeviceDirty:
      return "device-dirty";
    case State::kBothDirty:
      return "both-dirty";
    case State::kDeviceOnly:
      return "device-only";
    case State::kLost:
      return "lost";
  }
  return "?";
}

std::ostream& operator<<(std::ostream& stream, PageCoherence::State state) {
  return stream << PageStateName(state);
}

}  // namespace mmsb
