#ifndef MMSB_MEMORY_LOG_LOG_DATA_H_
#define MMSB_MEMORY_LOG_LOG_DATA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/log/file_system.h"

namespace mmsb {

// Reads from one log file by the positions that TransactionLog gives. A value:
// copies share the open file, which is closed with the last of them, so that
// what was found in a log can be read when the log is replaced or its
// TransactionLog is gone. Thread-safe, also beside the log's writer.
class LogData {
 public:
  LogData(std::shared_ptr<File> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}

  // Fills `out`. DataLoss when the log ends before, or is not there.
  absl::Status Read(uint64_t position, std::span<std::byte> out) const {
    if (file_ == nullptr) {
      return absl::DataLossError(absl::StrCat("'", path_, "' is missing"));
    }
    absl::StatusOr<size_t> read = file_->ReadAt(position, out);
    // A damaged position may be where no file reaches.
    if (absl::IsOutOfRange(read.status())) read = size_t{0};
    if (!read.ok()) return read.status();
    if (*read == out.size()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("'", path_, "' ends ",
                                            out.size() - *read,
                                            " bytes before its data does"));
  }

 private:
  std::shared_ptr<File> file_;  // null when there is none
  std::string path_;            // for messages
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_LOG_DATA_H_
