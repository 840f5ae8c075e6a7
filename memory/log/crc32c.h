#ifndef MMSB_MEMORY_LOG_CRC32C_H_
#define MMSB_MEMORY_LOG_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/crc/crc32c.h"

namespace mmsb {

// CRC-32C (Castagnoli, reflected, initial value and final xor ~0) of `bytes`,
// by Abseil. Thread-safe. Linear, at several bytes a cycle where the machine
// has carry-less multiplication.
inline uint32_t Crc32c(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(absl::ComputeCrc32c(std::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size())));
}

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_CRC32C_H_
