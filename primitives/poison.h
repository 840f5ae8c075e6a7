#ifndef MMSB_PRIMITIVES_POISON_H_
#define MMSB_PRIMITIVES_POISON_H_

#include <cstddef>
#include <cstdint>

#include "primitives/sanitizer.h"

// constexpr when this build talks to no tool, so that a compiler accepts a call
// in a constant expression: the proof that nothing is left of it at run time.
#if MMSB_ADDRESS_SANITIZER || MMSB_MEMORY_SANITIZER || defined(MMSB_VALGRIND)
#define MMSB_POISON_INLINE inline
#else
#define MMSB_POISON_INLINE constexpr
#endif

// The sanitizers' runtime interface, declared as their own headers declare it;
// so it does not matter whether those are installed, nor whether they are
// included too.
extern "C" {
#if MMSB_ADDRESS_SANITIZER
void __asan_poison_memory_region(const volatile void* p, size_t bytes);
void __asan_unpoison_memory_region(const volatile void* p, size_t bytes);
int __asan_address_is_poisoned(const volatile void* p);
#elif MMSB_MEMORY_SANITIZER
void __msan_poison(const volatile void* p, size_t bytes);
void __msan_unpoison(const volatile void* p, size_t bytes);
void __msan_allocated_memory(const volatile void* p, size_t bytes);
#endif
}

namespace mmsb {

#if defined(MMSB_VALGRIND)
namespace poison_internal {

// Valgrind's client requests: numbers of its core, and of Memcheck, which start
// with 'M', 'C'.
inline constexpr uint64_t kMemcheck = uint64_t{'M'} << 24 | uint64_t{'C'} << 16;
inline constexpr uint64_t kRunningOnValgrind = 0x1001;
inline constexpr uint64_t kCreatePool = 0x1303;
inline constexpr uint64_t kDestroyPool = 0x1304;
inline constexpr uint64_t kPoolAllocate = 0x1305;
inline constexpr uint64_t kPoolFree = 0x1306;
inline constexpr uint64_t kPoolChange = 0x1309;
inline constexpr uint64_t kMakeNoAccess = kMemcheck + 0;
inline constexpr uint64_t kMakeUndefined = kMemcheck + 1;
inline constexpr uint64_t kMakeDefined = kMemcheck + 2;
inline constexpr uint64_t kGetValidityBits = kMemcheck + 8;

// Asks Valgrind for `request` and returns its answer, or `fallback` when the
// program does not run under it. The processor itself executes a few rotations
// that add up to whole turns and an exchange of a register with itself;
// Valgrind knows the sequence, and finds the six words of the request through a
// register.
inline uint64_t ValgrindRequest(uint64_t fallback, uint64_t request,
                                uint64_t a = 0, uint64_t b = 0, uint64_t c = 0,
                                uint64_t d = 0) {
  const volatile uint64_t words[6] = {request, a, b, c, d, 0};
  uint64_t answer = fallback;
#if defined(__x86_64__)
  __asm__ volatile(
      "rolq $3, %%rdi\n\trolq $13, %%rdi\n\t"
      "rolq $61, %%rdi\n\trolq $51, %%rdi\n\t"
      "xchgq %%rbx, %%rbx"
      : "+d"(answer)
      : "a"(&words[0])
      : "cc", "memory");
#elif defined(__aarch64__)
  __asm__ volatile(
      "mov x3, %0\n\tmov x4, %1\n\t"
      "ror x12, x12, #3\n\tror x12, x12, #13\n\t"
      "ror x12, x12, #51\n\tror x12, x12, #61\n\t"
      "orr x10, x10, x10\n\t"
      "mov %0, x3"
      : "+r"(answer)
      : "r"(&words[0])
      : "x3", "x4", "cc", "memory");
#else
#error "MMSB_VALGRIND: only x86-64 and aarch64 have a request sequence here"
#endif
  return answer;
}

inline uint64_t Address(const volatile void* p) {
  return reinterpret_cast<uintptr_t>(p);
}

}  // namespace poison_internal
#endif  // MMSB_VALGRIND

// Memory poisoning: how an allocator tells the memory checkers what its bytes
// are, so that a use after free, a use after reset, or a read of a block that
// was never written is reported as it is for the system's own heap.
//
//                     AddressSanitizer   MemorySanitizer     Valgrind
//                     (Memcheck)
//   PoisonFreed       no access          contents undefined  no access
//   UnpoisonFresh     access             contents undefined  contents undefined
//   UnpoisonDefined   access             contents defined    contents defined
//
// Poisoning owns nothing and cannot fail. It is as thread-safe as writing to
// the same bytes is, and to all that share a granule of kPoisonGranuleBytes
// with them; it costs time in proportion to them under a tool. In other builds
// every function is an empty constexpr one. Valgrind is spoken to in programs
// built with -DMMSB_VALGRIND (config valgrind; the same value for the whole
// program), by instructions that do nothing outside it, and none of its headers
// is needed.
//
// AddressSanitizer keeps one state for 8 bytes, "the first k are accessible".
// Blocks that start at a multiple of 8 and whose size is one are told exactly;
// of another block a few bytes at its ends may stay accessible, and bytes
// outside it are never made inaccessible.
//
//   UnpoisonFresh(block, bytes);  // in Allocate(): the caller's, but unwritten
//   PoisonFreed(block, bytes);    // in Deallocate(): nobody's

// True when a read of poisoned bytes ends the program with a report, as under
// AddressSanitizer.
#if MMSB_ADDRESS_SANITIZER
inline constexpr bool kPoisonReported = true;
#else
inline constexpr bool kPoisonReported = false;
#endif

// How many bytes, from a multiple of that number on, have one state, which two
// threads must not change at one time.
#if MMSB_ADDRESS_SANITIZER
inline constexpr size_t kPoisonGranuleBytes = 8;
#else
inline constexpr size_t kPoisonGranuleBytes = 1;
#endif

// `bytes` bytes at `p` are free: nobody may touch them until they are
// unpoisoned, the allocator included; it unpoisons what it keeps in free
// blocks.
MMSB_POISON_INLINE void PoisonFreed([[maybe_unused]] const volatile void* p,
                                    [[maybe_unused]] size_t bytes) {
#if MMSB_ADDRESS_SANITIZER
  __asan_poison_memory_region(p, bytes);
#elif MMSB_MEMORY_SANITIZER
  __msan_poison(p, bytes);
#endif
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  vg::ValgrindRequest(0, vg::kMakeNoAccess, vg::Address(p), bytes);
#endif
}

// `bytes` bytes at `p` may be touched, and hold nothing that may be read before
// it is written.
MMSB_POISON_INLINE void UnpoisonFresh([[maybe_unused]] const volatile void* p,
                                      [[maybe_unused]] size_t bytes) {
#if MMSB_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(p, bytes);
#elif MMSB_MEMORY_SANITIZER
  __msan_allocated_memory(p, bytes);
#endif
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  vg::ValgrindRequest(0, vg::kMakeUndefined, vg::Address(p), bytes);
#endif
}

// `bytes` bytes at `p` may be touched, and hold what they seem to hold: for
// memory that the system zeroed or a tool did not see written.
MMSB_POISON_INLINE void UnpoisonDefined([[maybe_unused]] const volatile void* p,
                                        [[maybe_unused]] size_t bytes) {
#if MMSB_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(p, bytes);
#elif MMSB_MEMORY_SANITIZER
  __msan_unpoison(p, bytes);
#endif
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  vg::ValgrindRequest(0, vg::kMakeDefined, vg::Address(p), bytes);
#endif
}

// True when a tool that watches accesses (AddressSanitizer, or Valgrind when
// the program runs under it) would report one to the byte at `p`; false without
// one.
[[nodiscard]] MMSB_POISON_INLINE bool IsPoisoned(
    [[maybe_unused]] const volatile void* p) {
#if MMSB_ADDRESS_SANITIZER
  if (__asan_address_is_poisoned(p) != 0) return true;
#endif
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  constexpr uint64_t kNotAddressable = 3;
  unsigned char bits = 0;
  return vg::ValgrindRequest(0, vg::kGetValidityBits, vg::Address(p),
                             vg::Address(&bits), 1) == kNotAddressable;
#else
  return false;
#endif
}

// True when the program runs under Valgrind and was built to speak to it.
[[nodiscard]] MMSB_POISON_INLINE bool RunningOnValgrind() {
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  return vg::ValgrindRequest(0, vg::kRunningOnValgrind) != 0;
#else
  return false;
#endif
}

// The same told as the doings of a pool, from which Valgrind also knows where a
// block was allocated and freed, and whether it leaked. Any address may stand
// for the pool, once at a time. Call AnnotatePoolFreed with the block's first
// byte, as it was given to AnnotatePoolAllocated.
//
//   AnnotatePoolCreated(this);                      // in the constructor
//   AnnotatePoolAllocated(this, block, bytes);      // instead of UnpoisonFresh
//   AnnotatePoolFreed(this, block, bytes);          // instead of PoisonFreed
//   AnnotatePoolDestroyed(this);                    // frees what is left
MMSB_POISON_INLINE void AnnotatePoolCreated(
    [[maybe_unused]] const volatile void* pool) {
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  constexpr uint64_t kRedZoneBytes = 0;
  constexpr uint64_t kZeroed = 0;
  vg::ValgrindRequest(0, vg::kCreatePool, vg::Address(pool), kRedZoneBytes,
                      kZeroed);
#endif
}

MMSB_POISON_INLINE void AnnotatePoolDestroyed(
    [[maybe_unused]] const volatile void* pool) {
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  vg::ValgrindRequest(0, vg::kDestroyPool, vg::Address(pool));
#endif
}

MMSB_POISON_INLINE void AnnotatePoolAllocated(
    [[maybe_unused]] const volatile void* pool, const volatile void* p,
    size_t bytes) {
  UnpoisonFresh(p, bytes);
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  vg::ValgrindRequest(0, vg::kPoolAllocate, vg::Address(pool), vg::Address(p),
                      bytes);
#endif
}

MMSB_POISON_INLINE void AnnotatePoolFreed(
    [[maybe_unused]] const volatile void* pool, const volatile void* p,
    size_t bytes) {
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  vg::ValgrindRequest(0, vg::kPoolFree, vg::Address(pool), vg::Address(p));
#endif
  PoisonFreed(p, bytes);
}

// The block that was at `p` is at `now` (most often the same), and has `bytes`
// bytes. What may be touched stays as it is.
MMSB_POISON_INLINE void AnnotatePoolResized(
    [[maybe_unused]] const volatile void* pool,
    [[maybe_unused]] const volatile void* p,
    [[maybe_unused]] const volatile void* now, [[maybe_unused]] size_t bytes) {
#if defined(MMSB_VALGRIND)
  namespace vg = poison_internal;
  vg::ValgrindRequest(0, vg::kPoolChange, vg::Address(pool), vg::Address(p),
                      vg::Address(now), bytes);
#endif
}

}  // namespace mmsb

#undef MMSB_POISON_INLINE

#endif  // MMSB_PRIMITIVES_POISON_H_
