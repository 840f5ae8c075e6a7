#include "device/simd/encoded_delta.h"

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "device/simd/delta_kernels.h"
#include "device/simd/mask_algebra.h"
#include "device/simd/mask_view.h"
#include "memory/delta/delta_codec.h"

namespace mmsb {

absl::Status ApplyEncodedDeltaByKernels(DeltaForm form,
                                        std::span<const std::byte> encoded,
                                        std::span<std::byte> page) {
  const size_t mask_bytes = MaskBytes(page.size());
  if (form == DeltaForm::kDense && encoded.size() >= mask_bytes) {
    const std::span<const uint8_t> mask(
        reinterpret_cast<const uint8_t*>(encoded.data()), mask_bytes);
    const std::span<const std::byte> payload = encoded.subspan(mask_bytes);
    // Of the page's bits, so that a spare bit that is set makes them unequal.
    if (CountSet(MaskView(mask, 0, page.size())) == payload.size() &&
        CountSet(mask) == payload.size()) {
      ApplyDelta(mask, payload, page);
      return absl::OkStatus();
    }
  }
  // Runs and whole pages are copied there as fast as it can be done, and what
  // is malformed is described.
  return ApplyEncodedDelta(form, encoded, page);
}

}  // namespace mmsb
