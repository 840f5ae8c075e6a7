#ifndef MMSB_BENCH_ALLOCATORS_POOL_WORKLOADS_H_
#define MMSB_BENCH_ALLOCATORS_POOL_WORKLOADS_H_

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/allocators/pseudo_random.h"
#include "benchmark/benchmark.h"

// Workloads on blocks of one size. A Pool has `void* Allocate()` and
// `void Deallocate(void*)`, and is made by `factory(&std::optional<Pool>)`.
// One item is an allocation and a deallocation. The first word of each block is
// written when it is taken, as whoever takes one writes to it.

namespace mmsb {

inline void WriteWord(void* block) {
  *static_cast<volatile uint64_t*>(block) = 1;
}

// Lets others see the pool, so that its state is kept in memory as it is in a
// program, and not in registers for the length of a loop.
inline void Escape(auto& pool) {
  auto* address = &pool;
  benchmark::DoNotOptimize(address);
}

// `count` blocks taken, then given back in random order.
template <class Pool, class Factory>
void PoolChurn(benchmark::State& state, Factory factory, size_t count) {
  std::optional<Pool> pool;
  factory(&pool);
  Escape(pool);
  const auto orders = RandomOrders(count);
  std::vector<void*> blocks(count);
  size_t round = 0;
  for (auto _ : state) {
    for (void*& block : blocks) {
      block = pool->Allocate();
      WriteWord(block);
    }
    for (const uint32_t i : orders[round++ % orders.size()]) {
      pool->Deallocate(blocks[i]);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(count));
}

// One block taken and given back.
template <class Pool, class Factory>
void PoolPairs(benchmark::State& state, Factory factory) {
  std::optional<Pool> pool;
  factory(&pool);
  Escape(pool);
  for (auto _ : state) {
    void* const block = pool->Allocate();
    WriteWord(block);
    benchmark::ClobberMemory();
    pool->Deallocate(block);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}

// Among `count` live blocks a random one is replaced.
template <class Pool, class Factory>
void PoolReplace(benchmark::State& state, Factory factory, size_t count) {
  std::optional<Pool> pool;
  factory(&pool);
  Escape(pool);
  std::vector<void*> blocks(count);
  for (void*& block : blocks) block = pool->Allocate();
  PseudoRandom random(1);
  const auto replace = [&] {
    benchmark::ClobberMemory();
    void*& block = blocks[random.Next() % count];
    pool->Deallocate(block);
    block = pool->Allocate();
    WriteWord(block);
  };
  for (size_t i = 0; i < 2 * count; ++i) replace();
  for (auto _ : state) replace();
  state.SetItemsProcessed(state.iterations());
  for (void* block : blocks) pool->Deallocate(block);
}

// How often the process touched memory that the system had yet to put there.
inline double MinorFaults() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_minflt);
}

// A new pool, `count` blocks taken, and the end of the pool. `faults` is how
// many there were each time: by the rows that ran before in the process, the
// heap keeps memory or gives it back.
template <class Pool, class Factory>
void PoolGrowth(benchmark::State& state, Factory factory, size_t count) {
  std::vector<void*> blocks(count);
  const double faults = MinorFaults();
  for (auto _ : state) {
    std::optional<Pool> pool;
    factory(&pool);
    Escape(pool);
    for (void*& block : blocks) {
      block = pool->Allocate();
      WriteWord(block);
    }
    for (void* block : blocks) pool->Deallocate(block);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(count));
  state.counters["faults"] = benchmark::Counter(
      MinorFaults() - faults, benchmark::Counter::kAvgIterations);
}

// What needs few blocks.
template <class Pool, class Factory>
void RegisterSmallPool(const std::string& name, Factory factory) {
  benchmark::RegisterBenchmark("pool_churn_1000/" + name,
                               [factory](benchmark::State& state) {
                                 PoolChurn<Pool>(state, factory, 1000);
                               });
  benchmark::RegisterBenchmark(
      "pool_pairs/" + name,
      [factory](benchmark::State& state) { PoolPairs<Pool>(state, factory); });
}

// What a pool does once it has its blocks.
template <class Pool, class Factory>
void RegisterGrownPool(const std::string& name, Factory factory) {
  RegisterSmallPool<Pool>(name, factory);
  // 64 MiB of blocks of 64 bytes.
  benchmark::RegisterBenchmark(
      "pool_replace_1Mi/" + name, [factory](benchmark::State& state) {
        PoolReplace<Pool>(state, factory, size_t{1} << 20);
      });
}

template <class Pool, class Factory>
void RegisterPool(const std::string& name, Factory factory) {
  RegisterGrownPool<Pool>(name, factory);
  benchmark::RegisterBenchmark("pool_growth_100000/" + name,
                               [factory](benchmark::State& state) {
                                 PoolGrowth<Pool>(state, factory, 100000);
                               });
}

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_POOL_WORKLOADS_H_
