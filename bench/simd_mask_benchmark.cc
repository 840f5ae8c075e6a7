// GenerateMask beside what bounds it: memcmp of equal buffers, which examines
// every byte and writes nothing; a hand-written AVX-512 loop of the same
// contract; and the scalar reference. Bytes a second count both inputs. One
// byte in 100 differs, but for memcmp.
//
//   ./bazelw run -c opt //bench:simd_mask_benchmark

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "device/simd/simd_mask.h"
#include "device/simd/simd_target.h"
#include "device/simd/testing/simd_mask_reference.h"
#include "primitives/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mmsb {
namespace {

class Buffers {
 public:
  explicit Buffers(size_t bytes)
      : before_(bytes), after_(bytes), mask_((bytes + 7) / 8) {
    std::mt19937_64 random(1);
    for (std::byte& byte : before_) byte = static_cast<std::byte>(random());
    after_ = before_;
  }

  // Changes one byte in 100.
  Buffers& Differ() {
    for (size_t i = 0; i < after_.size(); i += 100) after_[i] ^= std::byte{1};
    return *this;
  }

  std::span<const std::byte> before() const { return before_; }
  std::span<const std::byte> after() const { return after_; }
  std::span<uint8_t> mask() { return mask_; }

 private:
  std::vector<std::byte> before_;
  std::vector<std::byte> after_;
  std::vector<uint8_t> mask_;
};

void CountBytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * state.range(0) * 2);
}

void BM_GenerateMask(benchmark::State& state) {
  Buffers buffers(static_cast<size_t>(state.range(0)));
  buffers.Differ();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        GenerateMask(buffers.before(), buffers.after(), buffers.mask()));
    benchmark::ClobberMemory();
  }
  CountBytes(state);
  state.SetLabel(std::string(ActiveSimdTarget()));
}

void BM_Memcmp(benchmark::State& state) {
  const Buffers buffers(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    // Through a pointer that the compiler cannot see through, out of line.
    auto* compare = &std::memcmp;
    benchmark::DoNotOptimize(compare);
    benchmark::DoNotOptimize(compare(buffers.before().data(),
                                     buffers.after().data(),
                                     buffers.before().size()));
  }
  CountBytes(state);
}

void BM_ScalarReference(benchmark::State& state) {
  Buffers buffers(static_cast<size_t>(state.range(0)));
  buffers.Differ();
  for (auto _ : state) {
    benchmark::DoNotOptimize(GenerateMaskReference(
        buffers.before(), buffers.after(), buffers.mask()));
    benchmark::ClobberMemory();
  }
  CountBytes(state);
}

#if defined(__x86_64__)

__attribute__((target("avx512f,avx512bw,popcnt"), noinline)) size_t
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
    const size_t rest = std::min<size_t>(64, bytes - i);
    const __mmask64 lanes = ~uint64_t{0} >> (64 - rest);
    const uint64_t word =
        _mm512_cmpneq_epi8_mask(_mm512_maskz_loadu_epi8(lanes, before + i),
                                _mm512_maskz_loadu_epi8(lanes, after + i));
    differing += static_cast<uint64_t>(_mm_popcnt_u64(word));
    std::memcpy(mask + i / 8, &word, (rest + 7) / 8);
  }
  return differing;
}

void BM_HandWrittenAvx512(benchmark::State& state) {
  if (!__builtin_cpu_supports("avx512bw")) {
    state.SkipWithError("this machine has no AVX-512BW");
    return;
  }
  Buffers buffers(static_cast<size_t>(state.range(0)));
  buffers.Differ();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        HandWrittenAvx512(buffers.before().data(), buffers.after().data(),
                          buffers.before().size(), buffers.mask().data()));
    benchmark::ClobberMemory();
  }
  CountBytes(state);
}

#endif  // defined(__x86_64__)

void Sizes(benchmark::internal::Benchmark* benchmark) {
  for (const size_t bytes :
       {size_t{64}, 4 * kKiB, 16 * kKiB, 256 * kKiB, 8 * kMiB, 256 * kMiB}) {
    benchmark->Arg(static_cast<int64_t>(bytes));
  }
}

BENCHMARK(BM_GenerateMask)->Apply(Sizes);
BENCHMARK(BM_Memcmp)->Apply(Sizes);
#if defined(__x86_64__)
BENCHMARK(BM_HandWrittenAvx512)->Apply(Sizes);
#endif
BENCHMARK(BM_ScalarReference)->Apply(Sizes);

}  // namespace
}  // namespace mmsb
