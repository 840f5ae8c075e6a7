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
// out of line: the mask, its tail, and the count. 256 bytes a turn, each word
// of the mask stored by itself.

#if defined(__x86_64__)

// Keeps the compiler from making one vector of the words of the mask that lie
// beside each other, which takes longer than their stores.
inline void StoreMaskWord(uint64_t word, uint8_t* mask) {
  std::memcpy(mask, &word, sizeof(word));
  asm volatile("" : : : "memory");
}

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

__attribute__((target("avx512f,avx512bw"), always_inline)) inline uint64_t
Avx512Word(const std::byte* before, const std::byte* after) {
  return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(before),
                                 _mm512_loadu_si512(after));
}

__attribute__((target("avx512f,avx512bw,popcnt"), noinline)) inline size_t
HandWrittenAvx512(const std::byte* before, const std::byte* after, size_t bytes,
                  uint8_t* mask) {
  uint64_t differing = 0;
  size_t i = 0;
  for (; bytes - i >= 256; i += 256) {
    uint8_t* const out = mask + i / 8;
#pragma GCC unroll 4
    for (size_t w = 0; w < 4; ++w) {
      const uint64_t word = Avx512Word(before + i + 64 * w, after + i + 64 * w);
      differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
      StoreMaskWord(word, out + 8 * w);
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

// The mask of 4 KiB first, then its bits counted in vectors.
__attribute__((target("avx512f,avx512bw,avx512vpopcntdq,popcnt"),
               noinline)) inline size_t
HandWrittenAvx512Counting(const std::byte* before, const std::byte* after,
                          size_t bytes, uint8_t* mask) {
  __m512i sum = _mm512_setzero_si512();
  size_t i = 0;
  for (; bytes - i >= 4096; i += 4096) {
    uint8_t* const out = mask + i / 8;
    for (size_t turn = 0; turn < 16; ++turn) {
      const std::byte* const b = before + i + 256 * turn;
      const std::byte* const a = after + i + 256 * turn;
#pragma GCC unroll 4
      for (size_t w = 0; w < 4; ++w) {
        StoreMaskWord(Avx512Word(b + 64 * w, a + 64 * w),
                      out + 32 * turn + 8 * w);
      }
    }
    for (size_t v = 0; v < 8; ++v) {
      sum = _mm512_add_epi64(
          sum, _mm512_popcnt_epi64(_mm512_loadu_si512(out + 64 * v)));
    }
  }
  return static_cast<size_t>(_mm512_reduce_add_epi64(sum)) +
         HandWrittenAvx512(before + i, after + i, bytes - i, mask + i / 8);
}

__attribute__((target("avx2"), always_inline)) inline uint64_t Avx2Word(
    const std::byte* before, const std::byte* after) {
  uint64_t equal = 0;
#pragma GCC unroll 2
  for (size_t at = 0; at < 64; at += 32) {
    const __m256i b =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(before + at));
    const __m256i a =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(after + at));
    equal |= static_cast<uint64_t>(static_cast<uint32_t>(
                 _mm256_movemask_epi8(_mm256_cmpeq_epi8(b, a))))
             << at;
  }
  return ~equal;
}

__attribute__((target("avx2,popcnt"), noinline)) inline size_t HandWrittenAvx2(
    const std::byte* before, const std::byte* after, size_t bytes,
    uint8_t* mask) {
  uint64_t differing = 0;
  size_t i = 0;
  for (; bytes - i >= 256; i += 256) {
    uint8_t* const out = mask + i / 8;
#pragma GCC unroll 4
    for (size_t w = 0; w < 4; ++w) {
      const uint64_t word = Avx2Word(before + i + 64 * w, after + i + 64 * w);
      differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
      StoreMaskWord(word, out + 8 * w);
    }
  }
  for (; bytes - i >= 64; i += 64) {
    const uint64_t word = Avx2Word(before + i, after + i);
    differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
    StoreMaskWord(word, mask + i / 8);
  }
  return differing +
         HandWrittenTail(before + i, after + i, bytes - i, mask + i / 8);
}

__attribute__((target("sse4.2"), always_inline)) inline uint64_t Sse4Word(
    const std::byte* before, const std::byte* after) {
  uint64_t equal = 0;
#pragma GCC unroll 4
  for (size_t at = 0; at < 64; at += 16) {
    const __m128i b =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(before + at));
    const __m128i a =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(after + at));
    equal |= static_cast<uint64_t>(
                 static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(b, a))))
             << at;
  }
  return ~equal;
}

__attribute__((target("sse4.2,popcnt"), noinline)) inline size_t
HandWrittenSse4(const std::byte* before, const std::byte* after, size_t bytes,
                uint8_t* mask) {
  uint64_t differing = 0;
  size_t i = 0;
  for (; bytes - i >= 256; i += 256) {
    uint8_t* const out = mask + i / 8;
#pragma GCC unroll 4
    for (size_t w = 0; w < 4; ++w) {
      const uint64_t word = Sse4Word(before + i + 64 * w, after + i + 64 * w);
      differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
      StoreMaskWord(word, out + 8 * w);
    }
  }
  for (; bytes - i >= 64; i += 64) {
    const uint64_t word = Sse4Word(before + i, after + i);
    differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
    StoreMaskWord(word, mask + i / 8);
  }
  return differing +
         HandWrittenTail(before + i, after + i, bytes - i, mask + i / 8);
}

#endif  // defined(__x86_64__)

}  // namespace mmsb

#endif  // MMSB_BENCH_HAND_WRITTEN_MASKS_H_
