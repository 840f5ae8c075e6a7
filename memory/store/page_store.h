#ifndef MMSB_MEMORY_STORE_PAGE_STORE_H_
#define MMSB_MEMORY_STORE_PAGE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "allocator/allocator_stats.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
#include "memory/log/log_data.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"
#include "memory/store/commit_format.h"
#include "memory/store/page_reader.h"
#include "memory/store/page_table.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {

// What is recorded of one epoch.
struct EpochInfo {
  Epoch epoch;
  int64_t time_ns = 0;         // of the commit, since the Unix epoch
  uint64_t bytes = 0;          // of the state
  uint64_t changed_bytes = 0;  // against the epoch before
  uint64_t changed_pages = 0;
  // What the commit took in the log, a checkpoint not counted.
  uint64_t stored_bytes = 0;
  uint32_t root = 0;  // of the checksum tree (PageTable)
  std::string message = {};
  // It was lost before this store was salvaged from another: nothing of the
  // above is known.
  bool absent = false;
  // The commit record is damaged: nothing of the above is known.
  bool lost = false;
  // What should make up this epoch is not all there; see Verify.
  bool table_damaged = false;
};

struct CommitInfo {
  static constexpr size_t kMaxMessageBytes = 64 << 10;

  std::string message = {};
  // Writes a checkpoint with this commit, though none is due.
  bool checkpoint = false;
};

struct VerifyReport {
  struct DamagedEpoch {
    Epoch epoch;
    uint64_t pages;   // that cannot be rebuilt
    std::string why;  // of the first of them, or of the epoch as a whole
  };

  uint64_t epochs = 0;
  uint64_t page_versions = 0;  // that were rebuilt
  uint64_t checkpoints = 0;    // that were compared with the log
  uint64_t log_bytes = 0;
  // Of an unfinished commit at the log's end; the next commit cuts them off.
  uint64_t torn_bytes = 0;
  std::vector<DamagedEpoch> damaged_epochs;  // oldest first
  // Every place that is not as it was written, also where no epoch needs it.
  std::vector<std::string> damage;

  // What is not as it was written, or was not finished, and endangers nothing.
  std::vector<std::string> notes;

  bool ok() const { return damaged_epochs.empty() && damage.empty(); }
};

struct SalvageReport {
  struct LostEpoch {
    Epoch epoch;
    std::string why;
  };

  Epoch newest;                 // of the new store
  uint64_t epochs = 0;          // that were copied
  std::vector<LostEpoch> lost;  // oldest first
  // Segments of the log that are missing, cut, or another's, by name.
  std::vector<std::string> damage;
};

struct PageStoreStats {
  uint64_t log_bytes = 0;
  uint64_t log_files = 0;    // that it is in
  uint64_t pages = 0;        // of the newest epoch
  uint64_t zero_pages = 0;   // of these: stored nowhere
  uint64_t delta_pages = 0;  // of these: stored as a difference
  // The last checkpoint that can be used: its epoch, 0 when there is none, and
  // what it and the replay of what is behind it take an opening to read.
  Epoch checkpoint;
  uint64_t checkpoint_bytes = 0;
  uint64_t replay_bytes = 0;
  AllocatorStats table;  // the memory of the page tables
};

// When a commit is on stable storage, and when readers see it.
enum class Durability {
  // Never by itself: Sync() makes all commits before it durable, and so does
  // the destructor if it can. Readers see a commit at once.
  kNone,
  // When Commit returns. One sync serves all the threads that wait for one:
  // the first of them syncs what all have written. Readers see it then.
  kGroup,
  // The same, with a sync of its own.
  kEach,
};

// Every version of one state, kept: a state is a number of bytes seen as pages;
// a commit turns it into the next epoch by deltas of pages; a snapshot gives
// any epoch back bit for bit. All of it is in one directory (docs/format.md),
// and what was committed is never written again, but for Prune, which writes
// what is kept into a new log and then removes the old one.
//
// Owns the open files, the lock while it is open for writing, and the page
// tables. Snapshots and batches point into it: it must outlive them.
//
// What a crash leaves, of the process or the machine: a prefix of the commits,
//
//   Durability   crash of the process   crash of the machine
//   kEach        all acknowledged       all acknowledged
//   kGroup       all acknowledged       all acknowledged
//   kNone        all acknowledged       all up to the last successful Sync
//
// where acknowledged means that Commit returned its epoch. After a write or a
// sync that failed, nothing is known of what the disk holds: commits, Sync and
// the like are refused until the store is opened again, in every mode.
//
// Thread-safe, with these exceptions: a Snapshot or a Batch is one thread's at
// a time, though there may be any number of each; epochs() is for when nobody
// commits or prunes; construction and destruction are one thread's. Newest,
// SnapshotAt and all reads of snapshots go on beside a commit, a sync and a
// prune, and wait for none of them: an epoch's page table is never changed once
// it can be seen, and is shared by those who look at it (PageTable; by counts
// and not by an EpochReclaimer, as each holds its table for long, may hold
// many, and then delays the freeing of those alone). Commits come one after
// another. Among processes there is one writer (Open waits) and any number of
// readers, who see whole epochs only; a reader goes on reading what it opened
// when the store is pruned meanwhile.
//
// Several batches may be open. Each begins on an epoch, and is committed only
// if no epoch since has changed a page that it put or read, or the state's
// size: or else Commit returns Aborted, which names the page, and the caller
// begins again on the newest epoch. So what is committed is as if batches came
// one after another. A batch of more than Batch::kMemoryBytes writes to the log
// as it grows; while it is open, others that grow so large or are to be
// committed get Aborted too.
//
// Failure: a status that names the store, and the epoch or page. A commit that
// fails leaves the store at the epoch before, or, if only the acknowledgement
// failed, at the new one; then the store must be opened again. A snapshot reads
// right bytes or none.
//
// Memory: 20 bytes a page of each table that is alive, and 8 KiB for each 1 Mi
// pages begun, what tables share counted once; while it is opened, verified or
// pruned, about 70 bytes a page that the largest commit changed, and two tables
// more; the messages of all epochs once epochs() was asked for; about 4 MiB
// besides, and Batch::kMemoryBytes a batch.
//
// Opening reads the last checkpoint and what was committed since, however many
// epochs there are. A commit writes a checkpoint, the whole page table, when
// that would otherwise exceed
//
//   Options::checkpoint_slack_bytes + 3 * (24 bytes a page that is not zero,
//                                          88 bytes each 16384 of these)
//
// in the log, of one record's data no more than 64 KiB counted; opening reads
// at most four times so much, 512 KiB, and a header of each file of the log
// (TransactionLog says how many there are). So the checkpoints that were due
// are together at most half of the log. Beyond that commits that were not
// acknowledged are read once; and where the last checkpoint or the tip is
// damaged, the checkpoint before it serves, or the whole log, until a commit
// writes a new one.
//
// SnapshotAt another epoch reads the first record's head of each checkpoint
// behind that epoch, the nearest one before it, and the log from there to the
// epoch. epochs() and Verify read the whole log. Reading a page costs at most
// 17 reads.
//
// Damage in the log ahead of the last checkpoint is not seen by opening, and
// does not hinder a commit: what the newest epoch needs of it has checksums.
//
//   auto store = PageStore::Open(PosixFileSystem(), "state.mmsb",
//                                {.mode = PageStore::Mode::kCreate});
//   auto batch = (*store)->Begin(new_size);
//   batch->Put(page, delta, after);
//   absl::StatusOr<Epoch> epoch = (*store)->Commit(*std::move(batch), {});
class PageStore {
 public:
  enum class Mode {
    kRead,
    kWrite,
    kCreate,  // kWrite, and the store is made when it is not there
  };

  // The largest state, in pages: 16 TiB with pages of 4 KiB.
  static constexpr uint64_t kMaxPages = PageTable::kMaxPages;

  struct Options {
    Mode mode = Mode::kRead;
    // Of a new store: a power of two from StoreHeader::kMinPageBytes to
    // kMaxPageBytes. An old one keeps its own.
    uint32_t page_bytes = 4096;
    // See above; 0 writes the most checkpoints.
    uint64_t checkpoint_slack_bytes = 1 << 20;
    // A file of the log is given no transaction more when it has so much, and a
    // sixteenth of the log.
    uint64_t segment_bytes = TransactionLog::kSegmentBytes;
    Durability durability = Durability::kEach;
    Clock& clock = Clock::System();
    // Called once, before waiting for another writer.
    std::function<void()> on_wait = nullptr;
    // How pages are rebuilt from their deltas.
    EncodedDeltaApplier apply_delta = ApplyEncodedDelta;
  };

  class Snapshot;
  class Batch;

  // NotFound when there is no store, InvalidArgument when `path` is something
  // else (which is left alone), Unimplemented for another version's format,
  // DataLoss when the store is damaged and `mode` is to write.
  static absl::StatusOr<std::unique_ptr<PageStore>> Open(
      FileSystem& file_system, std::string path, const Options& options);

  // Copies every epoch of the store at `from` that is whole into a new store at
  // `to`, where nothing may be; each keeps its number, and those that are lost
  // are told, there too. `from` is only read; of `options`, `mode` and
  // `page_bytes` do not count. After a failure or a crash `to` holds all of it,
  // or is no store, or one that Open refuses (FailedPrecondition); then it may
  // be removed.
  static absl::StatusOr<SalvageReport> Salvage(FileSystem& file_system,
                                               const std::string& from,
                                               const std::string& to,
                                               const Options& options);

  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  const std::string& path() const { return path_; }
  size_t page_bytes() const { return page_bytes_; }
  // The oldest epoch that was not pruned; 1 if none was.
  Epoch first() const;
  // The newest that readers see. Epoch 0 while nothing was committed.
  Epoch newest() const;
  // Of epoch 0, and empty, while nothing was committed.
  EpochInfo newest_info() const;
  // From first() to newest(), but for what is not durable yet. The first call
  // reads all of the log; valid until the next Commit. Empty when the log could
  // not be read: LoadEpochs() says why.
  std::span<const EpochInfo> epochs();
  absl::Status LoadEpochs();

  // NotFound when there is no such epoch, or it was pruned; DataLoss when its
  // commit or its table is damaged.
  absl::StatusOr<Snapshot> SnapshotAt(Epoch epoch);
  // The newest epoch, or the empty state before the first commit.
  absl::StatusOr<Snapshot> Newest();

  // Begins what leads from the newest epoch, or from `base`, to another state,
  // of `bytes` bytes: deltas that are put are against that epoch. Who has read
  // a snapshot to make them begins on it, as the newest may be another by now.
  absl::StatusOr<Batch> Begin(uint64_t bytes);
  absl::StatusOr<Batch> Begin(const Snapshot& base, uint64_t bytes);
  // Aborted: see above. The batch is gone in any case.
  absl::StatusOr<Epoch> Commit(Batch batch, const CommitInfo& info);

  // Makes all that was committed durable.
  absl::Status Sync();

  // Writes the newest epoch's page table to the log, so that the next opening
  // begins with it; durable as a commit is. Nothing to write when that epoch
  // has a checkpoint, or there is none. Aborted while a large batch is open.
  absl::Status Checkpoint();

  // Forgets the epochs before `first`, which must be one that is there, and
  // gives back their room: joins what they came to into epoch `first`, whose
  // pages are written whole to a new log, with what the later epochs changed.
  // When that is durable it takes the old log's place, by one rename: a crash
  // leaves the one or the other, and what is left over besides, the next writer
  // removes. Until then the disk must hold both. Snapshots that are open stay
  // right; the old log's room is free when the last of them is gone. DataLoss,
  // and nothing changed, when what is to be kept is damaged. FailedPrecondition
  // while a batch is open. Commits wait meanwhile.
  absl::Status Prune(Epoch first);

  // Reads everything there is, rebuilds every version of every page, and
  // compares every checksum, those of the tree too. Damage is in the report; a
  // status says that it could not be looked for. `progress` is told how many
  // bytes of the log are done, of how many.
  absl::StatusOr<VerifyReport> Verify(
      absl::FunctionRef<void(uint64_t, uint64_t)> progress);

  // Waits while a commit is being written.
  PageStoreStats Stats() const;

 private:
  class Loader;
  class Verifier;
  class Copier;

  // What opening the store must read.
  struct OpenCost {
    Epoch checkpoint;               // 0: none
    uint64_t checkpoint_bytes = 0;  // of it, in the log
    uint64_t replay_bytes = 0;      // of what is behind it
  };

  // One epoch, and where its pages are. Never changed once it is shared.
  struct State {
    StoreHeader header;  // of the log's generation
    TransactionLog::Files files;
    LogData data;
    EpochInfo info;
    PageTable table;
  };

  PageStore(FileSystem& file_system, std::string path, const Options& options);

  absl::Status OpenDirectory(Mode mode);
  absl::Status ReadHeader();
  absl::StatusOr<StoreHeader> ReadHeaderOfLog();
  absl::Status CreateHeader();
  absl::Status WriteHeaderAside(const StoreHeader& header);
  absl::Status PublishHeader();
  absl::Status LockForWriting();
  absl::Status OpenLog();
  absl::Status Load();
  // For a log that Prune writes: nothing is in it, and nobody waits for it.
  absl::Status LoadEmpty() ABSL_LOCKS_EXCLUDED(write_mutex_);
  absl::Status RemoveLeftovers();
  absl::Status RemoveLog(uint64_t generation);
  absl::StatusOr<TransactionLog::ReplayReport> ReplayFromCheckpoint(
      TransactionLog& log, std::optional<Epoch> last,
      std::unique_ptr<Loader>& loader);

  std::shared_ptr<const State> Visible() const;
  void Show(std::shared_ptr<const State> state);
  absl::StatusOr<std::unique_ptr<TransactionLog>> OpenToRead(
      const State& state) const;

  absl::Status CheckWritable() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status CheckConflicts(const Batch& batch) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status TakeLog(Batch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status Flush(Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status ZeroTail(Batch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  void Forget(Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // Writes the batch's transaction. `record` says what the batch does not know,
  // and `copied` what it is a copy of, if it is one.
  absl::StatusOr<Epoch> Write(Batch& batch, CommitRecord record,
                              const EpochInfo* copied, bool checkpoint)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  bool CheckpointIsDue(const PageTable& table, uint64_t replay_bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status WriteCheckpoint(const PageTable& table, uint64_t state_bytes,
                               uint64_t stored_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status SyncWritten() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mutex_)
      ABSL_LOCKS_EXCLUDED(write_mutex_);
  absl::Status SyncWrittenLocked()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mutex_, write_mutex_);
  void DropUnacknowledged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // Commits the epochs of the log of `newest`, from `first` on, to `to` as
  // well. Where an epoch is damaged that is an error, or told in `salvaged`.
  absl::Status CopyTo(PageStore& to, const State& newest, Epoch first,
                      SalvageReport* salvaged);
  absl::StatusOr<Epoch> CommitCopy(Batch batch, const EpochInfo& copied)
      ABSL_LOCKS_EXCLUDED(write_mutex_);
  absl::Status WriteAbsent(Epoch epoch) ABSL_LOCKS_EXCLUDED(write_mutex_);

  absl::Status Annotate(const absl::Status& status) const;
  uint64_t PagesFor(uint64_t bytes) const;

  FileSystem& file_system_;
  const std::string path_;
  const Options options_;
  StoreHeader header_;  // as it was opened; what counts is in the states
  size_t page_bytes_ = 0;
  uint64_t first_created_ = 1;   // the first epoch of a store that is made
  bool header_is_made_ = false;  // by this process
  bool is_salvage_ = false;      // the header says so until all is copied
  std::vector<std::string> header_damage_;
  std::unique_ptr<File> lock_;
  // Shared with the store that takes the place of a pruned one's log.
  std::shared_ptr<PageTablePool> table_pool_;

  // Who syncs; held while waiting for the disk. Ahead of write_mutex_.
  absl::Mutex sync_mutex_ ABSL_ACQUIRED_BEFORE(write_mutex_);
  Epoch synced_ ABSL_GUARDED_BY(sync_mutex_);  // by this process

  // Who writes to the log.
  mutable absl::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(visible_mutex_);
  // Written under write_mutex_ alone; its SyncTo is for who has sync_mutex_.
  std::unique_ptr<TransactionLog> log_;
  // What the next commit changes.
  std::shared_ptr<const State> written_ ABSL_GUARDED_BY(write_mutex_);
  OpenCost open_cost_ ABSL_GUARDED_BY(write_mutex_);
  uint64_t next_batch_ ABSL_GUARDED_BY(write_mutex_) = 1;
  uint64_t open_batches_ ABSL_GUARDED_BY(write_mutex_) = 0;
  // The batch that writes to the log as it grows; 0: none.
  uint64_t streaming_ ABSL_GUARDED_BY(write_mutex_) = 0;
  // Commits wait in memory until the next sync.
  bool lazy_ ABSL_GUARDED_BY(write_mutex_) = false;
  // What makes writing impossible until the store is opened again.
  absl::Status broken_ ABSL_GUARDED_BY(write_mutex_);
  // Empty until they were asked for.
  std::vector<EpochInfo> epochs_ ABSL_GUARDED_BY(write_mutex_);

  // Held for the copy of a pointer, and never for a file.
  mutable absl::Mutex visible_mutex_;
  std::shared_ptr<const State> visible_ ABSL_GUARDED_BY(visible_mutex_);
};

// One epoch of a PageStore, to read. Movable. Thread-compatible; threads that
// read one epoch take a Snapshot each.
class PageStore::Snapshot {
 public:
  Epoch epoch() const { return state_->info.epoch; }
  uint64_t bytes() const { return state_->info.bytes; }
  uint64_t pages() const { return state_->table.pages(); }
  const EpochInfo& info() const { return state_->info; }

  // Fills `out`, a whole number of pages, from page `first`. What is past the
  // state's end reads as zeros. DataLoss when a page is damaged.
  absl::Status Read(PageId first, std::span<std::byte> out);

  // True when page `page` is the same version in both, without reading it.
  // False does not say that the bytes differ.
  bool SharesPage(const Snapshot& other, PageId page) const;

 private:
  friend class PageStore;
  Snapshot(PageStore& store, std::shared_ptr<const State> state);

  PageStore* store_;
  std::shared_ptr<const State> state_;
  PageReader reader_;
};

// The changes that make the next epoch. Dropped without Commit, it leaves
// nothing behind. Movable; thread-compatible.
class PageStore::Batch {
 public:
  // What it keeps in memory before it writes to the log, of data and of the
  // list of pages together.
  static constexpr size_t kMemoryBytes = size_t{3} << 19;

  Batch(Batch&& other) noexcept;
  Batch& operator=(Batch&&) = delete;
  ~Batch();

  // The epoch that it changes.
  Epoch base() const;

  // Changes page `page` by `delta`, after which its contents are `after`, whole
  // pages both; bytes past the state's end must be zero. Pages come in any
  // order, each at most once; ascending ones are not copied about.
  // InvalidArgument or OutOfRange names the page; after any failure the batch
  // can only be dropped.
  absl::Status Put(PageId page, const Delta& delta,
                   std::span<const std::byte> after);

  // As Put, for a page of which so much changed that it is to be stored whole;
  // `changed_bytes` is what the epoch's record says.
  absl::Status PutWhole(PageId page, std::span<const std::byte> after,
                        uint64_t changed_bytes);

  // Reads from the epoch that the batch changes, as Snapshot::Read; what the
  // batch has put is not seen. An epoch committed meanwhile that changed one of
  // these pages lets Commit fail.
  absl::Status Read(PageId first, std::span<std::byte> out);

  uint64_t changed_bytes() const { return changed_bytes_; }
  uint64_t changed_pages() const { return changed_pages_; }

 private:
  friend class PageStore;

  struct PageRange {
    uint64_t first;
    uint64_t count;
  };

  Batch(PageStore& store, std::shared_ptr<const State> base, uint64_t bytes,
        PageTable table, uint64_t number);

  absl::Status Check(PageId page, std::span<const std::byte> after) const;
  // What was checked, to pending_.
  absl::Status Add(uint64_t page, const Delta& delta,
                   std::span<const std::byte> after);
  void AddWhole(uint64_t page, std::span<const std::byte> after,
                uint64_t changed_bytes);
  void AddVersion(uint64_t page, PageVersion version,
                  std::span<const std::byte> after, uint64_t changed_bytes);
  absl::Status FlushIfFull();
  bool IsPut(uint64_t page) const;
  void SortPending();

  PageStore* store_;  // null when it was moved from, or is done
  std::shared_ptr<const State> base_;
  uint64_t bytes_;
  PageTable table_;  // the base's, and what was written to the log
  uint64_t number_;
  // Of the next record; their positions count from its data's beginning.
  std::vector<PageEntry> pending_;
  absl::flat_hash_set<uint64_t> pending_pages_;
  std::vector<std::byte> data_;
  std::vector<PageRange> read_;  // of the base, as they came
  uint64_t changed_bytes_ = 0;
  uint64_t changed_pages_ = 0;
  uint32_t records_ = 0;
  uint64_t replay_bytes_ = 0;  // see TransactionLog::ReplayBytes
  uint64_t stored_bytes_ = 0;  // of its records in the log
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_PAGE_STORE_H_
