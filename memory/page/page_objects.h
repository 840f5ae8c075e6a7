#ifndef MMSB_MEMORY_PAGE_PAGE_OBJECTS_H_
#define MMSB_MEMORY_PAGE_PAGE_OBJECTS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "allocator/system_source.h"
#include "memory/page/page.h"

namespace mmsb {

// Room for Page objects, which stay where they are, each named by a number of
// 32 bits: half of what an index would spend on a pointer.
//
// Owns the room, not what is built in it. Thread-compatible. Take fails when
// the heap is exhausted, or 2^32 - 1 are taken. Every call is O(1), Take
// amortised. A chunk of kPerChunk is kept until the end, and taken again. Room
// that is not taken is poisoned (primitives/poison.h).
//
//   const uint32_t number = objects.Take();
//   if (number != PageObjects::kNone) new (objects.At(number)) Page(...);
class PageObjects {
 public:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  static constexpr uint32_t kPerChunk = 256;

  PageObjects() = default;
  PageObjects(const PageObjects&) = delete;
  PageObjects& operator=(const PageObjects&) = delete;
  ~PageObjects();

  // kNone when there is no room.
  [[nodiscard]] uint32_t Take();
  void Give(uint32_t number);

  // A number that Take gave.
  [[nodiscard]] Page* At(uint32_t number) const {
    return reinterpret_cast<Page*>(chunks_[number / kPerChunk] +
                                   number % kPerChunk * sizeof(Page));
  }

  // Bytes of heap.
  [[nodiscard]] size_t bytes() const {
    return chunks_.size() * kChunkBytes +
           chunks_.capacity() * sizeof(std::byte*);
  }

 private:
  static constexpr size_t kChunkBytes = kPerChunk * sizeof(Page);

  SystemSource heap_;
  std::vector<std::byte*> chunks_;
  uint32_t untouched_ = 0;  // the first number that was never taken
  uint32_t free_ = kNone;   // a list: room that is free holds the next number
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_OBJECTS_H_
