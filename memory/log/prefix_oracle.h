#ifndef MMSB_MEMORY_LOG_PREFIX_ORACLE_H_
#define MMSB_MEMORY_LOG_PREFIX_ORACLE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace mmsb {

// What a durable program may be after a crash: any state that it was told to
// become, no older than the last that it acknowledged.
//
// A state is any text that tells states apart: the contents, or a fingerprint.
// A state that comes back later is a state of its own, so recovering its older
// self is only found where something in the text differs. Thread-compatible.
//
//   PrefixOracle oracle("empty");
//   oracle.Begin("one"); if (store.Commit().ok()) oracle.Acknowledge();
//   absl::Status verdict = oracle.Check(StateOf(recovered));
class PrefixOracle {
 public:
  explicit PrefixOracle(std::string initial) { Begin(std::move(initial)); }

  // From now on `state` may be found, whether or not it is acknowledged.
  void Begin(std::string state) { states_.push_back(std::move(state)); }

  // From now on nothing older than the newest state may be found.
  void Acknowledge() { acknowledged_ = states_.size() - 1; }

  // DataLoss, with the number of the state and of the last acknowledged one,
  // when `recovered` is none that may be found. Linear in the states since the
  // last acknowledged one, or in all of them for an error.
  absl::Status Check(std::string_view recovered) const {
    for (size_t i = acknowledged_; i < states_.size(); ++i) {
      if (states_[i] == recovered) return absl::OkStatus();
    }
    for (size_t i = 0; i < acknowledged_; ++i) {
      if (states_[i] == recovered) {
        return absl::DataLossError(absl::StrCat("recovered state ", i,
                                                ", but state ", acknowledged_,
                                                " was acknowledged"));
      }
    }
    return absl::DataLossError(absl::StrCat("recovered what was none of the ",
                                            states_.size(), " states"));
  }

 private:
  std::vector<std::string> states_;
  size_t acknowledged_ = 0;  // index
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_PREFIX_ORACLE_H_
