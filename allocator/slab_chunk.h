#ifndef MMSB_ALLOCATOR_SLAB_CHUNK_H_
#define MMSB_ALLOCATOR_SLAB_CHUNK_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "allocator/slab_size_classes.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/cache_line.h"

namespace mmsb::slab_internal {

inline constexpr size_t kChunkBytes = 16 * kMiB;
inline constexpr size_t kChunkUnits = kChunkBytes / kUnitBytes;

// One or four units that hold blocks of one class: the descriptor, which lies
// at the start of the chunk and not among the blocks, so that blocks keep the
// alignment of their size and bookkeeping touches none of them.
//
// Which blocks are in the slab, and not with a thread or a depot, is a bit
// each. Guarded by the lock of the class; `blocks`, `head` and `slab_class` do
// not change while a block is out, so that whoever holds one may read them.
struct alignas(kFalseSharingBytes) Slab {
  // In place of a time: blocks left or came since somebody looked; and since
  // then what is free of it has no memory.
  static constexpr int64_t kChanged = std::numeric_limits<int64_t>::max() - 1;
  static constexpr int64_t kGivenBack = std::numeric_limits<int64_t>::max();

  Slab* next = nullptr;  // in the class's list of slabs with free blocks
  Slab* previous = nullptr;
  std::byte* blocks = nullptr;
  uint64_t* free_bits = nullptr;  // set: the block is here
  uint32_t out = 0;               // blocks that are not here
  uint32_t first_word = 0;        // no bit is set in a word before this one
  uint16_t head = 0;              // unit in which the slab begins
  uint8_t slab_class = 0;
  int64_t emptied_at = 0;  // of a unit that waits for the system, nanoseconds
  int64_t idle_since = 0;  // of a slab in use: no block left or came
  std::array<uint64_t, kInlineBits / 64> inline_bits = {};

  [[nodiscard]] const ClassShape& shape() const {
    return kClassShapes[slab_class];
  }

  // Makes this, whose units are committed at `base`, a slab of `new_class`
  // with all blocks in it.
  void Start(std::byte* base, size_t new_class) {
    slab_class = static_cast<uint8_t>(new_class);
    const ClassShape& its = shape();
    blocks = base + its.first;
    free_bits =
        its.first != 0 ? reinterpret_cast<uint64_t*>(base) : inline_bits.data();
    std::fill_n(free_bits, its.blocks / 64, ~uint64_t{0});
    if (its.blocks % 64 != 0) {
      free_bits[its.blocks / 64] = (uint64_t{1} << its.blocks % 64) - 1;
    }
    out = 0;
    first_word = 0;
    idle_since = kChanged;
  }

  // Moves up to `most` blocks out, in the order of addresses; how many.
  size_t Take(void** to, size_t most) {
    const ClassShape& its = shape();
    const size_t count = std::min<size_t>(most, its.blocks - out);
    size_t word = first_word;
    for (size_t i = 0; i < count; ++i) {
      while (free_bits[word] == 0) ++word;
      const size_t bit = static_cast<size_t>(std::countr_zero(free_bits[word]));
      free_bits[word] &= free_bits[word] - 1;
      to[i] = blocks + (word * 64 + bit) * its.bytes;
    }
    first_word = static_cast<uint32_t>(word);
    idle_since = kChanged;
    out += static_cast<uint32_t>(count);
    return count;
  }

  [[nodiscard]] bool IsHere(size_t index) const {
    return (free_bits[index / 64] >> index % 64 & 1) != 0;
  }

  // Which block begins at `p`, or holds it.
  [[nodiscard]] size_t IndexOf(const void* p) const {
    return DivideByBytes(
        static_cast<size_t>(static_cast<const std::byte*>(p) - blocks),
        shape());
  }

  // Takes a block back. False when it is here already.
  bool Give(const void* p) {
    const size_t index = IndexOf(p);
    const uint64_t bit = uint64_t{1} << index % 64;
    const auto word = static_cast<uint32_t>(index / 64);
    if ((free_bits[word] & bit) != 0) return false;
    free_bits[word] |= bit;
    first_word = std::min(first_word, word);
    idle_since = kChanged;
    --out;
    return true;
  }

  // Calls `visit(std::byte* begin, size_t bytes)` with each run of whole
  // granules that blocks, all of them here, fill.
  template <class Visit>
  void ForEachFreeRun(Alignment granule, Visit&& visit) {
    const ClassShape& its = shape();
    const size_t end = size_t{its.first} + size_t{its.blocks} * its.bytes;
    const size_t step = granule.bytes();
    std::byte* const base = blocks - its.first;
    // Bits in front of the blocks have their granule to themselves.
    const size_t begin = (its.first + step - 1) / step * step;
    size_t run = begin;
    for (size_t at = begin; at < end; at += step) {
      const size_t last =
          (std::min(at + step, end) - 1 - its.first) / its.bytes;
      size_t i = (at - its.first) / its.bytes;
      while (i <= last && IsHere(i)) ++i;
      if (i > last) continue;
      if (run < at) visit(base + run, at - run);
      run = at + step;
    }
    if (run < end) visit(base + run, (end - run + step - 1) / step * step);
  }

  template <class Visit>
  void ForEachOut(Visit&& visit) const {
    const ClassShape& its = shape();
    for (size_t i = 0; i < its.blocks; ++i) {
      if (!IsHere(i)) visit(blocks + i * its.bytes, its.bytes);
    }
  }
};
static_assert(sizeof(Slab) == kFalseSharingBytes);

// 16 MiB of address space at a multiple of its size, the first units of which
// hold this: what a block's slab is found by.
struct Chunk {
  using Bits = std::array<uint64_t, kChunkUnits / 64>;

  Chunk* next = nullptr;  // of all chunks
  Chunk* previous = nullptr;
  Bits clean = {};     // units that are reserved only
  Bits dirty = {};     // units that are committed and hold no slab
  Bits doubtful = {};  // dirty ones that the system refused, perhaps halfway
  uint32_t clean_units = 0;
  uint32_t dirty_units = 0;
  std::array<Slab, kChunkUnits> slabs;

  [[nodiscard]] static Chunk* Of(const void* p) {
    return reinterpret_cast<Chunk*>(reinterpret_cast<uintptr_t>(p) &
                                    ~(kChunkBytes - 1));
  }

  // The slab of a block, or of a descriptor's unit.
  [[nodiscard]] static Slab* SlabOf(const void* p) {
    Chunk* const chunk = Of(p);
    const size_t unit =
        (reinterpret_cast<uintptr_t>(p) & (kChunkBytes - 1)) / kUnitBytes;
    return &chunk->slabs[chunk->slabs[unit].head];
  }

  [[nodiscard]] std::byte* UnitAt(size_t unit) {
    return reinterpret_cast<std::byte*>(this) + unit * kUnitBytes;
  }

  static bool Has(const Bits& bits, size_t unit) {
    return (bits[unit / 64] >> unit % 64 & 1) != 0;
  }
  static void Flip(Bits& bits, size_t unit) {
    bits[unit / 64] ^= uint64_t{1} << unit % 64;
  }

  // One bit for every 8 bytes of the chunk, set while a block that begins there
  // is live: behind the descriptors of an allocator that checks its callers.
  [[nodiscard]] static std::atomic<uint64_t>& LiveWord(const void* p) {
    const size_t offset = reinterpret_cast<uintptr_t>(p) & (kChunkBytes - 1);
    return reinterpret_cast<std::atomic<uint64_t>*>(
        reinterpret_cast<std::byte*>(Of(p)) + kUnitBytes)[offset / 512];
  }
  [[nodiscard]] static uint64_t LiveBit(const void* p) {
    return uint64_t{1} << reinterpret_cast<uintptr_t>(p) / 8 % 64;
  }
  static constexpr size_t kLiveBytes = kChunkBytes / 64;
};
static_assert(sizeof(Chunk) <= kUnitBytes);
static_assert(Chunk::kLiveBytes % kUnitBytes == 0);

}  // namespace mmsb::slab_internal

#endif  // MMSB_ALLOCATOR_SLAB_CHUNK_H_
