#ifndef MMSB_MEMORY_PAGE_PAGE_OBJECTS_H_
#define MMSB_MEMORY_PAGE_PAGE_OBJECTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocator/system_source.h"
#include "memory/page/page.h"

namespace mmsb {

// Room for Page objects, which stay where they are. Each place has a number of
// 32 bits too: half of what a pointer to it takes.
//
// Owns the room, not what is built in it. Thread-compatible. Take fails when
// the heap is exhausted, or some 2^32 places are taken. Every call is O(1),
// Take amortised, but NumberOf, a search among n / kPerChunk chunks. A chunk is
// kept until the end, and its places are taken again. Room that is not taken is
// poisoned (primitives/poison.h).
//
//   void* const room = objects.Take();
//   if (room != nullptr) new (room) Page(...);
class PageObjects {
 public:
  static constexpr uint32_t kPerChunk = 256;

  PageObjects() = default;
  PageObjects(const PageObjects&) = delete;
  PageObjects& operator=(const PageObjects&) = delete;
  ~PageObjects();

  // Null when there is no room.
  [[nodiscard]] void* Take();
  void Give(void* room);

  // Of a place that was taken, as NumberOf has it.
  [[nodiscard]] Page* At(uint32_t number) const {
    return reinterpret_cast<Page*>(chunks_[number / kPerChunk] +
                                   number % kPerChunk * sizeof(Page));
  }
  [[nodiscard]] uint32_t NumberOf(const Page* page) const;

  // Places that were taken and not given back.
  [[nodiscard]] size_t taken() const { return taken_; }

  // Bytes of heap.
  [[nodiscard]] size_t bytes() const {
    return chunks_.size() * kChunkBytes +
           chunks_.capacity() * sizeof(std::byte*) +
           by_address_.capacity() * sizeof(uint32_t);
  }

 private:
  static constexpr size_t kChunkBytes = kPerChunk * sizeof(Page);

  bool AddChunk();

  SystemSource heap_;
  std::vector<std::byte*> chunks_;
  std::vector<uint32_t> by_address_;  // places in chunks_, by ascending address
  size_t touched_ = kPerChunk;        // places of the last chunk ever taken
  void* free_ = nullptr;  // a list: room that is free holds the next one
  size_t taken_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_OBJECTS_H_
