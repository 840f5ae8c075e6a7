// Blocks of any size, one thread and two.

#include <array>
#include <cstddef>

#include "allocator/check_policy.h"
#include "allocator/slab.h"
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

template <class A>
void Register() {
  RegisterReplace<A>(A::kName);
  RegisterProducerConsumer<A>(A::kName);
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  using CheckedSlab = mmsb::BasicSlabAllocator<mmsb::Checked>;
  mmsb::RegisterReplace<mmsb::SlabAllocator>("mmsb");
  mmsb::RegisterProducerConsumer<mmsb::SlabAllocator>("mmsb");
  mmsb::RegisterReplace<CheckedSlab>("mmsb checked");
  mmsb::Register<mmsb::Malloc>();
  mmsb::Register<mmsb::SizedNew>();
  mmsb::RegisterReplace<mmsb::PmrGeneral>("std::pmr");
  mmsb::RegisterProducerConsumer<mmsb::Nothing>("hand-over alone");
  return mmsb::RunBenchmarks(argc, argv);
}
