#include "memory/page/page_objects.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "memory/page/page.h"
#include "primitives/poison.h"

namespace mmsb {

PageObjects::~PageObjects() {
  for (std::byte* chunk : chunks_) {
    UnpoisonFresh(chunk, kChunkBytes);
    heap_.Deallocate(chunk, kChunkBytes, alignof(Page));
  }
}

void* PageObjects::Take() {
  if (free_ != nullptr) {
    void* const room = free_;
    UnpoisonDefined(room, sizeof(free_));
    std::memcpy(&free_, room, sizeof(free_));
    UnpoisonFresh(room, sizeof(Page));
    ++taken_;
    return room;
  }
  if (touched_ == kPerChunk && !AddChunk()) return nullptr;
  ++taken_;
  void* const room = chunks_.back() + touched_++ * sizeof(Page);
  UnpoisonFresh(room, sizeof(Page));
  return room;
}

bool PageObjects::AddChunk() {
  if (chunks_.size() == std::numeric_limits<uint32_t>::max() / kPerChunk) {
    return false;
  }
  // First, so that what throws leaks nothing.
  chunks_.push_back(nullptr);
  by_address_.push_back(0);
  by_address_.pop_back();
  void* const chunk = heap_.Allocate(kChunkBytes, alignof(Page));
  if (chunk == nullptr) {
    chunks_.pop_back();
    return false;
  }
  chunks_.back() = static_cast<std::byte*>(chunk);
  PoisonFreed(chunk, kChunkBytes);
  const auto behind =
      std::ranges::upper_bound(by_address_, chunks_.back(), {},
                               [this](uint32_t i) { return chunks_[i]; });
  by_address_.insert(behind, static_cast<uint32_t>(chunks_.size() - 1));
  touched_ = 0;
  return true;
}

void PageObjects::Give(void* room) {
  std::memcpy(room, &free_, sizeof(free_));
  PoisonFreed(room, sizeof(Page));
  free_ = room;
  --taken_;
}

uint32_t PageObjects::NumberOf(const Page* page) const {
  const auto* const at = reinterpret_cast<const std::byte*>(page);
  const auto behind = std::ranges::upper_bound(
      by_address_, at, {},
      [this](uint32_t i) -> const std::byte* { return chunks_[i]; });
  const uint32_t chunk = *(behind - 1);
  return chunk * kPerChunk +
         static_cast<uint32_t>(static_cast<size_t>(at - chunks_[chunk]) /
                               sizeof(Page));
}

}  // namespace mmsb
