#include "memory/store/page_store.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"
#include "memory/epoch/epoch.h"
#include "memory/log/crc32c.h"
#include "memory/log/file_system.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"
#include "memory/store/checkpoint.h"
#include "memory/store/commit_format.h"
#include "memory/store/page_reader.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

constexpr std::string_view kHeaderName = "MMSB";
constexpr std::string_view kNewHeaderName = "MMSB.new";
constexpr std::string_view kLockName = "lock";
constexpr std::string_view kLogName = "log";

// A batch writes a record when it has so much data, or so many pages.
constexpr size_t kRecordDataBytes = 1 << 20;
constexpr size_t kRecordPages = 16 << 10;
static_assert(kRecordDataBytes + StoreHeader::kMaxPageBytes +
                  PageVersion::kBytes <=
              RecordHead::kMaxDataBytes);
static_assert(kRecordPages * PageEntry::kBytes <= RecordHead::kMaxMetaBytes);
static_assert(CommitRecord::kFixedBytes + CommitInfo::kMaxMessageBytes <=
              RecordHead::kMaxMetaBytes);

std::string Join(std::string_view directory, std::string_view name) {
  return absl::StrCat(directory, "/", name);
}

absl::StatusOr<StoreHeader> ReadHeaderOf(FileSystem& file_system,
                                         const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system.Open(path, FileSystem::Access::kRead);
  if (!file.ok()) return file.status();
  std::vector<std::byte> bytes(StoreHeader::kBytes);
  absl::StatusOr<size_t> read = (*file)->ReadAt(0, bytes);
  if (!read.ok()) return read.status();
  return StoreHeader::Decode(std::span(bytes).first(*read), path);
}

}  // namespace

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
        table_(store.table_pool_, store.page_bytes()) {}

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
    for (size_t i = 0; i < entries->size(); ++i) {
      const PageEntry* const before = i > 0              ? &(*entries)[i - 1]
                                      : entries_.empty() ? nullptr
                                                         : &entries_.back();
      if (before != nullptr && (*entries)[i].page <= before->page) {
        return At(record, absl::DataLossError("its pages are out of order"));
      }
    }
    entries_.insert(entries_.end(), entries->begin(), entries->end());
    return absl::OkStatus();
  }

  absl::Status OnCheckpoint(const TransactionLog::Record& record) override {
    cost_.replay_bytes +=
        TransactionLog::ReplayBytes(record.meta.size(), record.data_bytes);
    if (!checkpoint_.has_value()) {
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
    if (absl::Status status = TakeCheckpoint(); !status.ok() && is_first()) {
      return Unusable();
    }
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
    PageTable table(store_.table_pool_, store_.page_bytes());
    if (absl::Status status =
            table.Resize(store_.PagesFor(found.record.state_bytes));
        !status.ok()) {
      return status;
    }
    std::vector<std::byte> data;
    uint64_t next_page = 0;
    for (const FoundCheckpoint::Piece& piece : found.pieces) {
      data.resize(static_cast<size_t>(piece.bytes));
      if (absl::Status status = log_.ReadData(piece.position, data);
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
    return status;
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

// Rebuilds what each epoch changed. A page that an epoch did not change is the
// same version as before, and has been looked at.
class PageStore::Verifier final : public Loader {
 public:
  Verifier(PageStore& store, TransactionLog& log,
           absl::FunctionRef<void(uint64_t, uint64_t)> progress)
      : Loader(store, log, /*start=*/0, /*unusable=*/0),
        log_(log),
        reader_(log, store.page_bytes(), store.options_.apply_delta),
        buffer_(kPagesAtOnce * store.page_bytes()),
        page_bytes_(store.page_bytes()),
        progress_(progress) {}

  absl::Status OnData(const TransactionLog::Record& record) override {
    progress_(record.position, log_.bytes());
    if (record.data_damaged) {
      report_.damage.push_back(
          absl::StrCat("log bytes ", record.data_position, " to ",
                       record.data_position + record.data_bytes,
                       ": the data does not have its checksum (epoch ",
                       record.epoch.value(), ")"));
    }
    data_records_bytes_ +=
        RecordHead::kBytes + record.meta.size() + record.data_bytes;
    return Loader::OnData(record);
  }

  absl::Status OnCheckpoint(const TransactionLog::Record& record) override {
    progress_(record.position, log_.bytes());
    return Loader::OnCheckpoint(record);
  }

  VerifyReport& report() { return report_; }

 protected:
  absl::Status OnEpoch(std::span<const PageEntry> entries) override {
    const uint64_t pages = table().pages();
    bad_pages_.erase(bad_pages_.lower_bound(pages), bad_pages_.end());
    // Runs of neighbouring pages are read at once.
    for (size_t i = 0; i < entries.size();) {
      const uint64_t first = entries[i].page;
      size_t run = 1;
      while (i + run < entries.size() && run < kPagesAtOnce &&
             entries[i + run].page == first + run) {
        ++run;
      }
      i += run;
      if (first < pages) {
        CheckPages(first, std::min<uint64_t>(run, pages - first));
      }
    }
    if (healed()) {
      // What versions these are is not known from the lists.
      bad_pages_.clear();
      for (uint64_t page = table().NextStored(0); page < pages;) {
        const uint64_t count = std::min<uint64_t>(kPagesAtOnce, pages - page);
        CheckPages(page, count);
        page = table().NextStored(page + count);
      }
    }
    if (checkpoint().has_value()) CheckCheckpoint(*checkpoint());
    data_records_bytes_ = 0;
    const EpochInfo& epoch = epochs().back();
    ++report_.epochs;
    if (epoch.lost) {
      AddDamaged(epoch, "its commit record is damaged");
    } else if (!bad_pages_.empty()) {
      AddDamaged(epoch, bad_pages_.begin()->second);
    } else if (epoch.table_damaged) {
      AddDamaged(epoch, "a list of its pages is damaged");
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kPagesAtOnce = 256;

  void CheckPages(uint64_t first, uint64_t count) {
    bad_pages_.erase(bad_pages_.lower_bound(first),
                     bad_pages_.lower_bound(first + count));
    report_.page_versions += count;
    reader_.ReadEach(
        table(), first,
        std::span(buffer_).first(static_cast<size_t>(count) * page_bytes_),
        [&](uint64_t page, const absl::Status& status) {
          bad_pages_[page] = std::string(status.message());
        });
  }

  // Compares the checkpoint with what the log ahead of it says.
  void CheckCheckpoint(const FoundCheckpoint& found) {
    const auto add = [&](std::string_view why) {
      report_.damage.push_back(
          absl::StrCat("log bytes ", found.position, " to ", found.end,
                       ": the checkpoint of epoch ",
                       epochs().back().epoch.value(), " is damaged: ", why));
    };
    ++report_.checkpoints;
    const uint64_t before = std::exchange(last_checkpoint_, found.position);
    const absl::StatusOr<PageTable> read = ReadTable(found);
    if (!read.ok()) return add(read.status().message());
    if (found.record.previous != before) {
      add("it names another one as the one before it");
    }
    if (epochs().back().table_damaged || healed()) return;
    if (found.record.state_bytes != epochs().back().bytes ||
        found.record.stored_bytes != data_records_bytes_ || !IsTable(*read)) {
      add("it is not what the log ahead of it comes to");
    }
  }

  bool IsTable(const PageTable& other) {
    if (other.pages() != table().pages() ||
        other.stored_pages() != table().stored_pages()) {
      return false;
    }
    for (uint64_t page = table().NextStored(0); page < table().pages();
         page = table().NextStored(page + 1)) {
      if (table().Get(page) != other.Get(page)) return false;
    }
    return true;
  }

  void AddDamaged(const EpochInfo& epoch, std::string_view why) {
    report_.damaged_epochs.push_back(
        {epoch.epoch, bad_pages_.size(), std::string(why)});
  }

  TransactionLog& log_;
  PageReader reader_;
  uint64_t data_records_bytes_ = 0;  // of the current epoch
  uint64_t last_checkpoint_ = 0;     // its position
  std::vector<std::byte> buffer_;
  const size_t page_bytes_;
  absl::FunctionRef<void(uint64_t, uint64_t)> progress_;
  absl::btree_map<uint64_t, std::string> bad_pages_;  // of the current epoch
  VerifyReport report_;
};

PageStore::PageStore(FileSystem& file_system, std::string path,
                     const Options& options)
    : file_system_(file_system),
      path_(std::move(path)),
      options_(options),
      newest_table_(table_pool_, options.page_bytes) {}

PageStore::~PageStore() {
  MMSB_CHECK(!batch_open_, "PageStore: destroyed before its batch");
}

absl::StatusOr<std::unique_ptr<PageStore>> PageStore::Open(
    FileSystem& file_system, std::string path, const Options& options) {
  std::unique_ptr<PageStore> store(
      new PageStore(file_system, std::move(path), options));
  if (absl::Status status = store->OpenDirectory(options.mode); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<TransactionLog>> log = TransactionLog::Open(
      file_system, store->path_, store->header_,
      options.mode == Mode::kRead ? FileSystem::Access::kRead
                                  : FileSystem::Access::kReadWrite);
  if (!log.ok()) return log.status();
  store->log_ = *std::move(log);
  if (absl::Status status = store->Load(options.mode); !status.ok()) {
    return status;
  }
  return store;
}

absl::Status PageStore::OpenDirectory(Mode mode) {
  if (path_.empty()) return absl::InvalidArgumentError("the store has no name");
  absl::StatusOr<FileInfo> info = file_system_.Info(path_);
  if (absl::IsNotFound(info.status()) && mode == Mode::kCreate) {
    absl::Status created = file_system_.CreateDirectory(path_);
    // Another writer may have been first.
    if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
    info = file_system_.Info(path_);
  }
  if (absl::IsNotFound(info.status())) {
    return absl::NotFoundError(absl::StrCat("'", path_, "' does not exist"));
  }
  if (!info.ok()) return info.status();
  if (info->kind != FileKind::kDirectory) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", path_, "' is not an mmsb store: it is not a directory"));
  }

  // The names first: a writer that makes the store meanwhile makes the header
  // before the other files.
  absl::StatusOr<std::vector<std::string>> names = file_system_.List(path_);
  const absl::Status found = ReadHeader();
  if (absl::IsNotFound(found)) {
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      // What a writer that was interrupted while it made the store leaves.
      if (name == kLockName || name == kNewHeaderName || name == kHeaderName) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat("'", path_, "' is not an mmsb store: it holds '", name,
                       "' and no '", kHeaderName, "'"));
    }
    if (mode != Mode::kCreate) {
      return absl::NotFoundError(
          absl::StrCat("'", path_, "' holds no mmsb store yet"));
    }
  } else if (!found.ok()) {
    return found;
  }
  if (mode == Mode::kRead) return absl::OkStatus();

  if (absl::Status status = LockForWriting(); !status.ok()) return status;
  // Again: another writer may have made it, or another one of it, meanwhile.
  const absl::Status under_lock = ReadHeader();
  return absl::IsNotFound(under_lock) && mode == Mode::kCreate ? CreateHeader()
                                                               : under_lock;
}

absl::Status PageStore::ReadHeader() {
  header_damage_.clear();
  absl::StatusOr<StoreHeader> header =
      ReadHeaderOf(file_system_, Join(path_, kHeaderName));
  if (header.ok()) {
    header_ = *header;
    return absl::OkStatus();
  }
  if (absl::IsUnimplemented(header.status())) return header.status();
  // The log begins with a copy.
  absl::StatusOr<StoreHeader> copy =
      ReadHeaderOf(file_system_, Join(path_, kLogName));
  if (!copy.ok()) return header.status();
  header_ = *copy;
  header_damage_.emplace_back(header.status().message());
  return absl::OkStatus();
}

absl::Status PageStore::LockForWriting() {
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_.Open(Join(path_, kLockName), FileSystem::Access::kCreate);
  if (!file.ok()) return file.status();
  lock_ = *std::move(file);
  absl::StatusOr<bool> locked = lock_->TryLock();
  if (!locked.ok()) return locked.status();
  if (!*locked) {
    if (options_.on_wait) options_.on_wait();
    if (absl::Status status = lock_->Lock(); !status.ok()) return status;
  }
  const absl::StatusOr<FileInfo> held = lock_->Info();
  if (!held.ok()) return held.status();
  const absl::StatusOr<FileInfo> named =
      file_system_.Info(Join(path_, kLockName));
  if (!named.ok()) return named.status();
  if (held->identity != named->identity) {
    return absl::AbortedError(
        absl::StrCat("'", path_, "' was replaced while it was opened"));
  }
  return absl::OkStatus();
}

absl::Status PageStore::CreateHeader() {
  header_ = StoreHeader{.page_bytes = options_.page_bytes,
                        .store_id = absl::Uniform<uint64_t>(absl::BitGen()),
                        .created_ns = options_.clock.WallTime()};
  const auto bytes = header_.Encode();
  if (absl::StatusOr<StoreHeader> valid =
          StoreHeader::Decode(bytes, "the new store");
      !valid.ok()) {
    return absl::InvalidArgumentError(valid.status().message());
  }
  const std::string aside = Join(path_, kNewHeaderName);
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_.Open(aside, FileSystem::Access::kCreate);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->WriteAt(0, bytes);
  if (status.ok()) status = (*file)->Sync();
  if (status.ok()) {
    status = file_system_.Rename(aside, Join(path_, kHeaderName),
                                 FileSystem::IfExists::kReplace);
  }
  return status;
}

absl::Status PageStore::Load(Mode mode) {
  newest_table_ = PageTable(table_pool_, page_bytes());
  std::unique_ptr<Loader> loader;
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      ReplayFromCheckpoint(*log_, /*last=*/std::nullopt, loader);
  if (!replayed.ok()) return Annotate(replayed.status());
  newest_table_ = std::move(loader->table());
  epochs_ = std::move(loader->epochs());
  open_cost_ = loader->cost();
  if (mode == Mode::kRead) return absl::OkStatus();
  if (epochs_.empty()) {
    // Whoever made the store may have ended before its name was durable.
    absl::Status status = file_system_.SyncDirectory(path_);
    if (status.ok()) status = file_system_.SyncDirectory(ParentPath(path_));
    if (!status.ok()) return status;
  }
  const bool damaged = !replayed->damage.empty() ||
                       std::ranges::any_of(epochs_, &EpochInfo::table_damaged);
  if (damaged) {
    return absl::DataLossError(absl::StrCat(
        "'", path_,
        "' is damaged, and nothing is added to a damaged store; 'verify' names "
        "the epochs that are lost, and the others can be read"));
  }
  return absl::OkStatus();
}

// Replays `log`, up to epoch `last` if that is given, from the nearest
// checkpoint that can be used; from the beginning when there is none.
absl::StatusOr<TransactionLog::ReplayReport> PageStore::ReplayFromCheckpoint(
    TransactionLog& log, std::optional<Epoch> last,
    std::unique_ptr<Loader>& loader) {
  absl::StatusOr<uint64_t> position = log.TipCheckpoint();
  if (!position.ok()) return position.status();
  uint64_t unusable = 0;
  while (*position != 0) {
    absl::StatusOr<std::optional<TransactionLog::Checkpoint>> found =
        log.ReadCheckpoint(*position);
    if (!found.ok()) return found.status();
    absl::StatusOr<CheckpointRecord> record =
        found->has_value() ? DecodeCheckpointRecord((*found)->meta)
                           : absl::DataLossError("no checkpoint");
    if (record.ok() && (!last.has_value() || (*found)->epoch <= *last)) {
      loader = std::make_unique<Loader>(*this, log, *position, unusable);
      absl::StatusOr<TransactionLog::ReplayReport> replayed =
          log.Replay({.last = last, .checkpoint = *position}, *loader);
      if (!loader->start_is_unusable()) return replayed;
    }
    if (!last.has_value()) unusable = std::max(unusable, *position);
    // It lies ahead, or the search would not end.
    if (!record.ok() || record->previous >= *position) break;
    *position = record->previous;
  }
  loader = std::make_unique<Loader>(*this, log, /*start=*/0, unusable);
  return log.Replay({.last = last}, *loader);
}

absl::Status PageStore::Annotate(const absl::Status& status) const {
  return absl::Status(status.code(),
                      absl::StrCat("'", path_, "': ", status.message()));
}

uint64_t PageStore::PagesFor(uint64_t bytes) const {
  return bytes / page_bytes() + (bytes % page_bytes() != 0 ? 1 : 0);
}

Epoch PageStore::newest() const {
  return epochs_.empty() ? Epoch() : epochs_.back().epoch;
}

const EpochInfo& PageStore::newest_info() const {
  static const EpochInfo* const none = new EpochInfo{};
  return epochs_.empty() ? *none : epochs_.back();
}

std::span<const EpochInfo> PageStore::epochs() {
  if (!LoadEpochs().ok()) return {};
  return epochs_;
}

absl::Status PageStore::LoadEpochs() {
  if (epochs_.empty() || epochs_.front().epoch == Epoch().Next()) {
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<TransactionLog>> log = TransactionLog::Open(
      file_system_, path_, header_, FileSystem::Access::kRead);
  if (!log.ok()) return log.status();
  const Epoch last = Epoch::FromValue(epochs_.front().epoch.value() - 1);
  Loader loader(*this, **log, /*start=*/0, /*unusable=*/0);
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      (*log)->Replay({.last = last}, loader);
  if (!replayed.ok()) return Annotate(replayed.status());
  std::vector<EpochInfo>& before = loader.epochs();
  if (before.size() < last.value()) {
    return Annotate(absl::DataLossError(absl::StrCat(
        "the log has ", before.size(), " of the epochs up to ", last.value())));
  }
  before.resize(static_cast<size_t>(last.value()));
  epochs_.insert(epochs_.begin(), std::move_iterator(before.begin()),
                 std::move_iterator(before.end()));
  return absl::OkStatus();
}

absl::StatusOr<PageStore::Snapshot> PageStore::SnapshotAt(Epoch epoch) {
  if (epoch == Epoch() || epoch > newest()) {
    return absl::NotFoundError(
        epochs_.empty()
            ? absl::StrCat("'", path_, "' has no epochs")
            : absl::StrCat("'", path_, "' has the epochs 1 to ",
                           newest().value(), ", and not ", epoch.value()));
  }
  if (epoch == newest()) return Newest();
  absl::StatusOr<std::unique_ptr<TransactionLog>> log = TransactionLog::Open(
      file_system_, path_, header_, FileSystem::Access::kRead);
  if (!log.ok()) return log.status();
  std::unique_ptr<Loader> loader;
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      ReplayFromCheckpoint(**log, epoch, loader);
  if (!replayed.ok()) return Annotate(replayed.status());
  const EpochInfo* const info = loader->Find(epoch);
  if (info == nullptr || info->lost || info->table_damaged) {
    return absl::DataLossError(
        absl::StrCat("'", path_, "': epoch ", epoch.value(), " is damaged: ",
                     info == nullptr || info->lost ? "its commit record is"
                                                   : "a list of its pages is"));
  }
  return Snapshot(*this, epoch, info->bytes, std::move(loader->table()));
}

absl::StatusOr<PageStore::Snapshot> PageStore::Newest() {
  if (epochs_.empty()) return Snapshot(*this, Epoch(), 0, newest_table_);
  const EpochInfo& info = epochs_.back();
  if (info.lost || info.table_damaged) {
    return absl::DataLossError(absl::StrCat(
        "'", path_, "': epoch ", newest().value(), " is damaged: ",
        info.lost ? "its commit record is" : "a list of its pages is"));
  }
  return Snapshot(*this, newest(), info.bytes, newest_table_);
}

absl::StatusOr<PageStore::Batch> PageStore::Begin(uint64_t bytes) {
  if (options_.mode == Mode::kRead) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", path_, "' was opened for reading"));
  }
  if (batch_open_) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", path_, "' has a batch already"));
  }
  PageTable table = newest_table_;
  if (absl::Status status = table.Resize(PagesFor(bytes)); !status.ok()) {
    return Annotate(status);
  }
  return Batch(*this, bytes, std::move(table));
}

absl::StatusOr<Epoch> PageStore::Commit(Batch batch, const CommitInfo& info) {
  if (batch.store_ != this) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path_, "': the batch is another store's"));
  }
  if (info.message.size() > CommitInfo::kMaxMessageBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a message of ", info.message.size(),
                     " bytes; the limit is ", CommitInfo::kMaxMessageBytes));
  }
  if (absl::Status status = batch.ZeroTail(); !status.ok()) {
    return Annotate(status);
  }
  if (absl::Status status = batch.Flush(); !status.ok()) {
    return Annotate(status);
  }
  const CommitRecord record{.state_bytes = batch.bytes_,
                            .time_ns = options_.clock.WallTime(),
                            .changed_bytes = batch.changed_bytes_,
                            .changed_pages = batch.changed_pages_,
                            .data_records = batch.records_,
                            .root = batch.table_.Root(),
                            .message = info.message};
  const std::vector<std::byte> commit = EncodeCommitRecord(record);
  const uint64_t commit_bytes = TransactionLog::ReplayBytes(commit.size(), 0);
  const uint64_t data_records_bytes =
      std::max(log_->bytes(), batch.log_begin_) - batch.log_begin_;
  const uint64_t replay_bytes =
      open_cost_.replay_bytes + batch.replay_bytes_ + commit_bytes;
  const bool checkpoint =
      info.checkpoint || CheckpointIsDue(batch.table_, replay_bytes);
  if (checkpoint) {
    if (absl::Status status =
            WriteCheckpoint(batch.table_, batch.bytes_, data_records_bytes);
        !status.ok()) {
      return Annotate(status);
    }
  }
  absl::StatusOr<Epoch> epoch = log_->Commit(commit);
  if (!epoch.ok()) return Annotate(epoch.status());
  open_cost_.replay_bytes = replay_bytes;
  if (checkpoint) {
    open_cost_ = {.checkpoint = *epoch,
                  .checkpoint_bytes =
                      CheckpointData::LogBytes(batch.table_.stored_pages()),
                  .replay_bytes = commit_bytes};
  }
  newest_table_ = std::move(batch.table_);
  epochs_.push_back(EpochInfo{.epoch = *epoch,
                              .time_ns = record.time_ns,
                              .bytes = record.state_bytes,
                              .changed_bytes = record.changed_bytes,
                              .changed_pages = record.changed_pages,
                              .stored_bytes = data_records_bytes + commit_bytes,
                              .root = record.root,
                              .message = record.message});
  return epoch;
}

bool PageStore::CheckpointIsDue(const PageTable& table,
                                uint64_t replay_bytes) const {
  const uint64_t to_read = open_cost_.checkpoint_bytes + replay_bytes;
  const uint64_t tables = 3 * CheckpointData::LogBytes(table.stored_pages());
  return to_read > tables && to_read - tables > options_.checkpoint_slack_bytes;
}

absl::Status PageStore::WriteCheckpoint(PageTable& table, uint64_t state_bytes,
                                        uint64_t stored_bytes) {
  const uint64_t entries = table.stored_pages();
  const std::vector<std::byte> meta = EncodeCheckpointRecord(
      {.previous = log_->last_checkpoint(),
       .state_bytes = state_bytes,
       .stored_pages = entries,
       .stored_bytes = stored_bytes,
       .root = table.Root(),
       .records = static_cast<uint32_t>(CheckpointData::Records(entries))});
  std::vector<std::byte> data;
  uint64_t page = 0;
  do {
    data.clear();
    page = CheckpointData::Encode(table, page, data);
    if (absl::Status status = log_->AppendCheckpoint(meta, data);
        !status.ok()) {
      return status;
    }
  } while (page < table.pages());
  return absl::OkStatus();
}

absl::StatusOr<VerifyReport> PageStore::Verify(
    absl::FunctionRef<void(uint64_t, uint64_t)> progress) {
  absl::StatusOr<std::unique_ptr<TransactionLog>> log = TransactionLog::Open(
      file_system_, path_, header_, FileSystem::Access::kRead);
  if (!log.ok()) return log.status();
  Verifier verifier(*this, **log, progress);
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      (*log)->Replay({.check_data = true}, verifier);
  if (!replayed.ok()) return Annotate(replayed.status());
  VerifyReport report = std::move(verifier.report());
  report.log_bytes = (*log)->bytes();
  report.torn_bytes = replayed->torn_bytes;
  for (const std::string& damage : header_damage_) {
    report.damage.push_back(absl::StrCat(damage, " (the log's copy was used)"));
  }
  if (replayed->header_damaged) {
    report.damage.emplace_back("log: its header is damaged");
  }
  if (replayed->tip_lost) {
    report.damage.emplace_back("tip: both slots are damaged, or it is missing");
  }
  if (replayed->tip_checkpoint_wrong) {
    report.damage.emplace_back(
        "tip: the checkpoint that it names is not the last one");
  }
  if (replayed->tip_damaged) {
    report.notes.emplace_back(
        "tip: one of its two slots is damaged; the next commit mends it");
  }
  if (replayed->torn_bytes != 0) {
    report.notes.push_back(absl::StrCat(
        "log: ", replayed->torn_bytes,
        " bytes of an unfinished commit; the next one cuts them off"));
  }
  for (const TransactionLog::Damage& damage : replayed->damage) {
    report.damage.push_back(absl::StrCat(
        "log bytes ", damage.begin, " to ", damage.end,
        " are not whole records (epoch ", damage.epoch.value(), ")"));
  }
  return report;
}

PageStoreStats PageStore::Stats() const {
  const PageTable::Counts counts = newest_table_.Count();
  return {.log_bytes = log_->bytes(),
          .pages = newest_table_.pages(),
          .zero_pages = counts.zero,
          .delta_pages = counts.delta,
          .checkpoint = open_cost_.checkpoint,
          .checkpoint_bytes = open_cost_.checkpoint_bytes,
          .replay_bytes = open_cost_.replay_bytes,
          .table = table_pool_.Stats()};
}

PageStore::Snapshot::Snapshot(PageStore& store, Epoch epoch, uint64_t bytes,
                              PageTable table)
    : store_(&store),
      epoch_(epoch),
      bytes_(bytes),
      table_(std::move(table)),
      reader_(*store.log_, store.page_bytes(), store.options_.apply_delta) {}

absl::Status PageStore::Snapshot::Read(PageId first, std::span<std::byte> out) {
  const size_t page_bytes = store_->page_bytes();
  if (out.size() % page_bytes != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a read of ", out.size(),
                     " bytes; the store has pages of ", page_bytes));
  }
  const uint64_t from = std::min(first.value(), table_.pages());
  const size_t there = static_cast<size_t>(std::min<uint64_t>(
                           out.size() / page_bytes, table_.pages() - from)) *
                       page_bytes;
  std::ranges::fill(out.subspan(there), std::byte{0});
  absl::Status status = reader_.Read(table_, from, out.first(there));
  if (status.ok()) return status;
  return absl::Status(
      status.code(),
      absl::StrCat("'", store_->path_, "': epoch ", epoch_.value(),
                   " is damaged: ", status.message()));
}

bool PageStore::Snapshot::SharesPage(const Snapshot& other, PageId page) const {
  return page.value() < table_.pages() && page.value() < other.table_.pages() &&
         table_.Get(page.value()) == other.table_.Get(page.value());
}

PageStore::Batch::Batch(PageStore& store, uint64_t bytes, PageTable table)
    : store_(&store),
      bytes_(bytes),
      table_(std::move(table)),
      // A log that is not there yet begins with its header, which is no
      // epoch's.
      log_begin_(std::max<uint64_t>(store.log_->bytes(), StoreHeader::kBytes)) {
  store.batch_open_ = true;
}

PageStore::Batch::Batch(Batch&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      bytes_(other.bytes_),
      table_(std::move(other.table_)),
      pending_(std::move(other.pending_)),
      data_(std::move(other.data_)),
      next_page_(other.next_page_),
      changed_bytes_(other.changed_bytes_),
      changed_pages_(other.changed_pages_),
      records_(other.records_),
      replay_bytes_(other.replay_bytes_),
      log_begin_(other.log_begin_) {}

PageStore::Batch::~Batch() {
  if (store_ == nullptr) return;
  store_->batch_open_ = false;
  // After Commit there is nothing to cut off. Should it fail, the next writer
  // does it.
  store_->log_->Abort().IgnoreError();
}

absl::Status PageStore::Batch::Put(PageId page, const Delta& delta,
                                   std::span<const std::byte> after) {
  if (absl::Status status = Check(page, after); !status.ok()) return status;
  if (delta.page_bytes() != after.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("page ", page.value(), ": a delta of a page of ",
                     delta.page_bytes(), " bytes"));
  }
  if (delta.empty()) return absl::OkStatus();
  const PageVersion base = table_.Get(page.value()).version;
  if (base.depth >= PageVersion::kMaxDepth) {
    return PutWhole(page, after, delta.changed_bytes());
  }
  const size_t begin = data_.size();
  data_.resize(begin + PageVersion::kBytes);
  absl::StatusOr<EncodedDelta> encoded = EncodeDelta(delta, after, data_);
  if (!encoded.ok()) return encoded.status();
  const size_t bytes = data_.size() - begin;
  if (encoded->form == DeltaForm::kWhole || bytes >= after.size()) {
    data_.resize(begin);
    return PutWhole(page, after, delta.changed_bytes());
  }
  base.Encode(std::span(data_).subspan(begin).first<PageVersion::kBytes>());
  return Add(page,
             {.position = begin,
              .bytes = static_cast<uint32_t>(bytes),
              .form = static_cast<PageVersion::Form>(encoded->form),
              .depth = static_cast<uint8_t>(base.depth + 1)},
             after, delta.changed_bytes());
}

absl::Status PageStore::Batch::PutWhole(PageId page,
                                        std::span<const std::byte> after,
                                        uint64_t changed_bytes) {
  if (absl::Status status = Check(page, after); !status.ok()) return status;
  if (IsZero(after)) return Add(page, {}, after, changed_bytes);
  const size_t begin = data_.size();
  data_.insert(data_.end(), after.begin(), after.end());
  return Add(page,
             {.position = begin,
              .bytes = static_cast<uint32_t>(after.size()),
              .form = PageVersion::Form::kWhole},
             after, changed_bytes);
}

absl::Status PageStore::Batch::Check(PageId page,
                                     std::span<const std::byte> after) {
  if (page.value() >= table_.pages()) {
    return absl::OutOfRangeError(
        absl::StrCat("page ", page.value(), " of ", table_.pages(), " pages"));
  }
  if (page.value() < next_page_) {
    return absl::InvalidArgumentError(
        absl::StrCat("page ", page.value(), " after page ", next_page_ - 1));
  }
  if (after.size() != store_->page_bytes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("page ", page.value(), ": contents of ", after.size(),
                     " bytes; a page has ", store_->page_bytes()));
  }
  const size_t in_last = static_cast<size_t>(bytes_ % after.size());
  if (page.value() + 1 == table_.pages() && in_last != 0 &&
      !IsZero(after.subspan(in_last))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "page ", page.value(), " has bytes past the end of the state"));
  }
  return absl::OkStatus();
}

absl::Status PageStore::Batch::Add(PageId page, PageVersion version,
                                   std::span<const std::byte> after,
                                   uint64_t changed_bytes) {
  const uint64_t in_page = std::min<uint64_t>(changed_bytes, after.size());
  pending_.push_back(PageEntry{.page = page.value(),
                               .checksum = Crc32c(after),
                               .changed_bytes = static_cast<uint32_t>(in_page),
                               .version = version});
  next_page_ = page.value() + 1;
  changed_bytes_ += in_page;
  ++changed_pages_;
  if (data_.size() < kRecordDataBytes && pending_.size() < kRecordPages) {
    return absl::OkStatus();
  }
  return Flush();
}

absl::Status PageStore::Batch::Flush() {
  if (pending_.empty()) return absl::OkStatus();
  const std::vector<std::byte> meta = EncodePageEntries(pending_);
  absl::StatusOr<uint64_t> position = store_->log_->Append(meta, data_);
  if (!position.ok()) return position.status();
  replay_bytes_ += TransactionLog::ReplayBytes(meta.size(), data_.size());
  for (PageEntry& entry : pending_) {
    if (entry.version.form != PageVersion::Form::kZero) {
      entry.version.position += *position;
    }
    if (absl::Status status =
            table_.Set(entry.page, {entry.version, entry.checksum});
        !status.ok()) {
      return status;
    }
  }
  ++records_;
  pending_.clear();
  data_.clear();
  return absl::OkStatus();
}

absl::Status PageStore::Batch::ZeroTail() {
  const size_t page_bytes = store_->page_bytes();
  const size_t in_last = static_cast<size_t>(bytes_ % page_bytes);
  if (in_last == 0 || next_page_ == table_.pages()) return absl::OkStatus();
  // The state may have shrunk, and its last page was not put: what it had past
  // the new end must not come back when the state grows.
  const uint64_t last = table_.pages() - 1;
  std::vector<std::byte> before(page_bytes);
  PageReader reader(*store_->log_, page_bytes, store_->options_.apply_delta);
  if (absl::Status status = reader.Read(table_, last, before); !status.ok()) {
    return status;
  }
  std::vector<std::byte> after = before;
  std::fill(after.begin() + static_cast<ptrdiff_t>(in_last), after.end(),
            std::byte{0});
  absl::StatusOr<Delta> delta = Delta::Make(before, after);
  if (!delta.ok()) return delta.status();
  return Put(PageId::FromValue(last), *delta, after);
}

}  // namespace mmsb
