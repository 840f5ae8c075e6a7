#ifndef MMSB_MEMORY_PAGE_LOCKFREE_PAGE_ALLOCATOR_H_
#define MMSB_MEMORY_PAGE_LOCKFREE_PAGE_ALLOCATOR_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "allocator/allocator_stats.h"
#include "allocator/lockfree_sync.h"
#include "allocator/thread_cache_registry.h"
#include "memory/page/frame_caches.h"
#include "memory/page/frame_counts.h"
#include "memory/page/frame_errors.h"
#include "memory/page/frame_layout.h"
#include "memory/page/frame_slot.h"
#include "memory/page/frame_tree.h"
#include "memory/page/huge_frame.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/cache_line.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"
#include "primitives/poison.h"

namespace mmsb {

struct LockFreePageAllocatorOptions {
  // Of the region. What is left over beyond whole frames is not used.
  size_t bytes = 0;

  // How many threads have a reservation and a cache at one time. The threads
  // beyond are served as well, only slower.
  size_t max_threads = 64;
};

// Frames of memory for the contents of pages: runs of 2^order frames of 4 KiB,
// order 0 to 9 (2 MiB), aligned to their size, from one region of address space
// that is reserved in the beginning.
//
// Owns the region and its bookkeeping, and takes both from the mapper, which is
// not owned and must outlive it. Bookkeeping is 585 bytes a huge frame of 2 MiB
// and 768 a thread; 73 bytes a huge frame where there are no caches. Frames are
// named by address. A run is nothing but its frames: it may be given back in
// parts, or together with neighbours, as any aligned runs of allocated frames.
// A huge frame gets memory when the first of its frames is allocated, and keeps
// it until Purge().
//
// Thread-safe, but CheckInvariants() and Recover(), which need a moment when
// nothing else runs. May be destroyed while threads that used it live on. After
// fork() the child may go on; what another thread was just taking or giving
// back at that moment, 32 frames or one run at most, may be lost to the child.
//
// A thread keeps up to 64 single frames that are free in a cache of its own,
// until it ends or calls DetachThread(), or others need them. There are caches
// where the system has an asymmetric fence (os_asymmetric_fence.h).
//
// Failure: an absl::Status; nothing is changed then. A wrong Free names the
// frame. It is found out when a frame is free, not when it is another's by now;
// but of two Frees of one single frame at the same moment both may succeed,
// where there are caches. Contents of a run are undefined. Under
// AddressSanitizer a freed run is poisoned.
//
// ResourceExhausted means: at one moment during the call every run of that
// order had a frame that was allocated, or that another call, not returned by
// then, had in hand: a Free of it, a Purge of its huge frame, an Allocate that
// had counted on some of the 64 frames around it and may have failed, or any
// call that brought frames into a cache or out of one, at most 32 at a time.
// Frames in caches are not allocated: before it is said, all are empty. In
// particular no run was free if no other thread was inside a call; and N
// threads that hold at most one frame each never see it where there are N
// frames, if N is at most 16, or 33 N. (Where the kernel's membarrier is taken
// away from a process after it had it, by a system call filter, frames in other
// threads' caches are no longer found; it may be said early then.)
//
// Of a single frame an Allocate or a Free is mostly loads and stores in the
// thread's cache, and of the frame's mark: no read-modify-write, and no line
// that another thread writes, as long as it gives back what it took. One in
// some 32 moves as many frames to or from the bitmap, with two
// read-modify-writes for each word of 64 that they lie in. A run, or a frame
// without a cache, is two uncontended read-modify-writes in a cache line or two
// that no other thread touches, as long as it hits the thread's reserved tree
// of 16 MiB; three elsewhere; and one for each frame given back so that came
// out of a cache. Of 64 frames and more an Allocate is one fewer,
// and a Free one a word and one. An Allocate that has to look for another tree
// reads one word a tree, and only one that finds nothing reads a word for every
// huge frame, and looks at every cache; what it finds there costs a heavy fence
// of some microseconds a frame.
//
//   auto frames = LockFreePageAllocator::Create({.bytes = 64 * kGiB});
//   absl::StatusOr<void*> page = (*frames)->Allocate(0);
//   absl::Status freed = (*frames)->Free(*page, 0);
//
// How it works
//
// LLFree (Wrenger et al., USENIX ATC 2023), in three levels. A bitmap, and
// counts of the free frames of each word: huge_frame.h, which alone decides who
// gets what, and argues why. A count and a reservation for each tree of 8 huge
// frames: frame_tree.h. A slot a thread, with its reservation: frame_slot.h.
// The latter two only say where to look. A thread stays with one word of its
// tree as long as it lasts; then takes the fullest huge frame of the tree that
// has what it needs; then reserves another tree, a partly filled one rather
// than one that is all free; and last looks everywhere, reserved or not. So
// huge frames and trees that are all free stay so while anything else serves.
//
// In front of that a cache a thread, for single frames: frame_caches.h. For the
// three levels a cached frame is allocated, and for a caller it is free. A
// thread whose cache has one frame or none takes several of one word, first
// one, and each time twice as many, up to 32; one whose cache is full gives the
// newer half back, word by word.
//
// Why every operation is lock-free: each loop repeats only because another
// call changed the word that it tries to change, which was that call's progress
// or the undoing after another's (huge_frame.h), or, in the search, because
// another call gave frames back, or put some into a cache, having one itself.
//
// Why the search misses nothing: it reads how often frames were shown (Frees,
// and what was undone or left a cache: each counted after the frames are, in a
// count that only grows); empties every cache, or takes the frame if it wants
// only one; looks at the counts of every huge frame; looks at the caches once
// more, and reads again. If nothing was shown between, and all caches were
// empty with as many pushes and takings from their tops (block_magazine.h),
// then at the moment before the second look every run was allocated since it
// was looked at, or in the hand of a call that has not counted yet. If a thread
// gave a frame back behind the search, to a cache or the bitmap, and then took
// the one before it, the search that sees the second gone (acquire of what the
// taking released: counts, or a cache's bottom or top) sees the first counted,
// and starts over.
//
// Why a few threads with a frame each are enough for each other: a call has
// several frames in hand only where it leaves at least 16 of them where they
// came from: in the huge frame's counts, by the compare-exchange that took
// (HugeFrame::kLeft), or in the cache. Where no more than 16 are not allocated
// for good it never does. (A cache seems no fuller to its owner than there are
// frames: one that was stolen and put in again came back by what the stealing
// released.) Else each call has 32 of them and the one that it is for at most.
//
// Why a frame is in one place: a cache hands out no frame twice, the bitmap
// neither, and a frame is put into one of them by who holds it. In the bitmap a
// cached frame is allocated and its mark is set, so nobody may free it.
//
// Linearization: huge_frame.h, and block_magazine.h of cached frames. ABA:
// counts and bitmaps have no history; equal words mean the same, whatever was
// in between.
//
// Recovery: the bitmaps are the state, and all else is computed from them. Of a
// copy made while calls run, a frame that was allocated all the time is in it,
// one that was free all the time, and in no cache, is not, and the rest may be
// either. To who recovers, frames in caches are allocated.
template <class Sync = SystemSync>
class BasicLockFreePageAllocator {
  template <class T>
  using Atomic = typename Sync::template Atomic<T>;
  using Slot = FrameSlot<Sync>;
  using Tree = FrameTree<Sync>;
  using Huge = HugeFrame<Sync>;
  using Word = typename Huge::Word;
  using Caches = FrameCaches<Sync>;
  using Cache = typename Caches::Cache;

 public:
  using Options = LockFreePageAllocatorOptions;

  //   InvalidArgument    max_threads is absurd
  //   ResourceExhausted  the system, or size_t, has no room for the region and
  //                      its bookkeeping
  static absl::StatusOr<std::unique_ptr<BasicLockFreePageAllocator>> Create(
      const Options& options, MemoryMapper& mapper = SystemMapper()) {
    Layout layout;
    if (absl::Status status = layout.Measure(options); !status.ok()) {
      return status;
    }
    std::unique_ptr<BasicLockFreePageAllocator> allocator(
        new BasicLockFreePageAllocator(layout, mapper));
    if (absl::Status status = allocator->Start(layout); !status.ok()) {
      return status;
    }
    return allocator;
  }

  BasicLockFreePageAllocator(const BasicLockFreePageAllocator&) = delete;
  BasicLockFreePageAllocator& operator=(const BasicLockFreePageAllocator&) =
      delete;

  ~BasicLockFreePageAllocator() {
    if (id_ != kNoAllocator) thread_cache_registry::Remove(&member_);
    // There is nobody to tell, and nothing to do, when the system refuses.
    if (region_ != nullptr) (void)mapper_.Release(region_, RegionBytes());
    if (metadata_ != nullptr) {
      (void)mapper_.Release(metadata_, metadata_bytes_);
    }
  }

  // The first byte of a run of 2^order frames.
  //   InvalidArgument    there are no runs of that order
  //   ResourceExhausted  none is free (see above), or the system has no memory
  [[nodiscard, gnu::always_inline]] absl::StatusOr<void*> Allocate(int order) {
    if (order == 0) [[likely]] {
      const thread_cache_registry::Entry entry =
          thread_cache_registry::EntryOf(cache_id_);
      if (entry.id == cache_id_) [[likely]] {
        std::byte* frame;
        if (caches_.TakeUnlessLast(*static_cast<Cache*>(entry.second), &frame))
            [[likely]] {
          return HandOutCached(frame);
        }
        return AllocateSlow(0);
      }
    }
    return AllocateRun(order);
  }

  // Gives back the 2^order frames from `p` on, all of which are allocated.
  //   InvalidArgument     the order, or the address: outside the region, inside
  //                       a frame, not a multiple of the run
  //   FailedPrecondition  a frame is not allocated
  [[gnu::always_inline]] absl::Status Free(void* p, int order) {
    if (order == 0) [[likely]] {
      const thread_cache_registry::Entry entry =
          thread_cache_registry::EntryOf(cache_id_);
      // An address inside a frame becomes a number beyond all frames.
      const size_t frame =
          std::rotr(static_cast<size_t>(reinterpret_cast<uintptr_t>(p) -
                                        reinterpret_cast<uintptr_t>(region_)),
                    std::countr_zero(kFrameBytes));
      if (entry.id == cache_id_ && frame < frame_count_ &&
          caches_.MarkOf(frame) == FrameMark::kHandedOut) [[likely]] {
        PoisonFreed(p, kFrameBytes);
        if (caches_.Put(*static_cast<Cache*>(entry.second),
                        static_cast<std::byte*>(p), frame)) [[likely]] {
          return absl::OkStatus();
        }
      }
    }
    return Moved(FreeSlow(p, order));
  }

  // Gives the memory of every huge frame that is all free back to the system,
  // and returns how many bytes. Empties all caches first. Stops at the first
  // refusal.
  //   Internal  the system refused
  absl::StatusOr<size_t> Purge() {
    Slot& slot = ThisSlot();
    EmptyCaches(slot);
    size_t bytes = 0;
    for (uint64_t huge = 0; huge < huge_count_; ++huge) {
      const uint64_t free = AllFree(huge);
      if (HugeAt(huge).Look() != free || !HugeAt(huge).Hide(free)) continue;
      // A failure may have taken a part away. Commit() is needed either way.
      const OsError error = mapper_.Decommit(HugeAddress(huge), kHugeBytes);
      // relaxed: a count.
      committed_huges_.fetch_add(~uint64_t{0}, std::memory_order_relaxed);
      HugeAt(huge).Add(free | frame_counts::kUncommitted);
      slot.Count(slot.undone);
      if (!error.ok()) {
        char text[OsError::kTextBytes];
        return absl::InternalError(error.Describe(text, sizeof(text)));
      }
      bytes += kHugeBytes;
    }
    return bytes;
  }

  // One bit a frame, from bit 0 of the first word on, set when the frame is
  // allocated or in a cache; 8 words for each huge frame, so that there may be
  // bits beyond the last frame, which are set. Other calls may run meanwhile:
  // see above.
  [[nodiscard]] std::vector<uint64_t> Bitmap() const {
    std::vector<uint64_t> bitmap(huge_count_ * kWordsPerHuge);
    for (size_t i = 0; i < bitmap.size(); ++i) {
      // acquire: pairs with the release of who gave frames back.
      bitmap[i] = words_[i].load(std::memory_order_acquire);
    }
    return bitmap;
  }

  // Makes the frames allocated that are so in `bitmap`, which Bitmap() of an
  // allocator of as many frames returned, and all others free, and computes
  // everything else from that. What was allocated may be freed as ever.
  //   InvalidArgument    no such bitmap
  //   ResourceExhausted  the system has no memory for what is allocated
  absl::Status Recover(std::span<const uint64_t> bitmap) {
    if (bitmap.size() != huge_count_ * kWordsPerHuge) {
      return absl::InvalidArgumentError(
          "the bitmap is of a region of another size");
    }
    for (uint64_t i = 0; i < bitmap.size(); ++i) {
      if ((bitmap[i] & Beyond(i)) != Beyond(i)) {
        return absl::InvalidArgumentError(
            "the bitmap says that a frame beyond the last one is free");
      }
    }
    for (uint64_t huge = 0; huge < huge_count_; ++huge) {
      bool used = false;
      for (uint64_t i = huge * kWordsPerHuge; i < (huge + 1) * kWordsPerHuge;
           ++i) {
        used |= bitmap[i] != Beyond(i);
      }
      if (!used || (HugeAt(huge).Look() & frame_counts::kUncommitted) == 0) {
        continue;
      }
      if (const OsError error = Commit(huge); !error.ok()) {
        return frame_errors::Refused("Recover", error);
      }
    }
    // relaxed, in what follows: no other call runs.
    const uint64_t live = frame_count_ - FreeFrames();
    for (size_t i = 0; i < caches_.count(); ++i) {
      while (caches_.Take(caches_.At(i)) != nullptr) {
      }
    }
    (void)caches_.ForgetPrefixOutside(0, frame_count_);
    for (uint64_t i = 0; i < bitmap.size(); ++i) {
      words_[i].store(bitmap[i], std::memory_order_relaxed);
    }
    Recount();
    // What no longer is live counts as freed, and what is now, as allocated.
    const uint64_t live_now = frame_count_ - FreeFrames();
    Slot& shared = slots_[slot_count_ - 1];
    if (live > live_now) shared.Count(shared.frees, live - live_now);
    return absl::OkStatus();
  }

  // Leaves the calling thread's reservation and the frames of its cache to the
  // others, as its end does; for a thread that will not allocate for long. It
  // may go on all the same.
  void DetachThread() {
    if (id_ == kNoAllocator) return;
    thread_cache_registry::Entry& entry = thread_cache_registry::EntryOf(id_);
    LeaveSlot(thread_cache_registry::ThisThread());
    if (entry.id == id_) entry = thread_cache_registry::Entry();
  }

  // True when `p` points into a frame of this region, allocated or not.
  [[nodiscard]] bool Owns(const void* p) const {
    return reinterpret_cast<uintptr_t>(p) -
               reinterpret_cast<uintptr_t>(region_) <
           frame_count_ * kFrameBytes;
  }

  // The first frame's first byte, at a multiple of 2 MiB.
  [[nodiscard]] void* region() const { return region_; }
  [[nodiscard]] size_t frame_count() const { return frame_count_; }

  // The frames that are free, in caches or not, exact when no call is running;
  // takes a look at every huge frame and every cache.
  [[nodiscard]] size_t FreeFrames() const {
    size_t free = caches_.Size();
    for (uint64_t huge = 0; huge < huge_count_; ++huge) {
      free += frame_counts::Total(HugeAt(huge).Look());
    }
    return free;
  }

  // Exact when no call is running, a guess otherwise. Committed is what has
  // memory: huge frames, and the bookkeeping. `peak` is the most that huge
  // frames ever had: more was never live, but perhaps never so much.
  // Cached is what is in caches, whether or not it ever was live. Allocations
  // and deallocations are in frames, as runs may be given back in parts;
  // the former are not counted, but are the latter and what is live. Reads the
  // bitmap.
  [[nodiscard]] AllocatorStats Stats() const {
    size_t live = 0;
    size_t free = 0;
    size_t metadata = metadata_bytes_;
    for (uint64_t huge = 0; huge < huge_count_; ++huge) {
      const uint64_t counts = HugeAt(huge).Look();
      if ((counts & frame_counts::kUncommitted) != 0) continue;
      free += frame_counts::Total(counts) * kFrameBytes;
      for (int w = 0; w < kWordsPerHuge; ++w) {
        const uint64_t i = huge * kWordsPerHuge + static_cast<uint64_t>(w);
        live += kFrameBytes *
                static_cast<size_t>(std::popcount(
                    // relaxed: a guess while calls run.
                    words_[i].load(std::memory_order_relaxed) & ~Beyond(i)));
      }
      metadata += (kFramesPerHuge - FramesOf(huge)) * kFrameBytes;
    }
    const size_t cached = std::min(caches_.Size() * kFrameBytes, live);
    live -= cached;
    // relaxed, all: counts.
    AllocatorStats::Values values = {
        .live = live,
        .cached = cached,
        .free = free,
        .metadata = metadata,
        .committed =
            metadata_bytes_ +
            kHugeBytes * committed_huges_.load(std::memory_order_relaxed),
        .peak = kHugeBytes * peak_huges_.load(std::memory_order_relaxed)};
    for (uint64_t i = 0; i < slot_count_; ++i) {
      values.deallocations += slots_[i].Freed();
      values.failures += slots_[i].failures.load(std::memory_order_relaxed);
    }
    values.allocations = values.deallocations + live / kFrameBytes;
    return AllocatorStats(values);
  }

  // Internal, with the place, when something does not hold that does whenever
  // no call is running: counts are those of the bitmap, a tree's is the sum of
  // its huge frames' and of what its holder has not handed in, a tree is
  // reserved by one slot or none, caches hold as many frames as are marked, and
  // to the bitmap those are allocated.
  [[nodiscard]] absl::Status CheckInvariants() const {
    uint64_t committed = 0;
    for (uint64_t huge = 0; huge < huge_count_; ++huge) {
      const uint64_t counts = HugeAt(huge).Look();
      for (int w = 0; w < kWordsPerHuge; ++w) {
        const uint64_t i = huge * kWordsPerHuge + static_cast<uint64_t>(w);
        const uint64_t bits = words_[i].load(std::memory_order_acquire);
        const auto clear = static_cast<uint64_t>(std::popcount(~bits));
        if (clear != frame_counts::At(counts, w)) {
          return frame_errors::Broken("word", i, "counted free frames",
                                      frame_counts::At(counts, w), clear);
        }
        if ((bits & Beyond(i)) != Beyond(i)) {
          return frame_errors::Broken("word", i, "bits beyond the last frame",
                                      bits & Beyond(i), Beyond(i));
        }
      }
      if ((counts & frame_counts::kUncommitted) == 0) {
        ++committed;
      } else if (counts != (AllFree(huge) | frame_counts::kUncommitted)) {
        return frame_errors::Broken("huge frame", huge, "counts without memory",
                                    counts,
                                    AllFree(huge) | frame_counts::kUncommitted);
      }
    }
    if (committed != committed_huges_.load(std::memory_order_relaxed)) {
      return frame_errors::Broken(
          "region", 0, "committed huge frames",
          committed_huges_.load(std::memory_order_relaxed), committed);
    }
    for (uint64_t tree = 0; tree < tree_count_; ++tree) {
      const typename Tree::Sight sight = trees_[tree].Look();
      uint64_t free = static_cast<uint64_t>(sight.free);
      uint64_t holders = 0;
      for (uint64_t i = 0; i < slot_count_; ++i) {
        if (slots_[i].tree.load(std::memory_order_relaxed) != tree) continue;
        ++holders;
        free += slots_[i].change.load(std::memory_order_relaxed);
      }
      if (holders != (sight.reserved ? 1 : 0)) {
        return frame_errors::Broken("tree", tree, "slots that reserved it",
                                    holders, sight.reserved ? 1 : 0);
      }
      if (free != FreeInTree(tree)) {
        return frame_errors::Broken("tree", tree, "counted free frames", free,
                                    FreeInTree(tree));
      }
    }
    size_t marked = 0;
    for (size_t frame = 0; frame < frame_count_; ++frame) {
      if (caches_.count() == 0) break;
      const FrameMark mark = caches_.MarkOf(frame);
      if (mark == FrameMark::kNone) continue;
      if (mark == FrameMark::kCached) ++marked;
      if (AllocatedPrefix(frame, 0, /*or_cached=*/true) == 0) {
        return frame_errors::Broken("frame", frame, "allocated though marked",
                                    0, 1);
      }
    }
    if (marked != caches_.Size()) {
      return frame_errors::Broken("region", 0, "frames in caches",
                                  caches_.Size(), marked);
    }
    return absl::OkStatus();
  }

 private:
  static constexpr uint64_t kNoAllocator = ~uint64_t{0};  // matches no entry

  // How many frames move to a cache or from one at once, at most.
  static constexpr size_t kBatch = Caches::kFrames / 2;

  // A control of the model checker goes without the second look.
  static constexpr bool kLooksAgain = !requires { Sync::kLooksOnce; };

  // Where a search ended. `frame` is from the start of the region.
  struct Found {
    std::byte* cached = nullptr;  // a frame out of a cache; or else
    uint64_t huge = 0;
    FrameTaking taking = {};
    uint64_t shown = 0;  // times or frames that this search has shown
    OsError error = {};  // the system had no memory
  };

  // What the options come to: sizes in bytes, offsets into the bookkeeping.
  struct Layout {
    absl::Status Measure(const Options& options) {
      if (options.max_threads > kMaxSlots) {
        return absl::InvalidArgumentError("max_threads is above 2^20");
      }
      frames = options.bytes / kFrameBytes;
      huges = frames / kFramesPerHuge + (frames % kFramesPerHuge != 0);
      trees = huges / kHugesPerTree + (huges % kHugesPerTree != 0);
      slots = options.max_threads + 1;
      if (frames != 0 && Sync::HasAsymmetricFence()) {
        caches = options.max_threads;
      }
      // Below 2^64 / 2^21 huge frames: only the region itself may overflow.
      size_t region_bytes = 0;
      if (!CheckedMultiply(huges, kHugeBytes, &region_bytes) ||
          !Place(slots, sizeof(Slot), &slots_offset) ||
          !Place(trees * kHugesPerTree, sizeof(Word), &counts_offset) ||
          !Place(huges * kWordsPerHuge, sizeof(Word), &words_offset) ||
          !Place(trees, sizeof(Tree), &trees_offset) ||
          !Place(caches, Caches::kBytes, &caches_offset) ||
          !Place(caches == 0 ? 0 : frames, sizeof(typename Caches::Mark),
                 &marks_offset)) {
        return absl::ResourceExhaustedError(
            "the region is larger than an address space");
      }
      return absl::OkStatus();
    }

    bool Place(size_t count, size_t bytes, size_t* offset) {
      size_t array_bytes = 0;
      if (!CheckedAlignUp(metadata_bytes,
                          Alignment::FromBytes(kFalseSharingBytes),
                          &metadata_bytes)) {
        return false;
      }
      *offset = metadata_bytes;
      return CheckedMultiply(count, bytes, &array_bytes) &&
             CheckedAdd(metadata_bytes, array_bytes, &metadata_bytes);
    }

    static constexpr size_t kMaxSlots = size_t{1} << 20;

    size_t frames = 0;
    size_t huges = 0;
    size_t trees = 0;
    size_t slots = 0;
    size_t caches = 0;
    size_t slots_offset = 0;
    size_t counts_offset = 0;
    size_t words_offset = 0;
    size_t trees_offset = 0;
    size_t caches_offset = 0;
    size_t marks_offset = 0;
    size_t metadata_bytes = 0;
  };

  BasicLockFreePageAllocator(const Layout& layout, MemoryMapper& mapper)
      : frame_count_(layout.frames),
        huge_count_(layout.huges),
        tree_count_(layout.trees),
        slot_count_(layout.slots),
        mapper_(mapper) {}

  absl::Status Start(const Layout& layout) {
    size_t bytes = 0;
    if (!CheckedAlignUp(layout.metadata_bytes, mapper_.Granule(), &bytes)) {
      return absl::ResourceExhaustedError("no room for the bookkeeping");
    }
    void* memory = nullptr;
    if (huge_count_ != 0) {
      const OsError error = mapper_.Reserve(
          RegionBytes(), Alignment::FromBytes(kHugeBytes), &memory);
      if (!error.ok()) return frame_errors::Refused("region", error);
      region_ = static_cast<std::byte*>(memory);
    }
    OsError error = mapper_.Reserve(bytes, mapper_.Granule(), &memory);
    if (!error.ok()) return frame_errors::Refused("bookkeeping", error);
    metadata_ = static_cast<std::byte*>(memory);
    metadata_bytes_ = bytes;
    error = mapper_.Commit(metadata_, metadata_bytes_);
    if (!error.ok()) return frame_errors::Refused("bookkeeping", error);
    Construct(layout);
    member_.object = this;
    member_.thread_ended = &ThreadEnded;
    member_.forked = &Forked;
    // Without it no thread has a slot, and all share one.
    if (huge_count_ != 0 && thread_cache_registry::Add(&member_)) {
      id_ = member_.id;
      if (caches_.count() != 0) cache_id_ = id_;
    }
    return absl::OkStatus();
  }

  void Construct(const Layout& layout) {
    slots_ = reinterpret_cast<Slot*>(metadata_ + layout.slots_offset);
    counts_ = reinterpret_cast<Word*>(metadata_ + layout.counts_offset);
    words_ = reinterpret_cast<Word*>(metadata_ + layout.words_offset);
    trees_ = reinterpret_cast<Tree*>(metadata_ + layout.trees_offset);
    if (layout.caches != 0) {
      caches_.Construct(metadata_ + layout.caches_offset, layout.caches,
                        reinterpret_cast<typename Caches::Mark*>(
                            metadata_ + layout.marks_offset),
                        region_, frame_count_);
    }
    // The last one is shared. Searches begin far from each other.
    for (uint64_t i = 0; i < slot_count_; ++i) {
      ::new (slots_ + i)
          Slot(i + 1 == slot_count_, i * tree_count_ / slot_count_,
               i < caches_.count() ? &caches_.At(i) : nullptr);
    }
    for (uint64_t i = 0; i < tree_count_ * kHugesPerTree; ++i) {
      ::new (counts_ + i)
          Word(i < huge_count_ ? AllFree(i) | frame_counts::kUncommitted : 0);
    }
    for (uint64_t i = 0; i < huge_count_ * kWordsPerHuge; ++i) {
      ::new (words_ + i) Word(Beyond(i));
    }
    for (uint64_t i = 0; i < tree_count_; ++i) {
      ::new (trees_ + i) Tree(static_cast<int64_t>(FreeInTree(i)));
    }
  }

  [[nodiscard]] size_t RegionBytes() const { return huge_count_ * kHugeBytes; }
  [[nodiscard]] std::byte* HugeAddress(uint64_t huge) const {
    return region_ + huge * kHugeBytes;
  }
  [[nodiscard]] Huge HugeAt(uint64_t huge) const {
    return Huge(counts_ + huge, words_ + huge * kWordsPerHuge);
  }

  // The frames that a huge frame has: fewer in the last one.
  [[nodiscard]] size_t FramesOf(uint64_t huge) const {
    return std::min(frame_count_ - huge * kFramesPerHuge, kFramesPerHuge);
  }
  [[nodiscard]] uint64_t AllFree(uint64_t huge) const {
    return frame_counts::AllFree(FramesOf(huge));
  }
  // The bits of a word of the bitmap that are beyond the last frame.
  [[nodiscard]] uint64_t Beyond(uint64_t word) const {
    const uint64_t first = word * kFramesPerWord;
    if (first >= frame_count_) return ~uint64_t{0};
    const uint64_t here = frame_count_ - first;
    return here >= kFramesPerWord ? 0 : ~uint64_t{0} << here;
  }

  // What huge frames that exist there have free.
  [[nodiscard]] uint64_t FreeInTree(uint64_t tree) const {
    uint64_t free = 0;
    for (uint64_t i = 0; i < kHugesPerTree; ++i) {
      // relaxed: no other call runs.
      free += frame_counts::Total(
          counts_[tree * kHugesPerTree + i].load(std::memory_order_relaxed));
    }
    return free;
  }

  // The calling thread's slot, or the shared one.
  [[nodiscard]] Slot& ThisSlot() {
    Slot& shared = slots_[slot_count_ - 1];
    if (id_ == kNoAllocator) return shared;
    thread_cache_registry::Entry& entry = thread_cache_registry::EntryOf(id_);
    if (entry.id == id_) return *static_cast<Slot*>(entry.first);
    const uint64_t thread = thread_cache_registry::ThisThread();
    if (thread == Slot::kNoThread) return shared;
    Slot* slot = FindSlot(thread);
    for (uint64_t i = 0; slot == nullptr && i < slot_count_; ++i) {
      if (slots_[i].Claim(thread)) slot = slots_ + i;
    }
    if (slot == nullptr) return shared;
    entry = {id_, slot, slot->cache};
    return *slot;
  }

  [[nodiscard]] Slot* FindSlot(uint64_t thread) const {
    for (uint64_t i = 0; i < slot_count_; ++i) {
      // relaxed: the thread looks for what it wrote itself.
      if (slots_[i].owner.load(std::memory_order_relaxed) == thread) {
        return slots_ + i;
      }
    }
    return nullptr;
  }

  // The last step of every Allocate: this one, if the frame was in a cache.
  [[nodiscard]] static void* HandOutCached(std::byte* frame) {
    UnpoisonFresh(frame, kFrameBytes);
    return frame;
  }
  [[nodiscard]] void* HandOut(Slot& slot, uint64_t huge,
                              const FrameTaking& taking, int order) {
    const size_t frames = size_t{1} << order;
    const auto more = static_cast<size_t>(std::popcount(taking.more));
    ChangeTree(slot, huge / kHugesPerTree,
               -static_cast<int64_t>(frames + more));
    std::byte* const p =
        HugeAddress(huge) + static_cast<size_t>(taking.offset) * kFrameBytes;
    UnpoisonFresh(p, frames * kFrameBytes);
    if (order == 0 && slot.cache != nullptr) {
      slot.batch = std::min(2 * slot.batch, kBatch);
      if (more != 0) Keep(slot, huge, taking);
    }
    return p;
  }

  // Puts what was taken beyond one frame into the cache, the lowest last.
  void Keep(Slot& slot, uint64_t huge, const FrameTaking& taking) {
    const size_t word = static_cast<size_t>(taking.offset) / kFramesPerWord;
    const size_t first = huge * kFramesPerHuge + word * kFramesPerWord;
    for (uint64_t left = taking.more; left != 0;) {
      const int bit = std::bit_width(left) - 1;
      left ^= uint64_t{1} << bit;
      // There is room: several are taken only when it has one frame at most.
      const size_t frame = first + static_cast<size_t>(bit);
      (void)caches_.Put(*slot.cache, region_ + frame * kFrameBytes, frame);
    }
    slot.Count(slot.cached, static_cast<uint64_t>(std::popcount(taking.more)));
  }

  // Of a run; of a frame for a thread that has no cache, or is new here.
  [[gnu::noinline]] absl::StatusOr<void*> AllocateRun(int order) {
    if (!IsFrameOrder(order)) [[unlikely]] {
      return frame_errors::NoSuchOrder(order);
    }
    const thread_cache_registry::Entry& entry =
        thread_cache_registry::EntryOf(id_);
    if (entry.id == id_ && order < kWordOrder) [[likely]] {
      Slot& slot = *static_cast<Slot*>(entry.first);
      // relaxed: the thread's own.
      const uint64_t word = slot.cursor.load(std::memory_order_relaxed);
      if (word != Slot::kNone) [[likely]] {
        const uint64_t huge = word / kWordsPerHuge;
        const FrameTaking taking = HugeAt(huge).TakeInWord(
            static_cast<int>(word % kWordsPerHuge), order);
        if (taking.taken() && !taking.uncommitted) [[likely]] {
          return HandOut(slot, huge, taking, order);
        }
        if (taking.undone) slot.Count(slot.undone);
        if (taking.taken()) {
          Found found;
          if (Finish(slot, huge, order, taking, found)) {
            return HandOut(slot, huge, taking, order);
          }
        }
      }
    }
    return AllocateSlow(order);
  }

  // All of Free but its beginning.
  [[gnu::noinline]] absl::Status FreeSlow(void* p, int order) {
    if (!IsFrameOrder(order)) [[unlikely]] {
      return frame_errors::NoSuchOrder(order);
    }
    const size_t offset =
        reinterpret_cast<uintptr_t>(p) - reinterpret_cast<uintptr_t>(region_);
    const size_t frames = size_t{1} << order;
    const size_t frame = offset / kFrameBytes;
    if (offset % (frames * kFrameBytes) != 0 || frame >= frame_count_ ||
        frames > frame_count_ - frame) [[unlikely]] {
      return frame_errors::NoSuchRun(offset, order, frame_count_);
    }
    const thread_cache_registry::Entry entry =
        thread_cache_registry::EntryOf(id_);
    const bool to_cache =
        order == 0 && entry.id == id_ && entry.second != nullptr;
    const bool cached = caches_.ForgetPrefixOutside(frame, frames) != frames;
    if (kPoisonReported || to_cache || cached) {
      const size_t allocated = AllocatedPrefix(frame, order);
      if (allocated != frames) {
        return frame_errors::NotAllocated(frame + allocated, frame, order);
      }
      PoisonFreed(p, frames * kFrameBytes);
    }
    if (to_cache) {
      auto* const first = static_cast<std::byte*>(p);
      if (!caches_.Put(*static_cast<Cache*>(entry.second), first, frame)) {
        FreeHalf(*static_cast<Slot*>(entry.first), first);
      }
      return absl::OkStatus();
    }
    const uint64_t huge = frame / kFramesPerHuge;
    if (!HugeAt(huge).Give(frame % kFramesPerHuge, order)) [[unlikely]] {
      const size_t allocated = AllocatedPrefix(frame, order);
      return frame_errors::NotAllocated(
          frame + (allocated == frames ? 0 : allocated), frame, order);
    }
    Slot& slot =
        entry.id == id_ ? *static_cast<Slot*>(entry.first) : ThisSlot();
    ChangeTree(slot, huge / kHugesPerTree, static_cast<int64_t>(frames));
    slot.Count(slot.frees, frames);
    return absl::OkStatus();
  }

  // The frames of the run that are allocated, from its first one on, up to one
  // that is free.
  [[nodiscard]] size_t AllocatedPrefix(size_t frame, int order,
                                       bool or_cached = false) const {
    const size_t allocated =
        HugeAt(frame / kFramesPerHuge)
            .AllocatedPrefix(frame % kFramesPerHuge, order);
    return or_cached ? allocated : caches_.PrefixOutside(frame, allocated);
  }

  // Free for a thread whose cache is full: gives the frame back to the bitmap,
  // and with it the newer half of the cache.
  [[gnu::noinline]] void FreeHalf(Slot& slot, std::byte* first) {
    std::byte* frames[kBatch] = {first};
    (void)GiveBack(slot, frames, TakeCached(slot, frames, 1, kBatch));
    slot.Count(slot.frees);
  }

  // Takes frames out of the slot's cache, until there are `n`, or it is empty.
  // The first `have` are there. Returns how many there are.
  [[nodiscard]] size_t TakeCached(Slot& slot, std::byte** frames, size_t have,
                                  size_t n) {
    while (have < n) {
      frames[have] = caches_.Take(*slot.cache);
      if (frames[have] == nullptr) break;
      ++have;
    }
    return have;
  }

  // Empties the slot's cache into the bitmap, some at a time while it has many
  // (see above) and then one by one. Returns how many frames that were.
  uint64_t Drain(Slot& slot) {
    if (slot.cache == nullptr) return 0;
    uint64_t drained = 0;
    std::byte* frames[kBatch];
    for (;;) {
      const size_t size = slot.cache->size();
      const size_t spare = size > Huge::kLeft ? size - Huge::kLeft : 1;
      const size_t n =
          TakeCached(slot, frames, 0, std::min(spare, size_t{kBatch}));
      if (n == 0) return drained;
      drained += GiveBack(slot, frames, n);
    }
  }

  // Empties all caches.
  void EmptyCaches(Slot& slot) {
    Drain(slot);
    typename Caches::Round round;
    while (std::byte* frame = caches_.Steal(round)) {
      (void)GiveBack(slot, &frame, 1);
    }
  }

  // Gives `n` frames that were cached back to the bitmap, word by word. Changes
  // the array. Returns n.
  uint64_t GiveBack(Slot& slot, std::byte** frames, size_t n) {
    const uint64_t all = n;
    while (n != 0) {
      const uint64_t word = FrameOf(frames[0]) / kFramesPerWord;
      uint64_t mask = 0;
      size_t others = 0;
      for (size_t i = 0; i < n; ++i) {
        const uint64_t frame = FrameOf(frames[i]);
        if (frame / kFramesPerWord == word) {
          mask |= uint64_t{1} << (frame % kFramesPerWord);
        } else {
          frames[others++] = frames[i];
        }
      }
      // They are allocated, so that it cannot fail.
      (void)HugeAt(word / kWordsPerHuge)
          .GiveSingles(static_cast<int>(word % kWordsPerHuge), mask);
      ChangeTree(slot, word / kWordsPerHuge / kHugesPerTree,
                 static_cast<int64_t>(n - others));
      n = others;
    }
    slot.Count(slot.undone, all);
    return all;
  }

  // A status that was made elsewhere, not in place: so the inlined Free keeps
  // its own in a register, and a caller sees that it is OK.
  [[gnu::always_inline]] static absl::Status Moved(absl::Status&& status) {
    return std::move(status);
  }

  // From the start of the region.
  [[nodiscard]] uint64_t FrameOf(const std::byte* p) const {
    return static_cast<uint64_t>(p - region_) / kFrameBytes;
  }

  // How many single frames are taken at once.
  static size_t Most(const Slot& slot, int order) {
    return order == 0 && slot.cache != nullptr ? slot.batch : 1;
  }

  // Adds to what a tree has free: to the slot's own number if it reserved it.
  void ChangeTree(Slot& slot, uint64_t tree, int64_t change) {
    // relaxed, all: the thread's own.
    if (slot.tree.load(std::memory_order_relaxed) == tree) {
      slot.change.store(slot.change.load(std::memory_order_relaxed) +
                            static_cast<uint64_t>(change),
                        std::memory_order_relaxed);
    } else {
      trees_[tree].Add(change);
    }
  }

  [[gnu::noinline]] absl::StatusOr<void*> AllocateSlow(int order) {
    Slot& slot = ThisSlot();
    Found found;
    if (huge_count_ != 0 &&
        (TakeNear(slot, order, found) || Search(slot, order, found))) {
      return found.cached != nullptr
                 ? HandOutCached(found.cached)
                 : HandOut(slot, found.huge, found.taking, order);
    }
    slot.Count(slot.failures);
    if (!found.error.ok()) {
      return frame_errors::Refused("no memory for a frame", found.error);
    }
    return frame_errors::NoneFree(order);
  }

  // A frame of the thread's cache; several, when it has one or none, of the
  // word that frames were last taken from; and if that has none either, the
  // cache's last.
  [[nodiscard]] bool TakeNear(Slot& slot, int order, Found& found) {
    if (order != 0 || slot.cache == nullptr) return false;
    if (caches_.TakeUnlessLast(*slot.cache, &found.cached)) return true;
    // relaxed: the thread's own.
    const uint64_t word = slot.cursor.load(std::memory_order_relaxed);
    if (word != Slot::kNone) {
      const uint64_t huge = word / kWordsPerHuge;
      const FrameTaking taking = HugeAt(huge).TakeInWord(
          static_cast<int>(word % kWordsPerHuge), 0, slot.batch);
      if (taking.taken() && Finish(slot, huge, 0, taking, found)) return true;
    }
    found.cached = caches_.Take(*slot.cache);
    return found.cached != nullptr;
  }

  // Takes a run from anywhere.
  [[nodiscard]] bool Search(Slot& slot, int order, Found& found) {
    if (!slot.shared) {
      // relaxed: the thread's own.
      const uint64_t tree = slot.tree.load(std::memory_order_relaxed);
      if (tree != Slot::kNone && TakeInTree(slot, tree, order, found)) {
        return PointAt(slot, found, order);
      }
      if (order < kWordOrder && Move(slot, order, found)) {
        return PointAt(slot, found, order);
      }
    }
    if (!TakeAnywhere(slot, order, found)) return false;
    return found.cached != nullptr || PointAt(slot, found, order);
  }

  // The next frames come from where these came from.
  static bool PointAt(Slot& slot, const Found& found, int order) {
    if (order < kWordOrder) {
      // relaxed: the thread's own.
      slot.cursor.store(
          found.huge * kWordsPerHuge +
              static_cast<uint64_t>(found.taking.offset) / kFramesPerWord,
          std::memory_order_relaxed);
    }
    return true;
  }

  // Reserves another tree, and takes a run of it: of the trees that nobody has
  // reserved one that is partly filled, not to the brim if possible, or else
  // one that is all free.
  [[nodiscard]] bool Move(Slot& slot, int order, Found& found) {
    const int64_t run = int64_t{1} << order;
    // relaxed: the thread's own.
    const uint64_t start = slot.start.load(std::memory_order_relaxed);
    constexpr auto kAllFree = static_cast<int64_t>(kFramesPerTree);
    const int64_t least[] = {std::max(run, kAllFree / 64), run, kAllFree};
    for (int pass = 0; pass < 3; ++pass) {
      for (uint64_t i = 0; i < tree_count_; ++i) {
        const uint64_t tree =
            start + i < tree_count_ ? start + i : start + i - tree_count_;
        const bool reserved = trees_[tree].Reserve([&](int64_t free) {
          return free >= least[pass] && (pass == 2 || free < kAllFree);
        });
        if (!reserved) continue;
        Unreserve(slot);
        // relaxed, both: the thread's own.
        slot.tree.store(tree, std::memory_order_relaxed);
        slot.start.store(tree, std::memory_order_relaxed);
        if (TakeInTree(slot, tree, order, found)) return true;
        if (!found.error.ok()) return false;
      }
    }
    return false;
  }

  // Gives the slot's reservation up, if it has one.
  void Unreserve(Slot& slot) {
    // relaxed, all: the thread's own.
    const uint64_t tree = slot.tree.load(std::memory_order_relaxed);
    if (tree == Slot::kNone) return;
    const uint64_t change = slot.change.load(std::memory_order_relaxed);
    slot.tree.store(Slot::kNone, std::memory_order_relaxed);
    slot.change.store(0, std::memory_order_relaxed);
    trees_[tree].Unreserve(static_cast<int64_t>(change));
  }

  // Looks at every huge frame and cache, until it has found a run, or none were
  // shown in the meantime by others. See the argument above.
  [[nodiscard]] bool TakeAnywhere(Slot& slot, int order, Found& found) {
    // Most searches find something in the first round, and need not be sure.
    for (bool sure = false;; sure = true) {
      // The thread's own without a fence.
      if (sure) found.shown += Drain(slot);
      const uint64_t shown = sure ? Shown() - found.shown : 0;
      typename Caches::Round round;
      while (sure) {
        std::byte* frame = caches_.Steal(round);
        if (frame == nullptr) break;
        if (order == 0) {
          found.cached = frame;
          return true;
        }
        found.shown += GiveBack(slot, &frame, 1);
      }
      // relaxed: the thread's own, and a hint.
      const uint64_t start = slot.start.load(std::memory_order_relaxed);
      for (uint64_t i = 0; i < tree_count_; ++i) {
        const uint64_t tree =
            start + i < tree_count_ ? start + i : start + i - tree_count_;
        if (!TakeInTree(slot, tree, order, found)) continue;
        slot.start.store(tree, std::memory_order_relaxed);
        return true;
      }
      if (!sure) continue;
      if (!found.error.ok() || round.refused) return false;
      if (kLooksAgain && !caches_.EmptySince(round)) continue;
      if (Shown() - found.shown == shown) return false;
    }
  }

  // Grows whenever frames came back to sight.
  [[nodiscard]] uint64_t Shown() const {
    uint64_t shown = 0;
    for (uint64_t i = 0; i < slot_count_; ++i) shown += slots_[i].Returned();
    return shown;
  }

  // Takes a run of that tree: from the fullest huge frame that has one, and
  // from those without memory last.
  [[nodiscard]] bool TakeInTree(Slot& slot, uint64_t tree, int order,
                                Found& found) {
    const size_t run = size_t{1} << order;
    unsigned tried = 0;
    for (;;) {
      uint64_t best = 0;
      size_t least = ~size_t{0};
      for (uint64_t i = 0; i < kHugesPerTree; ++i) {
        const uint64_t huge = tree * kHugesPerTree + i;
        if (huge >= huge_count_ || (tried >> i & 1) != 0) continue;
        const uint64_t counts = HugeAt(huge).Look();
        const size_t free = frame_counts::Total(counts);
        const bool uncommitted = (counts & frame_counts::kUncommitted) != 0;
        if (free < run || (uncommitted && !found.error.ok())) continue;
        const size_t rank = uncommitted ? kFramesPerHuge + free : free;
        if (rank >= least) continue;
        least = rank;
        best = i;
      }
      if (least == ~size_t{0}) return false;
      const uint64_t huge = tree * kHugesPerTree + best;
      const FrameTaking taking = HugeAt(huge).Take(order, Most(slot, order));
      if (taking.undone) {
        slot.Count(slot.undone);
        ++found.shown;
      }
      if (taking.taken() && Finish(slot, huge, order, taking, found)) {
        return true;
      }
      tried |= 1u << best;
    }
  }

  // Sees to it that what was taken has memory. If there is none, gives it back.
  [[nodiscard]] bool Finish(Slot& slot, uint64_t huge, int order,
                            const FrameTaking& taking, Found& found) {
    if (taking.uncommitted) {
      if (const OsError error = Commit(huge); !error.ok()) {
        // The caller's own frames, so that it cannot fail.
        (void)HugeAt(huge).Give(static_cast<size_t>(taking.offset), order);
        if (taking.more != 0) {
          (void)HugeAt(huge).GiveSingles(
              taking.offset / static_cast<int>(kFramesPerWord), taking.more);
        }
        slot.Count(slot.undone);
        ++found.shown;
        found.error = error;
        return false;
      }
    }
    found.huge = huge;
    found.taking = taking;
    return true;
  }

  // Puts memory behind a huge frame. The caller holds a frame of it, so that no
  // Purge comes between; others may do the same at once, and it is the same.
  [[nodiscard]] OsError Commit(uint64_t huge) {
    const OsError error = mapper_.Commit(HugeAddress(huge), kHugeBytes);
    if (!error.ok() || !HugeAt(huge).MarkCommitted()) return error;
    // relaxed, all: counts.
    const uint64_t committed =
        committed_huges_.fetch_add(1, std::memory_order_relaxed) + 1;
    uint64_t peak = peak_huges_.load(std::memory_order_relaxed);
    while (peak < committed && !peak_huges_.compare_exchange_weak(
                                   peak, committed, std::memory_order_relaxed,
                                   std::memory_order_relaxed)) {
    }
    return error;
  }

  // Computes counts and trees from the bitmap. No other call may run; all is
  // relaxed.
  void Recount() {
    for (uint64_t huge = 0; huge < huge_count_; ++huge) {
      uint64_t counts = counts_[huge].load(std::memory_order_relaxed) &
                        frame_counts::kUncommitted;
      for (int w = 0; w < kWordsPerHuge; ++w) {
        const uint64_t i = huge * kWordsPerHuge + static_cast<uint64_t>(w);
        counts += frame_counts::Of(
            w, static_cast<uint64_t>(
                   std::popcount(~words_[i].load(std::memory_order_relaxed))));
      }
      counts_[huge].store(counts, std::memory_order_relaxed);
    }
    for (uint64_t i = 0; i < slot_count_; ++i) {
      slots_[i].tree.store(Slot::kNone, std::memory_order_relaxed);
      slots_[i].change.store(0, std::memory_order_relaxed);
      slots_[i].cursor.store(Slot::kNone, std::memory_order_relaxed);
    }
    for (uint64_t i = 0; i < tree_count_; ++i) {
      trees_[i].Reset(static_cast<int64_t>(FreeInTree(i)));
    }
  }

  // Gives up the slot of a thread, if it has one.
  void LeaveSlot(uint64_t thread) {
    if (thread == Slot::kNoThread) return;
    Slot* const slot = FindSlot(thread);
    if (slot == nullptr) return;
    Drain(*slot);
    Unreserve(*slot);
    // relaxed: published by Leave.
    slot->cursor.store(Slot::kNone, std::memory_order_relaxed);
    slot->batch = 1;
    slot->Leave();
  }

  static void ThreadEnded(void* allocator, uint64_t thread) {
    static_cast<BasicLockFreePageAllocator*>(allocator)->LeaveSlot(thread);
  }

  // In a forked child: other threads' slots are nobody's and their caches
  // empty, and all reservations are given up, those too that were just made.
  static void Forked(void* allocator, uint64_t thread) {
    auto& self = *static_cast<BasicLockFreePageAllocator*>(allocator);
    for (uint64_t i = 0; i < self.slot_count_; ++i) {
      Slot& slot = self.slots_[i];
      if (slot.cache != nullptr &&
          slot.owner.load(std::memory_order_relaxed) != thread) {
        slot.cache->Repair();
        self.Drain(slot);
      }
      slot.tree.store(Slot::kNone, std::memory_order_relaxed);
      slot.change.store(0, std::memory_order_relaxed);
      slot.cursor.store(Slot::kNone, std::memory_order_relaxed);
      if (slot.owner.load(std::memory_order_relaxed) != thread) slot.Leave();
    }
    for (uint64_t i = 0; i < self.tree_count_; ++i) {
      self.trees_[i].Reset(static_cast<int64_t>(self.FreeInTree(i)));
    }
  }

  // Read by every call, written by none.
  uint64_t cache_id_ = kNoAllocator;  // id_, if there are caches
  Caches caches_;
  uint64_t id_ = kNoAllocator;  // in thread_cache_registry
  std::byte* region_ = nullptr;
  const uint64_t frame_count_;
  const uint64_t huge_count_;
  const uint64_t tree_count_;
  const uint64_t slot_count_;
  Word* counts_ = nullptr;  // one a huge frame, a line a tree
  Word* words_ = nullptr;   // the bitmap
  Tree* trees_ = nullptr;
  Slot* slots_ = nullptr;

  std::byte* metadata_ = nullptr;
  size_t metadata_bytes_ = 0;
  MemoryMapper& mapper_;
  thread_cache_registry::Member member_;

  alignas(kFalseSharingBytes) Atomic<uint64_t> committed_huges_{0};
  Atomic<uint64_t> peak_huges_{0};
};

using LockFreePageAllocator = BasicLockFreePageAllocator<>;

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_LOCKFREE_PAGE_ALLOCATOR_H_
