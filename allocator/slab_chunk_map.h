#ifndef MMSB_ALLOCATOR_SLAB_CHUNK_MAP_H_
#define MMSB_ALLOCATOR_SLAB_CHUNK_MAP_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "allocator/lockfree_sync.h"
#include "allocator/slab_chunk.h"
#include "allocator/slab_metadata.h"
#include "primitives/alignment.h"

namespace mmsb::slab_internal {

// Which chunks of the address space are an allocator's: one bit for each 16 MiB
// of the low 2^48 bytes, in leaves of 8 KiB for 2^40 bytes each that are made
// when needed.
//
// Contains() may be called on any thread at any time, with any address; the
// others by one thread at a time. Constant time. Who finds a chunk sees
// what its maker did before Add().
template <class Sync = SystemSync>
class BasicChunkMap {
  template <class T>
  using Atomic = typename Sync::template Atomic<T>;
  using Word = Atomic<uint64_t>;

 public:
  // True when Add() has room for the chunk, which may take memory for a leaf.
  // False, and nothing changed, when there is none, or when the address is
  // beyond the map.
  [[nodiscard]] bool HasRoom(const void* chunk, Metadata& metadata) {
    const uint64_t number = Number(chunk);
    if (number >= kLeaves * kLeafBits) return false;
    Atomic<Word*>& leaf = leaves_[number / kLeafBits];
    // relaxed: written by callers of this, one at a time.
    if (leaf.load(std::memory_order_relaxed) != nullptr) return true;
    auto* const words = static_cast<Word*>(
        metadata.Take(kLeafBits / 64 * sizeof(Word), Alignment::Of<Word>()));
    if (words == nullptr) return false;
    std::uninitialized_value_construct_n(words, kLeafBits / 64);
    // release: pairs with the acquire in Contains; the words are zero.
    leaf.store(words, std::memory_order_release);
    return true;
  }

  // After HasRoom() of the chunk, once, said so.
  void Add(const void* chunk) {
    const uint64_t number = Number(chunk);
    // relaxed: as in HasRoom. release: pairs with the acquire in Contains; the
    // chunk's head is there.
    leaves_[number / kLeafBits]
        .load(std::memory_order_relaxed)[number % kLeafBits / 64]
        .fetch_or(uint64_t{1} << number % 64, std::memory_order_release);
  }

  void Remove(const void* chunk) {
    const uint64_t number = Number(chunk);
    // relaxed: as in HasRoom; nobody has a block of the chunk.
    leaves_[number / kLeafBits]
        .load(std::memory_order_relaxed)[number % kLeafBits / 64]
        .fetch_and(~(uint64_t{1} << number % 64), std::memory_order_relaxed);
  }

  // True when `p` points into a chunk.
  [[nodiscard]] bool Contains(const void* p) const {
    const uint64_t number = Number(p);
    if (number >= kLeaves * kLeafBits) return false;
    // acquire: pairs with the release in HasRoom.
    const Word* const words =
        leaves_[number / kLeafBits].load(std::memory_order_acquire);
    // acquire: pairs with the release in Add.
    return words != nullptr &&
           (words[number % kLeafBits / 64].load(std::memory_order_acquire) >>
                number % 64 &
            1) != 0;
  }

 private:
  static constexpr uint64_t kLeafBits = 1 << 16;
  static constexpr uint64_t kLeaves = 1 << 8;

  static uint64_t Number(const void* p) {
    return reinterpret_cast<uintptr_t>(p) / kChunkBytes;
  }

  std::array<Atomic<Word*>, kLeaves> leaves_ = {};
};

using ChunkMap = BasicChunkMap<>;

}  // namespace mmsb::slab_internal

#endif  // MMSB_ALLOCATOR_SLAB_CHUNK_MAP_H_
