#ifndef MMSB_BENCH_ALLOCATORS_HELD_WORKLOADS_H_
#define MMSB_BENCH_ALLOCATORS_HELD_WORKLOADS_H_

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

#include "allocator/allocator_stats.h"
#include "bench/allocators/general_workloads.h"
#include "benchmark/benchmark.h"

// What the process holds for a set of live blocks: resident bytes, less those
// before the first block, over the bytes that the program asked for. Every byte
// of a live block is written. One allocator a process, as it is the process
// that is measured. Where the allocator has Stats(), their parts after the
// churn are told too, over the same bytes.

namespace mmsb {

// Bytes of the process's address space that are in memory; 0 when unknown.
inline size_t ResidentBytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  char text[128] = {};
  const bool read = std::fgets(text, sizeof(text), file) != nullptr;
  std::fclose(file);
  unsigned long total = 0;
  unsigned long resident = 0;
  if (!read || std::sscanf(text, "%lu %lu", &total, &resident) != 2) return 0;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Asks the allocator to give back what it can: `purge(allocator)`.
template <class A, class Purge>
void Held(benchmark::State& state, Purge purge) {
  for (auto _ : state) {
    const size_t before = ResidentBytes();
    A allocator;
    LiveSet<A> live(allocator, 1);
    const auto counter = [&](const char* name) {
      size_t bytes = 0;
      for (const SizedPointer& block : live.blocks()) {
        if (block.data == nullptr) continue;
        std::memset(block.data, 1, block.bytes);
        bytes += block.bytes;
      }
      // The list of blocks is not the allocator's.
      const size_t list = live.blocks().capacity() * sizeof(SizedPointer);
      state.counters[name] =
          static_cast<double>(ResidentBytes() - before - list) /
          static_cast<double>(bytes);
      return static_cast<double>(bytes);
    };
    live.Replace(2000000);
    const double asked = counter("held_after_churn");
    if constexpr (requires { allocator.Stats(); }) {
      const AllocatorStats stats = allocator.Stats();
      const auto of_asked = [&](size_t bytes) {
        return static_cast<double>(bytes) / asked;
      };
      state.counters["live"] = of_asked(stats.live());
      state.counters["cached"] = of_asked(stats.cached());
      state.counters["free"] = of_asked(stats.free());
      state.counters["metadata"] = of_asked(stats.metadata());
    }
    live.Thin();
    counter("held_after_freeing_nine_tenths");
    // What does something by itself, or by the clock, has done it by then.
    std::this_thread::sleep_for(std::chrono::seconds(2));
    counter("held_two_seconds_later");
    purge(allocator);
    counter("held_after_purge");
  }
}

template <class A, class Purge>
void RegisterHeld(const std::string& name, Purge purge) {
  benchmark::RegisterBenchmark("held/" + name, [purge](
                                                   benchmark::State& state) {
    Held<A>(state, purge);
  })->Iterations(1);
}

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_HELD_WORKLOADS_H_
