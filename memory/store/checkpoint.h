#ifndef MMSB_MEMORY_STORE_CHECKPOINT_H_
#define MMSB_MEMORY_STORE_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/store/page_table.h"

namespace mmsb {

// A checkpoint is the whole page table of an epoch, in checkpoint records of
// the epoch's transaction, so that the log ahead of it need not be replayed.
// docs/format.md has the layout. Here is the part of it that needs no log: pure
// functions between structures and their bytes. Values; thread-compatible.
// Linear in the bytes. Decoding does not trust its input: DataLoss when it is
// malformed, and nothing is allocated beyond what a table of the stated pages
// needs.

// The meta of each of its records: the same in all of them.
struct CheckpointRecord {
  static constexpr size_t kBytes = 40;

  uint64_t previous = 0;      // first record of the one before; 0: none
  uint64_t state_bytes = 0;   // of the epoch
  uint64_t stored_pages = 0;  // entries in all of the data
  // Of the epoch's records other than these and the commit's.
  uint64_t stored_bytes = 0;
  uint32_t root = 0;     // of the checksum tree
  uint32_t records = 0;  // of the checkpoint, at least 1

  friend bool operator==(const CheckpointRecord&,
                         const CheckpointRecord&) = default;
};

std::vector<std::byte> EncodeCheckpointRecord(const CheckpointRecord& record);
absl::StatusOr<CheckpointRecord> DecodeCheckpointRecord(
    std::span<const std::byte> meta);

// The data of its records: the entries that are not zero, in pieces.
struct CheckpointData {
  static constexpr size_t kEntryBytes = 24;
  // The most entries that one record is given.
  static constexpr uint64_t kRecordEntries = 16 << 10;

  // Appends the entries of `table` from page `first` on to `out`, as many as
  // one record is given; returns the page after the last of them, or pages().
  static uint64_t Encode(const PageTable& table, uint64_t first,
                         std::vector<std::byte>& out);

  // Sets the entries in `data` in `table`. Pages ascend from `first`, what they
  // name ends at `position` in the log or before; returns the page after the
  // last.
  static absl::StatusOr<uint64_t> Decode(std::span<const std::byte> data,
                                         uint64_t first, uint64_t position,
                                         PageTable& table);

  // How many records a table with so many entries needs, and what they take in
  // the log, in bytes.
  static uint64_t Records(uint64_t entries);
  static uint64_t LogBytes(uint64_t entries);
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_CHECKPOINT_H_
