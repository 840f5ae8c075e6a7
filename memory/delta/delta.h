#ifndef MMSB_MEMORY_DELTA_DELTA_H_
#define MMSB_MEMORY_DELTA_DELTA_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mmsb {

// The difference between two contents of one page: a bit mask, one bit a byte,
// least significant bit first, set where the byte changed; and the payload, the
// new values of the changed bytes in their order.
//
// A Delta sets bytes, it does not xor them: applying it twice is the same as
// applying it once. Deltas form a monoid under Compose, the empty delta of the
// same size being the identity.
//
// Owns its mask and payload. Thread-compatible. Input that does not fit gives a
// status and changes nothing. Every operation is linear in page_bytes(), and
// this file is the scalar reference that the vectorised kernels of device/simd
// must agree with.
//
//   absl::StatusOr<Delta> delta = Delta::Make(before, after);
//   if (!delta.ok()) return delta.status();
//   return delta->Apply(copy_of_before);  // now equal to `after`
class Delta {
 public:
  // The delta of pages of 0 bytes.
  Delta() = default;

  // What changes `before` into `after`, which must be of one size.
  static absl::StatusOr<Delta> Make(std::span<const std::byte> before,
                                    std::span<const std::byte> after);

  // As Make, from a mask that was computed elsewhere. `mask` must hold
  // MaskBytes(after.size()) bytes with its spare bits 0. A bit may be set where
  // nothing changed: that byte is then stored without need.
  static absl::StatusOr<Delta> FromMask(std::span<const uint8_t> mask,
                                        std::span<const std::byte> after);

  // From parts that are not trusted: refuses a mask or a payload whose size
  // does not fit `page_bytes`, and spare bits that are set.
  static absl::StatusOr<Delta> FromParts(size_t page_bytes,
                                         std::vector<uint8_t> mask,
                                         std::vector<std::byte> payload);

  // From parts that fit, of which nothing is checked: for who computed them, as
  // the kernels of device/simd do. Parts that do not fit make every later use
  // of the delta undefined.
  static Delta FromTrustedParts(size_t page_bytes, std::vector<uint8_t> mask,
                                std::vector<std::byte> payload);

  // Applying the result is applying `first`, then `second`.
  static absl::StatusOr<Delta> Compose(const Delta& first, const Delta& second);

  // What takes `delta` back: applied after it, the result makes `before` of
  // what `delta` made of `before`. It stores the old values of the same bytes,
  // so it is Make(after, before) where `delta` changes each byte that it
  // stores.
  static absl::StatusOr<Delta> Invert(const Delta& delta,
                                      std::span<const std::byte> before);

  // Bytes in the mask of a page of `page_bytes` bytes.
  static constexpr size_t MaskBytes(size_t page_bytes) {
    return page_bytes / 8 + (page_bytes % 8 != 0 ? 1 : 0);
  }

  // Sets the changed bytes of `page`, whose size must be page_bytes().
  absl::Status Apply(std::span<std::byte> page) const;

  size_t page_bytes() const { return page_bytes_; }
  size_t changed_bytes() const { return payload_.size(); }
  bool empty() const { return payload_.empty(); }
  std::span<const uint8_t> mask() const { return mask_; }
  std::span<const std::byte> payload() const { return payload_; }

  friend bool operator==(const Delta&, const Delta&) = default;

 private:
  Delta(size_t page_bytes, std::vector<uint8_t> mask,
        std::vector<std::byte> payload);

  size_t page_bytes_ = 0;
  std::vector<uint8_t> mask_;
  std::vector<std::byte> payload_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_DELTA_DELTA_H_
