// An arena, one thread.

#include <cstddef>

#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/system_source.h"
#include "bench/allocators/arena_workloads.h"
#include "bench/allocators/bare_bump.h"
#include "bench/allocators/malloc_peers.h"
#include "bench/allocators/pmr_peers.h"
#include "bench/allocators/run.h"

int main(int argc, char** argv) {
  mmsb::RegisterArena<mmsb::Arena<>>("mmsb");
  mmsb::RegisterArena<mmsb::Arena<mmsb::SystemSource, mmsb::Checked>>(
      "mmsb checked");
  mmsb::RegisterArena<mmsb::BareBump>("a bare bump pointer");
  mmsb::RegisterArena<mmsb::PmrArena<size_t{1} << 20>>("std::pmr");
  mmsb::RegisterArena<mmsb::HeapArena<mmsb::Malloc>>(mmsb::Malloc::kName);
  mmsb::RegisterArena<mmsb::HeapArena<mmsb::SizedNew>>(mmsb::SizedNew::kName);
  return mmsb::RunBenchmarks(argc, argv);
}
