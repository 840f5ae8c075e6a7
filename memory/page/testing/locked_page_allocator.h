#ifndef MMSB_MEMORY_PAGE_TESTING_LOCKED_PAGE_ALLOCATOR_H_
#define MMSB_MEMORY_PAGE_TESTING_LOCKED_PAGE_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/page/lockfree_page_allocator.h"
#include "primitives/os_memory.h"

namespace mmsb {

// The contract of LockFreePageAllocator as simply as can be: one flag a frame,
// under one lock. What the lock-free one is tested against, by the same tests
// and side by side: AllocateAt() follows it to wherever it took a run.
//
// Owns its region, all of which has memory. Thread-safe. Linear time.
class LockedPageAllocator {
 public:
  using Options = LockFreePageAllocatorOptions;

  static absl::StatusOr<std::unique_ptr<LockedPageAllocator>> Create(
      const Options& options, MemoryMapper& mapper = SystemMapper());
  ~LockedPageAllocator();
  LockedPageAllocator(const LockedPageAllocator&) = delete;
  LockedPageAllocator& operator=(const LockedPageAllocator&) = delete;

  absl::StatusOr<void*> Allocate(int order);
  absl::Status Free(void* p, int order);
  std::vector<uint64_t> Bitmap() const;
  absl::Status Recover(std::span<const uint64_t> bitmap);
  absl::StatusOr<size_t> Purge();
  absl::Status CheckInvariants() const { return absl::OkStatus(); }
  bool Owns(const void* p) const;
  void* region() const { return region_; }
  size_t frame_count() const { return allocated_.size(); }
  size_t FreeFrames() const;
  void DetachThread() {}

  // Whether a run of that (valid) order is free.
  bool AnyFree(int order) const;

  // Allocates that very run; false when a frame of it is not free.
  bool AllocateAt(size_t frame, int order);

 private:
  LockedPageAllocator(std::byte* region, size_t frames, MemoryMapper& mapper)
      : region_(region), allocated_(frames), mapper_(mapper) {}

  size_t RegionBytes() const;
  // The first frame of the lowest free run; frame_count() when there is none.
  size_t Find(int order) const;
  // The first frame of the run that is (not) allocated; its end otherwise.
  size_t FirstThatIs(bool allocated, size_t frame, int order) const;
  void Set(size_t frame, int order, bool allocated);

  std::byte* region_;
  mutable std::mutex mutex_;
  std::vector<bool> allocated_;
  MemoryMapper& mapper_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_TESTING_LOCKED_PAGE_ALLOCATOR_H_
