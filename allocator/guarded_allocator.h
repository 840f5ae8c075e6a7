#ifndef MMSB_ALLOCATOR_GUARDED_ALLOCATOR_H_
#define MMSB_ALLOCATOR_GUARDED_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>

#include "allocator/allocator_stats.h"
#include "allocator/block_table.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"
#include "primitives/bytes.h"
#include "primitives/os_memory.h"

namespace mmsb {

struct GuardedAllocatorOptions {
  // Where memory comes from; null for SystemMapper(). Outlives the allocator.
  MemoryMapper* mapper = nullptr;

  // How many freed blocks are kept inaccessible, and how many bytes of address
  // space their regions may take; the oldest go first.
  size_t quarantine_blocks = 1024;
  size_t quarantine_bytes = kGiB;
};

// Finds the write behind a block, the use after free and the double free where
// they happen, in every build: a block has a mapping of its own, ends at an
// inaccessible granule, and stays inaccessible after it was freed. For
// debugging, and as the upstream of an allocator under suspicion.
//
//       guard     | canary |  block  | canary |     guard
//     no access   |        granules           |   no access
//
// What is left between the last byte and the guard (less than the alignment)
// and before the first byte is filled with a canary, which is looked at when
// the block comes back; so a block whose size is a multiple of its alignment
// has the guard right behind it.
//
// Owns its regions and its table of them. The mapper is not owned. Neither
// copied nor moved. Blocks that are live at the end are unmapped with it.
//
// Not thread-safe; LockedAllocator makes it so.
//
// Null when the mapper or the heap has no more; before that the quarantine is
// emptied. Memory that the system refuses to take back stays in quarantine, and
// is tried again; the memory checkers are told that it is nobody's.
// Deallocate() ends the process when the block is in quarantine (double free),
// not live (foreign or interior pointer), was allocated with another size or
// alignment, or when its canary was overwritten. An access to a guard or to a
// freed block ends the process with SIGSEGV.
//
// Some system calls a block, tens of microseconds, and at least two granules of
// address space and one of memory.
//
//   GuardedAllocator guarded;
//   auto* p = static_cast<char*>(guarded.Allocate(100, 1));
//   p[100] = 0;  // SIGSEGV
class GuardedAllocator {
 public:
  using Options = GuardedAllocatorOptions;

  GuardedAllocator() : GuardedAllocator(Options{}) {}
  explicit GuardedAllocator(const Options& options);
  GuardedAllocator(const GuardedAllocator&) = delete;
  GuardedAllocator& operator=(const GuardedAllocator&) = delete;
  ~GuardedAllocator();

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept;
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept;

  // A fresh region is zero: costs what Allocate() does.
  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept;

  // True for every byte of a live block, and no other. O(live blocks).
  [[nodiscard]] bool Owns(const void* p) const noexcept;

  // Looks at the canaries of all live blocks, as Deallocate() does of one.
  // O(live blocks).
  void CheckCanaries() const noexcept;

  // Live counts the accessible granules of live blocks; cached, those of freed
  // blocks that the system refused to take back; metadata is the tables.
  // Address space without memory (guards, quarantine) is not counted.
  [[nodiscard]] AllocatorStats Stats() const noexcept;

  // Address space of the regions in quarantine, in bytes.
  [[nodiscard]] size_t quarantined_bytes() const noexcept {
    return quarantined_bytes_;
  }

 private:
  using Table = BlockTable<SystemSource>;
  using Entry = Table::Entry;

  // The region around a block, from its address, size and alignment.
  struct Region {
    std::byte* base;       // of the guard before the block
    size_t total_bytes;    // with both guards
    std::byte* data;       // first accessible byte
    size_t data_bytes;     // up to the guard behind the block
    std::byte* block;      // first byte of the block
    std::byte* block_end;  // behind its last byte
  };

  // Offsets and sizes that a request comes to; false when they overflow.
  struct Shape {
    size_t lead_bytes;   // from the base to the first accessible byte
    size_t data_bytes;   // accessible
    size_t total_bytes;  // with both guards
    size_t offset;       // of the block in the accessible bytes
  };
  [[nodiscard]] bool Measure(size_t bytes, size_t alignment,
                             Shape* shape) const;
  [[nodiscard]] Region RegionOf(const Entry& entry) const;

  [[nodiscard]] void* Take(size_t bytes, size_t alignment,
                           const Shape& shape) noexcept;
  void CheckCanary(const Entry& entry) const;
  void Evict(size_t blocks, size_t bytes) noexcept;

  MemoryMapper& mapper_;
  const size_t quarantine_blocks_;
  const size_t quarantine_limit_;  // bytes
  const size_t granule_;           // bytes
  size_t quarantined_bytes_ = 0;
  size_t live_ = 0;     // bytes
  size_t refused_ = 0;  // bytes in quarantine that still have memory
  size_t peak_ = 0;     // bytes
  uint64_t allocations_ = 0;
  uint64_t deallocations_ = 0;
  uint64_t failures_ = 0;
  Table live_table_;
  Table quarantine_;
};

static_assert(OwningAllocator<GuardedAllocator>);
static_assert(CountingAllocator<GuardedAllocator>);
static_assert(ZeroingAllocator<GuardedAllocator>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_GUARDED_ALLOCATOR_H_
