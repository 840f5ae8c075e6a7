#ifndef MMSB_DEVICE_SIMD_TESTING_GUARDED_BYTES_H_
#define MMSB_DEVICE_SIMD_TESTING_GUARDED_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "primitives/check.h"
#include "primitives/os_error.h"
#include "primitives/os_guarded_region.h"
#include "primitives/os_memory.h"

namespace mmsb {

// Memory between two guards, and spans in it that touch one of them, so that a
// read or write outside the span ends the test. Owns the memory.
class GuardedBytes {
 public:
  enum class Side { kFirst, kLast };
  static constexpr Side kSides[] = {Side::kFirst, Side::kLast};

  explicit GuardedBytes(size_t at_least) {
    const OsError error =
        GuardedRegion::Create(SystemMapper(), at_least, &region_);
    MMSB_CHECK(error.ok(), "no guarded region of %zu bytes", at_least);
  }

  std::span<std::byte> Whole() const {
    return {static_cast<std::byte*>(region_.data()), region_.bytes()};
  }

  // The first bytes of the memory, or the last.
  std::span<std::byte> At(Side side, size_t bytes) const {
    return side == Side::kFirst ? Whole().first(bytes) : Whole().last(bytes);
  }

  std::span<uint8_t> MaskAt(Side side, size_t bytes) const {
    const std::span<std::byte> span = At(side, bytes);
    return {reinterpret_cast<uint8_t*>(span.data()), span.size()};
  }

 private:
  GuardedRegion region_;
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_TESTING_GUARDED_BYTES_H_
