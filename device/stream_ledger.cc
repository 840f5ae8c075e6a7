#include "device/stream_ledger.h"

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "primitives/check.h"

namespace mmsb {

void StreamLedger::Finish(const absl::Status& outcome) {
  MMSB_CHECK(finished_ < submitted_, "Finish: all %llu operations are finished",
             static_cast<unsigned long long>(submitted_));
  const bool skipped = SkipsNext();
  ++finished_;
  if (skipped) {
    failures_.back().last = std::max(failures_.back().last, finished_);
    return;
  }
  if (outcome.ok()) return;
  if (failures_.size() == kMaxFailures) {
    // What lies between the two was done, and is now told as failed: the side
    // on which nobody is misled.
    failures_[1].first = failures_[0].first;
    failures_.erase(failures_.begin());
  }
  failures_.push_back({finished_, finished_, outcome});
  open_ = true;
}

absl::StatusOr<bool> StreamLedger::Reached(uint64_t point) const {
  if (point > submitted_) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "point %d of a stream that has only %d", point, submitted_));
  }
  const auto failure = std::ranges::lower_bound(
      failures_, point, {}, [](const Failure& f) { return f.last; });
  if (failure != failures_.end()) {
    if (failure->first <= point) return failure->status;
  } else if (open_ && point > finished_) {
    return failures_.back().status;
  }
  return point <= finished_;
}

absl::Status StreamLedger::Settle(uint64_t point) {
  if (open_) {
    open_ = false;
    failures_.back().last = submitted_;
    return failures_.back().status;
  }
  return Reached(point).status();
}

}  // namespace mmsb
