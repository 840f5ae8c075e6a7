#ifndef MMSB_ALLOCATOR_SLAB_LARGE_BLOCKS_H_
#define MMSB_ALLOCATOR_SLAB_LARGE_BLOCKS_H_

#include <cstddef>
#include <cstdint>

#include "allocator/size_histogram.h"
#include "allocator/slab_memory.h"
#include "primitives/alignment.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb::slab_internal {

// Blocks that are mappings of their own, and a directory of them in the order
// of their addresses.
//
// Owns both. Thread-safe. Null when the system has no more. Besides the
// system's calls, O(log n) to find one of n blocks, and O(n) short moves to
// enter or remove it.
class LargeBlocks {
 public:
  struct Counts {
    size_t live = 0;        // bytes
    size_t unreleased = 0;  // bytes that the system refused to take back
    size_t directory = 0;   // bytes
    uint64_t allocations = 0;
    uint64_t deallocations = 0;
    size_t live_blocks = 0;
  };

  explicit LargeBlocks(Memory& memory) : memory_(memory) {}
  LargeBlocks(const LargeBlocks&) = delete;
  LargeBlocks& operator=(const LargeBlocks&) = delete;
  ~LargeBlocks();

  // Bytes of the block that serves a request, in whole granules; false when it
  // overflows. `bytes` of 0 is 1.
  [[nodiscard]] bool BlockBytes(size_t bytes, size_t* block_bytes) const;

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment);

  // Gives back the block that begins at `p`. False when there is none.
  [[nodiscard]] bool Deallocate(void* p);

  // Makes the block at `p` one of `bytes` bytes where it lies; an end that the
  // system refuses is kept for Purge(). False, and nothing changed, when the
  // block would have to grow, or there is no room to note that end.
  [[nodiscard]] bool Shrink(void* p, size_t bytes);

  // Makes the block at `p`, of that alignment, a larger one of `bytes` bytes,
  // and returns where it is now. Null, and nothing changed, when it need not
  // grow, or the system can do no better than a copy.
  [[nodiscard]] void* Grow(void* p, size_t bytes, size_t alignment);

  // The block that `p` points into: its first byte, or null, and its size.
  [[nodiscard]] void* Find(const void* p, size_t* bytes);

  // Tries again what the system refused to take back; how many bytes it took.
  size_t Purge();

  template <class Visit>
  void ForEach(Visit&& visit) {
    const MutexLock lock(mutex_);
    for (size_t i = 0; i < count_; ++i) {
      if (entries_[i].live) {
        visit(reinterpret_cast<void*>(entries_[i].address), entries_[i].bytes);
      }
    }
  }

  // A block of another size than it was counts as one given back and one
  // handed out; so below.
  [[nodiscard]] Counts GetCounts();

  [[nodiscard]] SizeHistogram Histogram();

  // For the fork hook.
  Mutex& mutex() { return mutex_; }

 private:
  struct Entry {
    uintptr_t address;
    size_t bytes;
    bool live;  // or the system refused to take it back
  };

  [[nodiscard]] Alignment BlockAlignment(size_t alignment) const;
  // The first entry behind `address`.
  [[nodiscard]] size_t FindBehind(uintptr_t address) MMSB_REQUIRES(mutex_);
  // The live entry that begins at `p`, or null.
  [[nodiscard]] Entry* FindLive(const void* p) MMSB_REQUIRES(mutex_);
  // True when Enter() has room for one more, which may take memory.
  [[nodiscard]] bool HasRoom() MMSB_REQUIRES(mutex_);
  void Enter(void* p, size_t bytes, bool live) MMSB_REQUIRES(mutex_);
  void Remove(Entry* entry) MMSB_REQUIRES(mutex_);
  void CountResized(size_t bytes, size_t new_bytes) MMSB_REQUIRES(mutex_);
  [[nodiscard]] bool GrowDirectory() MMSB_REQUIRES(mutex_);

  Memory& memory_;
  Mutex mutex_;
  Entry* entries_ MMSB_GUARDED_BY(mutex_) = nullptr;
  size_t count_ MMSB_GUARDED_BY(mutex_) = 0;
  size_t directory_bytes_ MMSB_GUARDED_BY(mutex_) = 0;
  Counts counts_ MMSB_GUARDED_BY(mutex_);
  SizeHistogram sizes_ MMSB_GUARDED_BY(mutex_);
};

}  // namespace mmsb::slab_internal

#endif  // MMSB_ALLOCATOR_SLAB_LARGE_BLOCKS_H_
