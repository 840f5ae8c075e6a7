// Blocks of 64 bytes, one thread.

#include <optional>

#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/memory_pool.h"
#include "allocator/slab.h"
#include "allocator/system_source.h"
#include "bench/allocators/bare_stack.h"
#include "bench/allocators/boost_peers.h"
#include "bench/allocators/malloc_peers.h"
#include "bench/allocators/pmr_peers.h"
#include "bench/allocators/pool_workloads.h"
#include "bench/allocators/run.h"

namespace mmsb {
namespace {

constexpr size_t kBytes = 64;

// What parts of the pool cost: the same without them.
struct Uncounted : Unchecked {
  static constexpr bool kCountsCalls = false;
};
struct Unfilled : Checked {
  static constexpr size_t kFilledBytes = 0;
};

// The slab allocator, asked for blocks of one size.
template <class Policy>
class SlabBlocks {
 public:
  void* Allocate() { return slab_.Allocate(kBytes, kAlignment); }
  void Deallocate(void* p) { slab_.Deallocate(p, kBytes, kAlignment); }

 private:
  static constexpr size_t kAlignment = 8;

  BasicSlabAllocator<Policy> slab_;
};

// Makes a pool of `arguments`.
constexpr auto Of(auto... arguments) {
  return [=](auto* pool) { pool->emplace(arguments...); };
}

void Register() {
  using CheckedPool = MemoryPool<SystemSource, Checked>;
  constexpr MemoryPoolOptions kOptions = {.block_size = kBytes};
  RegisterPool<MemoryPool<>>("mmsb", Of(kOptions));
  RegisterPool<CheckedPool>("mmsb checked", Of(kOptions));
  RegisterPool<MemoryPool<SystemSource, Unfilled>>("mmsb checked, unfilled",
                                                   Of(kOptions));
  RegisterPool<MemoryPool<SystemSource, Uncounted>>("mmsb uncounted",
                                                    Of(kOptions));
  RegisterSmallPool<SlabBlocks<Unchecked>>("mmsb slab", Of());
  RegisterSmallPool<SlabBlocks<Uncounted>>("mmsb slab uncounted", Of());
  // Its number of calls is what its search for the last block rests on: there
  // is none without.
  RegisterSmallPool<LockFreePool>(
      "mmsb lock-free",
      Of(LockFreePoolOptions{.block_size = kBytes, .capacity = 4096}));
  RegisterPool<BoostPool>("boost::pool", Of(kBytes));
  constexpr size_t kMostBlocks = size_t{1} << 20;
  RegisterGrownPool<BareStack<kBytes>>("a bare stack", Of(kMostBlocks));
  RegisterGrownPool<BareStackPair<kBytes>>("two bare stacks", Of(kMostBlocks));
  RegisterPool<PmrPool>("std::pmr", Of(kBytes));
  RegisterPool<HeapBlocks<Malloc, kBytes>>(Malloc::kName, Of());
  RegisterPool<HeapBlocks<SizedNew, kBytes>>(SizedNew::kName, Of());
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  mmsb::Register();
  return mmsb::RunBenchmarks(argc, argv);
}
