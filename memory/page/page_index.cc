#include "memory/page/page_index.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "memory/page/page.h"
#include "memory/page/page_objects.h"
#include "primitives/page_id.h"

namespace mmsb {

PageIndex::Leaf* PageIndex::LeafOf(PageId id) const {
  const uint64_t place = id.value() / kLeafIds - window_begin_;
  return place < window_.size() ? window_[place].get() : nullptr;
}

void PageIndex::Insert(Page* page) {
  const PageId id = page->id();
  if (Leaf* const leaf = LeafOf(id); leaf != nullptr) {
    leaf->pages[id.value() % kLeafIds] = page;
    ++leaf->live;
    ++in_leaves_;
    return;
  }
  table_.Insert(id, objects_.NumberOf(page));
  if (table_.size() >= gather_at_) Gather();
}

void PageIndex::Erase(PageId id) {
  Leaf* const leaf = LeafOf(id);
  if (leaf == nullptr) {
    table_.Erase(id);
    return;
  }
  leaf->pages[id.value() % kLeafIds] = nullptr;
  --leaf->live;
  --in_leaves_;
  if (leaf->live < kScatter) {
    Scatter(id.value() / kLeafIds - window_begin_);
    Trim();
  }
}

void PageIndex::AddLeaf(uint64_t leaf) {
  if (window_.empty()) window_begin_ = leaf;
  const uint64_t begin = std::min(window_begin_, leaf);
  const uint64_t end = std::max(window_begin_ + window_.size(), leaf + 1);
  if (end - begin > Longest(leaves_ + 1)) return;
  std::vector<std::unique_ptr<Leaf>> ahead(window_begin_ - begin);
  window_.insert(window_.begin(), std::make_move_iterator(ahead.begin()),
                 std::make_move_iterator(ahead.end()));
  window_.resize(end - begin);
  window_begin_ = begin;
  window_[leaf - begin] = std::make_unique<Leaf>();
  ++leaves_;
}

void PageIndex::Gather() {
  absl::flat_hash_map<uint64_t, uint32_t> counts;
  table_.ForEach([&](PageId id, uint32_t) { ++counts[id.value() / kLeafIds]; });
  std::vector<uint64_t> dense;
  for (const auto& [leaf, count] : counts) {
    if (count >= kGather) dense.push_back(leaf);
  }
  std::ranges::sort(dense);
  for (const uint64_t leaf : dense) AddLeaf(leaf);
  table_.EraseIf([this](PageId id, uint32_t number) {
    Leaf* const leaf = LeafOf(id);
    if (leaf == nullptr) return false;
    leaf->pages[id.value() % kLeafIds] = objects_.At(number);
    ++leaf->live;
    ++in_leaves_;
    return true;
  });
  gather_at_ = std::max<size_t>(kGather, 2 * table_.size());
}

void PageIndex::Scatter(uint64_t place) {
  for (const Page* page : window_[place]->pages) {
    if (page != nullptr) table_.Insert(page->id(), objects_.NumberOf(page));
  }
  in_leaves_ -= window_[place]->live;
  window_[place] = nullptr;
  --leaves_;
}

void PageIndex::Trim() {
  while (!window_.empty()) {
    if (window_.back() == nullptr) {
      window_.pop_back();
    } else if (window_.front() == nullptr) {
      const auto first =
          std::ranges::find_if(window_, [](const auto& l) { return !!l; });
      window_begin_ += static_cast<uint64_t>(first - window_.begin());
      window_.erase(window_.begin(), first);
    } else if (window_.size() > 2 * Longest(leaves_)) {
      // Whichever end is nearer to a gap could go; ids are mostly chosen in
      // ascending order, so the oldest do.
      Scatter(0);
    } else {
      break;
    }
  }
  if (window_.size() < window_.capacity() / 4) window_.shrink_to_fit();
}

void PageIndex::ForEach(absl::FunctionRef<void(Page*)> visit) const {
  for (const std::unique_ptr<Leaf>& leaf : window_) {
    if (leaf == nullptr) continue;
    for (Page* page : leaf->pages) {
      if (page != nullptr) visit(page);
    }
  }
  table_.ForEach([&](PageId, uint32_t number) { visit(objects_.At(number)); });
}

size_t PageIndex::bytes() const {
  return leaves_ * sizeof(Leaf) + window_.capacity() * sizeof(Leaf*) +
         table_.bytes();
}

absl::Status PageIndex::CheckInvariants() const {
  size_t in_leaves = 0;
  uint64_t leaves = 0;
  for (uint64_t place = 0; place < window_.size(); ++place) {
    const Leaf* const leaf = window_[place].get();
    if (leaf == nullptr) continue;
    ++leaves;
    const uint64_t first = (window_begin_ + place) * kLeafIds;
    uint32_t live = 0;
    for (uint64_t i = 0; i < kLeafIds; ++i) {
      if (leaf->pages[i] == nullptr) continue;
      ++live;
      const PageId id = leaf->pages[i]->id();
      if (id.value() != first + i) {
        return absl::InternalError(absl::StrFormat(
            "page %d: it is indexed as page %d", id.value(), first + i));
      }
    }
    if (live != leaf->live || live < kScatter) {
      return absl::InternalError(absl::StrFormat(
          "page index: the leaf from page %d on has %d pages, and counts %d, "
          "at least %d",
          first, live, leaf->live, kScatter));
    }
    in_leaves += live;
  }
  absl::Status status = table_.CheckInvariants();
  table_.ForEach([&](PageId id, uint32_t number) {
    if (LeafOf(id) == nullptr && objects_.At(number)->id() == id) return;
    status = absl::InternalError(absl::StrFormat(
        "page %d: it is in the table, and belongs into a leaf or is another",
        id.value()));
  });
  if (!status.ok()) return status;
  if (in_leaves != in_leaves_ || leaves != leaves_) {
    return absl::InternalError(absl::StrFormat(
        "page index: %d pages in %d leaves, counted as %d in %d", in_leaves,
        leaves, in_leaves_, leaves_));
  }
  const bool bare_end = !window_.empty() && (window_.front() == nullptr ||
                                             window_.back() == nullptr);
  if (bare_end || window_.size() > 2 * Longest(leaves_)) {
    return absl::InternalError(absl::StrFormat(
        "page index: a window of %d leaves has %d", window_.size(), leaves_));
  }
  return absl::OkStatus();
}

}  // namespace mmsb
