#include "memory/page/page_allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "allocator/allocator_stats.h"
#include "allocator/system_source.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator_snapshot.h"
#include "memory/page/page_index.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "memory/page/page_objects.h"
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
    : options_(options), frames_({{PageLocation::Host(), host_frames}}) {}

PageAllocator::~PageAllocator() {
  index_.ForEach([this](Page* page) { Destroy(page); });
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
         index_.Find(PageId::FromValue(next_id_)) != nullptr) {
    ++next_id_;
  }
  return PageId::FromValue(next_id_);
}

size_t PageAllocator::FrameBytes(size_t bytes) const {
  size_t frame_bytes = 0;
  return CheckedAlignUp(bytes, options_.alignment, &frame_bytes) ? frame_bytes
                                                                 : 0;
}

absl::StatusOr<size_t> PageAllocator::CheckShape(PageId id, size_t bytes,
                                                 PageLocation location) const {
  const size_t frame_bytes = FrameBytes(bytes);
  if (frame_bytes == 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "page %d: a page cannot have %d bytes", id.value(), bytes));
  }
  if (!frames_.contains(location)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "page %d: no frames were added for %v", id.value(), location));
  }
  return frame_bytes;
}

absl::StatusOr<Page*> PageAllocator::Make(PageId id, size_t bytes,
                                          PageLocation location) {
  const size_t frame_bytes = FrameBytes(bytes);
  const Frames& frames = frames_.find(location)->second;
  void* const room = objects_.Take();
  void* const frame = room == nullptr
                          ? nullptr
                          : frames.allocate(frames.allocator, frame_bytes,
                                            options_.alignment.bytes());
  if (frame == nullptr) {
    if (room != nullptr) objects_.Give(room);
    return absl::ResourceExhaustedError(
        absl::StrFormat("page %d: no memory for %d bytes, %v", id.value(),
                        frame_bytes, location));
  }
  Page* const page =
      new (room) Page(id, static_cast<std::byte*>(frame), bytes, location);
  frame_bytes_ += frame_bytes;
  peak_frame_bytes_ = std::max(peak_frame_bytes_, frame_bytes_);
  ++allocations_;
  if (location.host_accessible()) {
    PoisonFreed(page->address_ + bytes, frame_bytes - bytes);
  }
  return page;
}

absl::StatusOr<Page*> PageAllocator::Allocate(const PageSpec& spec) {
  const PageId id = spec.id.valid() ? spec.id : ChooseId();
  if (!id.valid()) {
    ++failures_;
    return absl::ResourceExhaustedError("page: no id is left to choose");
  }
  const absl::StatusOr<size_t> frame_bytes =
      CheckShape(id, spec.bytes, spec.location);
  if (!frame_bytes.ok()) return frame_bytes.status();
  if (spec.id.valid() && Find(id) != nullptr) {
    return absl::AlreadyExistsError(
        absl::StrFormat("page %d: the id is in use", id.value()));
  }
  if (*frame_bytes > options_.quota_bytes - frame_bytes_) {
    ++failures_;
    return absl::ResourceExhaustedError(absl::StrFormat(
        "page %d: %d bytes on top of %d exceed the quota of %d bytes",
        id.value(), *frame_bytes, frame_bytes_, options_.quota_bytes));
  }
  const absl::StatusOr<Page*> page = Make(id, spec.bytes, spec.location);
  if (!page.ok()) {
    ++failures_;
    return page;
  }
  index_.Insert(*page);
  if (!spec.id.valid()) ++next_id_;
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
  Page* const page = Find(id);
  if (page == nullptr) return NoSuchPage(id);
  if (page->holds_ != 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "page %d: freed, but still held %d times", id.value(), page->holds_));
  }
  index_.Erase(id);
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
  objects_.Give(page);
}

absl::Status PageAllocator::SetMetadata(PageId id, absl::string_view metadata) {
  Page* const page = Find(id);
  if (page == nullptr) return NoSuchPage(id);
  KeepMetadata(page, metadata);
  return absl::OkStatus();
}

void PageAllocator::KeepMetadata(Page* page, absl::string_view metadata) {
  // A copy before the old text goes: `metadata` may be a part of it.
  std::unique_ptr<std::string> text;
  if (!metadata.empty()) text = std::make_unique<std::string>(metadata);
  if (page->metadata_ != nullptr) {
    metadata_bytes_ -= HeapBytes(*page->metadata_);
  }
  if (text != nullptr) metadata_bytes_ += HeapBytes(*text);
  page->metadata_ = std::move(text);
}

std::vector<PageInfo> PageAllocator::PageInfos() const {
  std::vector<PageInfo> infos;
  infos.reserve(index_.size());
  index_.ForEach([&](const Page* page) { infos.push_back(page->Info()); });
  std::ranges::sort(infos, {}, &PageInfo::id);
  return infos;
}

absl::StatusOr<PageAllocatorSnapshot> PageAllocator::Snapshot() const {
  PageAllocatorSnapshot snapshot = {.next_id = next_id_};
  snapshot.pages.reserve(index_.size());
  for (PageInfo& info : PageInfos()) {
    if (!info.location.host_accessible()) {
      return absl::FailedPreconditionError(
          absl::StrFormat("page %d: the host does not reach its contents, %v",
                          info.id.value(), info.location));
    }
    const std::span<const std::byte> contents = Find(info.id)->contents();
    snapshot.pages.push_back(
        {.info = std::move(info),
         .contents = std::vector<std::byte>(contents.begin(), contents.end())});
  }
  return snapshot;
}

absl::Status PageAllocator::CheckRestore(const PageAllocatorSnapshot& snapshot,
                                         std::vector<Page*>& kept,
                                         PageSet& staying) const {
  absl::flat_hash_set<PageId> ids(snapshot.pages.size());
  size_t frame_bytes = 0;
  for (const auto& [info, contents] : snapshot.pages) {
    const uint64_t name = info.id.value();
    if (!info.id.valid()) {
      return absl::InvalidArgumentError("page: the id is invalid");
    }
    if (!ids.insert(info.id).second) {
      return absl::InvalidArgumentError(
          absl::StrFormat("page %d: it is in the snapshot twice", name));
    }
    const absl::StatusOr<size_t> bytes =
        CheckShape(info.id, info.bytes, info.location);
    if (!bytes.ok()) return bytes.status();
    if (!info.location.host_accessible()) {
      return absl::FailedPreconditionError(
          absl::StrFormat("page %d: the host does not reach its contents, %v",
                          name, info.location));
    }
    if (contents.size() != info.bytes) {
      return absl::InvalidArgumentError(
          absl::StrFormat("page %d: it has %d bytes, and the snapshot %d", name,
                          info.bytes, contents.size()));
    }
    if (info.holds > Page::kMaxHolds) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "page %d: it is held %d times, and can be %d times at most", name,
          info.holds, Page::kMaxHolds));
    }
    if (*bytes > options_.quota_bytes - frame_bytes) {
      return absl::ResourceExhaustedError(absl::StrFormat(
          "page %d: %d bytes on top of %d exceed the quota of %d bytes", name,
          *bytes, frame_bytes, options_.quota_bytes));
    }
    frame_bytes += *bytes;
    Page* page = index_.Find(info.id);
    if (page != nullptr &&
        (page->bytes_ != info.bytes || page->location_ != info.location)) {
      page = nullptr;
    }
    kept.push_back(page);
    if (page != nullptr) staying.insert(page);
  }
  // The one of the least id, so that who tries again reads the same.
  const Page* held = nullptr;
  index_.ForEach([&](const Page* page) {
    if (page->holds_ == 0 || staying.contains(page)) return;
    if (held == nullptr || page->id_ < held->id_) held = page;
  });
  if (held != nullptr) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "page %d: it would go or change its size or place, and is held %d "
        "times",
        held->id_.value(), held->holds_));
  }
  return absl::OkStatus();
}

void PageAllocator::Fill(Page* page,
                         const PageAllocatorSnapshot::PageImage& image) {
  page->epoch_ = image.info.epoch;
  page->holds_ = image.info.holds;
  KeepMetadata(page, image.info.metadata);
  std::ranges::copy(image.contents, page->contents().begin());
}

absl::Status PageAllocator::Restore(const PageAllocatorSnapshot& snapshot) {
  std::vector<Page*> kept;
  kept.reserve(snapshot.pages.size());
  PageSet staying(std::min(snapshot.pages.size(), index_.size()));
  absl::Status status = CheckRestore(snapshot, kept, staying);
  std::vector<Page*> made;
  for (size_t i = 0; status.ok() && i < kept.size(); ++i) {
    if (kept[i] != nullptr) continue;
    const PageInfo& info = snapshot.pages[i].info;
    const absl::StatusOr<Page*> page = Make(info.id, info.bytes, info.location);
    status = page.status();
    if (page.ok()) made.push_back(*page);
  }
  if (!status.ok()) {
    for (Page* page : made) Destroy(page);
    if (absl::IsResourceExhausted(status)) ++failures_;
    return status;
  }
  // From here on nothing fails.
  std::vector<Page*> going;
  index_.ForEach([&](Page* page) {
    if (!staying.contains(page)) going.push_back(page);
  });
  for (Page* page : going) {
    index_.Erase(page->id_);
    Destroy(page);
  }
  size_t next_made = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    Page* page = kept[i];
    if (page == nullptr) {
      page = made[next_made++];
      index_.Insert(page);
    }
    Fill(page, snapshot.pages[i]);
  }
  next_id_ = snapshot.next_id;
  return absl::OkStatus();
}

AllocatorStats PageAllocator::Stats() const {
  const size_t bookkeeping =
      objects_.bytes() + index_.bytes() + metadata_bytes_;
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

absl::Status PageAllocator::CheckInvariants() const {
  if (absl::Status status = index_.CheckInvariants(); !status.ok()) {
    return status;
  }
  const auto broken = [](const Page* page, absl::string_view what) {
    return absl::InternalError(
        absl::StrFormat("page %d: %s", page->id_.value(), what));
  };
  std::vector<const Page*> pages;
  index_.ForEach([&](const Page* page) { pages.push_back(page); });
  std::ranges::sort(pages, {}, [](const Page* page) {
    return std::pair(page->location_, page->address_);
  });
  size_t frame_bytes = 0;
  size_t metadata_bytes = 0;
  for (size_t i = 0; i < pages.size(); ++i) {
    const Page* const page = pages[i];
    const size_t bytes = FrameBytes(page->bytes_);
    if (bytes == 0) return broken(page, "it has no frame");
    if (!frames_.contains(page->location_)) {
      return broken(page, "its location has no frames");
    }
    if (!IsAligned(page->address_, options_.alignment)) {
      return broken(page, "its frame is not aligned");
    }
    if (i != 0 && pages[i - 1]->location_ == page->location_ &&
        pages[i - 1]->address_ + FrameBytes(pages[i - 1]->bytes_) >
            page->address_) {
      return broken(page, "its frame is another page's as well");
    }
    if (page->holds_ > Page::kMaxHolds) {
      return broken(page, "it is held more often than can be");
    }
    frame_bytes += bytes;
    if (page->metadata_ != nullptr)
      metadata_bytes += HeapBytes(*page->metadata_);
  }
  if (frame_bytes != frame_bytes_ || metadata_bytes != metadata_bytes_ ||
      allocations_ - deallocations_ != pages.size()) {
    return absl::InternalError(absl::StrFormat(
        "pages: %d of them have %d bytes of frames and %d of metadata, counted "
        "as %d with %d and %d",
        pages.size(), frame_bytes, metadata_bytes,
        allocations_ - deallocations_, frame_bytes_, metadata_bytes_));
  }
  if (objects_.taken() != pages.size()) {
    return absl::InternalError(absl::StrFormat(
        "pages: %d of them take %d places", pages.size(), objects_.taken()));
  }
  if (frame_bytes > options_.quota_bytes) {
    return absl::InternalError(
        absl::StrFormat("pages: %d bytes of frames exceed the quota of %d",
                        frame_bytes, options_.quota_bytes));
  }
  return absl::OkStatus();
}

}  // namespace mmsb
