#ifndef MMSB_MEMORY_LOG_TRANSACTION_LOG_H_
#define MMSB_MEMORY_LOG_TRANSACTION_LOG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"

namespace mmsb {

// A log of transactions, append-only, in two files of a store's directory:
//
//   log   a header, then records; each is a fixed head, `meta` and `data`, all
//         under CRC32C, and says where in the file it stands
//   tip   two slots, written in turn: up to where the log was acknowledged
//
// A transaction is any number of data records, then of checkpoint records, and
// then a commit record, all with the transaction's epoch; epochs are numbered
// from 1 without a gap. Checkpoint records hold, for whoever writes them, all
// that the records ahead of them come to, so that a replay may begin with them.
// The tip names the first one of the last transaction that has any.
//
// They are part of a transaction because then nothing else need be true of
// them: the sync that makes the commit durable has made them durable before the
// tip can name them, and a crash leaves both or neither.
//
// Commit syncs the log, then writes and syncs the tip, and then the transaction
// is acknowledged. So the tip tells damage from a torn tail: what it names must
// be there whole; what lies beyond it was never acknowledged, counts when it is
// whole, data included, and is cut off when it is not.
//
//   call \ state | replayed  | appending | failed
//   -------------+-----------+-----------+----------
//   Replay       | replayed  | replayed  | replayed
//   Append       | appending | appending | refused
//   Commit       | replayed  | replayed  | refused
//   Abort        | replayed  | replayed  | failed, nothing done
//   a failure    | failed    | failed    | failed
//
// A log starts in the state failed. A Replay that does not come to the end, or
// finds damage, leaves it there. After a failed write or sync nothing is known
// of what the disk holds, so the log refuses to go on until it is replayed
// again. A record above the limits is refused and changes nothing.
//
// Owns its files. Thread-compatible; readers in other processes may replay
// while one writer appends (the writer holds the store's lock, see PageStore).
// Errors are statuses that name the file and the position.
// Append is linear in the record; Replay is linear in the number of records
// that it passes and the bytes of their meta, or of everything where
// `check_data` is asked for. Of the log's bytes from where it begins to its end
// it reads each at most four times, and of data that is longer than the
// read-ahead no more than four times that.
class TransactionLog {
 public:
  struct Record {
    Epoch epoch;
    uint32_t sequence;                // within its transaction, from 0
    std::span<const std::byte> meta;  // valid during the visit
    uint64_t position;                // of the record in the log, in bytes
    uint64_t data_position;
    uint64_t data_bytes;
    uint32_t data_checksum;  // CRC-32C, as it was written
    bool data_damaged;       // only known where `check_data` was asked for
  };

  // Sees the records of whole transactions, in their order.
  class Visitor {
   public:
    virtual ~Visitor() = default;
    // A status that is not OK ends the replay, which returns it.
    virtual absl::Status OnData(const Record& record) = 0;
    virtual absl::Status OnCommit(const Record& record) = 0;
    virtual absl::Status OnCheckpoint(const Record&) {
      return absl::OkStatus();
    }
    // The transaction was acknowledged, and its commit record is damaged. What
    // is left of its data records has been seen.
    virtual absl::Status OnLostCommit(Epoch epoch) = 0;
  };

  struct ReplayOptions {
    // Stops after this epoch's transaction.
    std::optional<Epoch> last = std::nullopt;
    // Reads all data and compares it with its checksum.
    bool check_data = false;
    // Begins with this record, the first checkpoint record of a transaction:
    // ReadCheckpoint has found it. Only what is behind it is looked at.
    std::optional<uint64_t> checkpoint = std::nullopt;
  };

  // The first record of a checkpoint.
  struct Checkpoint {
    Epoch epoch;
    std::vector<std::byte> meta;
  };

  // A stretch of the log that is not as it was written.
  struct Damage {
    uint64_t begin;  // positions in the log, in bytes
    uint64_t end;
    Epoch epoch;  // the first transaction that it touches
  };

  struct ReplayReport {
    Epoch newest;      // the last transaction known to have been committed
    uint64_t end = 0;  // of the last whole transaction, in bytes
    uint64_t torn_bytes = 0;      // of an unfinished transaction, after `end`
    std::vector<Damage> damage;   // in order of position
    bool header_damaged = false;  // of the log file; harmless
    bool tip_damaged = false;     // one slot; harmless, the other one serves
    bool tip_lost = false;        // both slots, or the file
    // The tip names another checkpoint than the last one in the log. Only known
    // when all of the log was replayed, and nothing of it is damaged.
    bool tip_checkpoint_wrong = false;
  };

  // Opens the log of the store in `directory`, whose header is `header`. A log
  // file that does not exist is a log of no transactions.
  static absl::StatusOr<std::unique_ptr<TransactionLog>> Open(
      FileSystem& file_system, std::string directory, const StoreHeader& header,
      FileSystem::Access access);

  // Reads the transactions from the first on. Damage is in the report and not
  // an error.
  absl::StatusOr<ReplayReport> Replay(const ReplayOptions& options,
                                      Visitor& visitor);

  // Adds a data record to the current transaction; returns its data's position.
  absl::StatusOr<uint64_t> Append(std::span<const std::byte> meta,
                                  std::span<const std::byte> data);

  // Adds a checkpoint record to the current transaction; its data records must
  // have been added.
  absl::Status AppendCheckpoint(std::span<const std::byte> meta,
                                std::span<const std::byte> data);

  // Ends the current transaction: adds the commit record, syncs, moves the tip.
  absl::StatusOr<Epoch> Commit(std::span<const std::byte> meta);

  // Cuts off what Append added since the last Commit.
  absl::Status Abort();

  // Fills `out` from a position that Replay or Append gave.
  // DataLoss when the log ends before.
  absl::Status ReadData(uint64_t position, std::span<std::byte> out);

  // The position of the last checkpoint that the tip names, 0 when it names
  // none or is lost. It may be damaged. One read.
  absl::StatusOr<uint64_t> TipCheckpoint();

  // The checkpoint whose first record is at `position`; none when there is no
  // whole record of that kind. Does not look at its data.
  absl::StatusOr<std::optional<Checkpoint>> ReadCheckpoint(uint64_t position);

  // The position of the first record of the last checkpoint that Replay saw or
  // Commit wrote; 0 when there is none.
  uint64_t last_checkpoint() const { return last_checkpoint_; }

  // What a replay reads ahead, in bytes.
  static constexpr size_t kReadAheadBytes = 64 << 10;

  // What passing over a record costs a replay, in bytes: of long data no more
  // than the read-ahead is read.
  static constexpr uint64_t ReplayBytes(uint64_t meta_bytes,
                                        uint64_t data_bytes) {
    return RecordHead::kBytes + meta_bytes +
           (data_bytes < kReadAheadBytes ? data_bytes : kReadAheadBytes);
  }

  // How long the log is, in bytes, as Replay found it and with what was
  // appended since; a torn tail does not count.
  uint64_t bytes() const { return end_; }

 private:
  enum class State { kReplayed, kAppending, kFailed };
  class Reader;

  TransactionLog(FileSystem& file_system, std::string directory,
                 const StoreHeader& header, FileSystem::Access access);

  std::string LogPath() const;
  std::string TipPath() const;
  absl::Status Changed() const;
  absl::Status OpenIfPresent(const std::string& path,
                             std::unique_ptr<File>& file);
  absl::Status BeginAppending();
  absl::Status CheckHeader(uint64_t log_bytes, ReplayReport& report);
  absl::Status Rewrite(uint64_t begin, uint64_t end);
  absl::Status Write(uint64_t position, std::span<const std::byte> bytes);
  absl::StatusOr<uint64_t> AppendRecord(RecordKind kind,
                                        std::span<const std::byte> meta,
                                        std::span<const std::byte> data);

  FileSystem& file_system_;
  const std::string directory_;
  const StoreHeader header_;
  const FileSystem::Access access_;
  std::unique_ptr<File> log_;  // null while there is no such file
  std::unique_ptr<File> tip_;
  State state_ = State::kFailed;
  Epoch newest_;
  uint64_t committed_end_ = 0;     // of the last whole transaction, in bytes
  uint64_t end_ = 0;               // of what was appended since, in bytes
  uint64_t acknowledged_end_ = 0;  // up to where the tip says so
  bool tip_is_damaged_ = false;    // a slot of it, at the least
  // False until the first commit: an earlier process may have made the files
  // and ended before it synced their directory.
  bool directory_synced_ = false;
  uint32_t sequence_ = 0;
  uint64_t last_checkpoint_ = 0;         // of a whole transaction
  uint64_t transaction_checkpoint_ = 0;  // of the current one; 0: none
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_TRANSACTION_LOG_H_
