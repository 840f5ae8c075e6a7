#include "allocator/guarded_allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocator/allocator_stats.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

// No pattern of small numbers, of text or of pointers.
constexpr std::byte kCanary{0xCB};

void FillCanary(std::byte* begin, std::byte* end) {
  std::fill(begin, end, kCanary);
  PoisonFreed(begin, static_cast<size_t>(end - begin));
}

// The first byte in a range that is not the canary, or its end. The range may
// be touched afterwards.
const std::byte* FindDamage(std::byte* begin, std::byte* end) {
  UnpoisonDefined(begin, static_cast<size_t>(end - begin));
  return std::find_if(begin, end, [](std::byte b) { return b != kCanary; });
}

}  // namespace

GuardedAllocator::GuardedAllocator(const Options& options)
    : mapper_(options.mapper != nullptr ? *options.mapper : SystemMapper()),
      quarantine_blocks_(options.quarantine_blocks),
      quarantine_limit_(options.quarantine_bytes),
      granule_(mapper_.Granule().bytes()) {}

GuardedAllocator::~GuardedAllocator() {
  Evict(0, 0);
  MMSB_CHECK(quarantine_.size() == 0,
             "~GuardedAllocator(): the system does not take %zu bytes back",
             quarantined_bytes_);
  for (const Entry* entry = live_table_.Oldest(); entry != nullptr;
       entry = live_table_.NewerThan(entry)) {
    const Region region = RegionOf(*entry);
    const OsError error = mapper_.Release(region.base, region.total_bytes);
    MMSB_CHECK(error.ok(),
               "~GuardedAllocator(): the system does not take %zu bytes back",
               region.total_bytes);
  }
}

bool GuardedAllocator::Measure(size_t bytes, size_t alignment,
                               Shape* shape) const {
  const Alignment granule = Alignment::FromBytes(granule_);
  bytes = std::max<size_t>(bytes, 1);
  // Where the alignment is the smaller, the block is moved up against the
  // guard; otherwise it starts where the granules do.
  if (!CheckedAlignUp(bytes, granule, &shape->data_bytes)) return false;
  shape->offset =
      AlignDown(shape->data_bytes - bytes, Alignment::FromBytes(alignment));
  shape->lead_bytes = std::max(granule_, alignment);
  return CheckedAdd(shape->lead_bytes, granule_, &shape->total_bytes) &&
         CheckedAdd(shape->total_bytes, shape->data_bytes, &shape->total_bytes);
}

GuardedAllocator::Region GuardedAllocator::RegionOf(const Entry& entry) const {
  Shape shape;
  MMSB_CHECK(Measure(entry.bytes, entry.alignment, &shape),
             "GuardedAllocator: entry of %zu bytes at %zu", entry.bytes,
             entry.alignment);
  auto* const block = static_cast<std::byte*>(entry.address());
  std::byte* const data = block - shape.offset;
  return {.base = data - shape.lead_bytes,
          .total_bytes = shape.total_bytes,
          .data = data,
          .data_bytes = shape.data_bytes,
          .block = block,
          .block_end = block + std::max<size_t>(entry.bytes, 1)};
}

void* GuardedAllocator::Take(size_t bytes, size_t alignment,
                             const Shape& shape) noexcept {
  if (!live_table_.Reserve(live_table_.size() + 1) ||
      !quarantine_.Reserve(quarantine_.size() + 1)) {
    return nullptr;
  }
  void* base = nullptr;
  if (!mapper_
           .Reserve(shape.total_bytes,
                    Alignment::FromBytes(std::max(granule_, alignment)), &base)
           .ok()) {
    return nullptr;
  }
  std::byte* const data = static_cast<std::byte*>(base) + shape.lead_bytes;
  std::byte* const block = data + shape.offset;
  Table::Block entry = {
      .bytes = bytes, .usable_bytes = bytes, .alignment = alignment};
  if (!mapper_.Commit(data, shape.data_bytes).ok()) {
    if (!mapper_.Release(base, shape.total_bytes).ok()) {
      // Address space without memory, tried again with the others.
      entry.usable_bytes = 0;
      quarantine_.Add(block, entry);
      quarantined_bytes_ += shape.total_bytes;
    }
    return nullptr;
  }
  std::byte* const block_end = block + std::max<size_t>(bytes, 1);
  FillCanary(data, block);
  FillCanary(block_end, data + shape.data_bytes);
  live_table_.Add(block, entry);
  live_ += shape.data_bytes;
  peak_ = std::max(peak_, live_);
  ++allocations_;
  return block;
}

void* GuardedAllocator::Allocate(size_t bytes, size_t alignment) noexcept {
  void* const p = AllocateZeroed(bytes, alignment);
  if (p != nullptr) UnpoisonFresh(p, bytes);
  return p;
}

void* GuardedAllocator::AllocateZeroed(size_t bytes,
                                       size_t alignment) noexcept {
  void* p = nullptr;
  Shape shape;
  if (Alignment::IsValid(alignment) && Measure(bytes, alignment, &shape)) {
    p = Take(bytes, alignment, shape);
    if (p == nullptr && quarantine_.size() != 0) {
      Evict(0, 0);
      p = Take(bytes, alignment, shape);
    }
  }
  if (p == nullptr) ++failures_;
  return p;
}

void GuardedAllocator::Deallocate(void* p, size_t bytes,
                                  size_t alignment) noexcept {
  if (p == nullptr) return;
  Entry* const entry = live_table_.Find(p);
  if (entry == nullptr) {
    Die("GuardedAllocator::Deallocate(%p, %zu, %zu): %s", p, bytes, alignment,
        quarantine_.Find(p) != nullptr
            ? "double free"
            : "not a live block (foreign or interior pointer, or freed long "
              "ago)");
  }
  if (bytes != entry->bytes || alignment != entry->alignment) {
    Die("GuardedAllocator::Deallocate(%p, %zu, %zu): wrong size or alignment, "
        "allocated with %zu bytes at %zu",
        p, bytes, alignment, entry->bytes, entry->alignment);
  }
  CheckCanary(*entry);
  const Region region = RegionOf(*entry);
  ++deallocations_;
  live_ -= region.data_bytes;
  const bool kept = region.total_bytes <= quarantine_limit_ &&
                    quarantine_.Reserve(quarantine_.size() + 1) &&
                    quarantine_blocks_ != 0;
  const OsError error = kept ? mapper_.Decommit(region.data, region.data_bytes)
                             : mapper_.Release(region.base, region.total_bytes);
  Entry freed = *entry;
  live_table_.Remove(entry);
  if (!kept && error.ok()) return;
  // In quarantine: what still has memory.
  freed.usable_bytes = error.ok() ? 0 : region.data_bytes;
  if (!error.ok()) PoisonFreed(region.data, region.data_bytes);
  MMSB_CHECK(quarantine_.Reserve(quarantine_.size() + 1),
             "GuardedAllocator::Deallocate(%p, %zu, %zu): the system does not "
             "take the memory back, and the heap has nothing to note it in",
             p, bytes, alignment);
  quarantine_.Add(p, freed);
  quarantined_bytes_ += region.total_bytes;
  refused_ += freed.usable_bytes;
  Evict(quarantine_blocks_, quarantine_limit_);
}

void GuardedAllocator::CheckCanary(const Entry& entry) const {
  const Region region = RegionOf(entry);
  std::byte* const data_end = region.data + region.data_bytes;
  const std::byte* const before = FindDamage(region.data, region.block);
  const std::byte* const behind = FindDamage(region.block_end, data_end);
  if (before != region.block) {
    Die("GuardedAllocator: block %p of %zu bytes at %zu: the canary before it "
        "was overwritten %zu bytes before its first byte",
        entry.address(), entry.bytes, entry.alignment,
        static_cast<size_t>(region.block - before));
  }
  if (behind != data_end) {
    Die("GuardedAllocator: block %p of %zu bytes at %zu: the canary behind it "
        "was overwritten %zu bytes behind its end",
        entry.address(), entry.bytes, entry.alignment,
        static_cast<size_t>(behind - region.block_end));
  }
  PoisonFreed(region.data, static_cast<size_t>(region.block - region.data));
  PoisonFreed(region.block_end,
              static_cast<size_t>(data_end - region.block_end));
}

void GuardedAllocator::CheckCanaries() const noexcept {
  for (const Entry* entry = live_table_.Oldest(); entry != nullptr;
       entry = live_table_.NewerThan(entry)) {
    CheckCanary(*entry);
  }
}

// Gives the oldest regions back until at most so many blocks and bytes are in
// quarantine. Those that the system does not take are passed over.
void GuardedAllocator::Evict(size_t blocks, size_t bytes) noexcept {
  Entry* next = nullptr;
  for (Entry* entry = quarantine_.Oldest();
       entry != nullptr &&
       (quarantine_.size() > blocks || quarantined_bytes_ > bytes);
       entry = next) {
    next = quarantine_.NewerThan(entry);
    const Region region = RegionOf(*entry);
    if (!mapper_.Release(region.base, region.total_bytes).ok()) continue;
    quarantined_bytes_ -= region.total_bytes;
    refused_ -= entry->usable_bytes;
    quarantine_.Remove(entry);
  }
}

bool GuardedAllocator::Owns(const void* p) const noexcept {
  const auto address = reinterpret_cast<uintptr_t>(p);
  for (const Entry* entry = live_table_.Oldest(); entry != nullptr;
       entry = live_table_.NewerThan(entry)) {
    const auto begin = reinterpret_cast<uintptr_t>(entry->address());
    if (address >= begin &&
        address - begin < std::max<size_t>(entry->bytes, 1)) {
      return true;
    }
  }
  return false;
}

AllocatorStats GuardedAllocator::Stats() const noexcept {
  const size_t tables = live_table_.bytes() + quarantine_.bytes();
  return AllocatorStats({.live = live_,
                         .cached = refused_,
                         .metadata = tables,
                         .committed = live_ + refused_ + tables,
                         .peak = peak_,
                         .allocations = allocations_,
                         .deallocations = deallocations_,
                         .failures = failures_});
}

}  // namespace mmsb
