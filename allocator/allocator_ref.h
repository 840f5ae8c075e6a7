#ifndef MMSB_ALLOCATOR_ALLOCATOR_REF_H_
#define MMSB_ALLOCATOR_ALLOCATOR_REF_H_

#include <cstddef>
#include <memory>

#include "allocator/raw_allocator.h"

namespace mmsb {

// Lends an allocator: a RawAllocator that is copied like a pointer and passes
// every call on to the one it names.
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

 private:
  A* allocator_;
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_ALLOCATOR_REF_H_
