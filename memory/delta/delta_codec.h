#ifndef MMSB_MEMORY_DELTA_DELTA_CODEC_H_
#define MMSB_MEMORY_DELTA_DELTA_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/delta/delta.h"

namespace mmsb {

// How the bytes of an encoded delta are laid out. docs/format.md has the layout
// to the byte.
enum class DeltaForm : uint8_t {
  kDense = 1,   // the mask, then the payload
  kSparse = 2,  // runs of changed bytes as pairs of varints, then the payload
  kWhole = 3,   // the whole page, changed or not
};

// The form of the number `form`, if it has one.
std::optional<DeltaForm> DeltaFormFromNumber(uint8_t form);

struct EncodedDelta {
  DeltaForm form;
  size_t bytes;  // how many EncodeDelta appended
};

// Appends `delta` to `out` in the smaller of the dense and the sparse form, or,
// when neither is smaller than a page, `after` in the whole form. `after` is
// the page with the delta applied; its size must be delta.page_bytes(). Linear
// in page_bytes().
absl::StatusOr<EncodedDelta> EncodeDelta(const Delta& delta,
                                         std::span<const std::byte> after,
                                         std::vector<std::byte>& out);

// Applies an encoded delta to `page` without making a Delta of it. `encoded` is
// not trusted: when it is not a well-formed delta for a page of this size, the
// result is a DataLoss status and `page` is as before. Allocates nothing.
absl::Status ApplyEncodedDelta(DeltaForm form,
                               std::span<const std::byte> encoded,
                               std::span<std::byte> page);

// What does exactly as ApplyEncodedDelta, and is faster: device/simd has one.
using EncodedDeltaApplier = absl::Status (*)(DeltaForm form,
                                             std::span<const std::byte> encoded,
                                             std::span<std::byte> page);

// The delta that `encoded`, which is not trusted, stands for. The whole form
// gives a delta that sets every byte. Allocates at most 9/8 of `page_bytes`.
absl::StatusOr<Delta> DecodeDelta(DeltaForm form, size_t page_bytes,
                                  std::span<const std::byte> encoded);

}  // namespace mmsb

#endif  // MMSB_MEMORY_DELTA_DELTA_CODEC_H_
