#ifndef MMSB_DEVICE_STREAM_LEDGER_H_
#define MMSB_DEVICE_STREAM_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mmsb {

// Which operations of one stream were submitted, done, failed and skipped: the
// column of the table in device.h that a device keeps for each stream.
//
// Operations are numbered 1, 2, ... as they are submitted, and finish in that
// order. A failure makes all behind it skipped, up to the last that was
// submitted when Settle() told of it.
//
//   point      1   2   3   4   5   6   7
//                      |           |
//                    fails     last when settled
//              done    failure     done
//
// Thread-compatible. Complexity: O(1), Reached() O(log failures), of which the
// oldest are seen as one when there are more than kMaxFailures.
class StreamLedger {
 public:
  static constexpr size_t kMaxFailures = 256;

  [[nodiscard]] uint64_t submitted() const { return submitted_; }
  [[nodiscard]] uint64_t finished() const { return finished_; }
  [[nodiscard]] bool idle() const { return finished_ == submitted_; }
  // Some operation failed at some time.
  [[nodiscard]] bool has_failures() const { return !failures_.empty(); }

  // The point of the operation that is submitted now.
  uint64_t Submit() { return ++submitted_; }

  // True when the next operation to finish is not to be done.
  [[nodiscard]] bool SkipsNext() const { return Skips(finished_ + 1); }

  // The next operation is done, with this outcome; of one that is skipped the
  // outcome does not matter.
  void Finish(const absl::Status& outcome);

  // True when `point` is done, false when it is not yet, and the failure when
  // it failed or is skipped. InvalidArgument of a point that was not submitted.
  [[nodiscard]] absl::StatusOr<bool> Reached(uint64_t point) const;

  // The failure that nobody was told of yet, or that of `point`, or Ok; what is
  // submitted from now on is done.
  absl::Status Settle(uint64_t point);

 private:
  struct Failure {
    uint64_t first;  // failed
    uint64_t last;   // skipped
    absl::Status status;
  };

  [[nodiscard]] bool Skips(uint64_t point) const {
    return !failures_.empty() && (open_ || point <= failures_.back().last);
  }

  uint64_t submitted_ = 0;
  uint64_t finished_ = 0;
  std::vector<Failure> failures_;  // ascending
  bool open_ = false;              // the last failure is not settled
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_STREAM_LEDGER_H_
