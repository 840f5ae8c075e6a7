#ifndef MMSB_MEMORY_STORE_PAGE_TABLE_H_
#define MMSB_MEMORY_STORE_PAGE_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "allocator/allocator_stats.h"
#include "allocator/memory_pool.h"
#include "memory/store/page_version.h"

namespace mmsb {

class PageTablePool;

// One leaf of a PageTable.
struct PageTableLeaf {
  static constexpr size_t kPages = 1024;

  std::array<PageVersion, kPages> versions;
  std::array<uint32_t, kPages> checksums;
  // The checksum of the first so many of `checksums`, and their number above
  // it; 0: not known. relaxed: all who write it, write the same, from what is
  // theirs to read.
  std::atomic<uint64_t> checksum_of = 0;
  // Tables that have it.
  std::atomic<uint32_t> owners = 1;
  PageTablePool* pool;
};

// The leaves of the page tables of one store, as blocks of a MemoryPool.
// Must outlive the tables. Thread-safe.
class PageTablePool {
 public:
  PageTablePool() : pool_({.block_size = sizeof(PageTableLeaf)}) {}

  // A copy of `leaf`, or one of zero pages when it is null; null when there is
  // no memory. It has one owner.
  PageTableLeaf* New(const PageTableLeaf* leaf, uint32_t zero_page_checksum);
  void Delete(PageTableLeaf* leaf);

  AllocatorStats Stats() const;

 private:
  mutable absl::Mutex mutex_;
  MemoryPool<> pool_ ABSL_GUARDED_BY(mutex_);
};

// A share of a leaf; null for zero pages.
class PageTableLeafRef {
 public:
  PageTableLeafRef() = default;
  // Takes over the only owner's place.
  explicit PageTableLeafRef(PageTableLeaf* leaf) : leaf_(leaf) {}
  PageTableLeafRef(const PageTableLeafRef& other) : leaf_(other.leaf_) {
    // relaxed: `other` keeps it alive.
    if (leaf_ != nullptr) leaf_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  PageTableLeafRef(PageTableLeafRef&& other) noexcept
      : leaf_(std::exchange(other.leaf_, nullptr)) {}
  PageTableLeafRef& operator=(PageTableLeafRef other) noexcept {
    std::swap(leaf_, other.leaf_);
    return *this;
  }
  ~PageTableLeafRef() {
    // acq_rel: release for those who find themselves alone with it, acquire of
    // what the others did before it is given back.
    if (leaf_ != nullptr &&
        leaf_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      leaf_->pool->Delete(leaf_);
    }
  }

  PageTableLeaf* get() const { return leaf_; }
  PageTableLeaf* operator->() const { return leaf_; }
  friend bool operator==(const PageTableLeafRef&,
                         const PageTableLeafRef&) = default;

  // Nobody else has it, and nobody can get it but from here.
  bool is_alone() const {
    // acquire: pairs with the release of who had it before.
    return leaf_ != nullptr &&
           leaf_->owners.load(std::memory_order_acquire) == 1;
  }

 private:
  PageTableLeaf* leaf_ = nullptr;
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
// 8 bytes per 1024 pages. Owns its leaves together with its copies; the pool
// must outlive it. Thread-compatible: a table that nobody changes may be read
// and copied by any number of threads, while copies of it change and go away.
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

  uint32_t Root() const;

  struct Counts {
    uint64_t zero = 0;   // pages that are stored nowhere
    uint64_t delta = 0;  // pages that are stored as a difference
  };
  // O(leaves + pages in leaves that are not zero throughout).
  Counts Count() const;

  // How many entries differ from zero(). O(1).
  uint64_t stored_pages() const { return stored_pages_; }

  // The first page from `page` on whose entry differs from that of `other`, or
  // pages(); what is past the end of one of them counts as zero. O(leaves
  // passed + 1024 a leaf that is not shared).
  uint64_t NextDifference(const PageTable& other, uint64_t page) const;

  // The first page from `page` on whose entry differs from zero(), or pages().
  // O(leaves passed + 1024).
  uint64_t NextStored(uint64_t page) const;

  Entry zero() const { return Entry{PageVersion{}, zero_page_checksum_}; }

 private:
  uint32_t LeafChecksum(size_t leaf) const;

  PageTablePool* pool_;
  uint32_t zero_page_checksum_;
  uint32_t zero_leaf_checksum_;
  uint64_t pages_ = 0;
  uint64_t stored_pages_ = 0;
  std::vector<PageTableLeafRef> leaves_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_PAGE_TABLE_H_
