#include "cli/progress_bar.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "cli/command.h"
#include "cli/text.h"

namespace mmsb {

ProgressBar::ProgressBar(const CommandContext& context, std::string_view task)
    : out_(context.err_is_terminal ? context.err : nullptr),
      clock_(context.clock),
      task_(task),
      started_ns_(clock_.Now()),
      next_ns_(started_ns_ + kDelayNs) {}

ProgressBar::~ProgressBar() {
  if (shown_ == 0) return;
  absl::FPrintF(out_, "\r%*s\r", static_cast<int>(shown_), "");
  std::fflush(out_);
}

void ProgressBar::Update(uint64_t done, uint64_t total) {
  if (out_ == nullptr) return;
  const int64_t now = clock_.Now();
  if (now < next_ns_) return;
  next_ns_ = now + kIntervalNs;

  constexpr size_t kWidth = 24;
  const double part = total == 0 ? 1
                                 : static_cast<double>(std::min(done, total)) /
                                       static_cast<double>(total);
  const auto filled = static_cast<size_t>(part * kWidth);
  const std::string line = absl::StrFormat(
      "%s [%s%s] %3d%%  %s of %s, %s", task_, std::string(filled, '#'),
      std::string(kWidth - filled, '.'), static_cast<int>(part * 100),
      ShortBytesText(done), ShortBytesText(total),
      RateText(done, now - started_ns_));
  // Spaces cover what a longer line before left.
  const size_t before = shown_;
  shown_ = line.size();
  absl::FPrintF(out_, "\r%s%*s", line,
                static_cast<int>(before > shown_ ? before - shown_ : 0), "");
  shown_ = std::max(shown_, before);
  std::fflush(out_);
}

}  // namespace mmsb
