#include "memory/page/page_objects.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "memory/page/page.h"
#include "primitives/poison.h"

namespace mmsb {

PageObjects::~PageObjects() {
  for (std::byte* chunk : chunks_) {
    UnpoisonFresh(chunk, kChunkBytes);
    heap_.Deallocate(chunk, kChunkBytes, alignof(Page));
  }
}

uint32_t PageObjects::Take() {
  if (free_ != kNone) {
    const uint32_t number = free_;
    void* const room = At(number);
    UnpoisonDefined(room, sizeof(free_));
    std::memcpy(&free_, room, sizeof(free_));
    UnpoisonFresh(room, sizeof(Page));
    return number;
  }
  if (untouched_ == kNone) return kNone;
  if (untouched_ / kPerChunk == chunks_.size()) {
    chunks_.reserve(chunks_.size() + 1);  // first: what throws leaks nothing
    void* const chunk = heap_.Allocate(kChunkBytes, alignof(Page));
    if (chunk == nullptr) return kNone;
    PoisonFreed(chunk, kChunkBytes);
    chunks_.push_back(static_cast<std::byte*>(chunk));
  }
  const uint32_t number = untouched_++;
  UnpoisonFresh(At(number), sizeof(Page));
  return number;
}

void PageObjects::Give(uint32_t number) {
  void* const room = At(number);
  std::memcpy(room, &free_, sizeof(free_));
  PoisonFreed(room, sizeof(Page));
  free_ = number;
}

}  // namespace mmsb
