#ifndef MMSB_ALLOCATOR_ALLOCATE_ZEROED_H_
#define MMSB_ALLOCATOR_ALLOCATE_ZEROED_H_

#include <cstddef>
#include <cstring>

#include "allocator/raw_allocator.h"

namespace mmsb {

// As allocator.Allocate(bytes, alignment), and all `bytes` bytes are zero; or
// null. Bytes that the allocator knows to be zero already are not written
// again, where it has an AllocateZeroed() of its own.
//
//   auto* counts = static_cast<int*>(AllocateZeroed(arena, 400, 4));
template <RawAllocator A>
[[nodiscard]] void* AllocateZeroed(A& allocator, size_t bytes,
                                   size_t alignment) noexcept {
  if constexpr (ZeroingAllocator<A>) {
    return allocator.AllocateZeroed(bytes, alignment);
  } else {
    void* const p = allocator.Allocate(bytes, alignment);
    if (p != nullptr) std::memset(p, 0, bytes);
    return p;
  }
}

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_ALLOCATE_ZEROED_H_
