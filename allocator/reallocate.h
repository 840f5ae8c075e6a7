#ifndef MMSB_ALLOCATOR_REALLOCATE_H_
#define MMSB_ALLOCATOR_REALLOCATE_H_

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "allocator/raw_allocator.h"

namespace mmsb {

// Changes the size of a live block and returns where it is now, with the
// contents of the first min(old_bytes, new_bytes) bytes; or null, and the old
// block is as it was and still the caller's.
//
// `p` came from `allocator` with `old_bytes` and `alignment`; what is returned
// has `new_bytes` and the same alignment. A null `p` is a plain allocation. The
// allocator's own Reallocate() is asked first, where it has one; else, and when
// that has nothing better than a copy, a new block is allocated, copied into,
// and the old one given back: for the time of the copy both are live.
//
//   void* q = Reallocate(arena, p, 64, 128, 8);
//   if (q != nullptr) p = q;
template <RawAllocator A>
[[nodiscard]] void* Reallocate(A& allocator, void* p, size_t old_bytes,
                               size_t new_bytes, size_t alignment) noexcept {
  if (p == nullptr) return allocator.Allocate(new_bytes, alignment);
  if constexpr (ReallocatingAllocator<A>) {
    void* const resized =
        allocator.Reallocate(p, old_bytes, new_bytes, alignment);
    if (resized != nullptr) return resized;
  }
  void* const copy = allocator.Allocate(new_bytes, alignment);
  if (copy == nullptr) return nullptr;
  std::memcpy(copy, p, std::min(old_bytes, new_bytes));
  allocator.Deallocate(p, old_bytes, alignment);
  return copy;
}

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_REALLOCATE_H_
