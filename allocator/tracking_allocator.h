#ifndef MMSB_ALLOCATOR_TRACKING_ALLOCATOR_H_
#define MMSB_ALLOCATOR_TRACKING_ALLOCATOR_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "allocator/allocator_stats.h"
#include "allocator/block_table.h"
#include "allocator/bounded_writer.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"
#include "primitives/check.h"

namespace mmsb {

// A live block, as TrackingAllocator knows it.
struct TrackedBlock {
  void* address;
  size_t bytes;      // as asked for
  size_t alignment;  // bytes
  const char* tag;   // the caller's, or null
  uint64_t serial;   // 1 for the first block ever allocated, then 2, ...
};

struct TrackingAllocatorOptions {
  // Called by the destructor for each block that is still live, oldest first,
  // with `context`. It must not call the allocator.
  void (*on_leak)(void* context, const TrackedBlock& block) = nullptr;
  void* context = nullptr;
};

// Knows every live block of any allocator: where it is, its size, and a tag of
// the caller's; and ends the process when one comes back that is not live or
// has another size.
//
// Owns its upstream, and a table of the blocks in memory from TableSource, both
// by value (AllocatorRef lends one). Blocks are the upstream's own: nothing is
// added to them. Tags are strings of the caller's that outlive the block; they
// are not copied. Neither copied nor moved. Blocks that are live at the end are
// reported, and stay the upstream's.
//
// Not thread-safe; LockedAllocator makes it so.
//
// Null when the upstream returns null, or when the table cannot grow, which is
// tried first, so that no block is ever live and unknown. Deallocate() ends the
// process when the block is not live (double free, foreign or interior pointer)
// or was allocated with another size or alignment.
//
// O(1) on average above the upstream's cost, and 70 to 140 bytes a live block.
//
//   TrackingAllocator<> tracked;
//   void* p = tracked.Allocate(100, 8, "parser");
//   char report[4096];
//   tracked.FormatLeaks(report);  // "1 live blocks, 100 bytes\n..."
template <RawAllocator Upstream = SystemSource,
          RawAllocator TableSource = SystemSource>
class TrackingAllocator {
 public:
  using Options = TrackingAllocatorOptions;

  TrackingAllocator()
    requires std::default_initializable<Upstream> &&
                 std::default_initializable<TableSource>
  = default;

  explicit TrackingAllocator(const Options& options)
    requires std::default_initializable<Upstream> &&
             std::default_initializable<TableSource>
      : options_(options) {}

  // The upstream is made of `value`.
  template <class Value>
    requires std::constructible_from<Upstream, Value>
  TrackingAllocator(const Options& options, Value&& value,
                    TableSource table_source = TableSource())
      : options_(options),
        upstream_(std::forward<Value>(value)),
        table_(std::move(table_source)) {}

  TrackingAllocator(const TrackingAllocator&) = delete;
  TrackingAllocator& operator=(const TrackingAllocator&) = delete;

  ~TrackingAllocator() {
    if (options_.on_leak == nullptr) return;
    ForEachLive([this](const TrackedBlock& block) {
      options_.on_leak(options_.context, block);
    });
  }

  // The block's tag is that of SetTag().
  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    return Allocate(bytes, alignment, tag_);
  }
  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment,
                               const char* tag) noexcept {
    return HasRoom() ? Note(upstream_.Allocate(bytes, alignment), bytes, bytes,
                            alignment, tag)
                     : nullptr;
  }

  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept
    requires ZeroingAllocator<Upstream>
  {
    return HasRoom() ? Note(upstream_.AllocateZeroed(bytes, alignment), bytes,
                            bytes, alignment, tag_)
                     : nullptr;
  }

  [[nodiscard]] SizedBlock AllocateAtLeast(size_t bytes,
                                           size_t alignment) noexcept
    requires RoundingAllocator<Upstream>
  {
    if (!HasRoom()) return {};
    const SizedBlock block = upstream_.AllocateAtLeast(bytes, alignment);
    Note(block.data, bytes, block.bytes, alignment, tag_);
    return block;
  }

  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if (p == nullptr) return;
    Entry* const entry = FindLive("Deallocate", p, bytes, alignment);
    live_ -= entry->usable_bytes;
    committed_ -= entry->usable_bytes;
    ++deallocations_;
    table_.Remove(entry);
    upstream_.Deallocate(p, bytes, alignment);
  }

  // The block keeps its tag, and its place in the order.
  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept
    requires ReallocatingAllocator<Upstream>
  {
    Entry* const entry = FindLive("Reallocate", p, old_bytes, alignment);
    void* const resized =
        upstream_.Reallocate(p, old_bytes, new_bytes, alignment);
    if (resized == nullptr) return nullptr;
    if (resized != p) table_.Move(entry, resized);
    live_ += new_bytes - entry->usable_bytes;
    committed_ += new_bytes - entry->usable_bytes;
    peak_ = std::max(peak_, live_);
    entry->bytes = entry->usable_bytes = new_bytes;
    return resized;
  }

  // True for every byte of a live block, and no other. O(live blocks), unless
  // the upstream knows its own: then its answer.
  [[nodiscard]] bool Owns(const void* p) const noexcept {
    if constexpr (OwningAllocator<Upstream>) {
      return upstream_.Owns(p);
    } else {
      const auto address = reinterpret_cast<uintptr_t>(p);
      for (const Entry* entry = table_.Oldest(); entry != nullptr;
           entry = table_.NewerThan(entry)) {
        const auto begin = reinterpret_cast<uintptr_t>(entry->address());
        if (address >= begin &&
            address - begin < std::max<size_t>(entry->usable_bytes, 1)) {
          return true;
        }
      }
      return false;
    }
  }

  // The tag of blocks that are allocated from here on without one; returns the
  // one before, so that it can be restored.
  const char* SetTag(const char* tag) noexcept {
    return std::exchange(tag_, tag);
  }

  // Calls action(const TrackedBlock&) for each live block, oldest first. The
  // action must not call the allocator.
  template <std::invocable<const TrackedBlock&> Action>
  void ForEachLive(Action&& action) const {
    for (const Entry* entry = table_.Oldest(); entry != nullptr;
         entry = table_.NewerThan(entry)) {
      action(TrackedBlock{entry->address(), entry->bytes, entry->alignment,
                          entry->tag, entry->serial});
    }
  }

  [[nodiscard]] size_t live_blocks() const noexcept { return table_.size(); }

  // Writes as much as fits of a report of all live blocks into `out` and
  // returns how many bytes all of it takes, 0 when there are none; no
  // terminating zero, and never more than out.size() bytes. Oldest first:
  //
  //   2 live blocks, 300 bytes
  //   #1 0x7f0000001000 100 bytes at 8 parser
  //   #7 0x7f0000002000 200 bytes at 16
  size_t FormatLeaks(std::span<char> out) const {
    BoundedWriter writer(out);
    if (table_.size() == 0) return 0;
    size_t bytes = 0;
    ForEachLive([&bytes](const TrackedBlock& block) { bytes += block.bytes; });
    writer.Append(table_.size()).Append(" live blocks, ");
    writer.Append(bytes).Append(" bytes\n");
    ForEachLive([&writer](const TrackedBlock& block) {
      writer.Append("#").Append(block.serial).Append(" 0x");
      writer.Append(reinterpret_cast<uintptr_t>(block.address), 16);
      writer.Append(" ").Append(block.bytes).Append(" bytes at ");
      writer.Append(block.alignment);
      if (block.tag != nullptr) writer.Append(" ").Append(block.tag);
      writer.Append("\n");
    });
    return writer.needed();
  }

  // Live are the sizes asked for, metadata is the table; both are committed.
  [[nodiscard]] AllocatorStats Stats() const noexcept {
    return AllocatorStats({.live = live_,
                           .metadata = table_.bytes(),
                           .committed = committed_ + table_.bytes(),
                           .peak = peak_,
                           .allocations = serial_,
                           .deallocations = deallocations_,
                           .failures = failures_});
  }

  [[nodiscard]] Upstream& upstream() noexcept { return upstream_; }
  [[nodiscard]] const Upstream& upstream() const noexcept { return upstream_; }

 private:
  using Table = BlockTable<TableSource>;
  using Entry = typename Table::Entry;

  [[nodiscard]] bool HasRoom() {
    if (table_.Reserve(table_.size() + 1)) [[likely]]
      return true;
    ++failures_;
    return false;
  }

  // Enters a block, for which there is room, or counts that there is none.
  void* Note(void* p, size_t bytes, size_t usable_bytes, size_t alignment,
             const char* tag) {
    if (p == nullptr) {
      ++failures_;
      return nullptr;
    }
    table_.Add(p, {bytes, usable_bytes, alignment, tag, ++serial_});
    live_ += usable_bytes;
    committed_ += usable_bytes;
    peak_ = std::max(peak_, live_);
    return p;
  }

  // The entry of a live block; ends the process when there is none such.
  Entry* FindLive(const char* call, void* p, size_t bytes, size_t alignment) {
    Entry* const entry = table_.Find(p);
    if (entry == nullptr) {
      Die("TrackingAllocator::%s(%p, %zu, %zu): not a live block "
          "(double free, foreign or interior pointer)",
          call, p, bytes, alignment);
    }
    if (bytes < entry->bytes || bytes > entry->usable_bytes ||
        alignment != entry->alignment) {
      Die("TrackingAllocator::%s(%p, %zu, %zu): wrong size or alignment, "
          "allocated with %zu bytes at %zu%s%s",
          call, p, bytes, alignment, entry->bytes, entry->alignment,
          entry->tag == nullptr ? "" : " by ",
          entry->tag == nullptr ? "" : entry->tag);
    }
    return entry;
  }

  Options options_;
  const char* tag_ = nullptr;
  uint64_t serial_ = 0;
  uint64_t deallocations_ = 0;
  uint64_t failures_ = 0;
  size_t live_ = 0;       // bytes
  size_t committed_ = 0;  // bytes taken from the upstream
  size_t peak_ = 0;       // bytes
  [[no_unique_address]] Upstream upstream_;
  Table table_;
};

template <RawAllocator Upstream>
TrackingAllocator(TrackingAllocatorOptions, Upstream)
    -> TrackingAllocator<Upstream>;
TrackingAllocator(TrackingAllocatorOptions) -> TrackingAllocator<>;

static_assert(OwningAllocator<TrackingAllocator<>>);
static_assert(CountingAllocator<TrackingAllocator<>>);
static_assert(ReallocatingAllocator<TrackingAllocator<>>);
static_assert(ZeroingAllocator<TrackingAllocator<>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_TRACKING_ALLOCATOR_H_
