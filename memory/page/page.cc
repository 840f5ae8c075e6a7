#include "memory/page/page.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace mmsb {

absl::Status Page::AdvanceTo(Epoch epoch) {
  if (epoch < epoch_) {
    return absl::FailedPreconditionError(
        absl::StrFormat("page %d: epoch %v is before its epoch %v", id_.value(),
                        epoch, epoch_));
  }
  epoch_ = epoch;
  return absl::OkStatus();
}

PageInfo Page::Info() const {
  return {.id = id_,
          .bytes = bytes_,
          .location = location_,
          .epoch = epoch_,
          .holds = holds_,
          .metadata = std::string(metadata())};
}

}  // namespace mmsb
