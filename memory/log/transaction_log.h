#ifndef MMSB_MEMORY_LOG_TRANSACTION_LOG_H_
#define MMSB_MEMORY_LOG_TRANSACTION_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
#include "memory/log/log_data.h"
#include "memory/log/log_record.h"
#include "memory/log/log_segments.h"
#include "memory/log/store_header.h"

namespace mmsb {

// A log of transactions, append-only, in files of a store's directory:
//
//   log             a header, then records; each is a fixed head, `meta` and
//                   `data`, all under CRC32C, and says where in the log it
//                   stands
//   log.0.BASE      a later segment of the same: what stands in the log from
//                   position BASE on (hexadecimal, 16 digits), a header again
//   tip             two slots, written in turn: up to where the log was
//                   acknowledged
//
// (`log.N`, `log.N.BASE` and `tip.N` in the store's N-th generation: see
// StoreHeader.)
//
// A position in the log counts all bytes of the segments ahead of it, headers
// too, and is never used again. A new segment is begun at the beginning of a
// transaction, when the last one has `segment_bytes` and a sixteenth of the
// log: so a log of n bytes has no more than 17 + 16 ln(n / (16 segment_bytes))
// of them, and a record is in one segment. The last one is synced first, and
// the names so far; then the new one's header is written aside, synced,
// renamed, and the directory is synced. So the name of a segment says that all
// ahead of it is durable: what is not whole there is damage, and only the last
// segment has a tail that may be torn. What a segment has beyond the next one's
// beginning is a tail that was cut off, whose cut a failed sync lost.
//
// Each record names the one that it was written behind, by the checksum of that
// one's head (RecordHead::link). What a crash brings back of a tail that was
// cut off, though the sync of the cut failed, is not taken for what was written
// in its stead.
//
// A transaction is any number of data records, then of checkpoint records, and
// then a commit record, all with the transaction's epoch; epochs are numbered
// without a gap, from the header's first epoch on. Checkpoint records hold, for
// whoever writes them, all that the records ahead of them come to, so that a
// replay may begin with them. The tip names the first one of the last
// transaction that has any. A transaction may be restated: checkpoint records
// and its commit record once more, which continue its numbering.
//
// They are part of a transaction because then nothing else need be true of
// them: the sync that makes the commit durable has made them durable before the
// tip can name them, and a crash leaves both or neither.
//
// The tip names a transaction only when the names of its files are durable. A
// failed sync of their directory may have lost these for good: who finds a
// segment, or a tip, in which nothing was acknowledged makes it anew and
// renames it over.
//
// A sync syncs the log, then writes and syncs the tip, and then the
// transactions up to there are acknowledged. So the tip tells damage from a
// torn tail: what it names must be there whole; what lies beyond it was never
// acknowledged, counts when it is whole, data included, and is cut off when it
// is not. Commit includes a sync; CommitUnsynced leaves it to a later one.
//
//   call \ state     | replayed  | appending | failed
//   -----------------+-----------+-----------+----------
//   Replay           | replayed  | replayed  | replayed
//   Append           | appending | appending | refused
//   BeginRestatement | appending | refused   | refused
//   Commit(Unsynced) | replayed  | replayed  | refused
//   PrepareSync      | replayed  | appending | refused
//   Abort            | replayed  | replayed  | failed, nothing done
//   a failure        | failed    | failed    | failed
//
// A log starts in the state failed. A Replay that does not come to the end, or
// finds damage, leaves it there. After a failed write or sync nothing is known
// of what the disk holds, so the log refuses to go on until it is replayed
// again. A record above the limits is refused and changes nothing.
//
// Owns its files. Thread-compatible, and one thread may be in SyncTo while
// another is in any other call but Replay; readers in other processes may
// replay while one writer appends (the writer holds the store's lock, see
// PageStore). Errors are statuses that name the file and the position.
// Append is linear in the record; Replay is linear in the number of records
// that it passes and the bytes of their meta, or of everything where
// `check_data` is asked for. Of the log's bytes from where it begins to its end
// it reads each at most four times, and of data that is longer than the
// read-ahead no more than four times that. Up to kBufferBytes wait in memory
// until they are written.
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
    // The commit record of the newest transaction once more; its checkpoint
    // records have been seen.
    virtual absl::Status OnRestated(const Record&) { return absl::OkStatus(); }
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
    uint64_t torn_bytes = 0;     // of an unfinished transaction, after `end`
    std::vector<Damage> damage;  // in order of position
    // Segments that are missing, cut, or another's, by name. It is damage.
    std::vector<std::string> segment_damage;
    std::vector<std::string> notes;  // on segments; harmless
    // The files whose headers are damaged; harmless.
    std::vector<std::string> damaged_headers;
    bool tip_damaged = false;  // one slot; harmless, the other one serves
    bool tip_lost = false;     // both slots, or the file
    // The tip names another checkpoint than the last one in the log. Only known
    // when all of the log was replayed, and nothing of it is damaged.
    bool tip_checkpoint_wrong = false;
  };

  // The open files; null where there is none.
  struct Files {
    std::shared_ptr<const LogSegments> log;
    std::shared_ptr<File> tip;
  };

  // Which file of a log a name is one of.
  struct FileName {
    bool is_tip = false;
    uint64_t generation = 0;
    uint64_t base = 0;  // of a segment
  };

  static constexpr uint64_t kSegmentBytes = 64 << 20;

  // What a sync makes durable.
  struct SyncPoint {
    Epoch epoch;
    uint64_t end = 0;         // of the log, in bytes
    uint64_t checkpoint = 0;  // position of the last one; 0: none

    friend bool operator==(const SyncPoint&, const SyncPoint&) = default;
  };

  // Opens the log of the store in `directory`, whose header is `header`. A log
  // of no files is one of no transactions.
  static absl::StatusOr<std::unique_ptr<TransactionLog>> Open(
      FileSystem& file_system, std::string directory, const StoreHeader& header,
      FileSystem::Access access, uint64_t segment_bytes = kSegmentBytes);

  // The same to read, by files that are open already; those that are null are
  // opened.
  static absl::StatusOr<std::unique_ptr<TransactionLog>> Open(
      FileSystem& file_system, std::string directory, const StoreHeader& header,
      Files files);

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

  // Begins to restate the newest transaction, of which there must be one.
  absl::Status BeginRestatement();

  // Ends the current transaction: adds the commit record, syncs, moves the tip.
  // When the sync of the log fails, what was not acknowledged is cut off.
  absl::StatusOr<Epoch> Commit(std::span<const std::byte> meta);

  // The same without the sync. Flush is needed for others to see it.
  absl::StatusOr<Epoch> CommitUnsynced(std::span<const std::byte> meta);

  // Writes what waits in memory to the file.
  absl::Status Flush();

  // What a sync would make durable now, all of it written to the file; nothing
  // when that was found durable, and nothing was appended since.
  absl::StatusOr<std::optional<SyncPoint>> PrepareSync();
  // Makes it durable, and moves the tip there. A failure is that of the log.
  absl::Status SyncTo(const SyncPoint& point);

  // After a failed sync: cuts off what was not acknowledged, so that it does
  // not look as if it had been stored, unless the tip may name it already.
  // Should this fail too, the next writer writes it again, or cuts it off.
  void DropUnacknowledged();

  // Cuts off what Append added since the last Commit.
  absl::Status Abort();

  // What the files of a generation are called: the segment that begins at
  // `base`, and the tip.
  static std::string LogName(uint64_t generation, uint64_t base = 0);
  static std::string TipName(uint64_t generation);
  // None of a name that is neither.
  static std::optional<FileName> ParseName(std::string_view name);
  // Follows such a name while the file is made; may be left by a crash.
  static constexpr std::string_view kNewSuffix = ".new";

  Files files() const { return {.log = segments_, .tip = tip_}; }
  LogData data() const { return LogData(segments_, LogPath()); }

  // What the tip says; nothing when it is lost. The checkpoint that it names
  // may be damaged. One read.
  absl::StatusOr<SyncPoint> Tip();

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

  // What waits in memory at most, beside one record's meta and short data.
  static constexpr size_t kBufferBytes = 256 << 10;

  // How long the log is, in bytes, as Replay found it and with what was
  // appended since; a torn tail does not count.
  uint64_t bytes() const { return end_; }

  // How many files it is in, but for the tip.
  size_t segments() const {
    return segments_ == nullptr ? 0 : segments_->all().size();
  }

 private:
  enum class State { kReplayed, kAppending, kFailed };
  class Reader;
  struct Extents;

  TransactionLog(FileSystem& file_system, std::string directory,
                 const StoreHeader& header, FileSystem::Access access,
                 uint64_t segment_bytes);

  std::string LogPath(uint64_t base = 0) const;
  std::string TipPath() const;
  absl::Status Changed() const;
  absl::Status OpenIfPresent(const std::string& path,
                             std::shared_ptr<File>& file);
  absl::Status OpenSegments();
  absl::StatusOr<bool> IsForeign(const LogSegment& segment,
                                 const LogSegment* before) const;
  bool WasMadeAnew(const LogSegment& segment) const;
  void SetSegments(std::vector<LogSegment> segments);
  StoreHeader HeaderAt(uint64_t base) const;
  absl::StatusOr<Extents> CheckSegments(ReplayReport& report);
  absl::Status CheckUsable() const;
  absl::Status Prepare();
  absl::Status BeginAppending();
  absl::Status BeginSegment();
  bool SegmentIsFull() const;
  uint64_t TailBase() const;
  uint64_t TailBegin() const;
  absl::Status CheckHeader(uint64_t log_bytes, ReplayReport& report);
  absl::Status Rewrite(uint64_t begin, uint64_t end, File& to,
                       uint64_t to_base);
  absl::StatusOr<std::shared_ptr<File>> MakeAnew(
      const std::string& path, absl::FunctionRef<absl::Status(File&)> fill);
  absl::Status MakeSegmentAnew(uint64_t base);
  absl::Status RewriteTip();
  absl::Status WriteTip(const LogTip& tip);
  enum class Sync { kFile, kFileAndNames };
  absl::Status SyncLog(Sync what) ABSL_LOCKS_EXCLUDED(sync_log_mutex_);
  absl::Status CutTail(uint64_t position);
  absl::Status Write(uint64_t position, std::span<const std::byte> bytes);
  absl::StatusOr<uint64_t> AppendRecord(RecordKind kind,
                                        std::span<const std::byte> meta,
                                        std::span<const std::byte> data);

  FileSystem& file_system_;
  const std::string directory_;
  const StoreHeader header_;
  const FileSystem::Access access_;
  const uint64_t segment_bytes_;
  std::shared_ptr<const LogSegments> segments_;  // null while there is no file
  // Names of segments that are another log's, which are not among them.
  std::vector<std::string> foreign_;
  std::shared_ptr<File> tip_;
  State state_ = State::kFailed;
  // Held for a sync of the log, so that of two only one is told of a failure,
  // and the other finds sync_failed_.
  absl::Mutex sync_log_mutex_;
  // The last segment. Those ahead of it were synced before it was made.
  std::shared_ptr<File> tail_ ABSL_GUARDED_BY(sync_log_mutex_);
  // False until the first sync: an earlier process may have made the files and
  // ended before it synced their directory.
  bool directory_synced_ ABSL_GUARDED_BY(sync_log_mutex_) = false;
  // relaxed throughout: whoever must know of a failed sync is told by it, or
  // has sync_log_mutex_.
  std::atomic<bool> sync_failed_ = false;
  // The tip names nothing of it, or cannot be read: an earlier process may have
  // made this file and have failed to sync its directory.
  bool tail_is_unnamed_ = false;  // the last segment
  bool tip_is_unnamed_ = false;
  // The files are as the first Append after a Replay needs them.
  bool prepared_ = false;
  Epoch newest_;
  uint32_t next_of_newest_ = 0;    // number of the record that would restate it
  uint64_t committed_end_ = 0;     // of the last whole transaction, in bytes
  uint32_t committed_link_ = 0;    // of the record that will be there
  uint64_t end_ = 0;               // of what was appended since, in bytes
  std::vector<std::byte> buffer_;  // the last of these bytes
  // Of the current transaction:
  bool restating_ = false;
  uint32_t sequence_ = 0;
  uint32_t link_ = 0;                    // of its next record
  uint64_t last_checkpoint_ = 0;         // of a whole transaction
  uint64_t transaction_checkpoint_ = 0;  // of the current one; 0: none
  // Of Prepare, and then of SyncTo alone:
  SyncPoint acknowledged_;       // what the tip says
  size_t next_slot_ = 0;         // of the tip, to be written
  bool tip_is_damaged_ = false;  // a slot of it, at the least
  bool tip_is_unknown_ = false;  // a write of it was begun, and not synced
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_TRANSACTION_LOG_H_
