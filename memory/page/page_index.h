#ifndef MMSB_MEMORY_PAGE_PAGE_INDEX_H_
#define MMSB_MEMORY_PAGE_PAGE_INDEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "memory/page/page.h"
#include "memory/page/page_hash_table.h"
#include "memory/page/page_objects.h"
#include "primitives/page_id.h"

namespace mmsb {

// Finds pages by id.
//
// Ids that lie close together are looked up in an array: a leaf has the pages
// of kLeafIds consecutive ids, and a window of leaves, by id, follows where
// most of them are. All other ids are in a hash table, with the objects'
// numbers (page_hash_table.h). An insertion goes to the leaf of its id if there
// is one, and else to the table. When the table has twice as many as were left
// last time, what is close together in it is gathered in leaves; a leaf that
// has become thin is scattered into the table.
//
// It takes 8 bytes an id in a full leaf, 14.7 in a thin one and 15.5 in the
// table, at most, and 512 bytes besides.
//
// Owns no page; `objects`, where they all are, must outlive it.
// Thread-compatible. Nothing fails. Find is O(1), of ids in leaves two loads,
// and takes no look at the page. Insert and Erase are O(1) amortised, and
// Insert a search among chunks of objects when it goes to the table.
//
//   PageIndex index(objects);
//   index.Insert(page);
//   Page* same = index.Find(page->id());
class PageIndex {
 public:
  static constexpr uint64_t kLeafIds = 256;

  explicit PageIndex(const PageObjects& objects) : objects_(objects) {}
  PageIndex(const PageIndex&) = delete;
  PageIndex& operator=(const PageIndex&) = delete;

  // Null when there is no such page. An invalid id is no page's.
  [[nodiscard]] Page* Find(PageId id) const {
    // Ids ahead of the window wrap, and are beyond it too.
    const uint64_t place = id.value() / kLeafIds - window_begin_;
    if (place < window_.size() && window_[place] != nullptr) [[likely]] {
      return window_[place]->pages[id.value() % kLeafIds];
    }
    const uint32_t number = table_.Find(id);
    return number == PageHashTable::kNone ? nullptr : objects_.At(number);
  }

  // No other page of its id may be in the index.
  void Insert(Page* page);

  // The id must be in the index. The page must be there still.
  void Erase(PageId id);

  [[nodiscard]] size_t size() const { return in_leaves_ + table_.size(); }

  // In no order.
  void ForEach(absl::FunctionRef<void(Page*)> visit) const;

  // Bytes of heap.
  [[nodiscard]] size_t bytes() const;

  // Internal, with the page, when a page is not where its id says, a count is
  // wrong, or a leaf or the window is emptier than it may be.
  [[nodiscard]] absl::Status CheckInvariants() const;

 private:
  // A leaf is made of so many ids, and scattered when it has fewer than so many
  // left.
  static constexpr uint32_t kGather = 192;
  static constexpr uint32_t kScatter = 144;

  // The window may be so long where it has that many leaves. It begins to be
  // cut when it is twice that, so that it is not cut again and again.
  static constexpr uint64_t Longest(uint64_t leaves) { return 32 + 4 * leaves; }

  struct Leaf {
    std::array<Page*, kLeafIds> pages = {};
    uint32_t live = 0;  // pages that are not null
  };

  // Null when there is none.
  [[nodiscard]] Leaf* LeafOf(PageId id) const;
  // Makes the leaf of the ids from `leaf` * kLeafIds on, unless the window
  // would be too long.
  void AddLeaf(uint64_t leaf);
  void Gather();
  void Scatter(uint64_t place);
  void Trim();

  const PageObjects& objects_;
  uint64_t window_begin_ = 0;  // in leaves
  // First and last, if any, are not null.
  std::vector<std::unique_ptr<Leaf>> window_;
  uint64_t leaves_ = 0;
  size_t in_leaves_ = 0;
  PageHashTable table_;
  size_t gather_at_ = kGather;  // so many in the table
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_INDEX_H_
