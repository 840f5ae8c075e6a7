#ifndef MMSB_MEMORY_LOG_LOG_SEGMENTS_H_
#define MMSB_MEMORY_LOG_LOG_SEGMENTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "memory/log/file_system.h"

namespace mmsb {

// One file of a log.
struct LogSegment {
  uint64_t base = 0;  // where in the log its first byte stands
  std::string path;   // for messages
  std::shared_ptr<File> file;
};

// The files of a log, seen as one run of bytes: of each file those from its
// base up to where the next one begins. What a file lacks up to there, and what
// is ahead of the first one, is a gap; what it has beyond is no part of the
// log.
//
// Immutable. Copies share the open files, which are closed with the last of
// them. Thread-safe, also beside a writer of the last file. Finding a position
// is O(log segments).
class LogSegments {
 public:
  // One at least, ascending by their bases, no two alike.
  explicit LogSegments(std::vector<LogSegment> segments)
      : segments_(std::move(segments)) {}

  std::span<const LogSegment> all() const { return segments_; }
  const LogSegment& last() const { return segments_.back(); }

  // The last one that begins at `position` or ahead of it; null in a gap ahead
  // of the first.
  const LogSegment* Find(uint64_t position) const;

  // Where the segment that holds `position` ends at the latest: where the next
  // one begins, or the largest number there is.
  uint64_t Limit(uint64_t position) const;

  // Fills `out` with the log's bytes from `position`; returns how many there
  // are ahead of the end of the last file. A gap reads as zeros, which are no
  // record.
  absl::StatusOr<size_t> ReadAt(uint64_t position,
                                std::span<std::byte> out) const;

 private:
  std::vector<LogSegment> segments_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_LOG_SEGMENTS_H_
