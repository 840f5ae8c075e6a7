#ifndef MMSB_MEMORY_STORE_PAGE_STORE_LOADER_H_
#define MMSB_MEMORY_STORE_PAGE_STORE_LOADER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/epoch/epoch.h"
#include "memory/log/crc32c.h"
#include "memory/log/log_record.h"
#include "memory/log/transaction_log.h"
#include "memory/store/checkpoint.h"
#include "memory/store/commit_format.h"
#include "memory/store/page_store.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"

namespace mmsb {

// Builds the page table and the list of epochs from the log. Where records of
// an epoch are lost, its checkpoint stands in for them, if it has one.
class PageStore::Loader : public TransactionLog::Visitor {
 public:
  // For a replay of `log`, from the checkpoint at `start`, or from the
  // beginning where that is 0. The checkpoints up to `unusable` count as not
  // there when it is told what opening costs.
  Loader(PageStore& store, TransactionLog& log, uint64_t start,
         uint64_t unusable)
      : store_(store),
        log_(log),
        start_(start),
        unusable_(unusable),
        table_(*store.table_pool_, store.page_bytes()) {}

  absl::Status OnData(const TransactionLog::Record& record) override {
    ++records_;
    stored_bytes_ +=
        RecordHead::kBytes + record.meta.size() + record.data_bytes;
    cost_.replay_bytes +=
        TransactionLog::ReplayBytes(record.meta.size(), record.data_bytes);
    absl::StatusOr<std::vector<PageEntry>> entries =
        DecodePageEntries(record.meta, record.data_bytes);
    if (!entries.ok()) return At(record, entries.status());
    for (PageEntry& entry : *entries) {
      if (entry.version.form != PageVersion::Form::kZero) {
        entry.version.position += record.data_position;
      }
    }
    for (size_t i = 1; i < entries->size(); ++i) {
      if ((*entries)[i].page <= (*entries)[i - 1].page) {
        return At(record, absl::DataLossError("its pages are out of order"));
      }
    }
    entries_.insert(entries_.end(), entries->begin(), entries->end());
    return absl::OkStatus();
  }

  absl::Status OnCheckpoint(const TransactionLog::Record& record) override {
    cost_.replay_bytes +=
        TransactionLog::ReplayBytes(record.meta.size(), record.data_bytes);
    if (!checkpoint_.has_value() || checkpoint_->is_whole()) {
      checkpoint_ = FoundCheckpoint{.position = record.position,
                                    .next_sequence = record.sequence};
    }
    const absl::StatusOr<CheckpointRecord> decoded =
        DecodeCheckpointRecord(record.meta);
    if (!decoded.ok() || record.sequence != checkpoint_->next_sequence ||
        (!checkpoint_->pieces.empty() && *decoded != checkpoint_->record)) {
      checkpoint_->malformed = true;
      return absl::OkStatus();
    }
    checkpoint_->record = *decoded;
    ++checkpoint_->next_sequence;
    checkpoint_->end = record.data_position + record.data_bytes;
    checkpoint_->pieces.push_back(
        {record.data_position, record.data_bytes, record.data_checksum});
    return absl::OkStatus();
  }

  absl::Status OnCommit(const TransactionLog::Record& record) override {
    absl::StatusOr<CommitRecord> commit = DecodeCommitRecord(record.meta);
    if (!commit.ok()) return At(record, commit.status());
    if (commit->absent) return EndAbsent(record, *commit);
    const uint64_t pages = store_.PagesFor(commit->state_bytes);
    if (pages > PageTable::kMaxPages) {
      return At(record, absl::DataLossError("the state is impossibly large"));
    }
    if (absl::Status status = Apply(pages); !status.ok()) return status;
    const auto is_damaged = [&] {
      return table_.pages() != pages || table_.Root() != commit->root;
    };
    bool damaged = is_damaged() || commit->data_records != records_;
    if (damaged || is_first()) {
      if (absl::Status status = TakeCheckpoint(); status.ok()) {
        damaged = is_damaged();
      }
      if (is_first() && (damaged || !healed_)) return Unusable();
    }
    stored_bytes_ += RecordHead::kBytes + record.meta.size();
    epochs_.push_back(EpochInfo{.epoch = record.epoch,
                                .time_ns = commit->time_ns,
                                .bytes = commit->state_bytes,
                                .changed_bytes = commit->changed_bytes,
                                .changed_pages = commit->changed_pages,
                                .stored_bytes = stored_bytes_,
                                .root = commit->root,
                                .message = std::move(commit->message),
                                .table_damaged = damaged});
    return EndEpoch(TransactionLog::ReplayBytes(record.meta.size(), 0));
  }

  absl::Status OnRestated(const TransactionLog::Record& record) override {
    absl::StatusOr<CommitRecord> commit = DecodeCommitRecord(record.meta);
    if (!commit.ok()) return At(record, commit.status());
    EpochInfo& epoch = epochs_.back();
    if (epoch.table_damaged && TakeCheckpoint().ok() &&
        table_.pages() == store_.PagesFor(commit->state_bytes) &&
        table_.Root() == commit->root) {
      epoch.table_damaged = false;
    }
    OnRestatedEpoch();
    return EndTransaction(TransactionLog::ReplayBytes(record.meta.size(), 0));
  }

  absl::Status OnLostCommit(Epoch epoch) override {
    // How large the state became is lost. It is at least as large as its pages
    // say, and the next commit record tells again.
    uint64_t pages = table_.pages();
    for (const PageEntry& entry : entries_) {
      if (entry.page < PageTable::kMaxPages) {
        pages = std::max(pages, entry.page + 1);
      }
    }
    if (absl::Status status = Apply(pages); !status.ok()) return status;
    // What is ahead of it may have another commit record of this epoch.
    if (is_first()) return Unusable();
    TakeCheckpoint().IgnoreError();
    epochs_.push_back(EpochInfo{.epoch = epoch,
                                .stored_bytes = stored_bytes_,
                                .lost = true,
                                .table_damaged = true});
    return EndEpoch(0);
  }

  PageTable& table() { return table_; }
  std::vector<EpochInfo>& epochs() { return epochs_; }
  const OpenCost& cost() const { return cost_; }
  // The checkpoint to begin with is damaged, and nothing else is known.
  bool start_is_unusable() const { return start_is_unusable_; }

  // Null when there is none.
  const EpochInfo* Find(Epoch epoch) const {
    const auto found =
        std::ranges::lower_bound(epochs_, epoch, {}, &EpochInfo::epoch);
    return found == epochs_.end() || found->epoch != epoch ? nullptr : &*found;
  }

 protected:
  struct FoundCheckpoint {
    struct Piece {
      uint64_t position;
      uint64_t bytes;
      uint32_t checksum;
    };

    bool is_whole() const {
      return !malformed && pieces.size() == record.records;
    }

    uint64_t position;  // of its first record
    uint32_t next_sequence;
    uint64_t end = 0;
    CheckpointRecord record = {};
    std::vector<Piece> pieces = {};
    bool malformed = false;
  };

  // During OnEpoch: the epoch's checkpoint, and whether its table was taken.
  const std::optional<FoundCheckpoint>& checkpoint() const {
    return checkpoint_;
  }
  bool healed() const { return healed_; }

  // The table that a checkpoint holds, compared with all of its checksums.
  absl::StatusOr<PageTable> ReadTable(const FoundCheckpoint& found) {
    if (!found.is_whole()) return absl::DataLossError("not all of it is there");
    PageTable table(*store_.table_pool_, store_.page_bytes());
    if (absl::Status status =
            table.Resize(store_.PagesFor(found.record.state_bytes));
        !status.ok()) {
      return status;
    }
    std::vector<std::byte> data;
    uint64_t next_page = 0;
    for (const FoundCheckpoint::Piece& piece : found.pieces) {
      data.resize(static_cast<size_t>(piece.bytes));
      if (absl::Status status = log_.data().Read(piece.position, data);
          !status.ok()) {
        return status;
      }
      if (Crc32c(data) != piece.checksum) {
        return absl::DataLossError("the data does not have its checksum");
      }
      absl::StatusOr<uint64_t> next =
          CheckpointData::Decode(data, next_page, found.position, table);
      if (!next.ok()) return next.status();
      next_page = *next;
    }
    if (table.stored_pages() != found.record.stored_pages ||
        table.Root() != found.record.root) {
      return absl::DataLossError("its pages do not have its root");
    }
    return table;
  }

  // Sees each epoch when it is in table(), with its entries.
  virtual absl::Status OnEpoch(std::span<const PageEntry>) {
    return absl::OkStatus();
  }
  // The newest epoch has another checkpoint; healed() when it was needed.
  virtual void OnRestatedEpoch() {}

 private:
  // The epoch that the replay from a checkpoint begins with.
  bool is_first() const { return start_ != 0 && epochs_.empty(); }

  absl::Status Unusable() {
    start_is_unusable_ = true;
    return absl::DataLossError(
        absl::StrCat("the checkpoint at ", start_, " is damaged"));
  }

  // Lets the table be what the epoch's checkpoint says.
  absl::Status TakeCheckpoint() {
    if (!checkpoint_.has_value() ||
        (is_first() && checkpoint_->position != start_)) {
      return absl::NotFoundError("no checkpoint");
    }
    absl::StatusOr<PageTable> table = ReadTable(*checkpoint_);
    if (!table.ok()) return table.status();
    table_ = *std::move(table);
    stored_bytes_ = checkpoint_->record.stored_bytes;
    healed_ = true;
    return absl::OkStatus();
  }

  static absl::Status At(const TransactionLog::Record& record,
                         const absl::Status& status) {
    return absl::Status(
        status.code(),
        absl::StrCat("log record at ", record.position, " (epoch ",
                     record.epoch.value(), "): ", status.message()));
  }

  absl::Status Apply(uint64_t pages) {
    if (absl::Status status = table_.Resize(pages); !status.ok()) return status;
    for (const PageEntry& entry : entries_) {
      // A page past the end is what is left of an epoch whose commit was lost.
      if (entry.page >= pages) continue;
      if (absl::Status status =
              table_.Set(entry.page, {entry.version, entry.checksum});
          !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status EndEpoch(uint64_t commit_replay_bytes) {
    absl::Status status = OnEpoch(entries_);
    status.Update(EndTransaction(commit_replay_bytes));
    return status;
  }

  absl::Status EndAbsent(const TransactionLog::Record& record,
                         const CommitRecord& commit) {
    if (records_ != 0 || is_first()) {
      return At(record, absl::DataLossError("an absent epoch has contents"));
    }
    epochs_.push_back(EpochInfo{
        .epoch = record.epoch, .time_ns = commit.time_ns, .absent = true});
    return EndEpoch(TransactionLog::ReplayBytes(record.meta.size(), 0));
  }

  absl::Status EndTransaction(uint64_t commit_replay_bytes) {
    if (checkpoint_.has_value() && checkpoint_->is_whole() &&
        (checkpoint_->position > unusable_ ||
         checkpoint_->position == start_)) {
      cost_ = {.checkpoint = epochs_.back().epoch,
               .checkpoint_bytes =
                   CheckpointData::LogBytes(checkpoint_->record.stored_pages)};
    }
    cost_.replay_bytes += commit_replay_bytes;
    entries_.clear();
    records_ = 0;
    stored_bytes_ = 0;
    checkpoint_.reset();
    healed_ = false;
    return absl::OkStatus();
  }

  PageStore& store_;
  TransactionLog& log_;
  const uint64_t start_;
  const uint64_t unusable_;
  PageTable table_;
  std::vector<EpochInfo> epochs_;
  OpenCost cost_;
  bool start_is_unusable_ = false;
  // Of the epoch that is being read:
  std::vector<PageEntry> entries_;
  uint32_t records_ = 0;
  uint64_t stored_bytes_ = 0;
  std::optional<FoundCheckpoint> checkpoint_;
  bool healed_ = false;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_PAGE_STORE_LOADER_H_
