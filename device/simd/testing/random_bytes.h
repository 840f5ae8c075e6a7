#ifndef MMSB_DEVICE_SIMD_TESTING_RANDOM_BYTES_H_
#define MMSB_DEVICE_SIMD_TESTING_RANDOM_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace mmsb {

inline void FillRandom(std::span<std::byte> bytes, std::mt19937_64& random) {
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
}

// Changes each byte with a chance of `per_million` in a million, to any other
// value.
inline void ChangeSome(std::span<std::byte> bytes, uint64_t per_million,
                       std::mt19937_64& random) {
  for (std::byte& byte : bytes) {
    const uint64_t draw = random();
    if (draw % 1'000'000 < per_million) {
      byte ^= static_cast<std::byte>(1 + (draw >> 32) % 255);
    }
  }
}

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_TESTING_RANDOM_BYTES_H_
