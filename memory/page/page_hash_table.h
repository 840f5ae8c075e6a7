#ifndef MMSB_MEMORY_PAGE_PAGE_HASH_TABLE_H_
#define MMSB_MEMORY_PAGE_PAGE_HASH_TABLE_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/hash/hash.h"
#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "primitives/cache_line.h"
#include "primitives/page_id.h"

namespace mmsb {

// From the ids of pages to the numbers of their objects (page_objects.h), for
// ids that lie anywhere.
//
// An open table of cache lines, each of five ids, their numbers, and how many
// entries found the line full and went on to the next one. A search goes on
// while that is not 0, as in Bronson and Shi, Open-sourcing F14 for faster,
// more memory-efficient hash tables, 2019; unlike there the whole id is in the
// line, so that a search touches nothing else. It is 83 % full after it grew,
// and 92 % full when it grows again: 13.9 to 15.5 bytes an entry, and about one
// entry in six is not in the first line that a search looks at.
//
// Thread-compatible. Nothing fails. Find is O(1) in the mean; Insert and Erase
// are so amortised: growing by an eighth moves each entry, in the order of the
// lines, which is about that of their homes in the new ones.
//
//   PageHashTable table;
//   table.Insert(id, number);
//   if (table.Find(id) == number) table.Erase(id);
class PageHashTable {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};  // no entry's number

  // kNone when there is no such entry. An invalid id is none's.
  [[nodiscard]] uint32_t Find(PageId id) const {
    if (size_ == 0) return kNone;
    for (size_t at = Home(id), left = lines_.size();; at = Next(at)) {
      const Line& line = lines_[at];
      // Which of them it is cannot be predicted.
      const unsigned hits = line.Hits(id);
      if (hits != 0) [[likely]]
        return line.numbers[static_cast<size_t>(std::countr_zero(hits))];
      // All may have been passed, by entries on their way to one another.
      if (line.passed == 0 || --left == 0) return kNone;
    }
  }

  // The id is valid, and in no entry.
  void Insert(PageId id, uint32_t number);

  // The id is in an entry.
  void Erase(PageId id);

  // Erases the entries of which `erases` says so.
  void EraseIf(absl::FunctionRef<bool(PageId id, uint32_t number)> erases);

  // In no order. `visit` must not change the table.
  void ForEach(absl::FunctionRef<void(PageId id, uint32_t number)> visit) const;

  [[nodiscard]] size_t size() const { return size_; }

  // Bytes of heap.
  [[nodiscard]] size_t bytes() const {
    return lines_.capacity() * sizeof(Line);
  }

  // Internal, with the id, when an entry is not found, or a count is wrong.
  [[nodiscard]] absl::Status CheckInvariants() const;

 private:
  static constexpr size_t kSlots = 5;

  struct alignas(kCacheLineBytes) Line {
    Line() { numbers.fill(kNone); }

    // A bit for each slot with that id; invalid is that of an empty one.
    [[nodiscard]] unsigned Hits(PageId id) const {
      unsigned hits = 0;
      for (size_t i = 0; i < kSlots; ++i) {
        hits |= static_cast<unsigned>(ids[i] == id) << i;
      }
      return hits;
    }

    std::array<PageId, kSlots> ids = {};
    std::array<uint32_t, kSlots> numbers;
    uint32_t passed = 0;
  };
  static_assert(sizeof(Line) == kCacheLineBytes);

  // Entries that so many lines hold at most, and the lines for so many entries
  // after a change of size. Numbers have 32 bits, and with them what is counted
  // here, so that nothing overflows.
  static constexpr size_t Most(size_t lines) { return lines * 46 / 10; }
  static constexpr size_t LinesFor(size_t entries) {
    return entries == 0 ? 0 : entries * 20 / 83 + 1;
  }

  [[nodiscard]] size_t Home(PageId id) const {
    return static_cast<size_t>(absl::Uint128High64(
        absl::uint128(absl::HashOf(id)) * absl::uint128(lines_.size())));
  }
  [[nodiscard]] size_t Next(size_t at) const {
    return at + 1 == lines_.size() ? 0 : at + 1;
  }

  // Puts the entry where it belongs; there is room.
  void Put(PageId id, uint32_t number);
  void Rebuild(size_t lines);

  std::vector<Line> lines_;
  size_t size_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_HASH_TABLE_H_
