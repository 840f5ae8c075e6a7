#ifndef MMSB_BENCH_ALLOCATORS_ARENA_WORKLOADS_H_
#define MMSB_BENCH_ALLOCATORS_ARENA_WORKLOADS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"

// Blocks of 16 to 128 bytes, 8192 of them, then all given back at once. An
// Arena has `void* Allocate(size_t bytes)` at malloc's alignment and
// `void Reset()`. One item is one block.

namespace mmsb {

inline std::vector<size_t> ArenaSizes() {
  std::mt19937 random(1);
  std::vector<size_t> sizes(8192);
  for (size_t& size : sizes) size = 16 + random() % 113;
  return sizes;
}

template <class Arena>
void ArenaRounds(benchmark::State& state) {
  const auto arena = std::make_unique<Arena>();
  auto* address = arena.get();
  benchmark::DoNotOptimize(address);
  const std::vector<size_t> sizes = ArenaSizes();
  for (auto _ : state) {
    for (const size_t bytes : sizes) {
      void* block = address->Allocate(bytes);
      benchmark::DoNotOptimize(block);
    }
    address->Reset();
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<int64_t>(sizes.size()));
}

// The same, with the first word of each block written.
template <class Arena>
void ArenaRoundsWritten(benchmark::State& state) {
  const auto arena = std::make_unique<Arena>();
  auto* address = arena.get();
  benchmark::DoNotOptimize(address);
  const std::vector<size_t> sizes = ArenaSizes();
  for (auto _ : state) {
    for (const size_t bytes : sizes) {
      *static_cast<volatile uint64_t*>(address->Allocate(bytes)) = bytes;
      benchmark::ClobberMemory();
    }
    address->Reset();
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<int64_t>(sizes.size()));
}

template <class Arena>
void RegisterArena(const std::string& name) {
  benchmark::RegisterBenchmark("arena_8192/" + name, ArenaRounds<Arena>);
  benchmark::RegisterBenchmark("arena_8192_written/" + name,
                               ArenaRoundsWritten<Arena>);
}

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_ARENA_WORKLOADS_H_
