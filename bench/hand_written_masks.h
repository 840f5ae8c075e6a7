#ifndef MMSB_BENCH_HAND_WRITTEN_MASKS_H_
#define MMSB_BENCH_HAND_WRITTEN_MASKS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mmsb {

// GenerateMask's contract written by hand for one instruction set each, called
// out of line: the mask, its tail, and the count.

#if defined(__x86_64__)

// The last bytes, fewer than 64, one by one.
inline size_t HandWrittenTail(const std::byte* before, const std::byte* after,
                              size_t bytes, uint8_t* mask) {
  uint64_t word = 0;
  for (size_t i = 0; i < bytes; ++i) {
    word |= static_cast<uint64_t>(before[i] != after[i]) << i;
  }
  std::memcpy(mask, &word, (bytes + 7) / 8);
  return static_cast<size_t>(__builtin_popcountll(word));
}

__attribute__((target("avx512f,avx512bw,popcnt"), noinline)) inline size_t
HandWrittenAvx512(const std::byte* before, const std::byte* after, size_t bytes,
                  uint8_t* mask) {
  uint64_t differing = 0;
  size_t i = 0;
  for (; bytes - i >= 256; i += 256) {
    uint64_t words[4];
    for (size_t w = 0; w < 4; ++w) {
      words[w] =
          _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(before + i + 64 * w),
                                  _mm512_loadu_si512(after + i + 64 * w));
    }
    for (size_t w = 0; w < 4; ++w) {
      differing += static_cast<uint64_t>(_mm_popcnt_u64(words[w]));
      std::memcpy(mask + i / 8 + 8 * w, &words[w], 8);
    }
  }
  for (; i < bytes; i += 64) {
    const size_t rest = bytes - i < 64 ? bytes - i : 64;
    const __mmask64 lanes = ~uint64_t{0} >> (64 - rest);
    const uint64_t word =
        _mm512_cmpneq_epi8_mask(_mm512_maskz_loadu_epi8(lanes, before + i),
                                _mm512_maskz_loadu_epi8(lanes, after + i));
    differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
    std::memcpy(mask + i / 8, &word, (rest + 7) / 8);
  }
  return differing;
}

__attribute__((target("avx2,popcnt"), noinline)) inline size_t HandWrittenAvx2(
    const std::byte* before, const std::byte* after, size_t bytes,
    uint8_t* mask) {
  uint64_t differing = 0;
  size_t i = 0;
  for (; bytes - i >= 64; i += 64) {
    uint64_t equal = 0;
    for (size_t h = 0; h < 2; ++h) {
      const __m256i a = _mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(before + i + 32 * h));
      const __m256i b = _mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(after + i + 32 * h));
      equal |= static_cast<uint64_t>(static_cast<uint32_t>(
                   _mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b))))
               << (32 * h);
    }
    const uint64_t word = ~equal;
    differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
    std::memcpy(mask + i / 8, &word, 8);
  }
  return differing +
         HandWrittenTail(before + i, after + i, bytes - i, mask + i / 8);
}

__attribute__((target("sse4.2,popcnt"), noinline)) inline size_t
HandWrittenSse4(const std::byte* before, const std::byte* after, size_t bytes,
                uint8_t* mask) {
  uint64_t differing = 0;
  size_t i = 0;
  for (; bytes - i >= 64; i += 64) {
    uint64_t equal = 0;
    for (size_t q = 0; q < 4; ++q) {
      const __m128i a = _mm_loadu_si128(
          reinterpret_cast<const __m128i*>(before + i + 16 * q));
      const __m128i b =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(after + i + 16 * q));
      equal |= static_cast<uint64_t>(static_cast<uint32_t>(
                   _mm_movemask_epi8(_mm_cmpeq_epi8(a, b))))
               << (16 * q);
    }
    const uint64_t word = ~equal;
    differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
    std::memcpy(mask + i / 8, &word, 8);
  }
  return differing +
         HandWrittenTail(before + i, after + i, bytes - i, mask + i / 8);
}

#endif  // defined(__x86_64__)

}  // namespace mmsb

#endif  // MMSB_BENCH_HAND_WRITTEN_MASKS_H_
