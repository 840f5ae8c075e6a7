#ifndef MMSB_PRIMITIVES_OS_GUARDED_REGION_H_
#define MMSB_PRIMITIVES_OS_GUARDED_REGION_H_

#include <cstddef>

#include "primitives/os_error.h"
#include "primitives/os_memory.h"

namespace mmsb {

// Readable and writable memory between two guards of one granule each: an
// access just before its first byte or just after its last ends the process
// with SIGSEGV, in every build.
//
//      guard      |   data(), bytes()   |      guard
//    no access    |       access        |    no access
//
// Owns the memory and its guards; movable, and empty when made by default or
// moved from. The mapper is not owned and outlives the region. As thread-safe
// as a pointer. Failure of the system is returned, by Release() too; the
// destructor, which cannot return it, ends the process. One reservation and one
// commit.
//
//   GuardedRegion region;
//   OsError error = GuardedRegion::Create(SystemMapper(), 64 * kKiB, &region);
//   if (error.ok()) Fill(region.data(), region.bytes());
class GuardedRegion {
 public:
  GuardedRegion() = default;
  GuardedRegion(GuardedRegion&& other) noexcept;
  GuardedRegion& operator=(GuardedRegion&& other) noexcept;
  ~GuardedRegion();

  // Makes `*region` a new region of at least `bytes` bytes of zeros, rounded up
  // to the mapper's granule; what it held is released first. EINVAL for 0
  // bytes, ENOMEM for more than there can be. After a failure `*region` is
  // empty, or, if it was the release that failed, as before.
  static OsError Create(MemoryMapper& mapper, size_t bytes,
                        GuardedRegion* region);

  // The first byte, a multiple of the granule; null when empty.
  [[nodiscard]] void* data() const { return data_; }

  // What lies between the guards, in bytes; 0 when empty.
  [[nodiscard]] size_t bytes() const { return bytes_; }

  // Gives memory and guards back, and is empty; nothing happens when it is.
  // After a failure it is as before.
  OsError Release();

 private:
  MemoryMapper* mapper_ = nullptr;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_GUARDED_REGION_H_
