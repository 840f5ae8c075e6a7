#ifndef MMSB_ALLOCATOR_LOCKED_ALLOCATOR_H_
#define MMSB_ALLOCATOR_LOCKED_ALLOCATOR_H_

#include <concepts>
#include <cstddef>
#include <utility>

#include "allocator/allocator_stats.h"
#include "allocator/raw_allocator.h"
#include "allocator/size_histogram.h"
#include "allocator/system_source.h"
#include "primitives/os_thread.h"

namespace mmsb {

// Makes any allocator thread-safe: one lock around every call.
//
// Owns its upstream by value (AllocatorRef lends one, which is then reached
// through here alone). Neither copied nor moved.
//
// Thread-safe, all of it. A fork waits until the lock is free and holds it, so
// that the child finds an upstream in order and a lock that it can take;
// fork_safe() tells whether the system had room for that, which it only lacks
// when memory had run out before the first of these was made. With one of these
// as the upstream of another, the inner is made first, and is locked last, as
// in a call. None is made or destroyed inside With() of another.
//
// Null exactly when the upstream returns null. Some 20 ns above its cost when
// no other thread is inside; otherwise a wait.
//
//   LockedAllocator<MemoryPool<>> pool(MemoryPoolOptions{.block_size = 64});
//   void* p = pool.Allocate(64, 8);  // on any thread
//   pool.With([](auto& inner) { return inner.Stats().peak(); });
template <RawAllocator Upstream = SystemSource>
class LockedAllocator {
 public:
  // The arguments are those of the upstream's constructor.
  template <class... Args>
    requires std::constructible_from<Upstream, Args...>
  explicit LockedAllocator(Args&&... args)
      : upstream_(std::forward<Args>(args)...),
        fork_safe_(fork_hook_.Register(mutex_).ok()) {}

  LockedAllocator(const LockedAllocator&) = delete;
  LockedAllocator& operator=(const LockedAllocator&) = delete;

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    MutexLock lock(mutex_);
    return upstream_.Allocate(bytes, alignment);
  }

  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    MutexLock lock(mutex_);
    upstream_.Deallocate(p, bytes, alignment);
  }

  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept
    requires ZeroingAllocator<Upstream>
  {
    MutexLock lock(mutex_);
    return upstream_.AllocateZeroed(bytes, alignment);
  }

  [[nodiscard]] SizedBlock AllocateAtLeast(size_t bytes,
                                           size_t alignment) noexcept
    requires RoundingAllocator<Upstream>
  {
    MutexLock lock(mutex_);
    return upstream_.AllocateAtLeast(bytes, alignment);
  }

  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept
    requires ReallocatingAllocator<Upstream>
  {
    MutexLock lock(mutex_);
    return upstream_.Reallocate(p, old_bytes, new_bytes, alignment);
  }

  [[nodiscard]] bool Owns(const void* p) const noexcept
    requires OwningAllocator<Upstream>
  {
    MutexLock lock(mutex_);
    return upstream_.Owns(p);
  }

  [[nodiscard]] AllocatorStats Stats() const noexcept
    requires CountingAllocator<Upstream>
  {
    MutexLock lock(mutex_);
    return upstream_.Stats();
  }
  [[nodiscard]] SizeHistogram Histogram() const noexcept
    requires HistogramAllocator<Upstream>
  {
    MutexLock lock(mutex_);
    return upstream_.Histogram();
  }

  // Returns action(upstream), called with the lock held: for what this class
  // does not pass on. The action may not call this allocator, and not fork.
  template <class Action>
    requires std::invocable<Action, Upstream&>
  decltype(auto) With(Action&& action) {
    MutexLock lock(mutex_);
    return std::forward<Action>(action)(upstream_);
  }

  // False when a fork in the middle of another thread's call leaves the child
  // without a usable allocator.
  [[nodiscard]] bool fork_safe() const noexcept { return fork_safe_; }

 private:
  mutable Mutex mutex_;
  [[no_unique_address]] Upstream upstream_ MMSB_GUARDED_BY(mutex_);
  ForkHook fork_hook_;
  const bool fork_safe_;
};

template <RawAllocator Upstream>
LockedAllocator(Upstream) -> LockedAllocator<Upstream>;

static_assert(ReallocatingAllocator<LockedAllocator<>>);
static_assert(ZeroingAllocator<LockedAllocator<>>);
static_assert(!CountingAllocator<LockedAllocator<>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_LOCKED_ALLOCATOR_H_
