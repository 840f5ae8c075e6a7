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

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "allocator/allocator_stats.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
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

struct PageStoreStats {
  uint64_t log_bytes = 0;
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

// Every version of one state, kept: a state is a number of bytes seen as pages;
// a commit turns it into the next epoch by deltas of pages; a snapshot gives
// any epoch back bit for bit. All of it is in one directory (docs/format.md),
// and what was committed is never written again.
//
// Owns the open files, the lock while it is open for writing, and the page
// tables. Snapshots and batches point into it: it must outlive them.
//
// Thread-compatible. Among processes there is one writer (Open waits) and any
// number of readers, who see whole epochs only.
//
// Failure: a status that names the store, and the epoch or page. A commit that
// fails leaves the store at the epoch before, or, if only the acknowledgement
// failed, at the new one; then the store must be opened again. A snapshot reads
// right bytes or none.
//
// Memory: 20 bytes a page of each table that is alive, leaves that are alike
// counted once; while it is opened or verified, about 70 bytes a page that the
// largest commit changed, and one table more; the messages of the epochs since
// the last checkpoint, or of all that epochs() was asked for; about 4 MiB
// besides.
//
// Opening reads the last checkpoint and what was committed since, however many
// epochs there are. A commit writes a checkpoint, the whole page table, when
// that would otherwise exceed
//
//   Options::checkpoint_slack_bytes + 3 * (24 bytes a page that is not zero,
//                                          88 bytes each 16384 of these)
//
// in the log, of one record's data no more than 64 KiB counted; opening reads
// at most four times so much, and 512 KiB. So the checkpoints that were due are
// together at most half of the log. Beyond that a commit that was not
// acknowledged is read once; and where the last checkpoint or the tip is
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

  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  const std::string& path() const { return path_; }
  size_t page_bytes() const { return header_.page_bytes; }
  // Epoch 0 while nothing was committed.
  Epoch newest() const;
  // Of epoch 0, and empty, while nothing was committed.
  const EpochInfo& newest_info() const;
  // Oldest first; epoch e is at e - 1. The first call reads all of the log;
  // valid until the next Commit. Empty when the log could not be read:
  // LoadEpochs() says why.
  std::span<const EpochInfo> epochs();
  absl::Status LoadEpochs();

  // NotFound when there is no such epoch, DataLoss when its commit or its table
  // is damaged.
  absl::StatusOr<Snapshot> SnapshotAt(Epoch epoch);
  // The newest epoch, or the empty state before the first commit.
  absl::StatusOr<Snapshot> Newest();

  // Begins the next epoch, of `bytes` bytes. One batch at a time.
  absl::StatusOr<Batch> Begin(uint64_t bytes);
  absl::StatusOr<Epoch> Commit(Batch batch, const CommitInfo& info);

  // Reads everything there is, rebuilds every version of every page, and
  // compares every checksum, those of the tree too. Damage is in the report; a
  // status says that it could not be looked for. `progress` is told how many
  // bytes of the log are done, of how many.
  absl::StatusOr<VerifyReport> Verify(
      absl::FunctionRef<void(uint64_t, uint64_t)> progress);

  PageStoreStats Stats() const;

 private:
  class Loader;
  class Verifier;

  // What opening the store must read.
  struct OpenCost {
    Epoch checkpoint;               // 0: none
    uint64_t checkpoint_bytes = 0;  // of it, in the log
    uint64_t replay_bytes = 0;      // of what is behind it
  };

  PageStore(FileSystem& file_system, std::string path, const Options& options);

  absl::Status OpenDirectory(Mode mode);
  absl::Status ReadHeader();
  absl::Status CreateHeader();
  absl::Status LockForWriting();
  absl::Status Load(Mode mode);
  absl::StatusOr<TransactionLog::ReplayReport> ReplayFromCheckpoint(
      TransactionLog& log, std::optional<Epoch> last,
      std::unique_ptr<Loader>& loader);
  bool CheckpointIsDue(const PageTable& table, uint64_t replay_bytes) const;
  absl::Status WriteCheckpoint(PageTable& table, uint64_t state_bytes,
                               uint64_t stored_bytes);
  absl::Status Annotate(const absl::Status& status) const;
  uint64_t PagesFor(uint64_t bytes) const;

  FileSystem& file_system_;
  const std::string path_;
  const Options options_;
  StoreHeader header_;
  std::vector<std::string> header_damage_;
  std::unique_ptr<File> lock_;
  std::unique_ptr<TransactionLog> log_;
  PageTablePool table_pool_;
  PageTable newest_table_;
  // Up to the newest without a gap, but it may begin later than epoch 1.
  std::vector<EpochInfo> epochs_;
  OpenCost open_cost_;
  bool batch_open_ = false;
};

// One epoch of a PageStore, to read. Movable. Thread-compatible, together with
// its store.
class PageStore::Snapshot {
 public:
  Epoch epoch() const { return epoch_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t pages() const { return table_.pages(); }

  // Fills `out`, a whole number of pages, from page `first`. What is past the
  // state's end reads as zeros. DataLoss when a page is damaged.
  absl::Status Read(PageId first, std::span<std::byte> out);

  // True when page `page` is the same version in both, without reading it.
  // False does not say that the bytes differ.
  bool SharesPage(const Snapshot& other, PageId page) const;

 private:
  friend class PageStore;
  Snapshot(PageStore& store, Epoch epoch, uint64_t bytes, PageTable table);

  PageStore* store_;
  Epoch epoch_;
  uint64_t bytes_;
  PageTable table_;
  PageReader reader_;
};

// The changes that make the next epoch, written to the log as they come.
// Dropped without Commit, it leaves nothing behind. Movable.
class PageStore::Batch {
 public:
  Batch(Batch&& other) noexcept;
  Batch& operator=(Batch&&) = delete;
  ~Batch();

  // Changes page `page` by `delta`, after which its contents are `after`, whole
  // pages both; bytes past the state's end must be zero. Pages come in
  // ascending order, each at most once. InvalidArgument or OutOfRange names the
  // page; after any failure the batch can only be dropped.
  absl::Status Put(PageId page, const Delta& delta,
                   std::span<const std::byte> after);

  // As Put, for a page of which so much changed that it is to be stored whole;
  // `changed_bytes` is what the epoch's record says.
  absl::Status PutWhole(PageId page, std::span<const std::byte> after,
                        uint64_t changed_bytes);

  uint64_t changed_bytes() const { return changed_bytes_; }
  uint64_t changed_pages() const { return changed_pages_; }

 private:
  friend class PageStore;

  Batch(PageStore& store, uint64_t bytes, PageTable table);

  absl::Status Check(PageId page, std::span<const std::byte> after);
  absl::Status Add(PageId page, PageVersion version,
                   std::span<const std::byte> after, uint64_t changed_bytes);
  absl::Status Flush();
  absl::Status ZeroTail();

  PageStore* store_;
  uint64_t bytes_;
  PageTable table_;
  // Of the next record; their positions count from its data's beginning.
  std::vector<PageEntry> pending_;
  std::vector<std::byte> data_;
  uint64_t next_page_ = 0;  // the smallest that may come
  uint64_t changed_bytes_ = 0;
  uint64_t changed_pages_ = 0;
  uint32_t records_ = 0;
  uint64_t replay_bytes_ = 0;  // see TransactionLog::ReplayBytes
  uint64_t log_begin_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_PAGE_STORE_H_
