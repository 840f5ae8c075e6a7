#ifndef MMSB_DEVICE_SIMD_DELTA_KERNELS_H_
#define MMSB_DEVICE_SIMD_DELTA_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "memory/delta/delta.h"

namespace mmsb {

// What a Delta does, on the best instruction set of the machine
// (simd_target.h): each result is, bit for bit, that of Delta's own operation
// of the same name, which is the reference.
//
// Of all functions here. Nothing outside the spans is read or written, whatever
// their alignment and length.
//
// Thread-safety: no state; any number of threads at once, on other pages.
// Failure: sizes that do not match end the process with the sizes in the
// message, in every build. Who has a delta of unknown size asks page_bytes().
// Complexity: a look at each bit of a mask, 64 at once, and work only for those
// that are set. Only what returns a Delta allocates.
//
//   const Delta delta = MakeDelta(before, after);
//   ApplyDelta(delta, copy_of_before);  // now equal to `after`

// What changes `before` into `after`: Delta::Make.
Delta MakeDelta(std::span<const std::byte> before,
                std::span<const std::byte> after);

// The same into memory of the caller's, in one pass over the inputs: the mask
// (one bit a byte, LSB first, spare bits 0), and the changed bytes of `after`
// in order, of which there are as many as it returns. mask.size() must be
// (n + 7) / 8, and payload.size() n, for what may change; what is behind the
// changed bytes is left with any value. No two spans overlap, but the inputs
// may.
size_t MakeDelta(std::span<const std::byte> before,
                 std::span<const std::byte> after, std::span<uint8_t> mask,
                 std::span<std::byte> payload);

// Sets the changed bytes of `page`: Delta::Apply. It reads and writes no line
// of the page that the delta does not change.
void ApplyDelta(const Delta& delta, std::span<std::byte> page);

// The same from a mask and a payload; mask.size() must be (page.size() + 7) / 8
// with spare bits 0, and payload.size() the number of its bits that are set.
void ApplyDelta(std::span<const uint8_t> mask,
                std::span<const std::byte> payload, std::span<std::byte> page);

// One application of many.
struct DeltaToPage {
  const Delta* delta;
  std::span<std::byte> page;
};

// Applies all, in order; a page may come more than once. All sizes are compared
// before the first is applied.
void ApplyDeltas(std::span<const DeltaToPage> work);

// What does as `first`, then `second`: Delta::Compose.
Delta ComposeDeltas(const Delta& first, const Delta& second);

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_DELTA_KERNELS_H_
