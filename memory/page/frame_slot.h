#ifndef MMSB_MEMORY_PAGE_FRAME_SLOT_H_
#define MMSB_MEMORY_PAGE_FRAME_SLOT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "memory/page/frame_caches.h"
#include "primitives/cache_line.h"

namespace mmsb {

// What a thread keeps of an allocator of frames: its reservation, where it took
// last, its cache, and what it did. Written by its owner alone, by loads and
// stores, and read by all; only the one that all threads without a slot of
// their own share is written by read-modify-writes, and has neither reservation
// nor cache.
//
//   if (slot.Claim(thread)) slot.Count(slot.frees);
template <class Sync>
struct alignas(kFalseSharingBytes) FrameSlot {
  template <class T>
  using Atomic = typename Sync::template Atomic<T>;

  static constexpr uint64_t kNoThread = 0;
  static constexpr uint64_t kNone = ~uint64_t{0};

  using Cache = typename FrameCaches<Sync>::Cache;

  FrameSlot(bool is_shared, uint64_t first_tree, Cache* its_cache)
      : shared(is_shared), cache(its_cache), start(first_tree) {}

  // True when nobody owned the slot, and `thread` does now.
  [[nodiscard]] bool Claim(uint64_t thread) {
    uint64_t expected = kNoThread;
    // relaxed: a look. acquire: pairs with the release in Leave; the last
    // owner's numbers are visible.
    return !shared && owner.load(std::memory_order_relaxed) == kNoThread &&
           owner.compare_exchange_strong(expected, thread,
                                         std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  void Leave() {
    // release: pairs with the acquire in Claim.
    owner.store(kNoThread, std::memory_order_release);
  }

  // Adds to one of the counts below.
  void Count(Atomic<uint64_t>& count, uint64_t n = 1) {
    // release, both: pair with the acquire in Returned; who sees the count sees
    // the frames that came back before it.
    if (shared) {
      count.fetch_add(n, std::memory_order_release);
    } else {
      // relaxed: written by the calling thread.
      count.store(count.load(std::memory_order_relaxed) + n,
                  std::memory_order_release);
    }
  }

  // Grows whenever frames came back to the others' sight through this slot.
  [[nodiscard]] uint64_t Returned() const {
    // acquire: pairs with the releases in Count.
    return frees.load(std::memory_order_acquire) +
           undone.load(std::memory_order_acquire);
  }

  // Frames that Frees through this slot gave back; exact when no call runs.
  [[nodiscard]] uint64_t Freed() const {
    // acquire: pairs with the release in Count; the pushes that `cached` counts
    // are seen.
    const uint64_t uncounted = cached.load(std::memory_order_acquire);
    // relaxed: a count.
    return frees.load(std::memory_order_relaxed) +
           (cache == nullptr ? 0 : cache->pushes() - uncounted);
  }

  Atomic<uint64_t> owner{kNoThread};
  const bool shared;
  Cache* const cache;              // null: none
  size_t batch = 1;                // frames to take next; the owner's alone
  Atomic<uint64_t> tree{kNone};    // reserved
  Atomic<uint64_t> cursor{kNone};  // the word that frames were last taken from
  Atomic<uint64_t> start;          // the tree where a search begins
  Atomic<uint64_t> change{0};      // to the frames of `tree`, modulo 2^64

  Atomic<uint64_t> frees{0};  // of frames, but those that the cache counts
  Atomic<uint64_t> undone{
      0};  // hidden for a moment, or cached, and shown again
  Atomic<uint64_t> cached{0};  // frames put into the cache by no Free
  Atomic<uint64_t> failures{0};
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_FRAME_SLOT_H_
