// One pool of 4096 blocks of 4 KiB, two threads.

#include <cstddef>
#include <memory>

#include "allocator/lockfree_pool.h"
#include "bench/allocators/boost_peers.h"
#include "bench/allocators/malloc_peers.h"
#include "bench/allocators/pmr_peers.h"
#include "bench/allocators/run.h"
#include "bench/allocators/shared_pool_workloads.h"

namespace mmsb {
namespace {

// No allocator: places by thread, for what a hand-over costs by itself.
class Nothing {
 public:
  void* Allocate() {
    constexpr size_t kPlaces = 2048;
    static thread_local const auto places = std::make_unique<Place[]>(kPlaces);
    static thread_local size_t next = 0;
    return places[next++ % kPlaces].bytes;
  }
  void Deallocate(void*) {}

 private:
  struct alignas(64) Place {
    std::byte bytes[kSharedBlockBytes];
  };
};

struct LockFreeBlocks : LockFreePool {
  LockFreeBlocks()
      : LockFreePool(
            {.block_size = kSharedBlockBytes, .capacity = kSharedBlocks}) {}
};

struct PmrBlocks : PmrSharedPool {
  PmrBlocks() : PmrSharedPool(kSharedBlockBytes) {}
};

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  using mmsb::kSharedBlockBytes;
  using mmsb::Malloc;
  using mmsb::SizedNew;
  mmsb::RegisterSharedPool<mmsb::LockFreeBlocks>("mmsb");
  mmsb::RegisterSharedPool<
      mmsb::BoostLockFreeBlocks<kSharedBlockBytes, mmsb::kSharedBlocks>>(
      "boost::lockfree");
  mmsb::RegisterSharedPool<mmsb::PmrBlocks>("std::pmr");
  mmsb::RegisterSharedPool<mmsb::HeapBlocks<Malloc, kSharedBlockBytes>>(
      Malloc::kName);
  mmsb::RegisterSharedPool<mmsb::HeapBlocks<SizedNew, kSharedBlockBytes>>(
      SizedNew::kName);
  benchmark::RegisterBenchmark("shared_handed_over/hand-over alone",
                               mmsb::SharedHandedOver<mmsb::Nothing>)
      ->UseManualTime();
  return mmsb::RunBenchmarks(argc, argv);
}
