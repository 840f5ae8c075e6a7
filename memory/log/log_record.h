#ifndef MMSB_MEMORY_LOG_LOG_RECORD_H_
#define MMSB_MEMORY_LOG_LOG_RECORD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "memory/epoch/epoch.h"

namespace mmsb {

// The framing of a TransactionLog: pure functions between its structures and
// their bytes, which are salted by StoreHeader::salt(). docs/format.md has the
// layouts. Values; thread-compatible.

enum class RecordKind : uint32_t { kData = 1, kCommit = 2, kCheckpoint = 3 };

// What stands before the meta and the data of a record.
struct RecordHead {
  static constexpr size_t kBytes = 48;
  static constexpr std::array<char, 3> kMagic = {'M', 'R', 'C'};
  // The limits of one record, in bytes. They bound what a reader allocates.
  static constexpr uint32_t kMaxMetaBytes = 16 << 20;
  static constexpr uint32_t kMaxDataBytes = 64 << 20;

  RecordKind kind = RecordKind::kData;
  // The checksum of the head of the record that this one was written behind; 0
  // for the first of a log. So a record that was cut off, and turns up again
  // behind another than it was written behind, is told from one that belongs
  // there. (As the frames of SQLite's write-ahead log, whose checksums go on.)
  uint32_t link = 0;
  Epoch epoch;
  uint64_t position = 0;  // where in the log the head stands, in bytes
  uint32_t sequence = 0;  // within the transaction, from 0
  uint32_t meta_bytes = 0;
  uint32_t meta_checksum = 0;
  uint32_t data_bytes = 0;
  uint32_t data_checksum = 0;
  uint32_t checksum = 0;  // of the head; Encode does not look at it

  uint64_t data_position() const { return position + kBytes + meta_bytes; }
  uint64_t end() const { return data_position() + data_bytes; }

  std::array<std::byte, kBytes> Encode(uint64_t salt) const;

  // The checksum in what Encode returned, which is the next record's link.
  static uint32_t ChecksumIn(std::span<const std::byte, kBytes> encoded);

  // The head in the first kBytes of `bytes`, if one was written at `position`
  // of this store's log and its sizes are within the limits.
  static std::optional<RecordHead> Decode(std::span<const std::byte> bytes,
                                          uint64_t position, uint64_t salt);
};

// Up to where the log was acknowledged: one slot of the tip file.
struct LogTip {
  static constexpr size_t kBytes = 32;

  Epoch epoch;
  uint64_t end = 0;  // of the epoch's transaction in the log, in bytes
  // The first record of the last checkpoint up to there; 0 when there is none.
  uint64_t checkpoint = 0;

  static constexpr size_t kSlots = 2;

  std::array<std::byte, kBytes> Encode(uint64_t salt) const;

  // The tip in the first kBytes of `bytes`; none when they are damaged.
  static std::optional<LogTip> Decode(std::span<const std::byte> bytes,
                                      uint64_t salt);
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_LOG_RECORD_H_
