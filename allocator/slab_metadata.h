#ifndef MMSB_ALLOCATOR_SLAB_METADATA_H_
#define MMSB_ALLOCATOR_SLAB_METADATA_H_

#include <cstddef>
#include <cstdint>
#include <new>

#include "allocator/slab_memory.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb::slab_internal {

// Room for what the slab allocator keeps for itself for as long as it lives:
// taken piece by piece, filled with zeros, and given back all at once in the
// destructor.
//
// Owns its regions. Thread-safe. Null when the system has no more.
class Metadata {
 public:
  explicit Metadata(Memory& memory) : memory_(memory) {}
  Metadata(const Metadata&) = delete;
  Metadata& operator=(const Metadata&) = delete;

  ~Metadata() {
    while (regions_ != nullptr) {
      Region* const region = regions_;
      regions_ = region->next;
      memory_.ReleaseOrDecommit(region, region->bytes, region->bytes);
    }
  }

  // `bytes` bytes of zeros at a multiple of `alignment`, which is at most a
  // granule.
  [[nodiscard]] void* Take(size_t bytes, Alignment alignment) {
    const MutexLock lock(mutex_);
    size_t begin = 0;
    size_t end = 0;
    if (next_ == 0 || !CheckedAlignUp(next_, alignment, &begin) ||
        !CheckedAdd(begin, bytes, &end) || end > end_) {
      if (!Grow(bytes + alignment.bytes()) ||
          !CheckedAlignUp(next_, alignment, &begin)) {
        return nullptr;
      }
      end = begin + bytes;
    }
    next_ = end;
    return reinterpret_cast<void*>(begin);
  }

  // Of all regions.
  [[nodiscard]] size_t bytes() {
    const MutexLock lock(mutex_);
    return bytes_;
  }

  // For the fork hook.
  Mutex& mutex() { return mutex_; }

 private:
  struct Region {
    Region* next;
    size_t bytes;
  };

  static constexpr size_t kRegionBytes = 64 * kKiB;

  [[nodiscard]] bool Grow(size_t least) MMSB_REQUIRES(mutex_) {
    size_t bytes = 0;
    if (!CheckedAdd(least, sizeof(Region), &bytes)) return false;
    if (bytes < kRegionBytes) bytes = kRegionBytes;
    if (!CheckedAlignUp(bytes, memory_.granule(), &bytes)) return false;
    void* const p = memory_.Map(bytes, memory_.granule());
    if (p == nullptr) return false;
    regions_ = ::new (p) Region{regions_, bytes};
    bytes_ += bytes;
    next_ = reinterpret_cast<uintptr_t>(p) + sizeof(Region);
    end_ = reinterpret_cast<uintptr_t>(p) + bytes;
    return true;
  }

  Memory& memory_;
  Mutex mutex_;
  Region* regions_ MMSB_GUARDED_BY(mutex_) = nullptr;
  uintptr_t next_ MMSB_GUARDED_BY(mutex_) = 0;
  uintptr_t end_ MMSB_GUARDED_BY(mutex_) = 0;
  size_t bytes_ MMSB_GUARDED_BY(mutex_) = 0;
};

}  // namespace mmsb::slab_internal

#endif  // MMSB_ALLOCATOR_SLAB_METADATA_H_
