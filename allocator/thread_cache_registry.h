#ifndef MMSB_ALLOCATOR_THREAD_CACHE_REGISTRY_H_
#define MMSB_ALLOCATOR_THREAD_CACHE_REGISTRY_H_

#include <cstddef>
#include <cstdint>

namespace mmsb {

// How objects that keep something for each thread hear that a thread ended or
// that the process forked, and how a thread finds its own part fast.
//
// Each registered object has a number that is never used again, and each thread
// a small table from such numbers to its part of the object. An entry of a
// destroyed object stays behind and matches nothing, so an object may go before
// the threads that used it.
//
// The process has one registry; it lives as long as the process, in static
// constructors and destructors too. Objects own their Member; a Member is
// neither copied nor moved while it is registered. Thread-safe; callbacks run
// one at a time, under a lock that Add() and Remove() take too, so they call
// neither. Add() and ThisThread() fail when the system has no thread-specific
// key or no memory left for its handlers. Constant time but for the end of a
// thread and a fork, which call every member.
//
//   registry::Member member = {.object = this, .thread_ended = &Ended};
//   if (registry::Add(&member)) id = member.id;
namespace thread_cache_registry {

struct Member {
  void* object = nullptr;

  // The calling thread, whose number is `thread`, ends.
  void (*thread_ended)(void* object, uint64_t thread) = nullptr;

  // In a forked child: no thread but `thread`, the calling one, is left.
  void (*forked)(void* object, uint64_t thread) = nullptr;

  uint64_t id = 0;  // set by Add(); not 0
  Member* previous = nullptr;
  Member* next = nullptr;
};

// False, and nothing changed, when the callbacks could not be promised.
[[nodiscard]] bool Add(Member* member) noexcept;
void Remove(Member* member) noexcept;

// A number of the calling thread, never used again; 0 when its end would not be
// heard of. To be asked again after the thread's end was told, as the thread
// may still run destructors.
[[nodiscard]] uint64_t ThisThread() noexcept;

// One entry of a thread's table; the two pointers are the object's.
struct alignas(32) Entry {
  uint64_t id = 0;  // of a Member; 0 is none's
  void* first = nullptr;
  void* second = nullptr;
};

inline constexpr size_t kEntries = 8;

// An id's entry is that at the id modulo kEntries; whoever needs it overwrites
// it. Emptied before a thread's end is told.
[[gnu::tls_model(
    "initial-exec")]] extern constinit thread_local Entry entries[kEntries];

[[gnu::always_inline]] inline Entry& EntryOf(uint64_t id) noexcept {
  return entries[id % kEntries];
}

}  // namespace thread_cache_registry
}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_THREAD_CACHE_REGISTRY_H_
