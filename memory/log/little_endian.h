#ifndef MMSB_MEMORY_LOG_LITTLE_ENDIAN_H_
#define MMSB_MEMORY_LOG_LITTLE_ENDIAN_H_

#include <concepts>
#include <cstddef>
#include <span>

namespace mmsb {

// Integers as the bytes of the store's format: least significant byte first, on
// every machine. `at` + sizeof(T) must be within `bytes`; the caller has
// checked. Compilers make one load or store of each.

template <std::unsigned_integral T>
T LoadLittleEndian(std::span<const std::byte> bytes, size_t at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value =
        static_cast<T>(value | std::to_integer<T>(bytes[at + i]) << (8 * i));
  }
  return value;
}

template <std::unsigned_integral T>
void StoreLittleEndian(T value, std::span<std::byte> bytes, size_t at) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
  }
}

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_LITTLE_ENDIAN_H_
