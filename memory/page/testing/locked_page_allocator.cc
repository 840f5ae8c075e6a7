#include "memory/page/testing/locked_page_allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/page/frame_errors.h"
#include "memory/page/frame_layout.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"

namespace mmsb {

absl::StatusOr<std::unique_ptr<LockedPageAllocator>>
LockedPageAllocator::Create(const Options& options, MemoryMapper& mapper) {
  const size_t frames = options.bytes / kFrameBytes;
  size_t bytes = 0;
  if (!CheckedAlignUp(frames * kFrameBytes, Alignment::FromBytes(kHugeBytes),
                      &bytes)) {
    return absl::ResourceExhaustedError("larger than an address space");
  }
  void* region = nullptr;
  if (bytes != 0) {
    OsError error =
        mapper.Reserve(bytes, Alignment::FromBytes(kHugeBytes), &region);
    if (!error.ok()) return frame_errors::Refused("region", error);
    error = mapper.Commit(region, bytes);
    if (!error.ok()) {
      (void)mapper.Release(region, bytes);
      return frame_errors::Refused("region", error);
    }
  }
  return std::unique_ptr<LockedPageAllocator>(
      new LockedPageAllocator(static_cast<std::byte*>(region), frames, mapper));
}

LockedPageAllocator::~LockedPageAllocator() {
  if (region_ != nullptr) (void)mapper_.Release(region_, RegionBytes());
}

size_t LockedPageAllocator::RegionBytes() const {
  const size_t mask = kHugeBytes - 1;
  return (allocated_.size() * kFrameBytes + mask) & ~mask;
}

absl::StatusOr<void*> LockedPageAllocator::Allocate(int order) {
  if (!IsFrameOrder(order)) return frame_errors::NoSuchOrder(order);
  const std::lock_guard lock(mutex_);
  const size_t frame = Find(order);
  if (frame == allocated_.size()) return frame_errors::NoneFree(order);
  Set(frame, order, true);
  return region_ + frame * kFrameBytes;
}

absl::Status LockedPageAllocator::Free(void* p, int order) {
  if (!IsFrameOrder(order)) return frame_errors::NoSuchOrder(order);
  const size_t offset =
      reinterpret_cast<uintptr_t>(p) - reinterpret_cast<uintptr_t>(region_);
  const size_t frame = offset / kFrameBytes;
  const size_t run = size_t{1} << order;
  if (offset % (run * kFrameBytes) != 0 || frame >= allocated_.size() ||
      run > allocated_.size() - frame) {
    return frame_errors::NoSuchRun(offset, order, allocated_.size());
  }
  const std::lock_guard lock(mutex_);
  const size_t bad = FirstThatIs(false, frame, order);
  if (bad != frame + run) return frame_errors::NotAllocated(bad, frame, order);
  Set(frame, order, false);
  return absl::OkStatus();
}

std::vector<uint64_t> LockedPageAllocator::Bitmap() const {
  const std::lock_guard lock(mutex_);
  const size_t hugest = RegionBytes() / kFrameBytes;
  std::vector<uint64_t> bitmap(hugest / kFramesPerWord);
  for (size_t i = 0; i < hugest; ++i) {
    const bool set = i >= allocated_.size() || allocated_[i];
    bitmap[i / kFramesPerWord] |= uint64_t{set} << (i % kFramesPerWord);
  }
  return bitmap;
}

absl::Status LockedPageAllocator::Recover(std::span<const uint64_t> bitmap) {
  const std::lock_guard lock(mutex_);
  if (bitmap.size() * kFramesPerWord * kFrameBytes != RegionBytes()) {
    return absl::InvalidArgumentError(
        "the bitmap is of a region of another size");
  }
  const auto bit = [&](size_t i) {
    return (bitmap[i / kFramesPerWord] >> (i % kFramesPerWord) & 1) != 0;
  };
  for (size_t i = allocated_.size(); i < RegionBytes() / kFrameBytes; ++i) {
    if (bit(i)) continue;
    return absl::InvalidArgumentError(
        "the bitmap says that a frame beyond the last one is free");
  }
  for (size_t i = 0; i < allocated_.size(); ++i) allocated_[i] = bit(i);
  return absl::OkStatus();
}

absl::StatusOr<size_t> LockedPageAllocator::Purge() {
  const std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (size_t frame = 0; frame < allocated_.size(); frame += kFramesPerHuge) {
    const auto begin = allocated_.begin() + static_cast<std::ptrdiff_t>(frame);
    const auto end = begin + static_cast<std::ptrdiff_t>(std::min(
                                 kFramesPerHuge, allocated_.size() - frame));
    if (std::find(begin, end, true) != end) continue;
    const OsError error =
        mapper_.Discard(region_ + frame * kFrameBytes, kHugeBytes);
    if (!error.ok()) return frame_errors::Refused("Purge", error);
    bytes += kHugeBytes;
  }
  return bytes;
}

bool LockedPageAllocator::Owns(const void* p) const {
  return reinterpret_cast<uintptr_t>(p) - reinterpret_cast<uintptr_t>(region_) <
         allocated_.size() * kFrameBytes;
}

size_t LockedPageAllocator::FreeFrames() const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(
      std::count(allocated_.begin(), allocated_.end(), false));
}

bool LockedPageAllocator::AnyFree(int order) const {
  const std::lock_guard lock(mutex_);
  return Find(order) != allocated_.size();
}

bool LockedPageAllocator::AllocateAt(size_t frame, int order) {
  const std::lock_guard lock(mutex_);
  const size_t run = size_t{1} << order;
  if (frame % run != 0 || frame + run > allocated_.size() ||
      FirstThatIs(true, frame, order) != frame + run) {
    return false;
  }
  Set(frame, order, true);
  return true;
}

size_t LockedPageAllocator::Find(int order) const {
  const size_t run = size_t{1} << order;
  for (size_t frame = 0; frame + run <= allocated_.size(); frame += run) {
    if (FirstThatIs(true, frame, order) == frame + run) return frame;
  }
  return allocated_.size();
}

size_t LockedPageAllocator::FirstThatIs(bool allocated, size_t frame,
                                        int order) const {
  const size_t end = frame + (size_t{1} << order);
  while (frame != end && allocated_[frame] != allocated) ++frame;
  return frame;
}

void LockedPageAllocator::Set(size_t frame, int order, bool allocated) {
  const size_t end = frame + (size_t{1} << order);
  for (; frame != end; ++frame) allocated_[frame] = allocated;
}

}  // namespace mmsb
