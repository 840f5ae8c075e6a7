#ifndef MMSB_ALLOCATOR_FALLBACK_ALLOCATOR_H_
#define MMSB_ALLOCATOR_FALLBACK_ALLOCATOR_H_

#include <concepts>
#include <cstddef>
#include <utility>

#include "allocator/allocate_zeroed.h"
#include "allocator/allocator_stats.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"

namespace mmsb {

// Asks a first allocator, and a second one for what the first has not.
//
// Owns both by value (AllocatorRef lends one). Neither copied nor moved. Blocks
// go back to where they came from, which the first tells by its Owns(); so the
// second must not hand out memory of the first's.
//
// As thread-safe as both are.
//
// Null when both return null. An allocation costs what the first does, and what
// the second does when that fails; a deallocation costs the first's Owns() on
// top.
//
//   FallbackAllocator<MemoryPool<>, SystemSource> fallback(
//       MemoryPoolOptions{.block_size = 64, .max_blocks = 1000});
//   void* p = fallback.Allocate(4096, 8);  // from the SystemSource
template <RawAllocator First, RawAllocator Second = SystemSource>
class FallbackAllocator {
  static_assert(
      OwningAllocator<First>,
      "FallbackAllocator: the first allocator must have "
      "`bool Owns(const void*) const noexcept`, or nobody knows which "
      "of the two a block goes back to. MemoryPool, Arena and "
      "TrackingAllocator<...> have it.");

 public:
  // Two values, or a value for the first and nothing for the second; or
  // nothing.
  FallbackAllocator()
    requires std::default_initializable<First> &&
                 std::default_initializable<Second>
  = default;
  template <class FirstValue>
    requires std::constructible_from<First, FirstValue> &&
             std::default_initializable<Second>
  explicit FallbackAllocator(FirstValue&& first)
      : first_(std::forward<FirstValue>(first)) {}
  template <class FirstValue, class SecondValue>
    requires std::constructible_from<First, FirstValue> &&
                 std::constructible_from<Second, SecondValue>
  FallbackAllocator(FirstValue&& first, SecondValue&& second)
      : first_(std::forward<FirstValue>(first)),
        second_(std::forward<SecondValue>(second)) {}

  FallbackAllocator(const FallbackAllocator&) = delete;
  FallbackAllocator& operator=(const FallbackAllocator&) = delete;

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    void* const p = first_.Allocate(bytes, alignment);
    return p != nullptr ? p : second_.Allocate(bytes, alignment);
  }

  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if (p == nullptr) return;
    if (first_.Owns(p)) {
      first_.Deallocate(p, bytes, alignment);
    } else {
      second_.Deallocate(p, bytes, alignment);
    }
  }

  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept
    requires(ZeroingAllocator<First> || ZeroingAllocator<Second>)
  {
    void* const p = mmsb::AllocateZeroed(first_, bytes, alignment);
    return p != nullptr ? p : mmsb::AllocateZeroed(second_, bytes, alignment);
  }

  [[nodiscard]] SizedBlock AllocateAtLeast(size_t bytes,
                                           size_t alignment) noexcept
    requires(RoundingAllocator<First> || RoundingAllocator<Second>)
  {
    const SizedBlock block = AtLeast(first_, bytes, alignment);
    return block.data != nullptr ? block : AtLeast(second_, bytes, alignment);
  }

  // By whom the block is of; null when that one cannot.
  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept
    requires(ReallocatingAllocator<First> || ReallocatingAllocator<Second>)
  {
    if (first_.Owns(p)) {
      return Resize(first_, p, old_bytes, new_bytes, alignment);
    }
    return Resize(second_, p, old_bytes, new_bytes, alignment);
  }

  [[nodiscard]] bool Owns(const void* p) const noexcept
    requires OwningAllocator<Second>
  {
    return first_.Owns(p) || second_.Owns(p);
  }

  // The sum of both. Peaks that were at different times are added too; failures
  // are those of the second, after which there is nobody to ask.
  [[nodiscard]] AllocatorStats Stats() const noexcept
    requires CountingAllocator<First> && CountingAllocator<Second>
  {
    const AllocatorStats a = first_.Stats();
    const AllocatorStats b = second_.Stats();
    return AllocatorStats({
        .live = a.live() + b.live(),
        .cached = a.cached() + b.cached(),
        .free = a.free() + b.free(),
        .metadata = a.metadata() + b.metadata(),
        .committed = a.committed() + b.committed(),
        .peak = a.peak() + b.peak(),
        .allocations = a.allocations() + b.allocations(),
        .deallocations = a.deallocations() + b.deallocations(),
        .failures = b.failures(),
    });
  }

  [[nodiscard]] First& first() noexcept { return first_; }
  [[nodiscard]] const First& first() const noexcept { return first_; }
  [[nodiscard]] Second& second() noexcept { return second_; }
  [[nodiscard]] const Second& second() const noexcept { return second_; }

 private:
  template <class A>
  static SizedBlock AtLeast(A& allocator, size_t bytes,
                            size_t alignment) noexcept {
    if constexpr (RoundingAllocator<A>) {
      return allocator.AllocateAtLeast(bytes, alignment);
    } else {
      void* const p = allocator.Allocate(bytes, alignment);
      return p == nullptr ? SizedBlock{} : SizedBlock{p, bytes};
    }
  }

  template <class A>
  static void* Resize(A& allocator, void* p, size_t old_bytes, size_t new_bytes,
                      size_t alignment) noexcept {
    if constexpr (ReallocatingAllocator<A>) {
      return allocator.Reallocate(p, old_bytes, new_bytes, alignment);
    } else {
      return nullptr;
    }
  }

  [[no_unique_address]] First first_;
  [[no_unique_address]] Second second_;
};

template <RawAllocator First>
FallbackAllocator(First) -> FallbackAllocator<First>;
template <RawAllocator First, RawAllocator Second>
FallbackAllocator(First, Second) -> FallbackAllocator<First, Second>;

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_FALLBACK_ALLOCATOR_H_
