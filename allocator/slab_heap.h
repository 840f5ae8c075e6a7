#ifndef MMSB_ALLOCATOR_SLAB_HEAP_H_
#define MMSB_ALLOCATOR_SLAB_HEAP_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "allocator/allocator_stats.h"
#include "allocator/size_histogram.h"
#include "allocator/slab_chunk.h"
#include "allocator/slab_chunk_map.h"
#include "allocator/slab_depot.h"
#include "allocator/slab_large_blocks.h"
#include "allocator/slab_memory.h"
#include "allocator/slab_metadata.h"
#include "allocator/slab_size_classes.h"
#include "allocator/slab_thread_cache.h"
#include "allocator/slab_units.h"
#include "primitives/cache_line.h"
#include "primitives/os_background_thread.h"
#include "primitives/os_clock.h"
#include "primitives/os_fork.h"
#include "primitives/os_memory.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb {

struct SlabOptions {
  // How long memory that holds no block any more waits to be used again before
  // it goes back to the system, in nanoseconds; 0 for never, but by Purge().
  // At most a quarter more passes, and half more for free granules of a slab
  // that has blocks. A thread of the allocator's own sees to it, made with the
  // first block up to 32 KiB.
  int64_t decay_ns = 1'000'000'000;

  // Of the decay.
  const Clock* clock = &Clock::System();

  // Where memory comes from. Thread-safe if the allocator is used as such, or
  // has a decay.
  MemoryMapper* mapper = &SystemMapper();
};

namespace slab_internal {

// What a caller said of a block. Some calls have no size and alignment.
struct BlockCall {
  const char* function;
  const void* p;
  size_t bytes = 0;
  size_t alignment = 0;
  bool sized = false;
};

// The slab allocator without its face: pops and pushes blocks by class, and
// does all that is not done in every call.
class Heap {
 public:
  // Without `counts_calls` Stats() has no numbers of calls, and Pop() is to be
  // told so each time.
  Heap(const SlabOptions& options, bool live_bits, bool counts_calls);
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  ~Heap();

  // A block of a class, below kSlabClasses; or null.
  template <bool kCountsCalls>
  [[nodiscard]] void* Pop(size_t slab_class) {
    ThreadCache* const cache = thread_caches.Find(id_);
    if (cache != nullptr) [[likely]] {
      Stack& stack = cache->stacks[slab_class];
      // relaxed: only this thread writes it; so below.
      void** const top = stack.top.load(std::memory_order_relaxed);
      if (top != stack.bottom) [[likely]] {
        void* const block = top[-1];
        // Whoever takes a block is about to write it, and most often takes
        // another of the kind.
        if (top - 1 != stack.bottom) __builtin_prefetch(top[-2], 1);
        // release: pairs with the acquire in Stack::count; see Stack.
        stack.top.store(top - 1, std::memory_order_release);
        if constexpr (kCountsCalls) {
          // relaxed: a count.
          stack.pops.store(stack.pops.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
        }
        return block;
      }
    }
    return PopSlowly(slab_class);
  }

  void Push(size_t slab_class, void* block) {
    ThreadCache* const cache = thread_caches.Find(id_);
    if (cache != nullptr) [[likely]] {
      Stack& stack = cache->stacks[slab_class];
      // relaxed: only this thread writes it.
      void** const top = stack.top.load(std::memory_order_relaxed);
      if (top != stack.limit) [[likely]] {
        // The next of the kind to be taken is this one.
        __builtin_prefetch(block, 1);
        *top = block;
        // release: pairs with the acquire in Stack::count; see Stack.
        stack.top.store(top + 1, std::memory_order_release);
        return;
      }
    }
    PushSlowly(slab_class, block);
  }

  // A block of `*block_bytes` bytes.
  [[nodiscard]] void* AllocateLarge(size_t bytes, size_t alignment,
                                    size_t* block_bytes);

  // Gives back a block of AllocateLarge(), of `block_bytes` bytes; false when
  // there is none.
  [[nodiscard]] bool DeallocateLarge(void* p, size_t block_bytes);

  // Makes a large block one of `bytes` bytes, and returns where it is now: the
  // same place, unless it has to grow. It has `*block_bytes` then. Null, and
  // the block as it was, when nothing is better than a copy.
  [[nodiscard]] void* ResizeLarge(void* p, size_t bytes, size_t alignment,
                                  size_t* block_bytes);

  // The size of the block that begins at `p`, live or not; 0 when `p` is in no
  // chunk and no large block begins there. Of other addresses in chunks it says
  // nothing.
  [[nodiscard]] size_t BlockBytes(const void* p);

  // The large block that `p` points into, or null.
  [[nodiscard]] void* FindLarge(const void* p, size_t* bytes) {
    return large_.Find(p, bytes);
  }

  // For a heap with live bits: the block at `p`, of a slab, is now live.
  void MarkLive(const void* p);

  // The same: ends the process, naming the call, when `p` is no live block, or
  // none for such a request.
  void CheckLive(const BlockCall& call);

  // CheckLive(), before the block is given back: from here on it is not live.
  void MarkFreed(const BlockCall& call);

  [[nodiscard]] const ChunkMap& chunks() const { return units_.map(); }

  size_t Purge();
  void Decay();
  [[nodiscard]] AllocatorStats Stats();
  [[nodiscard]] SizeHistogram Histogram();

  // See SlabAllocator::ForEachLive.
  void ForEachLive(void (*visit)(void* argument, void* p, size_t bytes),
                   void* argument);

 private:
  struct ClassCount {
    size_t on_stacks = 0;  // blocks
    uint64_t allocations = 0;
    uint64_t deallocations = 0;
  };
  using ClassCounts = std::array<ClassCount, kSlabClasses>;

  // What all threads counted; of calls nothing where they are not.
  [[nodiscard]] ClassCounts CountClasses();

  void* PopSlowly(size_t slab_class);
  void PushSlowly(size_t slab_class, void* block);

  // The calling thread's cache; null when it can have none.
  [[nodiscard]] ThreadCache* FindOrMakeCache();

  // Takes a batch for an empty stack and pops one.
  [[nodiscard]] void* Refill(ThreadCache& cache, size_t slab_class);
  // Moves the `count` oldest blocks of a stack to the depot.
  void Flush(ThreadCache& cache, size_t slab_class, size_t count);
  void FlushAll(ThreadCache& cache);
  void DrainOrphans() MMSB_REQUIRES(drain_mutex_);
  void DrainDepots();
  // Gives what holds no block back to the system; how many bytes.
  size_t ReleaseIdle();
  void NotePeak(size_t live);
  // Makes the thread unless there is one; often called.
  void StartDecayThread();

  // Ends the process unless a live block of a slab begins at the call's `p`.
  static void CheckLiveBit(const BlockCall& call);

  static void LockAll(void* heap);
  static void UnlockAll(void* heap);
  static void UnlockInChild(void* heap);

  const uint64_t id_;
  const int64_t decay_ns_;
  const bool counts_calls_;
  const Clock& clock_;
  Memory memory_;
  Metadata metadata_;
  Units units_;
  LargeBlocks large_;

  // Shared by every 16th class: at a fork all of them are held at once, and
  // ThreadSanitizer knows of 64 locks that one thread holds.
  static constexpr size_t kDepotLocks = 16;
  struct alignas(kFalseSharingBytes) DepotLock {
    Mutex mutex;
  };
  std::array<DepotLock, kDepotLocks> depot_locks_;
  std::array<Depot, kSlabClasses> depots_;
  CacheList caches_;

  // Bytes of blocks that threads have, and the most that was.
  std::atomic<size_t> out_bytes_ = 0;
  std::atomic<size_t> peak_ = 0;
  std::atomic<uint64_t> failures_ = 0;

  // Blocks that passed by without a cache.
  struct Bypass {
    std::atomic<uint64_t> taken = 0;
    std::atomic<uint64_t> given = 0;
  };
  std::array<Bypass, kSlabClasses> bypasses_;

  bool ready_;  // for caches and forks; else there are no blocks

  // Held by whoever empties caches that are not his own, all through a pass of
  // the decay, and by whoever must not see such a pass half done.
  Mutex drain_mutex_;

  std::atomic<bool> decay_started_ = false;  // in this process
  Mutex decay_mutex_;
  BackgroundThread decay_thread_ MMSB_GUARDED_BY(decay_mutex_);
  ForkHook fork_hook_;
};

}  // namespace slab_internal
}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_SLAB_HEAP_H_
