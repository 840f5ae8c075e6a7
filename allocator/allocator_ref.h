#ifndef MMSB_ALLOCATOR_ALLOCATOR_REF_H_
#define MMSB_ALLOCATOR_ALLOCATOR_REF_H_

#include <cstddef>
#include <memory>

#include "allocator/allocator_stats.h"
#include "allocator/raw_allocator.h"
#include "allocator/size_histogram.h"

namespace mmsb {

// Lends an allocator: a RawAllocator that is copied like a pointer and passes
// every call on to the one it names.
//
// Two references are equal when they name the same allocator.
//
// Allocators own their upstream, so that a stateless one costs nothing. This is
// how several share one, or how one with an address of its own (a MemoryPool,
// an Arena) is the upstream of another. The allocator named must outlive the
// reference and all that was allocated through it. As thread-safe as the
// allocator named.
//
//   Arena arena;
//   MemoryPool pool({.block_size = 64}, AllocatorRef(arena));
template <RawAllocator A>
class AllocatorRef {
 public:
  explicit AllocatorRef(A& allocator) noexcept
      : allocator_(std::addressof(allocator)) {}

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    return allocator_->Allocate(bytes, alignment);
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    allocator_->Deallocate(p, bytes, alignment);
  }
  [[nodiscard]] bool Owns(const void* p) const noexcept
    requires OwningAllocator<A>
  {
    return allocator_->Owns(p);
  }
  [[nodiscard]] AllocatorStats Stats() const noexcept
    requires CountingAllocator<A>
  {
    return allocator_->Stats();
  }
  [[nodiscard]] SizeHistogram Histogram() const noexcept
    requires HistogramAllocator<A>
  {
    return allocator_->Histogram();
  }
  [[nodiscard]] SizedBlock AllocateAtLeast(size_t bytes,
                                           size_t alignment) noexcept
    requires RoundingAllocator<A>
  {
    return allocator_->AllocateAtLeast(bytes, alignment);
  }
  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept
    requires ReallocatingAllocator<A>
  {
    return allocator_->Reallocate(p, old_bytes, new_bytes, alignment);
  }
  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept
    requires ZeroingAllocator<A>
  {
    return allocator_->AllocateZeroed(bytes, alignment);
  }

  friend bool operator==(AllocatorRef, AllocatorRef) = default;

 private:
  A* allocator_;
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_ALLOCATOR_REF_H_
