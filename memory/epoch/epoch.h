#ifndef MMSB_MEMORY_EPOCH_EPOCH_H_
#define MMSB_MEMORY_EPOCH_EPOCH_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <ostream>
#include <utility>

#include "absl/strings/str_format.h"
#include "primitives/check.h"

namespace mmsb {

// Names one committed state: a count of the commits that led to it. Epoch 0,
// the default, is the state before the first commit; the first commit makes
// epoch 1. A strong type: it does not mix with sizes, ids or plain integers.
//
// A value; owns nothing. Thread-safety: that of a uint64_t.
// Failure: Next() of the last epoch (2^64 - 1) ends the process; an epoch never
// wraps. Complexity: every operation is O(1).
//
//   Epoch head;                       // nothing committed
//   Epoch first = head.Next();        // 1
//   bool newer = head < first;        // true
class Epoch {
 public:
  constexpr Epoch() = default;

  static constexpr Epoch FromValue(uint64_t value) { return Epoch(value); }

  constexpr uint64_t value() const { return value_; }

  constexpr Epoch Next() const {
    MMSB_CHECK(value_ != std::numeric_limits<uint64_t>::max(),
               "Epoch::Next: epoch %llu is the last one",
               static_cast<unsigned long long>(value_));
    return Epoch(value_ + 1);
  }

  friend constexpr auto operator<=>(Epoch, Epoch) = default;

  template <typename H>
  friend H AbslHashValue(H state, Epoch epoch) {
    return H::combine(std::move(state), epoch.value_);
  }

  // Prints the number alone.
  template <typename Sink>
  friend void AbslStringify(Sink& sink, Epoch epoch) {
    absl::Format(&sink, "%d", epoch.value_);
  }
  friend std::ostream& operator<<(std::ostream& stream, Epoch epoch) {
    return stream << epoch.value_;
  }

 private:
  explicit constexpr Epoch(uint64_t value) : value_(value) {}

  uint64_t value_ = 0;
};

}  // namespace mmsb

template <>
struct std::hash<mmsb::Epoch> {
  size_t operator()(mmsb::Epoch epoch) const noexcept {
    return std::hash<uint64_t>()(epoch.value());
  }
};

#endif  // MMSB_MEMORY_EPOCH_EPOCH_H_
