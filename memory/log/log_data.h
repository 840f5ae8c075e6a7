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
#include "memory/log/log_segments.h"

namespace mmsb {

// Reads from one log by the positions that TransactionLog gives. A value:
// copies share the open files, which are closed with the last of them, so that
// what was found in a log can be read when the log is replaced or its
// TransactionLog is gone. Thread-safe, also beside the log's writer.
class LogData {
 public:
  LogData(std::shared_ptr<const LogSegments> segments, std::string path)
      : segments_(std::move(segments)), path_(std::move(path)) {}

  // Fills `out` from one record's bytes, which are in one segment. DataLoss,
  // which names the file, when it ends before, or there is none.
  absl::Status Read(uint64_t position, std::span<std::byte> out) const {
    const LogSegment* const segment =
        segments_ == nullptr ? nullptr : segments_->Find(position);
    if (segment == nullptr) {
      return absl::DataLossError(absl::StrCat("'", path_, "' is missing"));
    }
    absl::StatusOr<size_t> read =
        segment->file->ReadAt(position - segment->base, out);
    // A damaged position may be where no file reaches.
    if (absl::IsOutOfRange(read.status())) read = size_t{0};
    if (!read.ok()) return read.status();
    if (*read == out.size()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("'", segment->path, "' ends ",
                                            out.size() - *read,
                                            " bytes before its data does"));
  }

 private:
  std::shared_ptr<const LogSegments> segments_;  // null when there is no file
  std::string path_;  // of the first one, for messages
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_LOG_DATA_H_
