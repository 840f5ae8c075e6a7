#include "allocator/slab_depot.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocator/slab_chunk.h"
#include "allocator/slab_size_classes.h"
#include "primitives/alignment.h"
#include "primitives/check.h"
#include "primitives/os_mutex.h"

namespace mmsb::slab_internal {
namespace {

// Slabs, while others wait for the lock: each is a few calls of the system.
constexpr size_t kDiscardsAtOnce = 64;

}  // namespace

size_t Depot::Take(void** to, size_t most) {
  const MutexLock lock(*mutex_);
  size_t count = std::min(most, count_);
  if (count != 0) {
    count_ -= count;
    least_ = std::min(least_, count_);
    std::copy_n(stack_ + count_, count, to);
  } else {
    least_ = 0;
    count = TakeFromSlabs(to, most);
  }
  taken_ += count;
  return count;
}

void Depot::Give(void* const* blocks, size_t count) {
  const MutexLock lock(*mutex_);
  given_ += count;
  const size_t capacity = kClassShapes[slab_class_].cache_capacity;
  if (stack_ == nullptr) {
    // Null when there is no memory for it: then everything goes home.
    stack_ = static_cast<void**>(
        metadata_->Take(capacity * sizeof(void*), Alignment::Of<void*>()));
  }
  if (stack_ == nullptr || count > capacity - count_) {
    GiveToSlabs(blocks, count);
    return;
  }
  std::copy_n(blocks, count, stack_ + count_);
  count_ += count;
}

void Depot::Drain() {
  const MutexLock lock(*mutex_);
  DrainCount(count_);
  least_ = 0;
}

void Depot::DrainIdle() {
  const MutexLock lock(*mutex_);
  DrainCount(least_);
  least_ = count_;
}

void Depot::DiscardIdle(Memory& memory, int64_t now, int64_t deadline) {
  {
    const MutexLock lock(*mutex_);
    for (Slab* slab = with_blocks_; slab != nullptr; slab = slab->next) {
      if (slab->idle_since == Slab::kChanged) slab->idle_since = now;
    }
  }
  while (!DiscardSome(memory, deadline)) {
  }
}

bool Depot::DiscardSome(Memory& memory, int64_t deadline) {
  const MutexLock lock(*mutex_);
  size_t left = kDiscardsAtOnce;
  for (Slab* slab = with_blocks_; slab != nullptr; slab = slab->next) {
    if (slab->idle_since > deadline) continue;
    if (left-- == 0) return false;
    slab->idle_since = Slab::kGivenBack;
    slab->ForEachFreeRun(memory.granule(), [&](std::byte* begin, size_t bytes) {
      memory.Discard(begin, bytes);
    });
  }
  return true;
}

Depot::Counts Depot::GetCounts() {
  const MutexLock lock(*mutex_);
  return {.slabs = slabs_,
          .out = out_,
          .cached = count_,
          .taken = taken_,
          .given = given_};
}

size_t Depot::TakeFromSlabs(void** to, size_t most) {
  size_t count = 0;
  while (count < most) {
    if (with_blocks_ == nullptr) {
      // What there is will do, before another slab is begun.
      if (count != 0) break;
      Slab* const slab = units_->Take(slab_class_);
      if (slab == nullptr) break;
      ++slabs_;
      Link(slab);
    }
    Slab* const slab = with_blocks_;
    count += slab->Take(to + count, most - count);
    if (slab->out == slab->shape().blocks) Unlink(slab);
  }
  out_ += count;
  return count;
}

void Depot::GiveToSlabs(void* const* blocks, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    Slab* const slab = Chunk::SlabOf(blocks[i]);
    const bool was_all_out = slab->out == slab->shape().blocks;
    if (!slab->Give(blocks[i])) {
      Die("SlabAllocator::Deallocate(%p): double free, found when the block "
          "went home to its slab",
          blocks[i]);
    }
    if (was_all_out) Link(slab);
    if (slab->out == 0) {
      Unlink(slab);
      --slabs_;
      units_->Give(slab, clock_->Now());
    }
  }
  out_ -= count;
}

void Depot::DrainCount(size_t count) {
  // The oldest, which are least likely to be in a processor's cache.
  GiveToSlabs(stack_, count);
  std::copy(stack_ + count, stack_ + count_, stack_);
  count_ -= count;
}

void Depot::Link(Slab* slab) {
  slab->previous = nullptr;
  slab->next = with_blocks_;
  if (with_blocks_ != nullptr) with_blocks_->previous = slab;
  with_blocks_ = slab;
}

void Depot::Unlink(Slab* slab) {
  if (slab->next != nullptr) slab->next->previous = slab->previous;
  (slab->previous != nullptr ? slab->previous->next : with_blocks_) =
      slab->next;
}

}  // namespace mmsb::slab_internal
