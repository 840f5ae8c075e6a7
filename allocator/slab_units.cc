#include "allocator/slab_units.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "allocator/slab_chunk.h"
#include "allocator/slab_size_classes.h"
#include "primitives/alignment.h"
#include "primitives/check.h"
#include "primitives/os_mutex.h"
#include "primitives/poison.h"

namespace mmsb::slab_internal {
namespace {

constexpr uint64_t kEveryFourth = 0x1111111111111111;

// Fours of bits that are all set, as their lowest bit.
uint64_t WholeFours(uint64_t bits) {
  bits &= bits >> 1;
  return bits & bits >> 2 & kEveryFourth;
}

}  // namespace

Units::~Units() {
  while (chunks_ != nullptr) {
    Chunk* const chunk = chunks_;
    chunks_ = chunk->next;
    const size_t in_use_or_dirty =
        kChunkUnits - first_unit_ - chunk->clean_units;
    memory_.ReleaseOrDecommit(chunk, kChunkBytes,
                              HeadBytes() + in_use_or_dirty * kUnitBytes);
  }
}

Slab* Units::Take(size_t slab_class) {
  const size_t units = kClassShapes[slab_class].units;
  const MutexLock lock(mutex_);
  size_t unit = kNone;
  Chunk* chunk = FindUnits(units, /*only_dirty=*/true, &unit);
  if (chunk == nullptr) chunk = FindUnits(units, /*only_dirty=*/false, &unit);
  if (chunk == nullptr) {
    chunk = AddChunk();
    if (chunk == nullptr) return nullptr;
    unit = FindUnits(*chunk, units, /*only_dirty=*/false);
  }
  if (!CommitUnits(chunk, unit, units)) return nullptr;
  for (size_t i = unit; i < unit + units; ++i) {
    chunk->slabs[i].head = static_cast<uint16_t>(unit);
  }
  std::byte* const base = chunk->UnitAt(unit);
  PoisonFreed(base, units * kUnitBytes);
  UnpoisonFresh(base, kClassShapes[slab_class].first);
  Slab* const slab = &chunk->slabs[unit];
  slab->Start(base, slab_class);
  return slab;
}

void Units::Give(Slab* slab, int64_t now) {
  const MutexLock lock(mutex_);
  Chunk* const chunk = Chunk::Of(slab);
  const size_t units = slab->shape().units;
  const size_t first = slab->head;
  for (size_t unit = first; unit < first + units; ++unit) {
    chunk->slabs[unit].emptied_at = now;
    Chunk::Flip(chunk->dirty, unit);
  }
  chunk->dirty_units += static_cast<uint32_t>(units);
  dirty_units_ += units;
}

size_t Units::ReleaseOlder(int64_t deadline) {
  const MutexLock lock(mutex_);
  size_t released = 0;
  for (Chunk *chunk = chunks_, *next; chunk != nullptr; chunk = next) {
    next = chunk->next;
    for (size_t unit = first_unit_;
         unit < kChunkUnits && chunk->dirty_units != 0; ++unit) {
      const size_t run = ReleaseRun(chunk, unit, deadline);
      released += run * kUnitBytes;
      unit += run;
    }
    if (chunk->clean_units == kChunkUnits - first_unit_ && RemoveChunk(chunk)) {
      released += HeadBytes();
    }
  }
  return released;
}

Units::Sums Units::GetSums() {
  const MutexLock lock(mutex_);
  return {.dirty = dirty_units_ * kUnitBytes,
          .descriptors = chunk_count_ * HeadBytes()};
}

Chunk* Units::FindUnits(size_t units, bool only_dirty, size_t* unit) {
  if (only_dirty && dirty_units_ < units) return nullptr;
  for (Chunk* chunk = chunks_; chunk != nullptr; chunk = chunk->next) {
    if (chunk->dirty_units + (only_dirty ? 0 : chunk->clean_units) < units) {
      continue;
    }
    *unit = FindUnits(*chunk, units, only_dirty);
    if (*unit != kNone) return chunk;
  }
  return nullptr;
}

size_t Units::FindUnits(const Chunk& chunk, size_t units, bool only_dirty) {
  for (size_t i = 0; i < chunk.dirty.size(); ++i) {
    uint64_t bits =
        only_dirty ? chunk.dirty[i] : chunk.dirty[i] | chunk.clean[i];
    if (units == 4) bits = WholeFours(bits);
    if (bits != 0) return i * 64 + static_cast<size_t>(std::countr_zero(bits));
  }
  return kNone;
}

size_t Units::HeadBytes() const {
  size_t bytes = sizeof(Chunk);
  // The first unit has room for the descriptors, in whole granules.
  MMSB_CHECK(
      CheckedAlignUp(bytes, memory_.granule(), &bytes) && bytes <= kUnitBytes,
      "the system's granule has more than %zu bytes", kUnitBytes);
  return first_unit_ == 1 ? bytes : first_unit_ * kUnitBytes;
}

Chunk* Units::AddChunk() {
  const Alignment alignment = Alignment::FromBytes(kChunkBytes);
  void* const p = memory_.Reserve(kChunkBytes, alignment);
  if (p == nullptr) return nullptr;
  const size_t head_bytes = HeadBytes();
  // First the place in the map: without one what was committed would have to go
  // back, and a system that refuses to take it leaves memory that nobody knows.
  if (!map_.HasRoom(p, metadata_) ||
      !memory_.Commit(p, head_bytes, head_bytes)) {
    static_cast<void>(memory_.Release(p, kChunkBytes, 0));
    return nullptr;
  }
  auto* const chunk = ::new (p) Chunk;
  for (size_t unit = first_unit_; unit < kChunkUnits; ++unit) {
    Chunk::Flip(chunk->clean, unit);
  }
  chunk->clean_units = static_cast<uint32_t>(kChunkUnits - first_unit_);
  map_.Add(chunk);
  chunk->next = chunks_;
  if (chunks_ != nullptr) chunks_->previous = chunk;
  chunks_ = chunk;
  ++chunk_count_;
  return chunk;
}

bool Units::RemoveChunk(Chunk* chunk) {
  Chunk* const next = chunk->next;
  Chunk* const previous = chunk->previous;
  map_.Remove(chunk);
  if (!memory_.Release(chunk, kChunkBytes, HeadBytes())) {
    map_.Add(chunk);  // It stays as it was.
    return false;
  }
  if (next != nullptr) next->previous = previous;
  (previous != nullptr ? previous->next : chunks_) = next;
  --chunk_count_;
  return true;
}

bool Units::CommitUnits(Chunk* chunk, size_t unit, size_t units) {
  uint32_t clean = 0;
  bool commit = false;
  for (size_t i = unit; i < unit + units; ++i) {
    if (Chunk::Has(chunk->clean, i)) ++clean;
    commit |= Chunk::Has(chunk->clean, i) || Chunk::Has(chunk->doubtful, i);
  }
  if (commit && !memory_.Commit(chunk->UnitAt(unit), units * kUnitBytes,
                                clean * kUnitBytes)) {
    return false;
  }
  for (size_t i = unit; i < unit + units; ++i) {
    if (Chunk::Has(chunk->doubtful, i)) Chunk::Flip(chunk->doubtful, i);
    Chunk::Flip(Chunk::Has(chunk->clean, i) ? chunk->clean : chunk->dirty, i);
  }
  const uint32_t dirty = static_cast<uint32_t>(units) - clean;
  chunk->clean_units -= clean;
  chunk->dirty_units -= dirty;
  dirty_units_ -= dirty;
  return true;
}

size_t Units::ReleaseRun(Chunk* chunk, size_t unit, int64_t deadline) {
  size_t end = unit;
  while (end < kChunkUnits && Chunk::Has(chunk->dirty, end) &&
         chunk->slabs[end].emptied_at <= deadline) {
    ++end;
  }
  const size_t units = end - unit;
  if (units == 0) return 0;
  const bool taken = memory_.Decommit(chunk->UnitAt(unit), units * kUnitBytes);
  for (size_t i = unit; i < end; ++i) {
    if (Chunk::Has(chunk->doubtful, i) == taken) {
      Chunk::Flip(chunk->doubtful, i);
    }
    // What the system refuses stays dirty.
    if (!taken) continue;
    Chunk::Flip(chunk->dirty, i);
    Chunk::Flip(chunk->clean, i);
  }
  if (!taken) return 0;
  chunk->clean_units += static_cast<uint32_t>(units);
  chunk->dirty_units -= static_cast<uint32_t>(units);
  dirty_units_ -= units;
  return units;
}

}  // namespace mmsb::slab_internal
