#ifndef MMSB_MEMORY_INVARIANTS_H_
#define MMSB_MEMORY_INVARIANTS_H_

#include "absl/status/status.h"
#include "memory/delta/delta.h"
#include "memory/epoch/epoch_reclaimer.h"
#include "memory/page/lockfree_page_allocator.h"
#include "memory/page/page_allocator.h"
#include "memory/store/page_store.h"
#include "memory/store/page_table.h"

namespace mmsb {

// What holds of each structure of this layer whenever none of its calls is
// running: one function for all of them, for tests, fuzzing and tools. OK, or
// Internal with the place and what is wrong there. Changes nothing.
//
//   ASSERT_TRUE(CheckInvariants(pages).ok()) << CheckInvariants(pages);

// The mask is as long as the page needs, with spare bits 0, and sets as many
// bits as the payload has bytes. O(mask).
absl::Status CheckInvariants(const Delta& delta);

// What the allocator knows of itself, and what it tells: each page is found
// under its id, PageInfos ascend, and the identity of bytes holds with as much
// live as the pages need. O(n log n).
absl::Status CheckInvariants(const PageAllocator& pages);

// The same of frames: counts, trees, caches, and the identity of bytes. O(n).
absl::Status CheckInvariants(const LockFreePageAllocator& frames);

// Counts are those of the entries, and the root is that of the checksum tree,
// computed anew from every entry. O(n), beside 4 bytes a page.
absl::Status CheckInvariants(const PageTable& table);

// What the store tells of its newest epoch fits together. Does not read the
// log: Verify does. O(pages / 1024).
absl::Status CheckInvariants(const PageStore& store);

// What waits is in order, no more than may, and was retired before now; no
// place of a reader that is gone is pinned. O(readers + retired).
template <class Sync>
absl::Status CheckInvariants(const BasicEpochReclaimer<Sync>& reclaimer) {
  return reclaimer.CheckInvariants();
}

}  // namespace mmsb

#endif  // MMSB_MEMORY_INVARIANTS_H_
