// Blocks of any size, one thread and two.

#include <array>
#include <cstddef>
#include <memory>

#include "allocator/check_policy.h"
#include "allocator/limit_allocator.h"
#include "allocator/locked_allocator.h"
#include "allocator/sharded_counters.h"
#include "allocator/slab.h"
#include "allocator/slab_size_classes.h"
#include "allocator/stats_allocator.h"
#include "allocator/system_source.h"
#include "allocator/tracking_allocator.h"
#include "bench/allocators/general_workloads.h"
#include "bench/allocators/malloc_peers.h"
#include "bench/allocators/pmr_peers.h"
#include "bench/allocators/run.h"

namespace mmsb {
namespace {

// No allocator: a ring of places, for what a hand-over costs by itself.
class Nothing {
 public:
  void* Allocate(size_t /*bytes*/, size_t /*alignment*/) {
    return places_[next_++ % places_.size()].bytes;
  }
  void Deallocate(void*, size_t /*bytes*/, size_t /*alignment*/) {}

 private:
  struct alignas(64) Place {
    std::byte bytes[512];
  };
  std::array<Place, 4096> places_;
  size_t next_ = 0;
};

// The least that an allocator with its free blocks beside it can do: of each of
// the slab's classes a stack of addresses, which never runs out, for one thread
// and without a number that counts.
class BareStacks {
 public:
  BareStacks() {
    for (size_t c = 0; c < kSlabClasses; ++c) {
      const size_t bytes = SlabClassBytes(c);
      if (bytes > kMaxBytes) break;
      memory_[c].reset(new std::byte[kBlocks * bytes]);
      stacks_[c].reset(new void*[kBlocks]);
      tops_[c] = stacks_[c].get();
      for (size_t i = kBlocks; i-- > 0;) {
        *tops_[c]++ = memory_[c].get() + i * bytes;
      }
    }
  }
  void* Allocate(size_t bytes, size_t alignment) {
    void** const top = --tops_[SlabClassOf(bytes, alignment)];
    __builtin_prefetch(top[-1], 1);
    return *top;
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) {
    __builtin_prefetch(p, 1);
    *tops_[SlabClassOf(bytes, alignment)]++ = p;
  }

 private:
  // Of the most frequent class, 16 bytes, some 7300 are live, a ninth of all.
  static constexpr size_t kBlocks = 8192;
  static constexpr size_t kMaxBytes = 4096;

  std::array<std::unique_ptr<std::byte[]>, kSlabClasses> memory_;
  std::array<std::unique_ptr<void*[]>, kSlabClasses> stacks_;
  std::array<void**, kSlabClasses> tops_;
};

// What the adaptors add to the slab.
using Counted = StatsAllocator<SlabAllocator, ShardedCounters>;
using Tracked = LockedAllocator<TrackingAllocator<SlabAllocator>>;
struct Limited : LimitAllocator<SlabAllocator> {
  Limited() : LimitAllocator({.max_bytes = size_t{1} << 30}) {}
};
using Locked = LockedAllocator<SlabAllocator>;

template <class A>
void Register() {
  RegisterReplace<A>(A::kName);
  RegisterLarge<A>(A::kName);
  RegisterProducerConsumer<A>(A::kName);
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  using CheckedSlab = mmsb::BasicSlabAllocator<mmsb::Checked>;
  mmsb::RegisterReplace<mmsb::SlabAllocator>("mmsb");
  mmsb::RegisterProducerConsumer<mmsb::SlabAllocator>("mmsb");
  mmsb::RegisterLarge<mmsb::SlabAllocator>("mmsb");
  mmsb::RegisterGrow<mmsb::SlabAllocator>("mmsb");
  mmsb::RegisterGrow<mmsb::SystemSource>(mmsb::Malloc::kName);  // by realloc()
  mmsb::RegisterReplace<CheckedSlab>("mmsb checked");
  mmsb::RegisterReplace<mmsb::Counted>("mmsb counted");
  mmsb::RegisterReplace<mmsb::Limited>("mmsb limited");
  mmsb::RegisterReplace<mmsb::Locked>("mmsb locked");
  mmsb::RegisterReplace<mmsb::Tracked>("mmsb tracked");
  mmsb::RegisterReplaceAlone<mmsb::BareStacks>("a bare stack a class");
  mmsb::Register<mmsb::Malloc>();
  mmsb::Register<mmsb::SizedNew>();
  mmsb::RegisterReplace<mmsb::PmrGeneral>("std::pmr");
  mmsb::RegisterProducerConsumer<mmsb::Nothing>("hand-over alone");
  return mmsb::RunBenchmarks(argc, argv);
}
