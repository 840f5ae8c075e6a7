#ifndef MMSB_CLI_PROGRESS_BAR_H_
#define MMSB_CLI_PROGRESS_BAR_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "cli/command.h"
#include "primitives/os_clock.h"

namespace mmsb {

// One line on a terminal that says how far a long task is. It appears when the
// task has run for kDelayNs, is drawn anew every kIntervalNs, and is taken away
// by the destructor; where nobody watches, nothing is written.
//
// Owns nothing. Thread-compatible. Failures to write are ignored: nothing
// depends on it.
//
//   ProgressBar progress(context, "reading");
//   progress.Update(done, total);  // in bytes
class ProgressBar {
 public:
  static constexpr int64_t kDelayNs = 500'000'000;
  static constexpr int64_t kIntervalNs = 100'000'000;

  ProgressBar(const CommandContext& context, std::string_view task);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `done` of `total` bytes.
  void Update(uint64_t done, uint64_t total);

 private:
  std::FILE* const out_;  // null: nobody watches
  const Clock& clock_;
  const std::string_view task_;
  const int64_t started_ns_;
  int64_t next_ns_;
  size_t shown_ = 0;  // characters on the line
};

}  // namespace mmsb

#endif  // MMSB_CLI_PROGRESS_BAR_H_
