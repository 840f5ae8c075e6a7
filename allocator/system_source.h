#ifndef MMSB_ALLOCATOR_SYSTEM_SOURCE_H_
#define MMSB_ALLOCATOR_SYSTEM_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <new>

#include "allocator/raw_allocator.h"
#include "primitives/alignment.h"

namespace mmsb {

// Memory from the process's own heap: the upstream at the bottom of every
// composition.
//
// It is the nothrow form of operator new and delete, not a mapping of its own:
// a program that replaced its allocator gets that one, LeakSanitizer and
// Valgrind see a chunk that an allocator forgot, and a small chunk costs no
// system call. Large blocks are mapped by the heap anyway.
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
  // address space, so that the rounding up inside operator new cannot overflow.
  // Less under the sanitizers: their heaps end the process above 2^40 bytes
  // instead of returning null.
  static constexpr size_t kMaxBytes =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
      size_t{1} << 39;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
      size_t{1} << 39;
#else
      PTRDIFF_MAX;
#endif
#else
      PTRDIFF_MAX;
#endif

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (!Alignment::IsValid(alignment) || alignment > kMaxBytes / 2 ||
        bytes > kMaxBytes) {
      return nullptr;
    }
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
      return ::operator new(bytes, std::nothrow);
    }
    return ::operator new(bytes, std::align_val_t(alignment), std::nothrow);
  }

  void Deallocate(void* p, size_t /*bytes*/, size_t alignment) noexcept {
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
      ::operator delete(p);
    } else {
      ::operator delete(p, std::align_val_t(alignment));
    }
  }

  friend bool operator==(SystemSource, SystemSource) { return true; }
};

static_assert(RawAllocator<SystemSource>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_SYSTEM_SOURCE_H_
