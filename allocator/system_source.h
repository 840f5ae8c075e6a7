#ifndef MMSB_ALLOCATOR_SYSTEM_SOURCE_H_
#define MMSB_ALLOCATOR_SYSTEM_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "allocator/raw_allocator.h"
#include "primitives/alignment.h"
#include "primitives/os_heap.h"
#include "primitives/sanitizer.h"

namespace mmsb {

// Memory from the process's own heap: the upstream at the bottom of every
// composition.
//
// It is malloc() and its kin, not a mapping of its own: a program that replaced
// its allocator gets that one, LeakSanitizer and Valgrind see a chunk that an
// allocator forgot, and a small chunk costs no system call. Large blocks are
// mapped by the heap anyway. A block at up to kHeapAlignment bytes is
// reallocated as well as the heap can, and zeros that are fresh from the system
// are not written again; a stricter one is neither.
//
// Stateless and empty, so it takes no room as a member; blocks may be freed
// through another instance. Thread-safe. Null when the heap has nothing or the
// request is above kMaxBytes. It keeps no counters: what an allocator took from
// it is in that allocator's Stats(), as committed.
//
//   SystemSource source;
//   void* p = source.Allocate(4096, 64);
//   source.Deallocate(p, 4096, 64);
class SystemSource {
 public:
  // The largest size and the largest alignment passed on, in bytes. Half of the
  // address space, so that the rounding up inside the heap cannot overflow.
  // Less under the sanitizers: their heaps end the process above 2^40 bytes
  // instead of returning null.
  static constexpr size_t kMaxBytes =
      kAddressSanitizer || kMemorySanitizer || kThreadSanitizer
          ? size_t{1} << 39
          : PTRDIFF_MAX;

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (!Serves(bytes, alignment)) return nullptr;
    return HeapAllocate(bytes, Alignment::FromBytes(alignment));
  }

  void Deallocate(void* p, size_t /*bytes*/, size_t /*alignment*/) noexcept {
    HeapFree(p);
  }

  // Null for a block at more than kHeapAlignment bytes.
  [[nodiscard]] void* Reallocate(void* p, size_t /*old_bytes*/,
                                 size_t new_bytes, size_t alignment) noexcept {
    if (alignment > kHeapAlignment || !Serves(new_bytes, alignment)) {
      return nullptr;
    }
    return HeapReallocate(p, new_bytes);
  }

  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept {
    if (!Serves(bytes, alignment)) return nullptr;
    if (alignment <= kHeapAlignment) return HeapAllocateZeroed(bytes);
    void* const p = HeapAllocate(bytes, Alignment::FromBytes(alignment));
    if (p != nullptr) std::memset(p, 0, bytes);
    return p;
  }

  friend bool operator==(SystemSource, SystemSource) { return true; }

 private:
  static constexpr bool Serves(size_t bytes, size_t alignment) {
    return Alignment::IsValid(alignment) && alignment <= kMaxBytes / 2 &&
           bytes <= kMaxBytes;
  }
};

static_assert(ReallocatingAllocator<SystemSource>);
static_assert(ZeroingAllocator<SystemSource>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_SYSTEM_SOURCE_H_
