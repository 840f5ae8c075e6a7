#ifndef MMSB_MEMORY_PAGE_PAGE_ALLOCATOR_SNAPSHOT_H_
#define MMSB_MEMORY_PAGE_PAGE_ALLOCATOR_SNAPSHOT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory/page/page_info.h"

namespace mmsb {

// Everything that the pages of a PageAllocator were at one moment: a copy. As
// it may come from anywhere, Restore() looks at all of it first.
//
//   const absl::StatusOr<PageAllocatorSnapshot> before = pages.Snapshot();
//   Try(pages);
//   if (Failed()) status = pages.Restore(*before);
struct PageAllocatorSnapshot {
  struct PageImage {
    PageInfo info = {};
    std::vector<std::byte> contents = {};  // info.bytes of them

    friend bool operator==(const PageImage&, const PageImage&) = default;
  };

  // In any order; Snapshot() writes them by ascending id.
  std::vector<PageImage> pages = {};
  // The least id that was not chosen yet (PageAllocator::Allocate).
  uint64_t next_id = 0;

  friend bool operator==(const PageAllocatorSnapshot&,
                         const PageAllocatorSnapshot&) = default;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_ALLOCATOR_SNAPSHOT_H_
