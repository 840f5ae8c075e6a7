#ifndef MMSB_MEMORY_PAGE_TESTING_UNMAPPED_FRAMES_H_
#define MMSB_MEMORY_PAGE_TESTING_UNMAPPED_FRAMES_H_

#include <cstddef>
#include <cstdint>

namespace mmsb {

// A raw allocator of addresses where nothing is: for tests and benchmarks with
// more pages than memory, or that must not touch contents. For a device's
// location: the host would poison a frame.
class UnmappedFrames {
 public:
  void* Allocate(size_t bytes, size_t alignment) noexcept {
    next_ = (next_ + alignment - 1) / alignment * alignment;
    void* const p = reinterpret_cast<void*>(next_);
    next_ += bytes;
    return p;
  }
  void Deallocate(void*, size_t, size_t) noexcept {}

 private:
  uintptr_t next_ = uintptr_t{1} << 62;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_TESTING_UNMAPPED_FRAMES_H_
