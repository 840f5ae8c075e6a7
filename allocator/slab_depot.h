#ifndef MMSB_ALLOCATOR_SLAB_DEPOT_H_
#define MMSB_ALLOCATOR_SLAB_DEPOT_H_

#include <cstddef>
#include <cstdint>

#include "allocator/slab_chunk.h"
#include "allocator/slab_memory.h"
#include "allocator/slab_metadata.h"
#include "allocator/slab_units.h"
#include "primitives/cache_line.h"
#include "primitives/os_clock.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb::slab_internal {

// What all threads share of one class: its slabs, and in front of them the
// depot, a stack of addresses through which blocks change threads in batches,
// without a look at them or at their slabs. What finds no room there goes home
// to its slab. (Magazines and their depot: Bonwick and Adams, "Magazines and
// Vmem", USENIX 2001.)
//
// A slab of which all blocks are out is in no list. One that gets a block back
// goes to the front of the list that Take() takes from, so that slabs which are
// nearly all out are filled first, and those that are nearly empty, at its end,
// have time to become so.
//
// Owned by a heap; its slabs belong to Units. Thread-safe. Take() comes short
// when the system has no more.
class alignas(kFalseSharingBytes) Depot {
 public:
  // In blocks of the class.
  struct Counts {
    size_t slabs = 0;
    size_t out = 0;     // of the slabs: with threads, or here
    size_t cached = 0;  // here
    uint64_t taken = 0;
    uint64_t given = 0;
  };

  Depot() = default;
  Depot(const Depot&) = delete;
  Depot& operator=(const Depot&) = delete;

  // Before anything else. The lock may be that of other depots too.
  void Start(size_t slab_class, Mutex& mutex, Units& units, Metadata& metadata,
             const Clock& clock) {
    slab_class_ = slab_class;
    mutex_ = &mutex;
    units_ = &units;
    metadata_ = &metadata;
    clock_ = &clock;
  }

  // Stores up to `most` blocks; how many.
  [[nodiscard]] size_t Take(void** to, size_t most);

  void Give(void* const* blocks, size_t count);

  // Sends blocks home: all of them, or those that nobody asked for since the
  // last call.
  void Drain();
  void DrainIdle();

  // Gives the memory of whole granules in which no block is out back to the
  // system, of slabs that no block left or came to since `deadline`, as far as
  // is known: who changed since the last call did so `now`. They stay
  // committed. Lets go of the lock at times.
  void DiscardIdle(Memory& memory, int64_t now, int64_t deadline);

  [[nodiscard]] Counts GetCounts();

 private:
  size_t TakeFromSlabs(void** to, size_t most) MMSB_REQUIRES(*mutex_);
  void GiveToSlabs(void* const* blocks, size_t count) MMSB_REQUIRES(*mutex_);
  void DrainCount(size_t count) MMSB_REQUIRES(*mutex_);
  // False when there may be more.
  [[nodiscard]] bool DiscardSome(Memory& memory, int64_t deadline);
  void Link(Slab* slab) MMSB_REQUIRES(*mutex_);
  void Unlink(Slab* slab) MMSB_REQUIRES(*mutex_);

  Mutex* mutex_ = nullptr;
  void** stack_ MMSB_GUARDED_BY(*mutex_) = nullptr;
  size_t count_ MMSB_GUARDED_BY(*mutex_) = 0;
  size_t least_ MMSB_GUARDED_BY(*mutex_) = 0;  // count_ since DrainIdle()
  Slab* with_blocks_ MMSB_GUARDED_BY(*mutex_) = nullptr;
  size_t slabs_ MMSB_GUARDED_BY(*mutex_) = 0;
  size_t out_ MMSB_GUARDED_BY(*mutex_) = 0;
  uint64_t taken_ MMSB_GUARDED_BY(*mutex_) = 0;
  uint64_t given_ MMSB_GUARDED_BY(*mutex_) = 0;
  size_t slab_class_ = 0;
  Units* units_ = nullptr;
  Metadata* metadata_ = nullptr;
  const Clock* clock_ = nullptr;
};

}  // namespace mmsb::slab_internal

#endif  // MMSB_ALLOCATOR_SLAB_DEPOT_H_
