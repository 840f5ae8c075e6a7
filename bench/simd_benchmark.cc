// The kernels of device/simd beside what bounds them. Rows are named
// workload/row/bytes; bytes a second are those that a kernel reads and writes,
// but for masks, where both inputs count and the mask does not.
//
//   ./bazelw run -c opt //bench:simd_report
//
// mask_TARGET     GenerateMask on a target, and the loop written by hand for
//                 its instructions; one byte in 100 differs
// call_TARGET     the same of 64 bytes: what a call costs by itself
// memory_MAPPING  equal buffers that no cache holds, in pages of 4 KiB or huge
//                 ones: GenerateMask, memcmp, and the loop written by hand
// delta           one page of 4 KiB in 100 differs: MakeDelta, GenerateMask
// apply           deltas of 1 line in 100: ApplyDelta, and memcpy of as many
//                 bytes as it touches
// algebra         AndMasks and the others, memcpy and others
// /threads:2      the same by two threads, each on its own buffers

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "bench/hand_written_masks.h"
#include "benchmark/benchmark.h"
#include "device/simd/delta_kernels.h"
#include "device/simd/mask_algebra.h"
#include "device/simd/mask_view.h"
#include "device/simd/simd_mask.h"
#include "device/simd/simd_target.h"
#include "memory/delta/delta.h"
#include "primitives/bytes.h"
#include "primitives/check.h"

namespace mmsb {
namespace {

enum class Mapping { kSmall, kHuge };
enum class Differ { kNowhere, kOneByteIn100, kOnePageIn100, kOneLineIn100 };

// Memory of the system's own, in pages of a known size.
class Memory {
 public:
  Memory(size_t bytes, Mapping mapping) : bytes_(bytes + 2 * kHuge) {
    void* const memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MMSB_CHECK(memory != MAP_FAILED, "no %zu bytes", bytes_);
    madvise(memory, bytes_,
            mapping == Mapping::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    const uintptr_t at = reinterpret_cast<uintptr_t>(memory);
    data_ = reinterpret_cast<std::byte*>((at + kHuge - 1) / kHuge * kHuge);
    base_ = memory;
  }
  ~Memory() { munmap(base_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::byte* data() const { return data_; }

 private:
  static constexpr size_t kHuge = 2 * kMiB;

  size_t bytes_;
  void* base_;
  std::byte* data_;
};

struct Buffers {
  Buffers(size_t size, Mapping mapping, Differ differ)
      : bytes(size),
        before_memory(size, mapping),
        after_memory(size, mapping),
        mask_memory(size / 8 + 1, mapping),
        payload_memory(size, mapping),
        // All at the start of 2 MiB, for every row: at the same offset in their
        // pages, where loads and stores are in each other's way the most.
        before(before_memory.data(), size),
        after(after_memory.data(), size),
        mask(reinterpret_cast<uint8_t*>(mask_memory.data()), MaskBytes(size)),
        payload(payload_memory.data(), size) {
    std::mt19937_64 random(1);
    for (size_t i = 0; i < size; i += 8) {
      const uint64_t word = random();
      std::memcpy(before.data() + i, &word, std::min<size_t>(8, size - i));
    }
    std::ranges::copy(before, after.begin());
    switch (differ) {
      case Differ::kNowhere:
        break;
      case Differ::kOneByteIn100:
        for (size_t i = 0; i < size; i += 100) after[i] ^= std::byte{1};
        break;
      case Differ::kOnePageIn100:
        for (size_t page = 0; page < size / 4096; page += 100) {
          for (std::byte& b : after.subspan(page * 4096, 4096)) {
            if (random() % 2 == 0) b ^= std::byte{1};
          }
        }
        break;
      case Differ::kOneLineIn100:
        for (size_t line = 0; line < size / 64; line += 100) {
          for (std::byte& b : after.subspan(line * 64, 64)) {
            if (random() % 2 == 0) b ^= std::byte{1};
          }
        }
        break;
    }
    std::ranges::fill(mask, uint8_t{0});
    std::ranges::fill(payload, std::byte{0});
  }

  size_t bytes;
  Memory before_memory, after_memory, mask_memory, payload_memory;
  std::span<std::byte> before, after;
  std::span<uint8_t> mask;
  std::span<std::byte> payload;
};

// The same buffers for all rows of a workload, so that they compare.
Buffers& BuffersOf(size_t bytes, Mapping mapping, Differ differ, int thread) {
  static std::mutex mutex;
  static std::map<std::tuple<size_t, Mapping, Differ, int>,
                  std::unique_ptr<Buffers>>
      all;
  const std::lock_guard lock(mutex);
  std::unique_ptr<Buffers>& buffers = all[{bytes, mapping, differ, thread}];
  if (buffers == nullptr) {
    buffers = std::make_unique<Buffers>(bytes, mapping, differ);
  }
  return *buffers;
}

// Calls run(buffers), which moves `bytes` bytes, as often as is measured.
template <class Run>
void Measure(benchmark::State& state, Buffers& buffers, size_t bytes,
             const Run& run) {
  // Once before, so that the number of iterations is found warm.
  benchmark::DoNotOptimize(run(buffers));
  for (auto _ : state) {
    benchmark::DoNotOptimize(run(buffers));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
}

void Force(std::string_view target) {
  MMSB_CHECK(ForceSimdTarget(target).ok(), "no target %s",
             std::string(target).c_str());
}

using HandWritten = size_t (*)(const std::byte*, const std::byte*, size_t,
                               uint8_t*);

size_t Ours(Buffers& b) { return GenerateMask(b.before, b.after, b.mask); }

// A peer that does something else would prove nothing.
void CheckHandWritten(HandWritten hand_written, Buffers& b) {
  std::vector<uint8_t> mask(b.mask.size());
  const size_t differing = GenerateMask(b.before, b.after, mask);
  MMSB_CHECK(hand_written(b.before.data(), b.after.data(), b.bytes,
                          b.mask.data()) == differing &&
                 std::ranges::equal(mask, b.mask),
             "the loop written by hand is wrong about %zu bytes", b.bytes);
}

std::string Name(std::string_view workload, std::string_view row,
                 size_t bytes) {
  return std::string(workload) + "/" + std::string(row) + "/" +
         std::to_string(bytes);
}

void RegisterMask(std::string_view workload, std::string_view target,
                  HandWritten hand_written, size_t bytes, int threads) {
  const auto buffers = [bytes](benchmark::State& state) -> Buffers& {
    return BuffersOf(bytes, Mapping::kHuge, Differ::kOneByteIn100,
                     state.thread_index());
  };
  benchmark::RegisterBenchmark(Name(workload, "mmsb", bytes),
                               [=](benchmark::State& state) {
                                 if (state.thread_index() == 0) Force(target);
                                 Measure(state, buffers(state), 2 * bytes,
                                         Ours);
                               })
      ->Threads(threads)
      ->UseRealTime();
  benchmark::RegisterBenchmark(
      Name(workload, "hand-written", bytes),
      [=](benchmark::State& state) {
        CheckHandWritten(hand_written, buffers(state));
        Measure(state, buffers(state), 2 * bytes, [=](Buffers& b) {
          return hand_written(b.before.data(), b.after.data(), bytes,
                              b.mask.data());
        });
      })
      ->Threads(threads)
      ->UseRealTime();
}

int Memcmp(Buffers& b) {
  // Through a pointer that the compiler cannot see through, out of line.
  auto* compare = &std::memcmp;
  benchmark::DoNotOptimize(compare);
  return compare(b.before.data(), b.after.data(), b.bytes);
}

template <class Run>
void RegisterOn(std::string_view workload, std::string_view row, size_t bytes,
                Mapping mapping, Differ differ, int threads, size_t moved,
                const Run& run) {
  benchmark::RegisterBenchmark(
      Name(workload, row, bytes),
      [=](benchmark::State& state) {
        if (state.thread_index() == 0) Force("");
        Measure(state, BuffersOf(bytes, mapping, differ, state.thread_index()),
                moved, run);
      })
      ->Threads(threads)
      ->UseRealTime();
}

#if defined(__x86_64__)
HandWritten BestHandWrittenAvx512() {
  return __builtin_cpu_supports("avx512vpopcntdq") ? HandWrittenAvx512Counting
                                                   : HandWrittenAvx512;
}
#endif

void RegisterMemory(Mapping mapping, size_t bytes, int threads) {
  const char* const workload =
      mapping == Mapping::kSmall ? "memory_4K" : "memory_huge";
  const auto add = [&](std::string_view row, const auto& run) {
    RegisterOn(workload, row, bytes, mapping, Differ::kNowhere, threads,
               2 * bytes, run);
  };
  add("mmsb", Ours);
  add("memcmp", Memcmp);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw")) {
    add("hand-written", [hand_written = BestHandWrittenAvx512()](Buffers& b) {
      return hand_written(b.before.data(), b.after.data(), b.bytes,
                          b.mask.data());
    });
  }
#endif
}

void RegisterDelta(size_t bytes, int threads) {
  const auto add = [&](std::string_view row, const auto& run) {
    RegisterOn("delta", row, bytes, Mapping::kHuge, Differ::kOnePageIn100,
               threads, 2 * bytes, run);
  };
  add("mmsb", [](Buffers& b) {
    return MakeDelta(b.before, b.after, b.mask, b.payload);
  });
  add("GenerateMask", Ours);
  add("Delta::Make", [](Buffers& b) {
    return Delta::Make(b.before, b.after)->changed_bytes();
  });
}

void RegisterApply(size_t bytes) {
  const Buffers& b = BuffersOf(bytes, Mapping::kHuge, Differ::kOneLineIn100, 0);
  auto delta = std::make_shared<Delta>(MakeDelta(b.before, b.after));
  std::vector<uint8_t> lines(MaskBytes((bytes + 63) / 64));
  const size_t touched = GenerateBlockMask(b.before, b.after, 64, lines) * 64;
  // The mask and the payload are read, and the lines are read and written.
  const size_t moved =
      delta->mask().size() + delta->changed_bytes() + 2 * touched;
  const auto add = [&](std::string_view row, const auto& run) {
    RegisterOn("apply", row, bytes, Mapping::kHuge, Differ::kOneLineIn100, 1,
               moved, run);
  };
  add("mmsb", [delta](Buffers& buffers) {
    ApplyDelta(*delta, buffers.before);
    return 0;
  });
  add("Delta::Apply",
      [delta](Buffers& buffers) { return delta->Apply(buffers.before).ok(); });
  add("memcpy", [moved](Buffers& buffers) {
    auto* copy = &std::memcpy;
    benchmark::DoNotOptimize(copy);
    copy(buffers.payload.data(), buffers.after.data(), moved / 2);
    return 0;
  });
}

// Operands of `bytes` bytes each.
void RegisterAlgebra(size_t bytes) {
  const auto add = [&](std::string_view row, size_t moved, auto run) {
    RegisterOn("algebra", row, bytes, Mapping::kHuge, Differ::kOneByteIn100, 1,
               moved, run);
  };
  const auto bits = [](std::span<std::byte> span) {
    return std::span(reinterpret_cast<uint8_t*>(span.data()), span.size());
  };
  add("mmsb and", 3 * bytes, [=](Buffers& b) {
    AndMasks(bits(b.before), bits(b.after), bits(b.payload));
    return 0;
  });
  add("mmsb xor", 3 * bytes, [=](Buffers& b) {
    XorMasks(bits(b.before), bits(b.after), bits(b.payload));
    return 0;
  });
  add("mmsb or in place", 3 * bytes, [=](Buffers& b) {
    OrMasks(bits(b.payload), bits(b.after), bits(b.payload));
    return 0;
  });
  add("mmsb and, from bit 3", 3 * bytes, [=](Buffers& b) {
    const size_t all = b.bytes * 8 - 3;
    AndMasks(MaskView(bits(b.before), 3, all), MaskView(bits(b.after), 0, all),
             MaskSpan(bits(b.payload), 0, all));
    return 0;
  });
  add("mmsb not", 2 * bytes, [=](Buffers& b) {
    NotMask(bits(b.before), bits(b.payload));
    return 0;
  });
  add("mmsb popcount", bytes,
      [=](Buffers& b) { return CountSet(bits(b.before)); });
  add("memcpy", 2 * bytes, [](Buffers& b) {
    auto* copy = &std::memcpy;
    benchmark::DoNotOptimize(copy);
    copy(b.payload.data(), b.before.data(), b.bytes);
    return 0;
  });
}

bool Has(std::string_view target) {
  const std::vector<std::string_view> targets = SimdTargets();
  return std::ranges::find(targets, target) != targets.end();
}

void RegisterAll() {
  constexpr size_t kL1 = 16 * kKiB, kL2 = 256 * kKiB, kL3 = 4 * kMiB;
  constexpr size_t kMemory = 256 * kMiB;
#if defined(__x86_64__)
  const std::string_view best = SimdTargets().front();
  std::vector<std::pair<std::string_view, HandWritten>> loops;
  if (best.starts_with("AVX3") || best.starts_with("AVX10")) {
    loops.emplace_back(best, BestHandWrittenAvx512());
  }
  if (Has("AVX2")) loops.emplace_back("AVX2", HandWrittenAvx2);
  if (Has("SSE4")) loops.emplace_back("SSE4", HandWrittenSse4);
  for (const int threads : {1, 2}) {
    for (const size_t bytes : {kL1, kL2, kL3}) {
      for (const auto& [target, loop] : loops) {
        RegisterMask("mask_" + std::string(target), target, loop, bytes,
                     threads);
      }
    }
  }
  for (const auto& [target, loop] : loops) {
    RegisterMask("call_" + std::string(target), target, loop, 64, 1);
  }
#endif
  for (const int threads : {1, 2}) {
    RegisterMemory(Mapping::kSmall, kMemory, threads);
    RegisterMemory(Mapping::kHuge, kMemory, threads);
  }
  for (const size_t bytes : {400 * kKiB, 4 * kMiB, kMemory}) {
    RegisterDelta(bytes, 1);
  }
  for (const size_t bytes : {400 * kKiB, 4 * kMiB, kMemory}) {
    RegisterApply(bytes);
  }
  for (const size_t bytes : {4 * kKiB, 64 * kKiB, 1 * kMiB, 32 * kMiB}) {
    RegisterAlgebra(bytes);
  }
  for (size_t bytes = 64; bytes <= kGiB; bytes *= 4) {
    const auto add = [&](std::string_view row, const auto& run) {
      RegisterOn("curve", row, bytes, Mapping::kHuge, Differ::kNowhere, 1,
                 2 * bytes, run);
    };
    add("GenerateMask", Ours);
    add("memcmp", Memcmp);
    add("MakeDelta", [](Buffers& b) {
      return MakeDelta(b.before, b.after, b.mask, b.payload);
    });
    add("AnyDifference",
        [](Buffers& b) { return AnyDifference(b.before, b.after); });
  }
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  mmsb::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
