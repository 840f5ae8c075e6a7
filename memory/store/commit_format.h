#ifndef MMSB_MEMORY_STORE_COMMIT_FORMAT_H_
#define MMSB_MEMORY_STORE_COMMIT_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "memory/store/page_version.h"

namespace mmsb {

// What a PageStore writes into the meta of a TransactionLog's records: pure
// functions between structures and their bytes. docs/format.md has the layouts.
// Values; thread-compatible. Linear in the bytes. Decoding does not trust its
// input: DataLoss when it is malformed, and nothing is allocated beyond a small
// multiple of the input's size.

// One page that a data record has a new version of.
struct PageEntry {
  static constexpr size_t kBytes = 24;

  uint64_t page = 0;
  uint32_t checksum = 0;  // CRC-32C of the contents
  uint32_t changed_bytes = 0;
  // Its position counts from the beginning of the record's data.
  PageVersion version;

  friend bool operator==(const PageEntry&, const PageEntry&) = default;
};

std::vector<std::byte> EncodePageEntries(std::span<const PageEntry> entries);

// The entries in `meta` of a record with `data_bytes` bytes of data.
absl::StatusOr<std::vector<PageEntry>> DecodePageEntries(
    std::span<const std::byte> meta, uint64_t data_bytes);

// What a commit record says of its epoch.
struct CommitRecord {
  static constexpr size_t kFixedBytes = 48;

  uint64_t state_bytes = 0;
  int64_t time_ns = 0;  // since the Unix epoch
  uint64_t changed_bytes = 0;
  uint64_t changed_pages = 0;
  uint32_t data_records = 0;  // of the transaction
  uint32_t root = 0;          // of the checksum tree
  // The epoch is not in this store: its number and time are all there is.
  bool absent = false;
  std::string message = {};

  friend bool operator==(const CommitRecord&, const CommitRecord&) = default;
};

std::vector<std::byte> EncodeCommitRecord(const CommitRecord& record);
absl::StatusOr<CommitRecord> DecodeCommitRecord(
    std::span<const std::byte> meta);

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_COMMIT_FORMAT_H_
