#include "memory/invariants.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "allocator/allocator_stats.h"
#include "memory/delta/delta.h"
#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"
#include "memory/page/lockfree_page_allocator.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/page/page_info.h"
#include "memory/store/page_store.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

absl::Status CheckStats(const char* whose, const AllocatorStats& stats) {
  if (stats.IdentityHolds()) return absl::OkStatus();
  return absl::InternalError(absl::StrFormat(
      "%s: %d live, %d cached, %d free and %d bytes of metadata are not the %d "
      "that are committed",
      whose, stats.live(), stats.cached(), stats.free(), stats.metadata(),
      stats.committed()));
}

// The checksum of `values` as the tree has it.
uint32_t ChecksumOf(std::span<const uint32_t> values) {
  std::vector<std::byte> bytes(values.size() * sizeof(uint32_t));
  for (size_t i = 0; i < values.size(); ++i) {
    StoreLittleEndian(values[i], bytes, i * sizeof(uint32_t));
  }
  return Crc32c(bytes);
}

}  // namespace

absl::Status CheckInvariants(const Delta& delta) {
  const std::span<const uint8_t> mask = delta.mask();
  if (mask.size() != Delta::MaskBytes(delta.page_bytes())) {
    return absl::InternalError(
        absl::StrFormat("delta: a mask of %d bytes for a page of %d",
                        mask.size(), delta.page_bytes()));
  }
  const size_t in_last = delta.page_bytes() % 8;
  if (in_last != 0 && mask.back() >> in_last != 0) {
    return absl::InternalError(absl::StrFormat(
        "delta: the mask sets bits past byte %d", delta.page_bytes()));
  }
  size_t bits = 0;
  for (const uint8_t byte : mask) {
    bits += static_cast<size_t>(std::popcount(byte));
  }
  if (bits != delta.changed_bytes() || bits != delta.payload().size()) {
    return absl::InternalError(
        absl::StrFormat("delta: the mask sets %d bits, the payload has %d "
                        "bytes, and %d are said to change",
                        bits, delta.payload().size(), delta.changed_bytes()));
  }
  return absl::OkStatus();
}

absl::Status CheckInvariants(const PageAllocator& pages) {
  if (absl::Status status = pages.CheckInvariants(); !status.ok()) {
    return status;
  }
  std::optional<PageId> last;
  for (const PageInfo& info : pages.PageInfos()) {
    const Page* const page = pages.Find(info.id);
    if (page == nullptr || page->Info() != info) {
      return absl::InternalError(absl::StrFormat(
          "page %d: not found as PageInfos has it", info.id.value()));
    }
    if (last.has_value() && *last >= info.id) {
      return absl::InternalError(
          absl::StrFormat("page %d: PageInfos has it after page %d",
                          info.id.value(), last->value()));
    }
    last = info.id;
  }
  return CheckStats("pages", pages.Stats());
}

absl::Status CheckInvariants(const LockFreePageAllocator& frames) {
  if (absl::Status status = frames.CheckInvariants(); !status.ok()) {
    return status;
  }
  return CheckStats("frames", frames.Stats());
}

absl::Status CheckInvariants(const PageTable& table) {
  constexpr size_t kFanout = 1024;
  std::vector<uint32_t> level(static_cast<size_t>(table.pages()));
  uint64_t stored = 0;
  uint64_t zero = 0;
  uint64_t delta = 0;
  for (uint64_t page = 0; page < table.pages(); ++page) {
    const PageTable::Entry entry = table.Get(page);
    level[page] = entry.checksum;
    zero += entry.version.form == PageVersion::Form::kZero;
    delta += entry.version.is_delta();
    if (entry == table.zero()) continue;
    ++stored;
    if (table.NextStored(page) != page) {
      return absl::InternalError(
          absl::StrFormat("page %d: it is stored, and passed over", page));
    }
  }
  const PageTable::Counts counts = table.Count();
  if (stored != table.stored_pages() || zero != counts.zero ||
      delta != counts.delta) {
    return absl::InternalError(absl::StrFormat(
        "page table: %d pages stored, %d zero, %d deltas, counted as %d, %d "
        "and %d",
        stored, zero, delta, table.stored_pages(), counts.zero, counts.delta));
  }
  while (level.size() > 1) {
    std::vector<uint32_t> above;
    for (size_t i = 0; i < level.size(); i += kFanout) {
      above.push_back(ChecksumOf(
          std::span(level).subspan(i, std::min(kFanout, level.size() - i))));
    }
    level = std::move(above);
  }
  const uint32_t root = level.empty() ? 0 : level[0];
  // A copy, as the root is kept when it has been computed. It shares leaves.
  PageTable copy = table;
  if (copy.Root() != root) {
    return absl::InternalError(absl::StrFormat(
        "page table: the root is %08x, and that of the entries %08x",
        copy.Root(), root));
  }
  return absl::OkStatus();
}

absl::Status CheckInvariants(const PageStore& store) {
  const EpochInfo& newest = store.newest_info();
  const PageStoreStats stats = store.Stats();
  if (newest.epoch != store.newest() || stats.checkpoint > store.newest()) {
    return absl::InternalError(absl::StrFormat(
        "%s: the newest epoch is %v, its record says %v, and the last "
        "checkpoint is of %v",
        store.path(), store.newest(), newest.epoch, stats.checkpoint));
  }
  const uint64_t page_bytes = store.page_bytes();
  const uint64_t pages =
      newest.bytes / page_bytes + (newest.bytes % page_bytes != 0 ? 1 : 0);
  if (stats.pages != pages || stats.zero_pages > pages ||
      stats.delta_pages > pages - stats.zero_pages) {
    return absl::InternalError(absl::StrFormat(
        "%s: epoch %v has %d bytes, and %d pages, of which %d are zero and %d "
        "deltas",
        store.path(), newest.epoch, newest.bytes, stats.pages, stats.zero_pages,
        stats.delta_pages));
  }
  return CheckStats("page tables", stats.table);
}

}  // namespace mmsb
