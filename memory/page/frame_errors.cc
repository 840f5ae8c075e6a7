#include "memory/page/frame_errors.h"

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "memory/page/frame_layout.h"
#include "primitives/os_error.h"

namespace mmsb::frame_errors {

absl::Status NoSuchOrder(int order) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "order %d: runs have an order from 0 to %d", order, kHugeOrder));
}

absl::Status NoSuchRun(size_t offset, int order, size_t frames) {
  const size_t frame = offset / kFrameBytes;
  const size_t run = size_t{1} << order;
  if (frame >= frames) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "frame: an address outside the region of %d frames, %d bytes behind "
        "its start",
        frames, static_cast<int64_t>(offset)));
  }
  if (offset % kFrameBytes != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("frame %d: an address inside it, %d bytes behind its "
                        "start",
                        frame, offset % kFrameBytes));
  }
  if (frame % run != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "frame %d: a run of order %d starts at a multiple of %d frames", frame,
        order, run));
  }
  return absl::InvalidArgumentError(absl::StrFormat(
      "frame %d: a run of order %d from there ends behind the region of %d "
      "frames",
      frame, order, frames));
}

absl::Status NotAllocated(size_t frame, size_t first, int order) {
  if (frame == first) {
    return absl::FailedPreconditionError(
        absl::StrFormat("frame %d: freed, but not allocated", frame));
  }
  return absl::FailedPreconditionError(absl::StrFormat(
      "frame %d: freed in the run of order %d from frame %d on, but not "
      "allocated",
      frame, order, first));
}

absl::Status NoneFree(int order) {
  return absl::ResourceExhaustedError(
      absl::StrFormat("order %d: no run is free", order));
}

absl::Status Refused(const char* what, OsError error) {
  char text[OsError::kTextBytes];
  return absl::ResourceExhaustedError(
      absl::StrFormat("%s: %s", what, error.Describe(text, sizeof(text))));
}

absl::Status Broken(const char* where, size_t index, const char* what,
                    uint64_t found, uint64_t expected) {
  return absl::InternalError(absl::StrFormat("%s %d: %s %d, expected %d", where,
                                             index, what, found, expected));
}

}  // namespace mmsb::frame_errors
