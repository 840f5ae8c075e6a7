#ifndef MMSB_MEMORY_PAGE_PAGE_ALLOCATOR_H_
#define MMSB_MEMORY_PAGE_PAGE_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "allocator/allocator_stats.h"
#include "allocator/raw_allocator.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator_snapshot.h"
#include "memory/page/page_index.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "memory/page/page_objects.h"
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
// Complexity: each call is O(1), Allocate and Free amortised, beside what the
// frames' allocator takes; PageInfos is O(n log n), Snapshot and Restore too,
// beside copying the contents. Of many pages each takes 57 bytes of bookkeeping
// where ids lie close together, and 64 at most where they do not
// (page_index.h); what was freed stays, to be taken again (page_objects.h).
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
  [[nodiscard]] Page* Find(PageId id) { return index_.Find(id); }
  [[nodiscard]] const Page* Find(PageId id) const { return index_.Find(id); }

  // Every page, by ascending id.
  [[nodiscard]] std::vector<PageInfo> PageInfos() const;

  // A copy of every page with its contents.
  //   FailedPrecondition  the host does not reach the contents of a page
  absl::StatusOr<PageAllocatorSnapshot> Snapshot() const;

  // Makes the pages those of `snapshot`, holds included. A page that is there
  // already, as large and at the same location, stays where it is, and its
  // Page* valid; all others are freed or made. Everything is looked at, and
  // all memory taken, before anything is changed; so for a moment the frames of
  // before and after are there, and the quota is for those after.
  //   InvalidArgument     a page of the snapshot cannot be: its id is invalid,
  //                       or there twice; no bytes, or more than can be rounded
  //                       up; other contents than its size; too many holds
  //   FailedPrecondition  a location has no frames, or is not reached by the
  //                       host; a page would be freed and is held
  //   ResourceExhausted   the quota, or the frames' allocator
  absl::Status Restore(const PageAllocatorSnapshot& snapshot);

  [[nodiscard]] size_t page_count() const { return index_.size(); }
  [[nodiscard]] const Options& options() const { return options_; }

  // Live are the frames in use; metadata is all bookkeeping: page objects, the
  // index, and the pages' metadata. Frames are not kept when a page is freed,
  // so cached and free are 0. Failures are Allocates and Restores that ended in
  // ResourceExhausted.
  [[nodiscard]] AllocatorStats Stats() const;

  // Internal, with the page, when something does not hold that always does:
  // every page is found by its id, has a frame of its own at the alignment, and
  // no more holds than there may be; the counts are those of the pages, and the
  // frames within the quota. O(n log n).
  [[nodiscard]] absl::Status CheckInvariants() const;

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

  using PageSet = absl::flat_hash_set<const Page*>;

  PageAllocator(const Options& options, Frames host_frames);

  absl::Status AddFrames(PageLocation location, Frames frames);
  // The id that the next page without one of its own gets; invalid when there
  // is none left.
  PageId ChooseId();
  // Of the frame of a page of `bytes`; 0 when there is no such frame.
  size_t FrameBytes(size_t bytes) const;
  // Why there is no page of these, by the name of page `id`; the size of its
  // frame otherwise.
  absl::StatusOr<size_t> CheckShape(PageId id, size_t bytes,
                                    PageLocation location) const;
  // The page is not in the index.
  //   ResourceExhausted  the frames' allocator
  absl::StatusOr<Page*> Make(PageId id, size_t bytes, PageLocation location);
  // Gives the frame and the page object back. The page is not in the index.
  void Destroy(Page* page);
  // Why the snapshot cannot be restored. Adds to `kept`, for each page of it,
  // the page that is to become it where it is; null when there is none. Those
  // pages go to `staying` as well.
  absl::Status CheckRestore(const PageAllocatorSnapshot& snapshot,
                            std::vector<Page*>& kept, PageSet& staying) const;
  void Fill(Page* page, const PageAllocatorSnapshot::PageImage& image);
  void KeepMetadata(Page* page, absl::string_view metadata);

  const Options options_;
  absl::flat_hash_map<PageLocation, Frames> frames_;
  PageObjects objects_;
  PageIndex index_{objects_};
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
