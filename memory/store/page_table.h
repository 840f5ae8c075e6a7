#ifndef MMSB_MEMORY_STORE_PAGE_TABLE_H_
#define MMSB_MEMORY_STORE_PAGE_TABLE_H_

#include <algorithm>
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

// What leaves and nodes of PageTables have in common.
struct PageTableBlock {
  // The checksum of the first so many pages below, and their number above it;
  // 0: not known. relaxed: all who write it, write the same, from what is
  // theirs to read.
  std::atomic<uint64_t> checksum_of = 0;
  // Those who share it.
  std::atomic<uint32_t> owners = 1;
  PageTablePool* pool = nullptr;
};

// A share of a leaf or a node; null for zero pages.
template <typename Block>
class PageTableRef {
 public:
  PageTableRef() = default;
  // Takes over the only owner's place.
  explicit PageTableRef(Block* block) : block_(block) {}
  PageTableRef(const PageTableRef& other) : block_(other.block_) {
    // relaxed: `other` keeps it alive.
    if (block_ != nullptr) {
      block_->owners.fetch_add(1, std::memory_order_relaxed);
    }
  }
  PageTableRef(PageTableRef&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)) {}
  PageTableRef& operator=(PageTableRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~PageTableRef() {
    // acq_rel: release for those who find themselves alone with it, acquire of
    // what the others did before it is given back.
    if (block_ != nullptr &&
        block_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      block_->pool->Delete(block_);
    }
  }

  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  friend bool operator==(const PageTableRef&, const PageTableRef&) = default;

  // Nobody else has it, and nobody can get it but from here.
  bool is_alone() const {
    // acquire: pairs with the release of who had it before.
    return block_ != nullptr &&
           block_->owners.load(std::memory_order_acquire) == 1;
  }

 private:
  Block* block_ = nullptr;
};

// What a PageTable knows of 1024 consecutive pages.
struct PageTableLeaf : PageTableBlock {
  static constexpr uint64_t kPages = 1024;

  std::array<PageVersion, kPages> versions;
  std::array<uint32_t, kPages> checksums;
};

// 1024 consecutive leaves of a PageTable.
struct PageTableNode : PageTableBlock {
  static constexpr uint64_t kLeaves = 1024;
  static constexpr uint64_t kPages = kLeaves * PageTableLeaf::kPages;

  std::array<PageTableRef<PageTableLeaf>, kLeaves> leaves;
};

// The leaves and nodes of the page tables of one store, as blocks of
// MemoryPools. Must outlive the tables. Thread-safe.
class PageTablePool {
 public:
  PageTablePool()
      : leaves_({.block_size = sizeof(PageTableLeaf)}),
        nodes_({.block_size = sizeof(PageTableNode)}) {}

  // A copy of `block`, or one of zero pages when it is null; null when there is
  // no memory. It has one owner.
  PageTableLeaf* New(const PageTableLeaf* block, uint32_t zero_page_checksum);
  PageTableNode* New(const PageTableNode* block, uint32_t zero_page_checksum);
  void Delete(PageTableLeaf* leaf);
  void Delete(PageTableNode* node);

  // Of both.
  AllocatorStats Stats() const;

 private:
  mutable absl::Mutex mutex_;
  MemoryPool<> leaves_ ABSL_GUARDED_BY(mutex_);
  MemoryPool<> nodes_ ABSL_GUARDED_BY(mutex_);
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
// Kept as that tree is: leaves of 1024 pages, and nodes of 1024 leaves. Where
// all pages are zero there is neither, so a table costs 8 bytes per 1 Mi pages
// and what its other pages need: a size that was read from a file costs 32 KiB
// at most. Copies share nodes and leaves until one of them writes (copy on
// write). Owns them together with its copies; the pool must outlive it.
// Thread-compatible: a table that nobody changes may be read and copied by any
// number of threads, while copies of it change and go away. Get is O(1); Set
// O(1) and the copy of a leaf and of its node the first time; a copy O(nodes);
// Root O(nodes + nodes and leaves changed since the last call * 1024).
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

  // The most pages in a table.
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
  // O(nodes + leaves of nodes, and pages of leaves, that are not zero
  // throughout).
  Counts Count() const;

  // How many entries differ from zero(). O(1).
  uint64_t stored_pages() const { return stored_pages_; }

  // The first page from `page` on whose entry differs from that of `other`, or
  // pages(); what is past the end of one of them counts as zero. As Count, of
  // what is passed, and O(1) for a node or leaf that they share.
  uint64_t NextDifference(const PageTable& other, uint64_t page) const;

  // The first page from `page` on whose entry differs from zero(), or pages().
  // As Count, of what is passed.
  uint64_t NextStored(uint64_t page) const;

  Entry zero() const { return Entry{PageVersion{}, zero_page_checksum_}; }

 private:
  // How many of the `limit` pages from `first` on there are.
  uint64_t PagesFrom(uint64_t first, uint64_t limit) const {
    return std::min(limit, pages_ - first);
  }
  // Null: zero pages, or none.
  const PageTableNode* NodeOf(uint64_t page) const;
  const PageTableLeaf* LeafOf(uint64_t page) const;
  // Makes `block` this table's alone. False when there is no memory.
  template <typename Block>
  bool Own(PageTableRef<Block>& block);
  // Makes the pages from `pages` on zero, but for whole nodes of them.
  absl::Status CutOff(uint64_t pages);
  // Of the block that begins at page `first`; null: of zero pages.
  uint32_t Checksum(PageTableLeaf* block, uint64_t first) const;
  uint32_t Checksum(PageTableNode* block, uint64_t first) const;
  absl::Status NoMemory() const;

  PageTablePool* pool_;
  uint32_t zero_page_checksum_;
  uint32_t zero_leaf_checksum_;
  uint32_t zero_node_checksum_;
  uint64_t pages_ = 0;
  uint64_t stored_pages_ = 0;
  std::vector<PageTableRef<PageTableNode>> nodes_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_PAGE_TABLE_H_
