#ifndef MMSB_ALLOCATOR_SLAB_SIZE_CLASSES_H_
#define MMSB_ALLOCATOR_SLAB_SIZE_CLASSES_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "primitives/bytes.h"

namespace mmsb {

// The sizes of the slab allocator's blocks, in bytes: multiples of 8 up to 128,
// and from there 8 in every doubling, up to 32 KiB.
//
//   requests       blocks at multiples of   most lost to rounding
//   1 .. 64        8                        7 bytes
//   65 .. 128      8                        7 of 72      9.7 %
//   129 .. 256     16                       15 of 144   10.4 %
//   257 .. 512     32                       31 of 288   10.8 %
//   ...            twice the line above     1/9 of the block at most, 11.1 %
//   16385 .. 32 K  2048                     2047 of 18432   11.1 %
//   more           the system's granule     4095 of 36864   11.1 % with 4 KiB
//
// Just above a power of two the next block is one eighth larger, so less than
// an eighth of the request is lost: below the 12.5 % that this layer promises.
// Four sizes a doubling would lose up to a quarter.
//
// A block of a size that is a multiple of an alignment A lies at a multiple of
// A, so a request with an alignment is one for its size rounded up to it: all
// sizes up to 32 KiB are either a multiple of A or have multiples of A as their
// step.
inline constexpr size_t kSlabClasses = 80;
inline constexpr size_t kSlabMaxBytes = 32 * kKiB;

// Which class serves `bytes`, from 1 to kSlabMaxBytes. The first 16 classes are
// 8 bytes apart; behind them the step is the number's leading bit, divided by
// 8.
[[nodiscard]] constexpr size_t SlabClassOf(size_t bytes) {
  const size_t eighths = (bytes - 1) / 8;
  const int shift = std::bit_width(eighths | 8) - 4;
  return static_cast<size_t>(shift) * 8 + (eighths >> shift);
}

namespace slab_internal {

// SlabClassOf() of each multiple of 8 bytes, by the number of eights: a load
// that most often hits, where the leading bit takes some ten instructions.
inline constexpr auto kClassOfEights = [] {
  std::array<uint8_t, kSlabMaxBytes / 8 + 1> classes{};
  for (size_t i = 1; i < classes.size(); ++i) {
    classes[i] = static_cast<uint8_t>(SlabClassOf(i * 8));
  }
  return classes;
}();

}  // namespace slab_internal

// Bytes of a block of class `slab_class`.
[[nodiscard]] constexpr size_t SlabClassBytes(size_t slab_class) {
  if (slab_class < 16) return (slab_class + 1) * 8;
  return (slab_class % 8 + 9) << (slab_class / 8 + 2);
}

// What SlabClassOf() cannot serve, and what has no answer at all.
[[nodiscard]] constexpr bool IsSlabRequest(size_t bytes, size_t alignment) {
  // A size of 1 less than 0 is large too.
  return bytes <= kSlabMaxBytes && alignment - 1 < kSlabMaxBytes &&
         (alignment & (alignment - 1)) == 0;
}

// The class for a request that IsSlabRequest(). kSlabMaxBytes is a multiple of
// all such alignments, so rounding up to one stays below it.
[[nodiscard]] constexpr size_t SlabClassOf(size_t bytes, size_t alignment) {
  const size_t least = bytes + (bytes == 0 ? 1 : 0);
  const size_t mask = (alignment - 1) | 7;
  return slab_internal::kClassOfEights[((least + mask) & ~mask) / 8];
}

namespace slab_internal {

// Slabs are made of these: address space is given to classes, and memory back
// to the system, in units. 64 KiB is the largest granule of any Linux.
inline constexpr size_t kUnitBytes = 64 * kKiB;

// In a descriptor are bits for so many blocks; slabs of more keep theirs in
// front of their blocks.
inline constexpr size_t kInlineBits = 512;

struct ClassShape {
  uint32_t bytes;           // of a block
  uint32_t units;           // of a slab
  uint32_t blocks;          // of a slab
  uint32_t first;           // offset of the first block, bytes
  uint32_t cache_capacity;  // blocks that a thread, or the depot, keeps
  uint64_t reciprocal;      // 2^40 / bytes, rounded up
};

// An offset into the blocks of a slab divided by their size. Exact: the offset
// is below 2^18 and the reciprocal less than 1 too large.
[[nodiscard]] constexpr size_t DivideByBytes(size_t offset,
                                             const ClassShape& shape) {
  return static_cast<size_t>(offset * shape.reciprocal >> 40);
}

[[nodiscard]] constexpr ClassShape MakeClassShape(size_t slab_class) {
  const size_t bytes = SlabClassBytes(slab_class);
  // Few enough blocks a slab would leave much of its end unused.
  const size_t units = bytes > 4 * kKiB ? 4 : 1;
  const size_t slab_bytes = units * kUnitBytes;
  size_t blocks = slab_bytes / bytes;
  size_t first = 0;
  if (blocks > kInlineBits) {
    const size_t bits_bytes = (blocks + 63) / 64 * 8;
    first = (bits_bytes + 63) / 64 * 64;  // keeps blocks of 64 bytes aligned
    blocks = (slab_bytes - first) / bytes;
  }
  // 32 KiB of each class, but 8 blocks so that there are batches, and no more
  // than 128, which a batch makes cheap enough.
  const size_t capacity = std::clamp<size_t>(32 * kKiB / bytes, 8, 128);
  return {.bytes = static_cast<uint32_t>(bytes),
          .units = static_cast<uint32_t>(units),
          .blocks = static_cast<uint32_t>(blocks),
          .first = static_cast<uint32_t>(first),
          .cache_capacity = static_cast<uint32_t>(capacity),
          .reciprocal = (uint64_t{1} << 40) / bytes + 1};
}

inline constexpr auto kClassShapes = [] {
  std::array<ClassShape, kSlabClasses> shapes{};
  for (size_t i = 0; i < kSlabClasses; ++i) shapes[i] = MakeClassShape(i);
  return shapes;
}();

inline constexpr size_t kMaxCacheCapacity = 128;

// Slots of a thread's cache, all classes together.
inline constexpr size_t kCacheSlots = [] {
  size_t slots = 0;
  for (const ClassShape& shape : kClassShapes) slots += shape.cache_capacity;
  return slots;
}();

}  // namespace slab_internal

static_assert(SlabClassOf(kSlabMaxBytes) == kSlabClasses - 1);
static_assert(SlabClassOf(kSlabMaxBytes, kSlabMaxBytes) == kSlabClasses - 1);
static_assert(SlabClassBytes(kSlabClasses - 1) == kSlabMaxBytes);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_SLAB_SIZE_CLASSES_H_
