#ifndef MMSB_ALLOCATOR_RAW_ALLOCATOR_H_
#define MMSB_ALLOCATOR_RAW_ALLOCATOR_H_

#include <concepts>
#include <cstddef>

#include "allocator/allocator_stats.h"
#include "allocator/size_histogram.h"

namespace mmsb {

// What every allocator of this layer is: a source of raw bytes, asked by size
// and alignment. The compiler checks the form; the meaning is this contract,
// which //allocator/testing:conformance tests.
//
// `void* Allocate(size_t bytes, size_t alignment) noexcept` returns the first
// of at least `bytes` bytes at a multiple of `alignment`, which overlap no
// other live block and hold nothing that may be read; or null. It never throws.
//
//   request                              answer
//   alignment is not a power of two      null (zero is no power of two)
//   bytes is 0                           as 1 byte: a block of its own
//   size that overflows when rounded     null
//   more than this allocator ever gives  null
//   nothing left                         null; served again when there is
//
// A null changes nothing: no live block is touched, and the same request may be
// made again.
//
// `void Deallocate(void* p, size_t bytes, size_t alignment) noexcept` gives a
// live block back; `bytes` and `alignment` are those of the Allocate() that
// returned `p`. Null is ignored. Anything else (a block that is not live, not
// of this allocator, or another size) is a programming error: undefined, except
// where an allocator's Checked policy says that it ends the process.
//
// Whether two threads may call at once is said by each allocator; unless it
// says so they may not.
//
//   template <RawAllocator A> void* Twice(A& a) { return a.Allocate(2, 1); }
template <class A>
concept RawAllocator =
    requires(A& allocator, void* p, size_t bytes, size_t alignment) {
      { allocator.Allocate(bytes, alignment) } noexcept -> std::same_as<void*>;
      {
        allocator.Deallocate(p, bytes, alignment)
      } noexcept -> std::same_as<void>;
    };

// A RawAllocator that can tell its own blocks: `bool Owns(const void* p) const`
// is true for every byte of a live block, and false for an address that is not
// in memory of this allocator. In between (free blocks, slack, bookkeeping) the
// allocator says.
template <class A>
concept OwningAllocator =
    RawAllocator<A> && requires(const A& allocator, const void* p) {
      { allocator.Owns(p) } noexcept -> std::same_as<bool>;
    };

// A RawAllocator that keeps count: `AllocatorStats Stats() const`.
template <class A>
concept CountingAllocator = RawAllocator<A> && requires(const A& allocator) {
  { allocator.Stats() } noexcept -> std::same_as<AllocatorStats>;
};

// A CountingAllocator that also counts blocks by size:
// `SizeHistogram Histogram() const`. The allocator says whether the sizes are
// those asked for or those of the blocks.
template <class A>
concept HistogramAllocator =
    CountingAllocator<A> && requires(const A& allocator) {
      { allocator.Histogram() } noexcept -> std::same_as<SizeHistogram>;
    };

// What AllocateAtLeast() returns: a block and how many bytes of it the caller
// may use; null and 0 when there is none.
struct SizedBlock {
  void* data = nullptr;
  size_t bytes = 0;
};

// A RawAllocator whose blocks may be larger than asked for, and that says by
// how much: `SizedBlock AllocateAtLeast(size_t bytes, size_t alignment)`. Such
// a block may be deallocated with any size from the one asked for to the one
// returned.
template <class A>
concept RoundingAllocator =
    RawAllocator<A> && requires(A& allocator, size_t bytes, size_t alignment) {
      {
        allocator.AllocateAtLeast(bytes, alignment)
      } noexcept -> std::same_as<SizedBlock>;
    };

// A RawAllocator that can change the size of a live block more cheaply than by
// allocating, copying and giving back, mostly in place:
// `void* Reallocate(void* p, size_t old_bytes, size_t new_bytes, size_t
// alignment)`, where `p` is not null and was allocated with old_bytes and
// alignment.
//
//   answer   meaning
//   address  where the block is now, most often `p`: the first
//            min(old_bytes, new_bytes) bytes hold what they held, and the block
//            is deallocated with new_bytes
//   null     it has nothing better than a copy: the old block is as it was
//
// A null is no failure, and is not counted as one. Who wants the block resized
// in any case calls the free function Reallocate() of reallocate.h.
template <class A>
concept ReallocatingAllocator =
    RawAllocator<A> && requires(A& allocator, void* p, size_t old_bytes,
                                size_t new_bytes, size_t alignment) {
      {
        allocator.Reallocate(p, old_bytes, new_bytes, alignment)
      } noexcept -> std::same_as<void*>;
    };

// A RawAllocator that often knows that the memory it hands out is zero:
// `void* AllocateZeroed(size_t bytes, size_t alignment)` is Allocate(), and all
// of the `bytes` bytes are zero. The free function AllocateZeroed() of
// allocate_zeroed.h does the same for every allocator.
template <class A>
concept ZeroingAllocator =
    RawAllocator<A> && requires(A& allocator, size_t bytes, size_t alignment) {
      {
        allocator.AllocateZeroed(bytes, alignment)
      } noexcept -> std::same_as<void*>;
    };

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_RAW_ALLOCATOR_H_
