#include "memory/store/checkpoint.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/log/little_endian.h"
#include "memory/log/log_record.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"

namespace mmsb {
namespace {

// An entry is page (4), checksum (4) and a PageVersion.
constexpr size_t kVersionAt = 8;
static_assert(kVersionAt + PageVersion::kBytes == CheckpointData::kEntryBytes);
static_assert(PageTable::kMaxPages <= uint64_t{1} << 32);
static_assert(CheckpointData::kRecordEntries * CheckpointData::kEntryBytes <=
              RecordHead::kMaxDataBytes);

}  // namespace

std::vector<std::byte> EncodeCheckpointRecord(const CheckpointRecord& record) {
  std::vector<std::byte> bytes(CheckpointRecord::kBytes);
  StoreLittleEndian<uint64_t>(record.previous, bytes, 0);
  StoreLittleEndian<uint64_t>(record.state_bytes, bytes, 8);
  StoreLittleEndian<uint64_t>(record.stored_pages, bytes, 16);
  StoreLittleEndian<uint64_t>(record.stored_bytes, bytes, 24);
  StoreLittleEndian<uint32_t>(record.root, bytes, 32);
  StoreLittleEndian<uint32_t>(record.records, bytes, 36);
  return bytes;
}

absl::StatusOr<CheckpointRecord> DecodeCheckpointRecord(
    std::span<const std::byte> meta) {
  if (meta.size() != CheckpointRecord::kBytes) {
    return absl::DataLossError("a checkpoint's record is malformed");
  }
  const CheckpointRecord record{
      .previous = LoadLittleEndian<uint64_t>(meta, 0),
      .state_bytes = LoadLittleEndian<uint64_t>(meta, 8),
      .stored_pages = LoadLittleEndian<uint64_t>(meta, 16),
      .stored_bytes = LoadLittleEndian<uint64_t>(meta, 24),
      .root = LoadLittleEndian<uint32_t>(meta, 32),
      .records = LoadLittleEndian<uint32_t>(meta, 36)};
  if (record.stored_pages > PageTable::kMaxPages ||
      record.records != CheckpointData::Records(record.stored_pages)) {
    return absl::DataLossError("a checkpoint's record is malformed");
  }
  return record;
}

uint64_t CheckpointData::Encode(const PageTable& table, uint64_t first,
                                std::vector<std::byte>& out) {
  uint64_t page = table.NextStored(first);
  for (uint64_t i = 0; i < kRecordEntries && page < table.pages(); ++i) {
    const PageTable::Entry entry = table.Get(page);
    const size_t begin = out.size();
    out.resize(begin + kEntryBytes);
    const std::span<std::byte> bytes = std::span(out).subspan(begin);
    StoreLittleEndian<uint32_t>(static_cast<uint32_t>(page), bytes, 0);
    StoreLittleEndian<uint32_t>(entry.checksum, bytes, 4);
    entry.version.Encode(bytes.subspan<kVersionAt, PageVersion::kBytes>());
    page = table.NextStored(page + 1);
  }
  return page;
}

absl::StatusOr<uint64_t> CheckpointData::Decode(std::span<const std::byte> data,
                                                uint64_t first,
                                                uint64_t position,
                                                PageTable& table) {
  if (data.size() % kEntryBytes != 0) {
    return absl::DataLossError("a checkpoint's list of pages is not whole");
  }
  for (; !data.empty(); data = data.subspan(kEntryBytes)) {
    const uint64_t page = LoadLittleEndian<uint32_t>(data, 0);
    const std::optional<PageVersion> version =
        PageVersion::Decode(data.subspan<kVersionAt, PageVersion::kBytes>());
    if (page < first || page >= table.pages() || !version.has_value() ||
        version->depth > PageVersion::kMaxDepth ||
        version->is_delta() != (version->depth != 0) ||
        version->position > position ||
        version->bytes > position - version->position) {
      return absl::DataLossError("a checkpoint's list of pages is malformed");
    }
    if (absl::Status status =
            table.Set(page, {*version, LoadLittleEndian<uint32_t>(data, 4)});
        !status.ok()) {
      return status;
    }
    first = page + 1;
  }
  return first;
}

uint64_t CheckpointData::Records(uint64_t entries) {
  return std::max<uint64_t>(
      1, entries / kRecordEntries + (entries % kRecordEntries != 0 ? 1 : 0));
}

uint64_t CheckpointData::LogBytes(uint64_t entries) {
  return Records(entries) * (RecordHead::kBytes + CheckpointRecord::kBytes) +
         entries * kEntryBytes;
}

}  // namespace mmsb
