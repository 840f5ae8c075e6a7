#include "memory/store/commit_format.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/log/little_endian.h"
#include "memory/store/page_version.h"

namespace mmsb {
namespace {

constexpr uint32_t kAbsent = 1;

}  // namespace

// An entry is page (8), checksum (4), changed bytes (4), bytes in the log (4),
// form (1), depth (1) and two bytes of zeros. The position is not stored: the
// versions lie in the data one behind the other.
std::vector<std::byte> EncodePageEntries(std::span<const PageEntry> entries) {
  std::vector<std::byte> bytes(entries.size() * PageEntry::kBytes);
  std::span<std::byte> out = bytes;
  for (const PageEntry& entry : entries) {
    StoreLittleEndian<uint64_t>(entry.page, out, 0);
    StoreLittleEndian<uint32_t>(entry.checksum, out, 8);
    StoreLittleEndian<uint32_t>(entry.changed_bytes, out, 12);
    StoreLittleEndian<uint32_t>(entry.version.bytes, out, 16);
    StoreLittleEndian<uint8_t>(static_cast<uint8_t>(entry.version.form), out,
                               20);
    StoreLittleEndian<uint8_t>(entry.version.depth, out, 21);
    out = out.subspan(PageEntry::kBytes);
  }
  return bytes;
}

absl::StatusOr<std::vector<PageEntry>> DecodePageEntries(
    std::span<const std::byte> meta, uint64_t data_bytes) {
  if (meta.size() % PageEntry::kBytes != 0) {
    return absl::DataLossError("a list of pages is not whole");
  }
  std::vector<PageEntry> entries;
  entries.reserve(meta.size() / PageEntry::kBytes);
  uint64_t position = 0;
  for (; !meta.empty(); meta = meta.subspan(PageEntry::kBytes)) {
    const uint8_t form = LoadLittleEndian<uint8_t>(meta, 20);
    PageEntry entry{.page = LoadLittleEndian<uint64_t>(meta, 0),
                    .checksum = LoadLittleEndian<uint32_t>(meta, 8),
                    .changed_bytes = LoadLittleEndian<uint32_t>(meta, 12),
                    .version = {.position = position,
                                .bytes = LoadLittleEndian<uint32_t>(meta, 16),
                                .form = static_cast<PageVersion::Form>(form),
                                .depth = LoadLittleEndian<uint8_t>(meta, 21)}};
    if (form > static_cast<uint8_t>(PageVersion::Form::kWhole) ||
        entry.version.bytes > data_bytes - position ||
        entry.version.depth > PageVersion::kMaxDepth ||
        entry.version.is_delta() != (entry.version.depth != 0)) {
      return absl::DataLossError("a list of pages is malformed");
    }
    position += entry.version.bytes;
    // A zero page is the same wherever it was written.
    if (entry.version.form == PageVersion::Form::kZero) {
      if (entry.version.bytes != 0) {
        return absl::DataLossError("a list of pages is malformed");
      }
      entry.version.position = 0;
    }
    entries.push_back(entry);
  }
  if (position != data_bytes) {
    return absl::DataLossError("a list of pages does not fit its data");
  }
  return entries;
}

std::vector<std::byte> EncodeCommitRecord(const CommitRecord& record) {
  std::vector<std::byte> bytes(CommitRecord::kFixedBytes +
                               record.message.size());
  StoreLittleEndian<uint64_t>(record.state_bytes, bytes, 0);
  StoreLittleEndian<uint64_t>(static_cast<uint64_t>(record.time_ns), bytes, 8);
  StoreLittleEndian<uint64_t>(record.changed_bytes, bytes, 16);
  StoreLittleEndian<uint64_t>(record.changed_pages, bytes, 24);
  StoreLittleEndian<uint32_t>(record.data_records, bytes, 32);
  StoreLittleEndian<uint32_t>(record.root, bytes, 36);
  StoreLittleEndian<uint32_t>(static_cast<uint32_t>(record.message.size()),
                              bytes, 40);
  StoreLittleEndian<uint32_t>(record.absent ? kAbsent : 0, bytes, 44);
  std::ranges::copy(std::as_bytes(std::span(record.message)),
                    bytes.begin() + CommitRecord::kFixedBytes);
  return bytes;
}

absl::StatusOr<CommitRecord> DecodeCommitRecord(
    std::span<const std::byte> meta) {
  if (meta.size() < CommitRecord::kFixedBytes ||
      meta.size() - CommitRecord::kFixedBytes !=
          LoadLittleEndian<uint32_t>(meta, 40) ||
      (LoadLittleEndian<uint32_t>(meta, 44) & ~kAbsent) != 0) {
    return absl::DataLossError("a commit record is malformed");
  }
  const std::span<const std::byte> message =
      meta.subspan(CommitRecord::kFixedBytes);
  return CommitRecord{
      .state_bytes = LoadLittleEndian<uint64_t>(meta, 0),
      .time_ns = static_cast<int64_t>(LoadLittleEndian<uint64_t>(meta, 8)),
      .changed_bytes = LoadLittleEndian<uint64_t>(meta, 16),
      .changed_pages = LoadLittleEndian<uint64_t>(meta, 24),
      .data_records = LoadLittleEndian<uint32_t>(meta, 32),
      .root = LoadLittleEndian<uint32_t>(meta, 36),
      .absent = LoadLittleEndian<uint32_t>(meta, 44) == kAbsent,
      .message = std::string(reinterpret_cast<const char*>(message.data()),
                             message.size())};
}

}  // namespace mmsb
