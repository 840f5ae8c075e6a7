#ifndef MMSB_MEMORY_STORE_PAGE_TABLE_H_
#define MMSB_MEMORY_STORE_PAGE_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "allocator/allocator_stats.h"
#include "allocator/memory_pool.h"
#include "memory/store/page_version.h"

namespace mmsb {

// One leaf of a PageTable.
struct PageTableLeaf {
  static constexpr size_t kPages = 1024;

  std::array<PageVersion, kPages> versions;
  std::array<uint32_t, kPages> checksums;
  uint32_t checksum;        // of the first `checksum_pages` of `checksums`
  uint32_t checksum_pages;  // 0: not known
};

// The leaves of the page tables of one store, as blocks of a MemoryPool.
// Must outlive the tables. Not thread-safe.
class PageTablePool {
 public:
  PageTablePool() : pool_({.block_size = sizeof(PageTableLeaf)}) {}

  // A copy of `leaf`, or one of zero pages when it is null; null when there is
  // no memory.
  std::shared_ptr<PageTableLeaf> New(const PageTableLeaf* leaf,
                                     uint32_t zero_page_checksum);
  AllocatorStats Stats() const { return pool_.Stats(); }

 private:
  MemoryPool<> pool_;
};

// Where each page of one epoch lies, and what its checksum is: the newest
// version of every page, and the checksum tree over them.
//
// The tree: level 0 is the CRC-32C of every page; level k + 1 has the CRC-32C
// of each 1024 consecutive values of level k, fewer at the end, as
// little-endian 32-bit integers; the root is the one value of the first level
// that has no more than one. No pages at all have the root 0. The root depends
// on the contents alone, not on how they came about.
//
// Copies share leaves until one of them writes (copy on write), so a copy costs
// 16 bytes per 1024 pages. Owns its leaves; the pool must outlive it.
// Thread-compatible, all tables of one pool taken together.
// Get is O(1); Set O(1) and a leaf's copy the first time; Root O(leaves +
// leaves changed since the last call * 1024).
//
//   PageTable next = newest;
//   next.Resize(pages);
//   next.Set(page, version, checksum);
//   if (next.Root() != recorded) ...
class PageTable {
 public:
  struct Entry {
    PageVersion version;
    uint32_t checksum;  // CRC-32C of the page's contents

    friend bool operator==(const Entry&, const Entry&) = default;
  };

  // The most pages in a table. It bounds what a table allocates for a size that
  // was read from a file.
  static constexpr uint64_t kMaxPages = uint64_t{1} << 32;

  // A table of no pages, each of which would have `page_bytes` bytes.
  PageTable(PageTablePool& pool, size_t page_bytes);

  uint64_t pages() const { return pages_; }

  // Pages that are added are zero. OutOfRange above kMaxPages,
  // ResourceExhausted when there is no memory.
  absl::Status Resize(uint64_t pages);

  // `page` must be below pages().
  Entry Get(uint64_t page) const;
  // ResourceExhausted when there is no memory.
  absl::Status Set(uint64_t page, const Entry& entry);

  uint32_t Root();

  struct Counts {
    uint64_t zero = 0;   // pages that are stored nowhere
    uint64_t delta = 0;  // pages that are stored as a difference
  };
  // O(leaves + pages in leaves that are not zero throughout).
  Counts Count() const;

  // How many entries differ from zero(). O(1).
  uint64_t stored_pages() const { return stored_pages_; }

  // The first page from `page` on whose entry differs from zero(), or pages().
  // O(leaves passed + 1024).
  uint64_t NextStored(uint64_t page) const;

  Entry zero() const { return Entry{PageVersion{}, zero_page_checksum_}; }

 private:
  uint32_t LeafChecksum(size_t leaf);

  PageTablePool* pool_;
  uint32_t zero_page_checksum_;
  uint32_t zero_leaf_checksum_;
  uint64_t pages_ = 0;
  uint64_t stored_pages_ = 0;
  std::vector<std::shared_ptr<PageTableLeaf>> leaves_;  // null: zero pages
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_PAGE_TABLE_H_
