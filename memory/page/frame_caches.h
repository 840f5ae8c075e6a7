#ifndef MMSB_MEMORY_PAGE_FRAME_CACHES_H_
#define MMSB_MEMORY_PAGE_FRAME_CACHES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "allocator/block_magazine.h"
#include "memory/page/frame_layout.h"
#include "primitives/cache_line.h"

namespace mmsb {

// Free frames that threads keep for themselves: for each of a fixed number of
// threads a magazine (block_magazine.h), which its owner fills and empties by
// plain loads and stores, and any thread robs; and a mark a frame, set while it
// lies in one. The bitmap says of such a frame that it is allocated, so the
// mark is how a second Free of it is found out.
//
// Marks are loaded and stored, nothing more. A frame is in one hand at a time,
// the mark is set before it is put into a cache and cleared after it was taken
// out, and the magazine orders the one before the other; so a Free that comes
// after another Free of the frame sees its mark. Two at once may see none.
//
// A view of memory that the caller provides and keeps. Thread-safe; without
// Construct() there is no cache, and no frame is in one. Constant time, but for
// what looks at all caches.
//
//   FrameCaches<SystemSync>::Cache& mine = caches.At(0);
//   if (caches.Put(mine, frame, number)) frame = caches.Take(mine);
template <class Sync>
class FrameCaches {
 public:
  using Cache = BlockMagazine<Sync>;
  using Mark = typename Sync::template Atomic<bool>;

  static constexpr size_t kFrames = 64;  // that a cache holds at most
  static constexpr size_t kBytes =       // from one cache to the next
      (Cache::Bytes(kFrames) + kFalseSharingBytes - 1) / kFalseSharingBytes *
      kFalseSharingBytes;

  // What was seen of all caches.
  struct Round {
    uint64_t pushes = 0;
    uint64_t tops = 0;
    size_t next = 0;       // the cache to be looked at
    bool refused = false;  // frames were left, as the system has no heavy fence
  };

  // `count` caches from `caches` on, kBytes each; a mark for each of the
  // `frames` frames of `region`.
  void Construct(std::byte* caches, size_t count, Mark* marks,
                 std::byte* region, size_t frames) {
    caches_ = caches;
    count_ = count;
    marks_ = marks;
    region_ = region;
    for (size_t i = 0; i < count; ++i) {
      ::new (caches_ + i * kBytes) Cache(kFrames, /*asymmetric=*/true);
    }
    for (size_t i = 0; i < frames; ++i) ::new (marks_ + i) Mark(false);
  }

  [[nodiscard]] size_t count() const { return count_; }
  [[nodiscard]] Cache& At(size_t i) const {
    return *std::launder(reinterpret_cast<Cache*>(caches_ + i * kBytes));
  }

  // Whether that frame of the region is in a cache.
  [[nodiscard]] bool Has(size_t frame) const {
    return count_ != 0 && HasMark(frame);
  }
  // The same where there are caches.
  [[nodiscard]] bool HasMark(size_t frame) const {
    // relaxed: ordered by the magazine, see above.
    return marks_[frame].load(std::memory_order_relaxed);
  }

  // How many of the `n` frames from `first` on come before one in a cache.
  [[nodiscard]] size_t PrefixOutside(size_t first, size_t n) const {
    if (count_ == 0) return n;
    size_t i = 0;
    while (i < n && !marks_[first + i].load(std::memory_order_relaxed)) ++i;
    return i;
  }

  // The owner's: false when the cache is full. `number` is the frame's, from
  // the start of the region.
  [[nodiscard]] bool Put(Cache& cache, std::byte* frame, size_t number) const {
    // relaxed, both: ordered by the magazine, see above.
    marks_[number].store(true, std::memory_order_relaxed);
    if (cache.Push(frame)) [[likely]] {
      return true;
    }
    marks_[number].store(false, std::memory_order_relaxed);
    return false;
  }

  // The owner's: the newest frame; null when there is none, or none but one.
  [[nodiscard]] std::byte* TakeUnlessLast(Cache& cache) const {
    return Taken(cache.TakeUnlessLast());
  }
  // The owner's: the newest frame; null when there is none.
  [[nodiscard]] std::byte* Take(Cache& cache) const {
    return Taken(cache.TakeNewest());
  }

  // Anyone's: the oldest frame of the next cache that has one, in a round that
  // begins with Round(). Null when all were looked at, and were empty or
  // refused.
  [[nodiscard]] std::byte* Steal(Round& round) const {
    for (; round.next < count_; ++round.next) {
      Cache& cache = At(round.next);
      for (;;) {
        const typename Cache::Sight sight = cache.Look();
        if (sight.empty) {
          round.pushes += sight.pushes;
          round.tops += sight.top;
          break;
        }
        std::byte* frame = nullptr;
        const typename Cache::Theft theft = cache.Steal(&frame);
        if (theft == Cache::Theft::kTaken) return Taken(frame);
        if (theft == Cache::Theft::kRefused) {
          round.refused = true;
          break;
        }
      }
    }
    return nullptr;
  }

  // Anyone's: after a round that ended. True when no frame was in any cache at
  // the moment when it ended (BlockMagazine::LookAgain).
  [[nodiscard]] bool EmptySince(const Round& round) const {
    uint64_t pushes = 0;
    uint64_t tops = 0;
    for (size_t i = 0; i < count_; ++i) {
      const typename Cache::Sight sight = At(i).LookAgain();
      if (!sight.empty) return false;
      pushes += sight.pushes;
      tops += sight.top;
    }
    return pushes == round.pushes && tops == round.tops;
  }

  // Frames in all caches; exact when no call is running.
  [[nodiscard]] size_t Size() const {
    size_t size = 0;
    for (size_t i = 0; i < count_; ++i) size += At(i).size();
    return size;
  }

 private:
  [[nodiscard]] std::byte* Taken(std::byte* frame) const {
    if (frame != nullptr) [[likely]] {
      // relaxed: ordered by the magazine, see above.
      marks_[static_cast<size_t>(frame - region_) / kFrameBytes].store(
          false, std::memory_order_relaxed);
    }
    return frame;
  }

  std::byte* caches_ = nullptr;
  size_t count_ = 0;
  Mark* marks_ = nullptr;
  std::byte* region_ = nullptr;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_FRAME_CACHES_H_
