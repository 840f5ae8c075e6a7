#ifndef MMSB_ALLOCATOR_SLAB_THREAD_CACHE_H_
#define MMSB_ALLOCATOR_SLAB_THREAD_CACHE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/slab_size_classes.h"
#include "primitives/cache_line.h"

namespace mmsb::slab_internal {

class CacheList;
struct ThreadCaches;

// Addresses of free blocks of one class, newest on top. Changed by one thread
// only; others read `top` and `pops`, to count.
//
// Slots are written before `top` moves over them, and `top` moves down before
// they are written again, and it is stored with release: so what lies below a
// `top` that was read is whole at any moment, in the copy of this memory that a
// forked child has too. A block that is on its way from one stack to another
// is below neither's.
struct Stack {
  std::atomic<void**> top;
  void** bottom;
  void** limit;  // grows with use, up to the class's capacity
  std::atomic<uint64_t> pops;

  [[nodiscard]] size_t count() const {
    // acquire: pairs with the releases by whoever owns the cache.
    return static_cast<size_t>(top.load(std::memory_order_acquire) - bottom);
  }
};
static_assert(2 * sizeof(Stack) == kCacheLineBytes);

// What one thread, or for a while none, keeps of one heap's blocks. Lies in the
// heap's metadata, and so lives exactly as long as the heap.
struct alignas(kFalseSharingBytes) ThreadCache {
  // Moved in and out by batches; with `pops` and the count of the stack they
  // tell how many blocks were pushed.
  struct Flow {
    std::atomic<uint64_t> in;
    std::atomic<uint64_t> out;
  };

  std::array<Stack, kSlabClasses> stacks;
  std::array<Flow, kSlabClasses> flows;

  // Guarded by the registry's lock.
  ThreadCache* next_of_heap;
  ThreadCache* next_orphan;
  ThreadCache* next_of_thread;
  ThreadCache* previous_of_thread;
  ThreadCaches* thread;  // null for an orphan
  CacheList* list;

  uint64_t heap_id;
  std::array<void*, kCacheSlots> slots;
};

// The caches of one thread. Each heap has a number of its own that no other
// ever has; a heap that is gone is never asked for, so what is left of it here
// does no harm.
struct ThreadCaches {
  struct Entry {
    uint64_t heap_id;
    ThreadCache* cache;
  };
  static constexpr size_t kEntries = 8;

  // The cache for a heap, where it was used lately.
  [[nodiscard]] ThreadCache* Find(uint64_t heap_id) const {
    const Entry& entry = entries[heap_id % kEntries];
    return entry.heap_id == heap_id ? entry.cache : nullptr;
  }

  std::array<Entry, kEntries> entries;
  ThreadCache* first;  // of all; guarded by the registry's lock
  bool armed;          // its end will be noticed
  bool ended;          // it has given up its caches, and makes no more
};

// Not reached through a function: one instruction in a program, two in a shared
// library.
[[gnu::tls_model(
    "initial-exec")]] extern constinit thread_local ThreadCaches thread_caches;

// The caches of one heap: those of threads, and orphans, whose thread has ended
// and which the next thread adopts with all that is in them.
//
// Thread-safe: one lock for all heaps of the process, under which no other is
// taken. Owns no memory.
class CacheList {
 public:
  CacheList() = default;
  CacheList(const CacheList&) = delete;
  CacheList& operator=(const CacheList&) = delete;

  // Lets threads that are still there forget the heap.
  ~CacheList();

  // Readies the process for caches: what happens at the end of a thread, and in
  // fork(). False when the system lacks something for it.
  [[nodiscard]] static bool Prepare();

  // The calling thread's cache, or one that it has now adopted, or null.
  // `*may_add` says whether the thread may have one through Add().
  [[nodiscard]] ThreadCache* FindOrAdopt(uint64_t heap_id, bool* may_add);

  // The calling thread's cache, or null.
  [[nodiscard]] static ThreadCache* FindMine(uint64_t heap_id);

  // Makes a new cache, in zeros, the calling thread's.
  void Add(ThreadCache* cache, uint64_t heap_id);

  // Takes an orphan away from adoption, or returns null; and gives it back.
  [[nodiscard]] ThreadCache* TakeOrphan();
  void GiveOrphan(ThreadCache* orphan);

  // In the child of a fork: all caches but the calling thread's are orphans.
  void AdoptAllInChild();

  // The newest of all caches; the others follow by next_of_heap, which does not
  // change once a cache is listed.
  [[nodiscard]] ThreadCache* First();

 private:
  static void OnThreadExit(void* caches);
  static void LinkToThread(ThreadCache* cache);
  // Under the registry's lock.
  [[nodiscard]] static ThreadCache* FindInThread(uint64_t heap_id);

  // Guarded by the registry's lock.
  ThreadCache* caches_ = nullptr;
  ThreadCache* orphans_ = nullptr;
};

}  // namespace mmsb::slab_internal

#endif  // MMSB_ALLOCATOR_SLAB_THREAD_CACHE_H_
