#ifndef MMSB_PRIMITIVES_BYTES_H_
#define MMSB_PRIMITIVES_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <span>

namespace mmsb {

// Binary units, in bytes.
inline constexpr size_t kKiB = size_t{1} << 10;
inline constexpr size_t kMiB = size_t{1} << 20;
inline constexpr size_t kGiB = size_t{1} << 30;

// Stores a + b in `*sum` and returns true, or returns false and leaves `*sum`
// as it was when the sum does not fit size_t. `sum` may point at an operand.
//
//   size_t total;
//   if (!CheckedAdd(header_bytes, payload_bytes, &total)) return nullptr;
[[nodiscard]] constexpr bool CheckedAdd(size_t a, size_t b, size_t* sum) {
  size_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) return false;
  *sum = result;
  return true;
}

// Stores a * b in `*product` and returns true, or returns false and leaves
// `*product` as it was when the product does not fit size_t. `product` may
// point at an operand.
[[nodiscard]] constexpr bool CheckedMultiply(size_t a, size_t b,
                                             size_t* product) {
  size_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return false;
  *product = result;
  return true;
}

// True when every byte is zero; true of none.
[[nodiscard]] constexpr bool IsZero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes,
                             [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_BYTES_H_
