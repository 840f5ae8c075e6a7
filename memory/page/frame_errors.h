#ifndef MMSB_MEMORY_PAGE_FRAME_ERRORS_H_
#define MMSB_MEMORY_PAGE_FRAME_ERRORS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "primitives/os_error.h"

namespace mmsb {

// What allocators of frames say when they refuse; texts begin with the frame,
// where there is one ("frame 7: ..."). Numbers of frames count from the start
// of the region.
namespace frame_errors {

// InvalidArgument.
absl::Status NoSuchOrder(int order);

// InvalidArgument: why a run of that (valid) order cannot start `offset` bytes
// behind the start of a region of `frames` frames. The offset of an address
// before the start is a huge one.
absl::Status NoSuchRun(size_t offset, int order, size_t frames);

// FailedPrecondition: `frame` is not allocated, so the run that starts at
// `first` cannot be freed.
absl::Status NotAllocated(size_t frame, size_t first, int order);

// ResourceExhausted.
absl::Status NoneFree(int order);

// ResourceExhausted: the operating system refused `what`.
absl::Status Refused(const char* what, OsError error);

// Internal: what an invariant says does not hold for that huge frame or tree.
absl::Status Broken(const char* where, size_t index, const char* what,
                    uint64_t found, uint64_t expected);

}  // namespace frame_errors
}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_FRAME_ERRORS_H_
