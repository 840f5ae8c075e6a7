#include "memory/page/page_hash_table.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "primitives/page_id.h"

namespace mmsb {

void PageHashTable::Insert(PageId id, uint32_t number) {
  if (size_ == Most(lines_.size())) Rebuild(LinesFor(size_ + 1));
  Put(id, number);
  ++size_;
}

void PageHashTable::Erase(PageId id) {
  size_t at = Home(id);
  unsigned hits = 0;
  while ((hits = lines_[at].Hits(id)) == 0) {
    --lines_[at].passed;
    at = Next(at);
  }
  const auto slot = static_cast<size_t>(std::countr_zero(hits));
  lines_[at].ids[slot] = PageId();
  lines_[at].numbers[slot] = kNone;
  --size_;
  if (size_ < Most(lines_.size()) / 4) Rebuild(LinesFor(size_));
}

void PageHashTable::EraseIf(
    absl::FunctionRef<bool(PageId id, uint32_t number)> erases) {
  std::vector<PageId> erased;
  ForEach([&](PageId id, uint32_t number) {
    if (erases(id, number)) erased.push_back(id);
  });
  for (const PageId id : erased) Erase(id);
  if (LinesFor(size_) < lines_.size()) Rebuild(LinesFor(size_));
}

void PageHashTable::ForEach(
    absl::FunctionRef<void(PageId id, uint32_t number)> visit) const {
  for (const Line& line : lines_) {
    for (size_t i = 0; i < kSlots; ++i) {
      if (line.ids[i].valid()) visit(line.ids[i], line.numbers[i]);
    }
  }
}

void PageHashTable::Put(PageId id, uint32_t number) {
  for (size_t at = Home(id);; at = Next(at)) {
    Line& line = lines_[at];
    const unsigned empty = line.Hits(PageId());
    if (empty == 0) {
      ++line.passed;
      continue;
    }
    const auto slot = static_cast<size_t>(std::countr_zero(empty));
    line.ids[slot] = id;
    line.numbers[slot] = number;
    return;
  }
}

void PageHashTable::Rebuild(size_t lines) {
  const std::vector<Line> old = std::exchange(lines_, std::vector<Line>(lines));
  for (const Line& line : old) {
    for (size_t i = 0; i < kSlots; ++i) {
      if (line.ids[i].valid()) Put(line.ids[i], line.numbers[i]);
    }
  }
}

absl::Status PageHashTable::CheckInvariants() const {
  size_t entries = 0;
  std::vector<uint32_t> passed(lines_.size());
  for (size_t here = 0; here < lines_.size(); ++here) {
    const Line& line = lines_[here];
    for (size_t i = 0; i < kSlots; ++i) {
      if (!line.ids[i].valid()) continue;
      ++entries;
      if (Find(line.ids[i]) != line.numbers[i] || line.numbers[i] == kNone) {
        return absl::InternalError(
            absl::StrFormat("page %d: it is in the table, and not found there",
                            line.ids[i].value()));
      }
      for (size_t at = Home(line.ids[i]); at != here; at = Next(at)) {
        ++passed[at];
      }
    }
  }
  for (size_t at = 0; at < lines_.size(); ++at) {
    if (passed[at] != lines_[at].passed) {
      return absl::InternalError(absl::StrFormat(
          "page table: line %d says that %d entries passed it, not %d", at,
          lines_[at].passed, passed[at]));
    }
  }
  if (entries != size_ || size_ > Most(lines_.size())) {
    return absl::InternalError(
        absl::StrFormat("page table: %d entries in %d lines, counted as %d",
                        entries, lines_.size(), size_));
  }
  return absl::OkStatus();
}

}  // namespace mmsb
