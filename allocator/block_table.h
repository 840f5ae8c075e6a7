#ifndef MMSB_ALLOCATOR_BLOCK_TABLE_H_
#define MMSB_ALLOCATOR_BLOCK_TABLE_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "allocator/raw_allocator.h"
#include "primitives/bytes.h"

namespace mmsb {

// Blocks by address, kept away from the blocks: for allocators that watch those
// of another.
//
// Owns its entries, in one piece of memory from its upstream, which it owns by
// value; the blocks themselves it never touches. Neither copied nor moved.
//
// Not thread-safe. Only Reserve() asks for memory, and only it can fail: who
// reserves first can add later in any case.
//
// Hashing with chains of indices (Knuth, The Art of Computer Programming
// 3, 6.4, 1973) into an array of entries, which are also linked from oldest to
// newest. Find, Add, Remove and Move are O(1) on average, Reserve too but for a
// call in which the table doubles.
//
//   BlockTable<SystemSource> table;
//   if (table.Reserve(table.size() + 1)) table.Add(p, {.bytes = 100});
//   table.Find(p)->bytes;  // 100
template <RawAllocator Upstream>
class BlockTable {
 public:
  // What is known of a block.
  struct Block {
    size_t bytes = 0;           // as asked for
    size_t usable_bytes = 0;    // as given, at least `bytes`
    size_t alignment = 1;       // bytes
    const char* tag = nullptr;  // the caller's
    uint64_t serial = 0;        // grows from block to block
  };

  class Entry : public Block {
   public:
    [[nodiscard]] void* address() const { return address_; }

   private:
    friend class BlockTable;
    void* address_ = nullptr;
    uint32_t chained_ = kNone;  // the next of the same bucket, or free one
    uint32_t older_ = kNone;
    uint32_t newer_ = kNone;
  };

  explicit BlockTable(Upstream upstream = Upstream())
      : upstream_(std::move(upstream)) {}
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;
  ~BlockTable() {
    if (bytes_ != 0) upstream_.Deallocate(entries_, bytes_, alignof(Entry));
  }

  // Makes room for `size` entries in all. False, and nothing changed, when the
  // upstream has no more.
  [[nodiscard]] bool Reserve(size_t size) {
    if (size <= capacity_) return true;
    if (size > kMostEntries) return false;
    const size_t doubled =
        std::min(kMostEntries, std::max(kFirstEntries, 2 * capacity_));
    return (doubled > size && Grow(doubled)) || Grow(size);
  }

  // Adds a block that is not in the table; there is room.
  Entry* Add(void* address, const Block& block) {
    const uint32_t index = free_ != kNone ? free_ : used_++;
    Entry& entry = entries_[index];
    if (index == free_) free_ = entry.chained_;
    static_cast<Block&>(entry) = block;
    entry.address_ = address;
    entry.older_ = newest_;
    entry.newer_ = kNone;
    (newest_ != kNone ? entries_[newest_].newer_ : oldest_) = index;
    newest_ = index;
    Chain(index);
    ++size_;
    return &entry;
  }

  // The block that starts at `address`, or null.
  [[nodiscard]] Entry* Find(const void* address) const {
    if (size_ == 0) return nullptr;
    uint32_t index = *Bucket(address);
    while (index != kNone && entries_[index].address_ != address) {
      index = entries_[index].chained_;
    }
    return index == kNone ? nullptr : entries_ + index;
  }

  // `entry` is in the table.
  void Remove(Entry* entry) {
    Unchain(entry);
    (entry->newer_ != kNone ? entries_[entry->newer_].older_ : newest_) =
        entry->older_;
    (entry->older_ != kNone ? entries_[entry->older_].newer_ : oldest_) =
        entry->newer_;
    entry->chained_ = free_;
    free_ = static_cast<uint32_t>(entry - entries_);
    --size_;
  }

  // Lets the block start at another address; it keeps its place in the order.
  void Move(Entry* entry, void* address) {
    Unchain(entry);
    entry->address_ = address;
    Chain(static_cast<uint32_t>(entry - entries_));
  }

  // In the order in which they were added; null behind the last.
  [[nodiscard]] Entry* Oldest() const { return At(oldest_); }
  [[nodiscard]] Entry* NewerThan(const Entry* entry) const {
    return At(entry->newer_);
  }

  [[nodiscard]] size_t size() const { return size_; }

  // What the table took from its upstream.
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  static constexpr size_t kMostEntries = size_t{1} << 31;
  static constexpr size_t kFirstEntries = 64;

  [[nodiscard]] Entry* At(uint32_t index) const {
    return index == kNone ? nullptr : entries_ + index;
  }

  // The first index of the chain that `address` belongs to. Multiplication by
  // the golden ratio of 2^64 puts what differs into the upper bits.
  [[nodiscard]] uint32_t* Bucket(const void* address) const {
    const uint64_t hash =
        reinterpret_cast<uintptr_t>(address) * uint64_t{0x9E3779B97F4A7C15};
    return buckets_ + (hash >> shift_);
  }

  void Chain(uint32_t index) {
    uint32_t* const bucket = Bucket(entries_[index].address_);
    entries_[index].chained_ = std::exchange(*bucket, index);
  }

  void Unchain(const Entry* entry) {
    const auto index = static_cast<uint32_t>(entry - entries_);
    uint32_t* link = Bucket(entry->address_);
    while (*link != index) link = &entries_[*link].chained_;
    *link = entry->chained_;
  }

  // Moves to a table of `capacity` entries: these, then their buckets.
  [[nodiscard]] bool Grow(size_t capacity) {
    const size_t buckets = std::max<size_t>(2, std::bit_ceil(capacity));
    size_t entry_bytes = 0;
    size_t total = 0;
    if (!CheckedMultiply(capacity, sizeof(Entry), &entry_bytes) ||
        !CheckedMultiply(buckets, sizeof(uint32_t), &total) ||
        !CheckedAdd(total, entry_bytes, &total)) {
      return false;
    }
    void* const memory = upstream_.Allocate(total, alignof(Entry));
    if (memory == nullptr) return false;
    auto* const entries = static_cast<Entry*>(memory);
    std::uninitialized_copy_n(entries_, used_, entries);
    std::uninitialized_default_construct_n(entries + used_, capacity - used_);
    if (bytes_ != 0) upstream_.Deallocate(entries_, bytes_, alignof(Entry));
    entries_ = entries;
    bytes_ = total;
    capacity_ = capacity;
    buckets_ = reinterpret_cast<uint32_t*>(static_cast<std::byte*>(memory) +
                                           entry_bytes);
    std::uninitialized_fill_n(buckets_, buckets, kNone);
    shift_ = 64 - std::countr_zero(buckets);
    for (uint32_t i = oldest_; i != kNone; i = entries_[i].newer_) Chain(i);
    return true;
  }

  Entry* entries_ = nullptr;
  uint32_t* buckets_ = nullptr;
  int shift_ = 0;
  uint32_t used_ = 0;  // entries that ever held a block
  uint32_t free_ = kNone;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  size_t size_ = 0;
  size_t capacity_ = 0;
  size_t bytes_ = 0;
  [[no_unique_address]] Upstream upstream_;
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_BLOCK_TABLE_H_
