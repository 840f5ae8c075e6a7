// Memory held for what is live. Run with a filter that leaves one allocator.

#include "allocator/slab.h"
#include "bench/allocators/held_workloads.h"
#include "bench/allocators/malloc_peers.h"
#include "bench/allocators/malloc_purge.h"
#include "bench/allocators/run.h"

int main(int argc, char** argv) {
  mmsb::RegisterHeld<mmsb::SlabAllocator>(
      "mmsb", [](mmsb::SlabAllocator& slab) { slab.Purge(); });
  mmsb::RegisterHeld<mmsb::Malloc>(mmsb::Malloc::kName,
                                   [](auto&) { mmsb::PurgeHeap(); });
  return mmsb::RunBenchmarks(argc, argv);
}
