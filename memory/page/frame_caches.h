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
// plain loads and stores, and any thread robs; and a mark a frame (FrameMark).
// The bitmap says of a frame in a cache that it is allocated, so the mark is
// how a second Free of it is found out. And where the mark says that a frame
// was handed out of a cache, the bitmap need not be asked.
//
// Marks are loaded and stored, but for one compare-exchange where what a cache
// handed out goes back to the bitmap. A frame is in one hand at a time,
// the mark is kCached before it is put into a cache and something else after it
// was taken out, and the magazine orders the one before the other; so a Free
// that comes after another Free of the frame sees its mark. Two at once may see
// none.
//
// A view of memory that the caller provides and keeps. Thread-safe; without
// Construct() there is no cache, and no frame is in one. Constant time, but for
// what looks at all caches.
//
//   FrameCaches<SystemSync>::Cache& mine = caches.At(0);
//   if (caches.Put(mine, frame, number)) frame = caches.Take(mine);
enum class FrameMark : uint8_t {
  kNone,       // in no cache, and the bitmap tells whether it is free
  kCached,     // in a cache, or on its way in or out
  kHandedOut,  // allocated, in no cache
};

template <class Sync>
class FrameCaches {
 public:
  using Cache = BlockMagazine<Sync>;
  using Mark = typename Sync::template Atomic<FrameMark>;

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
    for (size_t i = 0; i < frames; ++i) {
      ::new (marks_ + i) Mark(FrameMark::kNone);
    }
  }

  [[nodiscard]] size_t count() const { return count_; }
  [[nodiscard]] Cache& At(size_t i) const {
    return *std::launder(reinterpret_cast<Cache*>(caches_ + i * kBytes));
  }

  // Of that frame of the region, where there are caches.
  [[nodiscard]] FrameMark MarkOf(size_t frame) const {
    // relaxed: ordered by the magazine, or by who hands the frame on.
    return marks_[frame].load(std::memory_order_relaxed);
  }

  // How many of the `n` frames from `first` on come before one in a cache.
  [[nodiscard]] size_t PrefixOutside(size_t first, size_t n) const {
    if (count_ == 0) return n;
    size_t i = 0;
    while (i < n && MarkOf(first + i) != FrameMark::kCached) ++i;
    return i;
  }
  // The same; from now on the bitmap alone tells of those.
  [[nodiscard]] size_t ForgetPrefixOutside(size_t first, size_t n) const {
    if (count_ == 0) return n;
    for (size_t i = 0; i < n; ++i) {
      FrameMark mark = MarkOf(first + i);
      // relaxed, both: the caller's frame, which the bitmap hands on. Compared,
      // as it is another's, who may just free it, if the caller is mistaken.
      if (mark == FrameMark::kHandedOut) {
        (void)marks_[first + i].compare_exchange_strong(
            mark, FrameMark::kNone, std::memory_order_relaxed,
            std::memory_order_relaxed);
      }
      if (mark == FrameMark::kCached) return i;
    }
    return n;
  }

  // The owner's: false when the cache is full. `number` is the frame's, from
  // the start of the region.
  [[nodiscard]] bool Put(Cache& cache, std::byte* frame, size_t number) const {
    SetMark(number, FrameMark::kCached);
    if (cache.Push(frame)) [[likely]] {
      return true;
    }
    SetMark(number, FrameMark::kNone);
    return false;
  }

  // The owner's: stores the newest frame in `*frame`, to be handed out; false
  // when there is none, or none but one.
  [[nodiscard]] bool TakeUnlessLast(Cache& cache, std::byte** frame) const {
    if (!cache.TakeUnlessLast(frame)) [[unlikely]]
      return false;
    SetMark(NumberOf(*frame), FrameMark::kHandedOut);
    return true;
  }
  // The owner's: the newest frame; null when there is none.
  [[nodiscard]] std::byte* Take(Cache& cache) const {
    std::byte* const frame = cache.TakeNewest();
    if (frame != nullptr) SetMark(NumberOf(frame), FrameMark::kNone);
    return frame;
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
        if (theft == Cache::Theft::kTaken) {
          SetMark(NumberOf(frame), FrameMark::kNone);
          return frame;
        }
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
  void SetMark(size_t frame, FrameMark mark) const {
    // relaxed: ordered by the magazine, or by who hands the frame on.
    marks_[frame].store(mark, std::memory_order_relaxed);
  }
  [[nodiscard]] size_t NumberOf(const std::byte* frame) const {
    return static_cast<size_t>(frame - region_) / kFrameBytes;
  }

  std::byte* caches_ = nullptr;
  size_t count_ = 0;
  Mark* marks_ = nullptr;
  std::byte* region_ = nullptr;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_FRAME_CACHES_H_
