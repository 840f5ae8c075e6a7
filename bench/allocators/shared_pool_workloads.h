#ifndef MMSB_BENCH_ALLOCATORS_SHARED_POOL_WORKLOADS_H_
#define MMSB_BENCH_ALLOCATORS_SHARED_POOL_WORKLOADS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/allocators/hand_off.h"
#include "bench/allocators/pseudo_random.h"
#include "bench/allocators/thread_pair.h"
#include "benchmark/benchmark.h"

// Two threads on one pool of 4096 blocks of 4 KiB. A Pool is default
// constructible, holds that many, and has `void* Allocate()` and
// `void Deallocate(void*)`, both thread-safe. The first word of each block is
// written. One item is an allocation and a deallocation; the time is that of
// each thread.

namespace mmsb {

inline constexpr size_t kSharedBlockBytes = 4096;
inline constexpr size_t kSharedBlocks = 4096;

template <class Pool>
void* TakeShared(Pool& pool) {
  void* const block = pool.Allocate();
  *static_cast<volatile uint64_t*>(block) = 1;
  return block;
}

// Runs `work(pool, thread)`, which does `items` items, on both threads.
template <class Pool, class Work>
void RunShared(benchmark::State& state, size_t items, Work work) {
  const auto pool = std::make_unique<Pool>();
  ThreadPair threads;
  for (auto _ : state) {
    state.SetIterationTime(
        threads.Run([&](int thread) { work(threads, *pool, thread); }));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(items));
}

// Each thread takes a block and gives it back.
template <class Pool>
void SharedOwnPairs(benchmark::State& state) {
  constexpr size_t kItems = 100000;
  RunShared<Pool>(state, kItems, [](ThreadPair&, Pool& pool, int) {
    for (size_t i = 0; i < kItems; ++i) {
      void* const block = TakeShared(pool);
      benchmark::ClobberMemory();
      pool.Deallocate(block);
    }
  });
}

// Each thread takes 32 blocks and gives them back in random order.
template <class Pool>
void SharedOwnBursts(benchmark::State& state) {
  constexpr size_t kBurst = 32;
  constexpr size_t kBursts = 3000;
  const auto orders = RandomOrders(kBurst);
  RunShared<Pool>(state, kBurst * kBursts, [&](ThreadPair&, Pool& pool, int) {
    std::array<void*, kBurst> blocks;
    for (size_t i = 0; i < kBursts; ++i) {
      for (void*& block : blocks) block = TakeShared(pool);
      for (const uint32_t at : orders[i % orders.size()]) {
        pool.Deallocate(blocks[at]);
      }
    }
  });
}

// Each thread takes blocks and hands them to the other, which gives them back.
template <class Pool>
void SharedHandedOver(benchmark::State& state) {
  constexpr size_t kItems = 100000;
  const auto rings = std::make_unique<std::array<HandOff<void*>, 2>>();
  RunShared<Pool>(state, kItems, [&](ThreadPair&, Pool& pool, int thread) {
    HandOff<void*>& out = (*rings)[static_cast<size_t>(thread)];
    HandOff<void*>& in = (*rings)[static_cast<size_t>(1 - thread)];
    size_t received = 0;
    const auto receive = [&] {
      void* block = nullptr;
      while (received < kItems && in.Pop(&block)) {
        pool.Deallocate(block);
        ++received;
      }
    };
    for (size_t i = 0; i < kItems; ++i) {
      void* const block = TakeShared(pool);
      for (Patience wait; !out.Push(block); wait.Spin()) receive();
      if (i % 32 == 0) receive();
    }
    out.Flush();
    Patience wait;
    while (received < kItems) {  // NOLINT: receive() raises it
      receive();
      wait.Spin();
    }
  });
}

// Both threads empty the pool together, then fill it again.
template <class Pool>
void SharedEmptiedAndRefilled(benchmark::State& state) {
  constexpr size_t kHalf = kSharedBlocks / 2;
  RunShared<Pool>(state, kHalf, [](ThreadPair& threads, Pool& pool, int) {
    std::array<void*, kHalf> blocks;
    for (void*& block : blocks) block = TakeShared(pool);
    threads.Meet();
    for (void* block : blocks) pool.Deallocate(block);
  });
}

// Workloads' names begin with `prefix`.
template <class Pool>
void RegisterSharedPool(const std::string& name,
                        const std::string& prefix = "shared") {
  const auto add = [&](const char* workload, auto* run) {
    benchmark::RegisterBenchmark(prefix + workload + "/" + name, run)
        ->UseManualTime();
  };
  add("_own_pairs", SharedOwnPairs<Pool>);
  add("_own_bursts", SharedOwnBursts<Pool>);
  add("_handed_over", SharedHandedOver<Pool>);
  add("_emptied", SharedEmptiedAndRefilled<Pool>);
}

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_SHARED_POOL_WORKLOADS_H_
