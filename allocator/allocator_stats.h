#ifndef MMSB_ALLOCATOR_ALLOCATOR_STATS_H_
#define MMSB_ALLOCATOR_ALLOCATOR_STATS_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace mmsb {

// What an allocator holds and has done, at one moment.
//
// Every byte that an allocator took from its upstream (or was given as a
// region) is counted in exactly one of four sums, so that
//
//   live + cached + free + metadata == committed
//
// at any moment when no call is running in the allocator. IdentityHolds() tells
// whether it does: each of the five is counted by itself, so a false answer is
// a bug of the allocator.
//
// Blocks by size are told apart by SizeHistogram, for those who ask.
//
// A plain value: owns nothing, copied freely, never fails.
//
//   const AllocatorStats stats = pool.Stats();
//   char text[512];
//   std::string_view(text, stats.FormatText(text));
class AllocatorStats {
 public:
  // Bytes, and counts of calls. Allocations and deallocations stay 0 where the
  // allocator says that it does not count them.
  struct Values {
    size_t live = 0;           // in blocks handed out, slack and padding too
    size_t cached = 0;         // in blocks that were live and wait for reuse
    size_t free = 0;           // usable, and not in use since it was taken
    size_t metadata = 0;       // bookkeeping, and what cannot serve a request
    size_t committed = 0;      // all of it, as taken from the upstream
    size_t peak = 0;           // the most that was ever live, or a little above
    uint64_t allocations = 0;  // calls that returned a block
    uint64_t deallocations = 0;  // calls that gave one back
    uint64_t failures = 0;       // calls that returned null
  };

  constexpr AllocatorStats() = default;
  explicit constexpr AllocatorStats(const Values& values) : values_(values) {}

  [[nodiscard]] constexpr size_t live() const { return values_.live; }
  [[nodiscard]] constexpr size_t cached() const { return values_.cached; }
  [[nodiscard]] constexpr size_t free() const { return values_.free; }
  [[nodiscard]] constexpr size_t metadata() const { return values_.metadata; }
  [[nodiscard]] constexpr size_t committed() const { return values_.committed; }
  [[nodiscard]] constexpr size_t peak() const { return values_.peak; }
  [[nodiscard]] constexpr uint64_t allocations() const {
    return values_.allocations;
  }
  [[nodiscard]] constexpr uint64_t deallocations() const {
    return values_.deallocations;
  }
  [[nodiscard]] constexpr uint64_t failures() const { return values_.failures; }

  // True when the identity above holds, without overflow, live is at most the
  // peak, and no more blocks were given back than handed out. A count that went
  // below zero is a huge number here, and makes it false.
  [[nodiscard]] bool IdentityHolds() const;

  // Writes as much as fits of the text into `out` and returns how many bytes
  // all of it takes; no terminating zero. Larger than out.size() means that it
  // was cut, and it never writes more than out.size() bytes.
  //
  // Text is one line a value: "live 4096\ncached 0\n..."; JSON is one object on
  // one line, with the accessors' names as keys and integers as values.
  size_t FormatText(std::span<char> out) const;
  size_t FormatJson(std::span<char> out) const;

 private:
  Values values_;
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_ALLOCATOR_STATS_H_
