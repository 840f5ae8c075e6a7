#ifndef MMSB_MEMORY_PAGE_PAGE_H_
#define MMSB_MEMORY_PAGE_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "memory/epoch/epoch.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "primitives/page_id.h"

namespace mmsb {

// Raw bytes with a meaning: a page has an id that no other page of its
// allocator has, a place where its contents lie, the epoch that they belong to,
// and metadata.
//
// The allocator that made a page owns it and its contents; a Page* is valid
// until that allocator frees the page. The states of a page, and what each
// operation makes of them (an error changes nothing; its status names the
// page):
//
//                  no such page   allocated            acquired (held once
//                                                      or more)
//   Allocate       -> allocated   AlreadyExists        AlreadyExists
//   Acquire        NotFound       -> acquired, 1 hold  one hold more
//   Release        NotFound       FailedPrecondition   one hold less; after the
//                                                      last one -> allocated
//   Free           NotFound       -> no such page      FailedPrecondition
//   SetMetadata    NotFound       done                 done
//   AdvanceTo      -              done; FailedPrecondition when it goes back
//   Restore        -> as in the   -> as in the         -> as in the snapshot,
//                  snapshot       snapshot, or no      which has it as large
//                                 such page            and there, or else
//                                                      FailedPrecondition
//
// AdvanceTo is the page's own, the rest its allocator's.
//
// Thread-safety: thread-compatible, as its allocator; what two threads do to
// the contents is theirs to arrange. Complexity: every operation is O(1), apart
// from copying metadata.
//
//   absl::StatusOr<Page*> page = allocator.Allocate({.bytes = 4096});
//   if (!page.ok()) return page.status();
//   std::ranges::fill((*page)->contents(), std::byte{0});
class Page {
 public:
  // More holds than this on one page are taken for a leak: ResourceExhausted.
  static constexpr uint32_t kMaxHolds = uint32_t{1} << 20;

  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  [[nodiscard]] PageId id() const { return id_; }

  // Bytes of contents, as asked for.
  [[nodiscard]] size_t size() const { return bytes_; }

  [[nodiscard]] PageLocation location() const { return location_; }

  // The state that the contents belong to; 0 in a new page.
  [[nodiscard]] Epoch epoch() const { return epoch_; }

  // Any bytes, empty in a new page; set through the allocator. Valid until it
  // is set again or the page is freed.
  [[nodiscard]] absl::string_view metadata() const {
    return metadata_ == nullptr ? absl::string_view() : *metadata_;
  }

  // How many Acquires were not yet followed by a Release.
  [[nodiscard]] uint32_t holds() const { return holds_; }

  // The size() bytes, undefined in a new page. Empty when the location is a
  // device's: the host does not reach them.
  [[nodiscard]] std::span<std::byte> contents() {
    return {address_, location_.host_accessible() ? bytes_ : 0};
  }
  [[nodiscard]] std::span<const std::byte> contents() const {
    return {address_, location_.host_accessible() ? bytes_ : 0};
  }

  // Where the contents begin, in the address space of the location: for those
  // who speak to the device. Aligned as the allocator says.
  [[nodiscard]] void* address() const { return address_; }

  // Moves the page on to `epoch`. An epoch never goes back: FailedPrecondition
  // when `epoch` is before the page's.
  absl::Status AdvanceTo(Epoch epoch);

  // All of the above but the contents.
  [[nodiscard]] PageInfo Info() const;

 private:
  friend class PageAllocator;

  Page(PageId id, std::byte* address, size_t bytes, PageLocation location)
      : id_(id), address_(address), bytes_(bytes), location_(location) {}
  ~Page() = default;

  const PageId id_;
  std::byte* const address_;
  const size_t bytes_;
  Epoch epoch_;
  // Null while there is none, so that the many pages without it pay 8 bytes.
  std::unique_ptr<std::string> metadata_;
  const PageLocation location_;
  uint32_t holds_ = 0;
};

static_assert(sizeof(Page) <= 48,
              "with its place in an index, 64 bytes a page");

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_H_
