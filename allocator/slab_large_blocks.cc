#include "allocator/slab_large_blocks.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/os_mutex.h"
#include "primitives/poison.h"

namespace mmsb::slab_internal {

LargeBlocks::~LargeBlocks() {
  for (size_t i = 0; i < count_; ++i) {
    memory_.ReleaseOrDecommit(reinterpret_cast<void*>(entries_[i].address),
                              entries_[i].bytes, entries_[i].bytes);
  }
  if (entries_ != nullptr) {
    memory_.ReleaseOrDecommit(entries_, directory_bytes_, directory_bytes_);
  }
}

bool LargeBlocks::BlockBytes(size_t bytes, size_t* block_bytes) const {
  return CheckedAlignUp(std::max<size_t>(bytes, 1), memory_.granule(),
                        block_bytes);
}

Alignment LargeBlocks::BlockAlignment(size_t alignment) const {
  return std::max(Alignment::FromBytes(alignment), memory_.granule());
}

void* LargeBlocks::Allocate(size_t bytes, size_t alignment) {
  size_t block_bytes = 0;
  if (!Alignment::IsValid(alignment) || !BlockBytes(bytes, &block_bytes)) {
    return nullptr;
  }
  // The system has one lock for all mappings of a process anyway; and under
  // this one no fork sees a mapping that nobody knows of.
  const MutexLock lock(mutex_);
  // First the place in the directory: without one the block would have to go
  // back, and a system that refuses to take it leaves memory that nobody knows.
  if (!HasRoom()) return nullptr;
  void* const p = memory_.Map(block_bytes, BlockAlignment(alignment));
  if (p == nullptr) return nullptr;
  Enter(p, block_bytes, /*live=*/true);
  counts_.live += block_bytes;
  ++counts_.live_blocks;
  ++counts_.allocations;
  sizes_.Add(block_bytes, 1);
  return p;
}

bool LargeBlocks::Deallocate(void* p) {
  const MutexLock lock(mutex_);
  Entry* const entry = FindLive(p);
  if (entry == nullptr) return false;
  counts_.live -= entry->bytes;
  --counts_.live_blocks;
  ++counts_.deallocations;
  sizes_.Add(entry->bytes, 0, 1);
  entry->live = false;
  if (memory_.Release(p, entry->bytes, entry->bytes)) {
    Remove(entry);
  } else {
    counts_.unreleased += entry->bytes;
    PoisonFreed(p, entry->bytes);
  }
  return true;
}

bool LargeBlocks::Shrink(void* p, size_t bytes) {
  size_t block_bytes = 0;
  if (!BlockBytes(bytes, &block_bytes)) return false;
  const MutexLock lock(mutex_);
  Entry* entry = FindLive(p);
  if (entry == nullptr || block_bytes > entry->bytes) return false;
  const size_t rest = entry->bytes - block_bytes;
  if (rest == 0) return true;
  std::byte* const end = static_cast<std::byte*>(p) + block_bytes;
  if (!memory_.Release(end, rest, rest)) {
    if (!HasRoom()) return false;
    Enter(end, rest, /*live=*/false);
    counts_.unreleased += rest;
    PoisonFreed(end, rest);
    entry = FindLive(p);  // The directory may have moved.
  }
  CountResized(std::exchange(entry->bytes, block_bytes), block_bytes);
  return true;
}

void* LargeBlocks::Grow(void* p, size_t bytes, size_t alignment) {
  size_t block_bytes = 0;
  if (!Alignment::IsValid(alignment) || !BlockBytes(bytes, &block_bytes)) {
    return nullptr;
  }
  const MutexLock lock(mutex_);
  Entry* const entry = FindLive(p);
  if (entry == nullptr || block_bytes <= entry->bytes) return nullptr;
  const size_t old_bytes = entry->bytes;
  void* const grown =
      memory_.Grow(p, old_bytes, block_bytes, BlockAlignment(alignment));
  if (grown == nullptr) return nullptr;
  // Its place among the others may be another; the room for it is there.
  Remove(entry);
  Enter(grown, block_bytes, /*live=*/true);
  CountResized(old_bytes, block_bytes);
  return grown;
}

void* LargeBlocks::Find(const void* p, size_t* bytes) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  const MutexLock lock(mutex_);
  const size_t behind = FindBehind(address);
  if (behind == 0) return nullptr;
  const Entry& entry = entries_[behind - 1];
  if (!entry.live || address - entry.address >= entry.bytes) return nullptr;
  *bytes = entry.bytes;
  return reinterpret_cast<void*>(entry.address);
}

size_t LargeBlocks::Purge() {
  const MutexLock lock(mutex_);
  if (counts_.unreleased == 0) return 0;
  size_t released = 0;
  for (size_t i = count_; i-- > 0;) {
    Entry& entry = entries_[i];
    const size_t bytes = entry.bytes;
    if (entry.live || !memory_.Release(reinterpret_cast<void*>(entry.address),
                                       bytes, bytes)) {
      continue;
    }
    released += bytes;
    Remove(&entry);
  }
  counts_.unreleased -= released;
  return released;
}

LargeBlocks::Counts LargeBlocks::GetCounts() {
  const MutexLock lock(mutex_);
  counts_.directory = directory_bytes_;
  return counts_;
}

SizeHistogram LargeBlocks::Histogram() {
  const MutexLock lock(mutex_);
  return sizes_;
}

size_t LargeBlocks::FindBehind(uintptr_t address) {
  return static_cast<size_t>(
      std::upper_bound(
          entries_, entries_ + count_, address,
          [](uintptr_t a, const Entry& entry) { return a < entry.address; }) -
      entries_);
}

LargeBlocks::Entry* LargeBlocks::FindLive(const void* p) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  const size_t behind = FindBehind(address);
  if (behind == 0) return nullptr;
  Entry& entry = entries_[behind - 1];
  return entry.live && entry.address == address ? &entry : nullptr;
}

bool LargeBlocks::HasRoom() {
  return count_ < directory_bytes_ / sizeof(Entry) || GrowDirectory();
}

void LargeBlocks::Enter(void* p, size_t bytes, bool live) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  const size_t place = FindBehind(address);
  std::copy_backward(entries_ + place, entries_ + count_,
                     entries_ + count_ + 1);
  entries_[place] = {address, bytes, live};
  ++count_;
}

void LargeBlocks::Remove(Entry* entry) {
  std::copy(entry + 1, entries_ + count_, entry);
  --count_;
}

void LargeBlocks::CountResized(size_t bytes, size_t new_bytes) {
  sizes_.Add(bytes, 0, 1);
  sizes_.Add(new_bytes, 1);
  ++counts_.allocations;
  ++counts_.deallocations;
  counts_.live += new_bytes;
  counts_.live -= bytes;
}

bool LargeBlocks::GrowDirectory() {
  size_t bytes = memory_.granule().bytes();
  if (directory_bytes_ != 0 && !CheckedMultiply(directory_bytes_, 2, &bytes)) {
    return false;
  }
  auto* const grown =
      static_cast<Entry*>(memory_.Map(bytes, memory_.granule()));
  if (grown == nullptr) return false;
  std::uninitialized_value_construct_n(grown, bytes / sizeof(Entry));
  std::copy_n(entries_, count_, grown);
  Entry* const old = std::exchange(entries_, grown);
  const size_t old_bytes = std::exchange(directory_bytes_, bytes);
  if (old != nullptr && !memory_.Release(old, old_bytes, old_bytes)) {
    // There is room for this one and the next.
    Enter(old, old_bytes, /*live=*/false);
    counts_.unreleased += old_bytes;
  }
  return true;
}

}  // namespace mmsb::slab_internal
