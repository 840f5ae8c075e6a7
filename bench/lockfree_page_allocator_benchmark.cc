// What a frame of 4 KiB costs from LockFreePageAllocator, beside malloc(4096)
// of whatever library the program runs with (LD_PRELOAD) and the system itself.
// An item is one allocation and one free.
//
//   frame_pairs          one thread, one at a time
//   frame_batches        4096 in a row, then all back in that order
//   frame_shuffled       the same, back in another order
//   frames_exchanged     two threads put each frame in one of 64 places and
//                        free what they find there; no frame is written to
//   frames_WORKLOAD      two threads (shared_pool_workloads.h), which write to
//                        each frame
//
//   mmsb                 of a GiB that is all free in the beginning
//   mmsb fragmented      every second frame of the first half is allocated
//   mmsb uncached        threads have no caches

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "allocator/lockfree_sync.h"
#include "bench/allocators/malloc_peers.h"
#include "bench/allocators/run.h"
#include "bench/allocators/shared_pool_workloads.h"
#include "bench/allocators/thread_pair.h"
#include "benchmark/benchmark.h"
#include "memory/page/lockfree_page_allocator.h"
#include "primitives/bytes.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

constexpr size_t kHeld = 4096;

// Calls are inlined, as they are wherever the allocator is called.
template <class Sync, bool kFragmented>
class Frames {
 public:
  Frames()
      : frames_(*BasicLockFreePageAllocator<Sync>::Create({.bytes = kGiB})) {
    if (!kFragmented) return;
    std::vector<void*> all(frames_->frame_count() / 2);
    for (void*& p : all) p = Allocate();
    for (size_t i = 0; i < all.size(); i += 2) Deallocate(all[i]);
    frames_->DetachThread();
  }
  [[gnu::always_inline]] void* Allocate() {
    const absl::StatusOr<void*> p = frames_->Allocate(0);
    return p.ok() ? *p : nullptr;
  }
  [[gnu::always_inline]] void Deallocate(void* p) {
    frames_->Free(p, 0).IgnoreError();
  }

 private:
  std::unique_ptr<BasicLockFreePageAllocator<Sync>> frames_;
};

struct System {
  void* Allocate() {
    void* p = nullptr;
    MemoryMapper& mapper = SystemMapper();
    if (!mapper.Reserve(4096, mapper.Granule(), &p).ok() ||
        !mapper.Commit(p, 4096).ok()) {
      return nullptr;
    }
    return p;
  }
  void Deallocate(void* p) { (void)SystemMapper().Release(p, 4096); }
};

template <class Source>
void Pairs(benchmark::State& state) {
  Source source;
  for (auto _ : state) {
    void* p = source.Allocate();
    benchmark::DoNotOptimize(p);
    source.Deallocate(p);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}

// Back in the given order.
template <class Source>
void TakeManyAndGive(benchmark::State& state,
                     const std::vector<size_t>& order) {
  Source source;
  std::vector<void*> held(kHeld);
  for (auto _ : state) {
    for (void*& p : held) p = source.Allocate();
    benchmark::ClobberMemory();
    for (const size_t i : order) source.Deallocate(held[i]);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kHeld));
}

template <class Source>
void Exchanged(benchmark::State& state) {
  constexpr size_t kItems = 100000;
  std::array<std::atomic<void*>, 64> places = {};
  RunShared<Source>(state, kItems, [&](ThreadPair&, Source& source, int first) {
    size_t next = static_cast<size_t>(first) * places.size() / 2;
    for (size_t i = 0; i < kItems; ++i) {
      // acq_rel: the frame goes from one thread to the other.
      void* const other = places[next++ % places.size()].exchange(
          source.Allocate(), std::memory_order_acq_rel);
      if (other != nullptr) source.Deallocate(other);
    }
  });
}

template <class Source>
void Register(const std::string& name) {
  std::vector<size_t> order(kHeld);
  for (size_t i = 0; i < kHeld; ++i) order[i] = i;
  benchmark::RegisterBenchmark("frame_pairs/" + name, Pairs<Source>);
  benchmark::RegisterBenchmark("frame_batches/" + name, TakeManyAndGive<Source>,
                               order);
  std::ranges::shuffle(order, std::mt19937_64(1));
  benchmark::RegisterBenchmark("frame_shuffled/" + name,
                               TakeManyAndGive<Source>, order);
}

template <class Source>
void RegisterBoth(const std::string& name) {
  Register<Source>(name);
  benchmark::RegisterBenchmark("frames_exchanged/" + name, Exchanged<Source>)
      ->UseManualTime();
  RegisterSharedPool<Source>(name, "frames");
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  mmsb::RegisterBoth<mmsb::Frames<mmsb::SystemSync, false>>("mmsb");
  mmsb::RegisterBoth<mmsb::Frames<mmsb::SystemSync, true>>("mmsb fragmented");
  mmsb::RegisterBoth<mmsb::Frames<mmsb::SymmetricSync, false>>("mmsb uncached");
  mmsb::RegisterBoth<mmsb::HeapBlocks<mmsb::Malloc, 4096>>(mmsb::Malloc::kName);
  mmsb::Register<mmsb::System>("mmap");
  return mmsb::RunBenchmarks(argc, argv);
}
