#ifndef MMSB_BENCH_ALLOCATORS_GENERAL_WORKLOADS_H_
#define MMSB_BENCH_ALLOCATORS_GENERAL_WORKLOADS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "allocator/reallocate.h"
#include "bench/allocators/hand_off.h"
#include "bench/allocators/pseudo_random.h"
#include "bench/allocators/thread_pair.h"
#include "benchmark/benchmark.h"

// Workloads on blocks of 8 bytes to 4 KiB, log-uniform, for any thread-safe
// RawAllocator. The first word of each block is written. One item is an
// allocation and a deallocation; with two threads the time is that of each one,
// which does as much as one thread alone does.

namespace mmsb {

inline constexpr size_t kGeneralAlignment = 8;

struct SizedPointer {
  uint64_t* data = nullptr;
  size_t bytes = 0;
};

template <class A>
SizedPointer TakeBlock(A& allocator, size_t bytes) {
  auto* const data =
      static_cast<uint64_t*>(allocator.Allocate(bytes, kGeneralAlignment));
  *static_cast<volatile uint64_t*>(data) = bytes;
  return {data, bytes};
}

template <class A>
void GiveBlock(A& allocator, const SizedPointer& block) {
  allocator.Deallocate(block.data, block.bytes, kGeneralAlignment);
}

// 65,536 live blocks of one thread, of which random ones are replaced.
template <class A>
class LiveSet {
 public:
  LiveSet(A& allocator, uint64_t seed) : allocator_(allocator), random_(seed) {
    for (SizedPointer& block : blocks_) {
      block = TakeBlock(allocator_, sizes_(random_.Next()));
    }
  }
  LiveSet(const LiveSet&) = delete;
  LiveSet& operator=(const LiveSet&) = delete;
  ~LiveSet() {
    for (const SizedPointer& block : blocks_) {
      if (block.data != nullptr) GiveBlock(allocator_, block);
    }
  }

  void Replace(size_t times) {
    for (size_t i = 0; i < times; ++i) {
      SizedPointer& block = blocks_[random_.Next() % kBlocks];
      GiveBlock(allocator_, block);
      block = TakeBlock(allocator_, sizes_(random_.Next()));
    }
  }

  // Gives back a random nine tenths of the blocks.
  void Thin() {
    for (SizedPointer& block : blocks_) {
      if (random_.Next() % 10 == 0) continue;
      GiveBlock(allocator_, block);
      block = {};
    }
  }

  std::vector<SizedPointer>& blocks() { return blocks_; }

 private:
  static constexpr size_t kBlocks = 65536;

  A& allocator_;
  PseudoRandom random_;
  LogUniformSizes sizes_{8, 4096};
  std::vector<SizedPointer> blocks_ = std::vector<SizedPointer>(kBlocks);
};

template <class A>
void GeneralReplace(benchmark::State& state) {
  constexpr size_t kOperations = 100000;
  A allocator;
  LiveSet<A> live(allocator, 1);
  live.Replace(4 * kOperations);
  for (auto _ : state) live.Replace(kOperations);
  state.SetItemsProcessed(state.iterations() *
                          static_cast<int64_t>(kOperations));
}

template <class A>
void GeneralReplacePair(benchmark::State& state) {
  constexpr size_t kOperations = 100000;
  A allocator;
  ThreadPair threads;
  std::array<std::unique_ptr<LiveSet<A>>, 2> live;
  threads.Run([&](int thread) {
    live[thread] =
        std::make_unique<LiveSet<A>>(allocator, static_cast<uint64_t>(thread));
    live[thread]->Replace(4 * kOperations);
  });
  for (auto _ : state) {
    state.SetIterationTime(
        threads.Run([&](int thread) { live[thread]->Replace(kOperations); }));
  }
  threads.Run([&](int thread) { live[thread].reset(); });
  state.SetItemsProcessed(state.iterations() *
                          static_cast<int64_t>(kOperations));
}

// One thread allocates and writes, the other reads and deallocates.
template <class A>
void GeneralProducerConsumer(benchmark::State& state) {
  constexpr size_t kOperations = 100000;
  A allocator;
  ThreadPair threads;
  const auto ring = std::make_unique<HandOff<SizedPointer>>();
  const LogUniformSizes sizes(8, 4096);
  PseudoRandom random(1);
  const auto produce = [&] {
    for (size_t i = 0; i < kOperations; ++i) {
      const SizedPointer block = TakeBlock(allocator, sizes(random.Next()));
      for (Patience wait; !ring->Push(block);) wait.Spin();
    }
    ring->Flush();
  };
  const auto consume = [&] {
    for (size_t i = 0; i < kOperations; ++i) {
      SizedPointer block;
      for (Patience wait; !ring->Pop(&block);) wait.Spin();
      benchmark::DoNotOptimize(*static_cast<volatile uint64_t*>(block.data));
      GiveBlock(allocator, block);
    }
  };
  for (auto _ : state) {
    state.SetIterationTime(
        threads.Run([&](int thread) { thread == 0 ? produce() : consume(); }));
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<int64_t>(kOperations));
}

// One block of a fixed size taken, written at both ends and given back.
template <class A>
void GeneralLarge(benchmark::State& state, size_t bytes) {
  A allocator;
  for (auto _ : state) {
    const SizedPointer block = TakeBlock(allocator, bytes);
    static_cast<volatile uint64_t*>(block.data)[bytes / 8 - 1] = bytes;
    GiveBlock(allocator, block);
  }
  state.SetItemsProcessed(state.iterations());
}

template <class A>
void RegisterLarge(const std::string& name) {
  for (const size_t bytes : {32768, 40000, 262144}) {
    benchmark::RegisterBenchmark(
        "general_large_" + std::to_string(bytes) + "/" + name, GeneralLarge<A>,
        bytes);
  }
}

// One block that grows from 8 to 256 MiB by 8 MiB at a time, the new end
// written. One item is a step.
template <class A>
void GeneralGrow(benchmark::State& state) {
  constexpr size_t kStep = size_t{8} << 20;
  constexpr size_t kSteps = 31;
  A allocator;
  for (auto _ : state) {
    SizedPointer block = TakeBlock(allocator, kStep);
    for (size_t i = 0; i < kSteps; ++i) {
      const size_t bytes = block.bytes + kStep;
      block = {
          static_cast<uint64_t*>(Reallocate(allocator, block.data, block.bytes,
                                            bytes, kGeneralAlignment)),
          bytes};
      static_cast<volatile uint64_t*>(block.data)[bytes / 8 - 1] = bytes;
    }
    GiveBlock(allocator, block);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kSteps));
}

template <class A>
void RegisterGrow(const std::string& name) {
  benchmark::RegisterBenchmark("general_grow/" + name, GeneralGrow<A>);
}

template <class A>
void RegisterReplaceAlone(const std::string& name) {
  benchmark::RegisterBenchmark("general_replace_1_thread/" + name,
                               GeneralReplace<A>);
}

template <class A>
void RegisterReplace(const std::string& name) {
  RegisterReplaceAlone<A>(name);
  benchmark::RegisterBenchmark("general_replace_2_threads/" + name,
                               GeneralReplacePair<A>)
      ->UseManualTime();
}

template <class A>
void RegisterProducerConsumer(const std::string& name) {
  benchmark::RegisterBenchmark("general_producer_consumer/" + name,
                               GeneralProducerConsumer<A>)
      ->UseManualTime();
}

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_GENERAL_WORKLOADS_H_
