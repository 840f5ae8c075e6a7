// What a frame of 4 KiB costs from LockFreePageAllocator, beside malloc(4096)
// of whatever library the program runs with (LD_PRELOAD) and the system itself.
// Time is of one allocation and one free.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "allocator/lockfree_sync.h"
#include "benchmark/benchmark.h"
#include "memory/page/lockfree_page_allocator.h"
#include "primitives/bytes.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

constexpr size_t kHeld = 4096;

// A GiB of frames, all free; or, fragmented, every second one of the first half
// allocated. With SymmetricSync threads have no caches. Calls are inlined, as
// they are wherever the allocator is called; malloc is in its library.
template <class Sync>
class Frames {
 public:
  explicit Frames(bool fragmented)
      : frames_(*BasicLockFreePageAllocator<Sync>::Create({.bytes = kGiB})) {
    if (!fragmented) return;
    std::vector<void*> all(frames_->frame_count() / 2);
    for (void*& p : all) p = Allocate();
    for (size_t i = 0; i < all.size(); i += 2) Free(all[i]);
    frames_->DetachThread();
  }
  [[gnu::always_inline]] void* Allocate() {
    const absl::StatusOr<void*> p = frames_->Allocate(0);
    return p.ok() ? *p : nullptr;
  }
  [[gnu::always_inline]] void Free(void* p) {
    frames_->Free(p, 0).IgnoreError();
  }

 private:
  std::unique_ptr<BasicLockFreePageAllocator<Sync>> frames_;
};

struct FreshFrames : Frames<SystemSync> {
  FreshFrames() : Frames(false) {}
};
struct FragmentedFrames : Frames<SystemSync> {
  FragmentedFrames() : Frames(true) {}
};
struct FreshUncached : Frames<SymmetricSync> {
  FreshUncached() : Frames(false) {}
};
struct FragmentedUncached : Frames<SymmetricSync> {
  FragmentedUncached() : Frames(true) {}
};
struct Malloc {
  void* Allocate() { return std::malloc(4096); }
  void Free(void* p) { std::free(p); }
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
  void Free(void* p) { (void)SystemMapper().Release(p, 4096); }
};

template <class Source>
Source& Shared() {
  static Source* const source = new Source();
  return *source;
}

// One at a time.
template <class Source>
void Pair(benchmark::State& state) {
  Source& source = Shared<Source>();
  for (auto _ : state) {
    void* p = source.Allocate();
    benchmark::DoNotOptimize(p);
    source.Free(p);
    benchmark::ClobberMemory();
  }
}

// Many in a row, then all back.
template <class Source>
void Batch(benchmark::State& state) {
  Source& source = Shared<Source>();
  std::vector<void*> held(kHeld);
  for (auto _ : state) {
    for (void*& p : held) p = source.Allocate();
    benchmark::ClobberMemory();
    for (void* p : held) source.Free(p);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kHeld));
}

// The same, back in another order.
template <class Source>
void Shuffled(benchmark::State& state) {
  Source& source = Shared<Source>();
  std::vector<void*> held(kHeld);
  std::vector<size_t> order(kHeld);
  for (size_t i = 0; i < kHeld; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  for (auto _ : state) {
    for (void*& p : held) p = source.Allocate();
    benchmark::ClobberMemory();
    for (const size_t i : order) source.Free(held[i]);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kHeld));
}

// Each frame is freed by whichever thread finds it.
template <class Source>
void HandOver(benchmark::State& state) {
  static std::atomic<void*> places[64] = {};
  Source& source = Shared<Source>();
  size_t next = static_cast<size_t>(state.thread_index()) * 32;
  for (auto _ : state) {
    // acq_rel: the frame goes from one thread to the other.
    void* const other = places[next++ % 64].exchange(source.Allocate(),
                                                     std::memory_order_acq_rel);
    if (other != nullptr) source.Free(other);
  }
}

#define MMSB_FRAME_BENCHMARKS(Source)                                 \
  BENCHMARK(Pair<Source>)->Threads(1)->Threads(2)->UseRealTime();     \
  BENCHMARK(Batch<Source>)->Threads(1)->Threads(2)->UseRealTime();    \
  BENCHMARK(Shuffled<Source>)->Threads(1)->Threads(2)->UseRealTime(); \
  BENCHMARK(HandOver<Source>)->Threads(2)->UseRealTime()

MMSB_FRAME_BENCHMARKS(FreshFrames);
MMSB_FRAME_BENCHMARKS(FragmentedFrames);
MMSB_FRAME_BENCHMARKS(FreshUncached);
MMSB_FRAME_BENCHMARKS(FragmentedUncached);
MMSB_FRAME_BENCHMARKS(Malloc);
MMSB_FRAME_BENCHMARKS(System);

}  // namespace
}  // namespace mmsb
