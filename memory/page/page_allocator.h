#ifndef MMSB_MEMORY_PAGE_PAGE_ALLOCATOR_H_
#define MMSB_MEMORY_PAGE_PAGE_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "allocator/allocator_stats.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "memory/page/page.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "memory/page/page_spec.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"

namespace mmsb {

// Makes pages: gives raw memory an id, a location, an epoch and metadata, and
// keeps the rules of the table in page.h.
//
// It owns its pages. Their contents lie in frames: blocks that it takes from a
// raw allocator of the location, the host's from the process's heap unless the
// constructor is given another. A frame is the page's size rounded up to a
// multiple of the alignment, and aligned to it. Such an allocator is not owned:
// it must outlive this one. The destructor gives every frame back, held or not.
//
// Thread-safety: thread-compatible: const calls may run together, any other
// call alone. Failure: bad input and exhaustion are an absl::Status that begins
// with the page ("page 7: ..."), and change nothing. Under the tools of
// primitives/poison.h the bytes of a frame beyond the page's size are poisoned
// where the host reaches them, the Page object is when it is freed, and its
// frame as far as the frames' allocator does so, as this house's do.
// Complexity: each call is O(1), but PageInfos O(n log n), beside what the
// frames' allocator takes.
//
//   PageAllocator pages({.quota_bytes = 64 * kMiB});
//   absl::StatusOr<Page*> page = pages.Allocate({.bytes = 4096});
//   absl::Status freed = pages.Free((*page)->id());
class PageAllocator {
 public:
  struct Options {
    // The most that all frames together may take, in bytes.
    size_t quota_bytes = std::numeric_limits<size_t>::max();
    // Of the contents, and the unit of frames.
    Alignment alignment = Alignment::FromBytes(4 * kKiB);
  };

  PageAllocator();
  explicit PageAllocator(const Options& options);

  // Host pages in memory of `host_frames`.
  template <RawAllocator A>
  PageAllocator(const Options& options, A& host_frames)
      : PageAllocator(options, Frames::Of(host_frames)) {}

  PageAllocator(const PageAllocator&) = delete;
  PageAllocator& operator=(const PageAllocator&) = delete;
  ~PageAllocator();

  // From now on pages at `location` get memory of `frames`. AlreadyExists when
  // the location has an allocator, as the host does from the start.
  template <RawAllocator A>
  absl::Status AddFrames(PageLocation location, A& frames) {
    return AddFrames(location, Frames::Of(frames));
  }

  // A new page, allocated, at epoch 0, without metadata; valid until it is
  // freed. Chosen ids ascend from 0, leave out those in use, and none is chosen
  // twice.
  //   InvalidArgument     no bytes, or more than can be rounded up
  //   AlreadyExists       the id is in use
  //   FailedPrecondition  the location has no frames (AddFrames)
  //   ResourceExhausted   the quota, the frames' allocator, or the ids to
  //   choose
  absl::StatusOr<Page*> Allocate(const PageSpec& spec);

  // Holds the page: it cannot be freed until every hold is released.
  //   NotFound; ResourceExhausted  at Page::kMaxHolds
  absl::StatusOr<Page*> Acquire(PageId id);

  // Gives up one hold.
  //   NotFound; FailedPrecondition  the page is not held
  absl::Status Release(PageId id);

  // Gives the page's memory back and forgets its id.
  //   NotFound; FailedPrecondition  the page is held
  absl::Status Free(PageId id);

  // Keeps a copy of any bytes with the page, in place of what was kept before;
  // an empty string keeps nothing.
  //   NotFound
  absl::Status SetMetadata(PageId id, absl::string_view metadata);

  // The page, or null when there is none of that id.
  [[nodiscard]] Page* Find(PageId id);
  [[nodiscard]] const Page* Find(PageId id) const;

  // Every page, by ascending id.
  [[nodiscard]] std::vector<PageInfo> PageInfos() const;

  [[nodiscard]] size_t page_count() const { return index_.size(); }
  [[nodiscard]] const Options& options() const { return options_; }

  // Live are the frames in use; metadata is all bookkeeping: page objects, the
  // index, and the pages' metadata. Frames are not kept when a page is freed,
  // so cached and free are 0. Failures are Allocates that ended in
  // ResourceExhausted.
  [[nodiscard]] AllocatorStats Stats() const;

 private:
  // Any RawAllocator, by reference.
  struct Frames {
    template <RawAllocator A>
    static Frames Of(A& allocator) {
      return {.allocator = std::addressof(allocator),
              .allocate =
                  [](void* self, size_t bytes, size_t alignment) {
                    return static_cast<A*>(self)->Allocate(bytes, alignment);
                  },
              .deallocate =
                  [](void* self, void* p, size_t bytes, size_t alignment) {
                    static_cast<A*>(self)->Deallocate(p, bytes, alignment);
                  }};
    }

    void* allocator;
    void* (*allocate)(void* self, size_t bytes, size_t alignment);
    void (*deallocate)(void* self, void* p, size_t bytes, size_t alignment);
  };

  // The index holds pages and is asked by id.
  static PageId IdOf(PageId id) { return id; }
  static PageId IdOf(const Page* page) { return page->id(); }
  struct HashById {
    using is_transparent = void;
    template <class Key>
    size_t operator()(Key key) const {
      return absl::HashOf(IdOf(key));
    }
  };
  struct EqualById {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(A a, B b) const {
      return IdOf(a) == IdOf(b);
    }
  };

  PageAllocator(const Options& options, Frames host_frames);

  absl::Status AddFrames(PageLocation location, Frames frames);
  // The id that the next page without one of its own gets; invalid when there
  // is none left.
  PageId ChooseId();
  // Of the frame of a page of `bytes`; 0 when there is no such frame.
  size_t FrameBytes(size_t bytes) const;
  // Gives the frame and the page object back. The page is not in the index.
  void Destroy(Page* page);

  const Options options_;
  absl::flat_hash_map<PageLocation, Frames> frames_;
  MemoryPool<> objects_;
  absl::flat_hash_set<Page*, HashById, EqualById> index_;
  uint64_t next_id_ = 0;

  size_t frame_bytes_ = 0;       // in use, at most the quota
  size_t peak_frame_bytes_ = 0;  // the most that ever was
  size_t metadata_bytes_ = 0;    // of the pages' metadata, strings and objects
  uint64_t allocations_ = 0;
  uint64_t deallocations_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_ALLOCATOR_H_
