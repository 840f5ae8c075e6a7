#ifndef MMSB_ALLOCATOR_SLAB_UNITS_H_
#define MMSB_ALLOCATOR_SLAB_UNITS_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "allocator/slab_chunk.h"
#include "allocator/slab_chunk_map.h"
#include "allocator/slab_memory.h"
#include "allocator/slab_metadata.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb::slab_internal {

// The chunks of an allocator, and which of their units hold slabs.
//
//   a unit is   memory behind it   becomes
//   clean       none               in use, by Take()
//   in use      as touched         dirty, by Give()
//   dirty       as touched         in use, by Take(), which prefers it;
//                                  clean, by ReleaseOlder()
//
// A chunk of clean units goes back to the system as a whole, in ReleaseOlder().
//
// Owns the chunks. Thread-safe. Null when the system has no more. A call looks
// at each chunk that has units to spare, at worst.
class Units {
 public:
  // What everything together is, in bytes.
  struct Sums {
    size_t dirty = 0;
    size_t descriptors = 0;
  };

  // With `live_bits`, chunks have room for Chunk::LiveWord().
  Units(Memory& memory, Metadata& metadata, bool live_bits)
      : memory_(memory),
        metadata_(metadata),
        first_unit_(1 + (live_bits ? Chunk::kLiveBytes / kUnitBytes : 0)) {}
  Units(const Units&) = delete;
  Units& operator=(const Units&) = delete;
  ~Units();

  // A slab of this class, all its blocks in it.
  [[nodiscard]] Slab* Take(size_t slab_class);

  // Takes a slab back that holds all its blocks; `now` is for ReleaseOlder().
  void Give(Slab* slab, int64_t now);

  // Gives the memory of what became dirty at `deadline` or before back to the
  // system, and says how many bytes that was.
  size_t ReleaseOlder(int64_t deadline);

  [[nodiscard]] const ChunkMap& map() const { return map_; }

  [[nodiscard]] Sums GetSums();

  // Calls `visit(const Slab&)` with each slab. It may not change any.
  template <class Visit>
  void ForEachSlab(Visit&& visit) {
    const MutexLock lock(mutex_);
    for (Chunk* chunk = chunks_; chunk != nullptr; chunk = chunk->next) {
      for (size_t unit = first_unit_; unit < kChunkUnits; ++unit) {
        if (IsInUse(*chunk, unit) && chunk->slabs[unit].head == unit) {
          visit(static_cast<const Slab&>(chunk->slabs[unit]));
        }
      }
    }
  }

  // For the fork hook.
  Mutex& mutex() { return mutex_; }

 private:
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();

  static bool IsInUse(const Chunk& chunk, size_t unit) {
    return !Chunk::Has(chunk.clean, unit) && !Chunk::Has(chunk.dirty, unit);
  }

  // Where `units` units, one or an aligned four, that are not in use begin, or
  // kNone; with `only_dirty`, that are dirty.
  static size_t FindUnits(const Chunk& chunk, size_t units, bool only_dirty);
  // The first chunk that has such, or null.
  [[nodiscard]] Chunk* FindUnits(size_t units, bool only_dirty, size_t* unit)
      MMSB_REQUIRES(mutex_);

  // Bytes at the start of a chunk that are committed as long as it lives.
  [[nodiscard]] size_t HeadBytes() const;

  [[nodiscard]] Chunk* AddChunk() MMSB_REQUIRES(mutex_);
  [[nodiscard]] bool RemoveChunk(Chunk* chunk) MMSB_REQUIRES(mutex_);
  [[nodiscard]] bool CommitUnits(Chunk* chunk, size_t unit, size_t units)
      MMSB_REQUIRES(mutex_);

  // Decommits the dirty units from `unit` on that are old enough; how many.
  size_t ReleaseRun(Chunk* chunk, size_t unit, int64_t deadline)
      MMSB_REQUIRES(mutex_);

  Memory& memory_;
  Metadata& metadata_;
  const size_t first_unit_;  // that is not the chunk's own
  Mutex mutex_;
  Chunk* chunks_ MMSB_GUARDED_BY(mutex_) = nullptr;
  size_t chunk_count_ MMSB_GUARDED_BY(mutex_) = 0;
  size_t dirty_units_ MMSB_GUARDED_BY(mutex_) = 0;
  ChunkMap map_;
};

}  // namespace mmsb::slab_internal

#endif  // MMSB_ALLOCATOR_SLAB_UNITS_H_
