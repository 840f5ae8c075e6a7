#ifndef MMSB_PRIMITIVES_OS_HEAP_H_
#define MMSB_PRIMITIVES_OS_HEAP_H_

#include <stdlib.h>

#include <cstddef>

#include "primitives/alignment.h"

namespace mmsb {

// The process's own heap, whoever provides it: the C library, a sanitizer, or
// an allocator that was linked or loaded in its place.
//
// The caller owns a block until HeapFree(), which takes the blocks of every
// function here. Thread-safe. Null when the heap has nothing; errno is then as
// it left it. The heap rounds sizes up inside: more than PTRDIFF_MAX bytes are
// refused by every heap, and under the sanitizers 2^40 bytes end the process
// already (SystemSource knows). 0 bytes count as 1.
//
//   void* p = HeapAllocate(100, Alignment::FromBytes(64));
//   HeapFree(p);

// What every block is aligned to at least, in bytes.
inline constexpr size_t kHeapAlignment = alignof(std::max_align_t);

// A block of `bytes` bytes at a multiple of `alignment`, contents undefined.
[[nodiscard]] inline void* HeapAllocate(size_t bytes, Alignment alignment) {
  if (bytes == 0) bytes = 1;
  if (alignment.bytes() <= kHeapAlignment) return malloc(bytes);
  void* p = nullptr;
  return posix_memalign(&p, alignment.bytes(), bytes) == 0 ? p : nullptr;
}

// A block of `bytes` zeros at a multiple of kHeapAlignment. What the heap had
// fresh from the system is not written again.
[[nodiscard]] inline void* HeapAllocateZeroed(size_t bytes) {
  return calloc(bytes == 0 ? 1 : bytes, 1);
}

// Makes a block `bytes` bytes large and returns where it is now, at a multiple
// of kHeapAlignment; null, and the block is as it was, when the heap has no
// more. Large blocks are moved by the system's tables where the heap can.
[[nodiscard]] inline void* HeapReallocate(void* p, size_t bytes) {
  return realloc(p, bytes == 0 ? 1 : bytes);
}

// Gives a block back; null is ignored.
inline void HeapFree(void* p) { free(p); }

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_HEAP_H_
