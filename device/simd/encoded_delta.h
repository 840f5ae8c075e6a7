#ifndef MMSB_DEVICE_SIMD_ENCODED_DELTA_H_
#define MMSB_DEVICE_SIMD_ENCODED_DELTA_H_

#include <cstddef>
#include <span>

#include "absl/status/status.h"
#include "memory/delta/delta_codec.h"

namespace mmsb {

// ApplyEncodedDelta on the best instruction set of the machine: the same result
// and the same status for every input. It is an EncodedDeltaApplier, to be
// given to a PageStore. `page` does not overlap `encoded`, and is not changed
// by a delta that is malformed. Thread-safe for different pages; O(bytes), no
// allocation but for the text of a status.
absl::Status ApplyEncodedDeltaByKernels(DeltaForm form,
                                        std::span<const std::byte> encoded,
                                        std::span<std::byte> page);

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_ENCODED_DELTA_H_
