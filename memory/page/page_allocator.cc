#include "memory/page/page_allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "allocator/allocator_stats.h"
#include "allocator/system_source.h"
#include "memory/page/page.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "memory/page/page_spec.h"
#include "primitives/alignment.h"
#include "primitives/check.h"
#include "primitives/page_id.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

absl::Status NoSuchPage(PageId id) {
  if (!id.valid()) return absl::NotFoundError("page: the id is invalid");
  return absl::NotFoundError(
      absl::StrFormat("page %d: there is no such page", id.value()));
}

// The default for host pages. Stateless, so all allocators share it.
SystemSource& Heap() {
  static SystemSource heap;
  return heap;
}

// Bytes of heap that metadata takes.
size_t HeapBytes(const std::string& text) {
  const bool inside = text.capacity() <= std::string().capacity();
  return sizeof(text) + (inside ? 0 : text.capacity() + 1);
}

}  // namespace

PageAllocator::PageAllocator() : PageAllocator(Options()) {}

PageAllocator::PageAllocator(const Options& options)
    : PageAllocator(options, Frames::Of(Heap())) {}

PageAllocator::PageAllocator(const Options& options, Frames host_frames)
    : options_(options),
      frames_({{PageLocation::Host(), host_frames}}),
      objects_({.block_size = sizeof(Page), .alignment = alignof(Page)}) {}

PageAllocator::~PageAllocator() {
  for (Page* page : index_) Destroy(page);
}

absl::Status PageAllocator::AddFrames(PageLocation location, Frames frames) {
  if (!frames_.try_emplace(location, frames).second) {
    return absl::AlreadyExistsError(
        absl::StrFormat("%v: the location has frames already", location));
  }
  return absl::OkStatus();
}

PageId PageAllocator::ChooseId() {
  while (PageId::FromValue(next_id_).valid() &&
         index_.contains(PageId::FromValue(next_id_))) {
    ++next_id_;
  }
  return PageId::FromValue(next_id_);
}

size_t PageAllocator::FrameBytes(size_t bytes) const {
  size_t frame_bytes = 0;
  return CheckedAlignUp(bytes, options_.alignment, &frame_bytes) ? frame_bytes
                                                                 : 0;
}

absl::StatusOr<Page*> PageAllocator::Allocate(const PageSpec& spec) {
  const PageId id = spec.id.valid() ? spec.id : ChooseId();
  if (!id.valid()) {
    ++failures_;
    return absl::ResourceExhaustedError("page: no id is left to choose");
  }
  const uint64_t name = id.value();
  const size_t frame_bytes = FrameBytes(spec.bytes);
  if (frame_bytes == 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "page %d: a page cannot have %d bytes", name, spec.bytes));
  }
  if (index_.contains(id)) {
    return absl::AlreadyExistsError(
        absl::StrFormat("page %d: the id is in use", name));
  }
  const auto source = frames_.find(spec.location);
  if (source == frames_.end()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "page %d: no frames were added for %v", name, spec.location));
  }
  if (frame_bytes > options_.quota_bytes - frame_bytes_) {
    ++failures_;
    return absl::ResourceExhaustedError(absl::StrFormat(
        "page %d: %d bytes on top of %d exceed the quota of %d bytes", name,
        frame_bytes, frame_bytes_, options_.quota_bytes));
  }
  const Frames& frames = source->second;
  void* const object = objects_.Allocate();
  void* const frame = object == nullptr
                          ? nullptr
                          : frames.allocate(frames.allocator, frame_bytes,
                                            options_.alignment.bytes());
  if (frame == nullptr) {
    objects_.Deallocate(object);
    ++failures_;
    return absl::ResourceExhaustedError(
        absl::StrFormat("page %d: no memory for %d bytes, %v", name,
                        frame_bytes, spec.location));
  }
  Page* const page = new (object)
      Page(id, static_cast<std::byte*>(frame), spec.bytes, spec.location);
  index_.insert(page);
  if (!spec.id.valid()) ++next_id_;
  frame_bytes_ += frame_bytes;
  peak_frame_bytes_ = std::max(peak_frame_bytes_, frame_bytes_);
  ++allocations_;
  if (spec.location.host_accessible()) {
    PoisonFreed(page->address_ + spec.bytes, frame_bytes - spec.bytes);
  }
  return page;
}

absl::StatusOr<Page*> PageAllocator::Acquire(PageId id) {
  Page* const page = Find(id);
  if (page == nullptr) return NoSuchPage(id);
  if (page->holds_ == Page::kMaxHolds) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("page %d: it is held %d times, the most there can be",
                        id.value(), page->holds_));
  }
  ++page->holds_;
  return page;
}

absl::Status PageAllocator::Release(PageId id) {
  Page* const page = Find(id);
  if (page == nullptr) return NoSuchPage(id);
  if (page->holds_ == 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("page %d: released, but not held", id.value()));
  }
  --page->holds_;
  return absl::OkStatus();
}

absl::Status PageAllocator::Free(PageId id) {
  const auto found = index_.find(id);
  if (found == index_.end()) return NoSuchPage(id);
  Page* const page = *found;
  if (page->holds_ != 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "page %d: freed, but still held %d times", id.value(), page->holds_));
  }
  index_.erase(found);
  Destroy(page);
  return absl::OkStatus();
}

void PageAllocator::Destroy(Page* page) {
  const size_t frame_bytes = FrameBytes(page->bytes_);
  const auto source = frames_.find(page->location_);
  MMSB_CHECK(source != frames_.end(), "page %llu: its frames' source is gone",
             static_cast<unsigned long long>(page->id_.value()));
  // The frames' allocator gets back what it gave: memory that may be touched.
  if (page->location_.host_accessible()) {
    UnpoisonFresh(page->address_, frame_bytes);
  }
  const Frames& frames = source->second;
  frames.deallocate(frames.allocator, page->address_, frame_bytes,
                    options_.alignment.bytes());
  frame_bytes_ -= frame_bytes;
  ++deallocations_;
  if (page->metadata_ != nullptr) {
    metadata_bytes_ -= HeapBytes(*page->metadata_);
  }
  page->~Page();
  objects_.Deallocate(page);
}

absl::Status PageAllocator::SetMetadata(PageId id, absl::string_view metadata) {
  Page* const page = Find(id);
  if (page == nullptr) return NoSuchPage(id);
  // A copy before the old text goes: `metadata` may be a part of it.
  std::unique_ptr<std::string> text;
  if (!metadata.empty()) text = std::make_unique<std::string>(metadata);
  if (page->metadata_ != nullptr) {
    metadata_bytes_ -= HeapBytes(*page->metadata_);
  }
  if (text != nullptr) metadata_bytes_ += HeapBytes(*text);
  page->metadata_ = std::move(text);
  return absl::OkStatus();
}

Page* PageAllocator::Find(PageId id) {
  const auto found = index_.find(id);
  return found == index_.end() ? nullptr : *found;
}

const Page* PageAllocator::Find(PageId id) const {
  const auto found = index_.find(id);
  return found == index_.end() ? nullptr : *found;
}

std::vector<PageInfo> PageAllocator::PageInfos() const {
  std::vector<PageInfo> infos;
  infos.reserve(index_.size());
  for (const Page* page : index_) infos.push_back(page->Info());
  std::sort(infos.begin(), infos.end(),
            [](const PageInfo& a, const PageInfo& b) { return a.id < b.id; });
  return infos;
}

AllocatorStats PageAllocator::Stats() const {
  // A slot of the index holds a pointer, and a byte says whether it does.
  const size_t bookkeeping = objects_.Stats().committed() +
                             index_.capacity() * (sizeof(Page*) + 1) +
                             metadata_bytes_;
  return AllocatorStats({
      .live = frame_bytes_,
      .metadata = bookkeeping,
      .committed = frame_bytes_ + bookkeeping,
      .peak = peak_frame_bytes_,
      .allocations = allocations_,
      .deallocations = deallocations_,
      .failures = failures_,
  });
}

}  // namespace mmsb
