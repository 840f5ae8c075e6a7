#include "memory/store/page_store.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"
#include "memory/store/checkpoint.h"
#include "memory/store/commit_format.h"
#include "memory/store/page_store_loader.h"
#include "memory/store/page_table.h"
#include "primitives/check.h"

namespace mmsb {
namespace {

constexpr std::string_view kHeaderName = "MMSB";
constexpr std::string_view kNewHeaderName = "MMSB.new";
constexpr std::string_view kLockName = "lock";
// How often a reader opens a log that changes while it is read.
constexpr int kMaxTries = 10;

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

PageStore::PageStore(FileSystem& file_system, std::string path,
                     const Options& options)
    : file_system_(file_system),
      path_(std::move(path)),
      options_(options),
      table_pool_(std::make_shared<PageTablePool>()) {}

PageStore::~PageStore() {
  {
    const absl::MutexLock lock(write_mutex_);
    MMSB_CHECK(open_batches_ == 0, "PageStore: destroyed before its batch");
  }
  if (options_.durability == Durability::kNone &&
      options_.mode != Mode::kRead && log_ != nullptr) {
    // Nobody was promised that it succeeds.
    Sync().IgnoreError();
  }
}

absl::StatusOr<std::unique_ptr<PageStore>> PageStore::Open(
    FileSystem& file_system, std::string path, const Options& options) {
  std::unique_ptr<PageStore> store(
      new PageStore(file_system, std::move(path), options));
  if (absl::Status status = store->OpenDirectory(options.mode); !status.ok()) {
    return status;
  }
  for (int tries = kMaxTries;; --tries) {
    if (absl::Status status = store->OpenLog(); !status.ok()) return status;
    absl::Status status = store->Load();
    if (status.ok()) return store;
    // A writer that followed one that was killed may have made a segment anew
    // behind it. That each does once, at the most.
    if (options.mode != Mode::kRead || !absl::IsAborted(status) || tries == 1) {
      return status;
    }
  }
}

absl::Status PageStore::OpenLog() {
  for (;;) {
    absl::StatusOr<std::unique_ptr<TransactionLog>> log = TransactionLog::Open(
        file_system_, path_, header_,
        options_.mode == Mode::kRead ? FileSystem::Access::kRead
                                     : FileSystem::Access::kReadWrite,
        options_.segment_bytes);
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    if (options_.mode != Mode::kRead) return absl::OkStatus();
    // A writer may have pruned the store since the header was read, and have
    // removed some of these.
    const StoreHeader before = header_;
    if (absl::Status status = ReadHeader(); !status.ok()) {
      return absl::IsNotFound(status) ? absl::OkStatus() : status;
    }
    if (header_ == before) return absl::OkStatus();
  }
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
  const absl::Status why = header.status();
  if (absl::IsUnimplemented(why)) return why;
  if (!header.ok()) {
    header = ReadHeaderOfLog();
    if (!header.ok()) {
      return absl::IsNotFound(header.status()) ? why : header.status();
    }
    header_damage_.emplace_back(why.message());
  }
  if (header->unfinished) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", path_,
        "' is what a salvage that did not end has left: remove it, "
        "and salvage again"));
  }
  header_ = *header;
  page_bytes_ = header_.page_bytes;
  return absl::OkStatus();
}

// Each log begins with a copy of the header. Where there are two, one of them
// is what a prune left: the older one, or else one that was never finished, and
// then its tip names no epoch.
absl::StatusOr<StoreHeader> PageStore::ReadHeaderOfLog() {
  absl::StatusOr<std::vector<std::string>> names = file_system_.List(path_);
  if (!names.ok()) return names.status();
  std::optional<StoreHeader> found;
  bool found_is_finished = false;
  for (const std::string& name : *names) {
    const std::optional<TransactionLog::FileName> file =
        TransactionLog::ParseName(name);
    if (!file.has_value() || file->is_tip || file->base != 0) continue;
    const absl::StatusOr<StoreHeader> header =
        ReadHeaderOf(file_system_, Join(path_, name));
    if (absl::IsInvalidArgument(header.status()) ||
        absl::IsUnimplemented(header.status()) ||
        absl::IsDataLoss(header.status())) {
      continue;
    }
    if (!header.ok()) return header.status();
    if (header->generation != file->generation) continue;
    absl::StatusOr<std::unique_ptr<TransactionLog>> log = TransactionLog::Open(
        file_system_, path_, *header, FileSystem::Access::kRead);
    if (!log.ok()) return log.status();
    absl::StatusOr<TransactionLog::SyncPoint> tip = (*log)->Tip();
    if (!tip.ok()) return tip.status();
    const bool is_finished = tip->epoch.value() >= header->first_epoch;
    if (!found.has_value() ||
        std::pair(is_finished, header->generation) >
            std::pair(found_is_finished, found->generation)) {
      found = *header;
      found_is_finished = is_finished;
    }
  }
  if (found.has_value()) return *found;
  return absl::NotFoundError(
      absl::StrCat("'", path_, "' has no log with a header"));
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
                        .created_ns = options_.clock.WallTime(),
                        .first_epoch = first_created_};
  page_bytes_ = header_.page_bytes;
  if (absl::StatusOr<StoreHeader> valid =
          StoreHeader::Decode(header_.Encode(), "the new store");
      !valid.ok()) {
    return absl::InvalidArgumentError(valid.status().message());
  }
  StoreHeader first = header_;
  first.unfinished = is_salvage_;
  if (absl::Status status = WriteHeaderAside(first); !status.ok()) {
    return status;
  }
  header_is_made_ = true;
  return PublishHeader();
}

absl::Status PageStore::WriteHeaderAside(const StoreHeader& header) {
  absl::StatusOr<std::unique_ptr<File>> file = file_system_.Open(
      Join(path_, kNewHeaderName), FileSystem::Access::kCreate);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->WriteAt(0, header.Encode());
  if (status.ok()) status = (*file)->Sync();
  return status;
}

absl::Status PageStore::PublishHeader() {
  return file_system_.Rename(Join(path_, kNewHeaderName),
                             Join(path_, kHeaderName),
                             FileSystem::IfExists::kReplace);
}

absl::Status PageStore::Load() {
  const Mode mode = options_.mode;
  std::unique_ptr<Loader> loader;
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      ReplayFromCheckpoint(*log_, /*last=*/std::nullopt, loader);
  if (!replayed.ok()) return Annotate(replayed.status());
  const bool damaged =
      !replayed->damage.empty() || !replayed->segment_damage.empty() ||
      std::ranges::any_of(loader->epochs(), &EpochInfo::table_damaged);
  const bool is_empty = loader->epochs().empty();
  const auto state = std::make_shared<const State>(
      State{.header = header_,
            .files = log_->files(),
            .data = log_->data(),
            .info = is_empty ? EpochInfo{} : loader->epochs().back(),
            .table = std::move(loader->table())});
  {
    const absl::MutexLock lock(write_mutex_);
    written_ = state;
    open_cost_ = loader->cost();
  }
  Show(state);
  if (mode == Mode::kRead) return absl::OkStatus();
  if (is_empty) {
    // Whoever made the store may have ended before its name was durable, or
    // have failed to make it so, which another sync would not mend.
    absl::Status status;
    if (!header_is_made_) status = WriteHeaderAside(header_);
    if (status.ok() && !header_is_made_) status = PublishHeader();
    if (status.ok()) status = file_system_.SyncDirectory(path_);
    if (status.ok()) status = file_system_.SyncDirectory(ParentPath(path_));
    if (!status.ok()) return status;
  }
  if (damaged) {
    return absl::DataLossError(absl::StrCat(
        "'", path_,
        "' is damaged, and nothing is added to a damaged store; 'verify' names "
        "the epochs that are lost, and the others can be read",
        replayed->segment_damage.empty() ? "" : ": ",
        absl::StrJoin(replayed->segment_damage, "; ")));
  }
  return RemoveLeftovers();
}

// Removes what a prune that was cut short left: the log that it was writing, or
// the one that it was about to remove. Also a file that TransactionLog was
// making.
absl::Status PageStore::RemoveLeftovers() {
  absl::StatusOr<std::vector<std::string>> names = file_system_.List(path_);
  if (!names.ok()) return names.status();
  std::vector<std::string> leftovers;
  for (const std::string& name : *names) {
    std::string_view made = name;
    const bool is_aside =
        absl::ConsumeSuffix(&made, TransactionLog::kNewSuffix);
    const std::optional<TransactionLog::FileName> file =
        TransactionLog::ParseName(made);
    if (file.has_value() &&
        (is_aside || file->generation != header_.generation)) {
      leftovers.push_back(name);
    }
  }
  if (leftovers.empty()) return absl::OkStatus();
  // Which of the logs counts must be durable first, and a sync of the directory
  // may have failed: the header is renamed once more.
  absl::Status status = WriteHeaderAside(header_);
  if (status.ok()) status = PublishHeader();
  if (status.ok()) status = file_system_.SyncDirectory(path_);
  for (const std::string& name : leftovers) {
    if (status.ok()) status = file_system_.Remove(Join(path_, name));
  }
  if (status.ok()) status = file_system_.SyncDirectory(path_);
  return status;
}

// The tip first: a log without one is not taken for the store's. Then the
// segments, the oldest first, as TransactionLog expects of those who read it.
absl::Status PageStore::RemoveLog(uint64_t generation) {
  absl::StatusOr<std::vector<std::string>> names = file_system_.List(path_);
  if (!names.ok()) return names.status();
  std::vector<std::pair<uint64_t, std::string>> removed;
  for (const std::string& name : *names) {
    const std::optional<TransactionLog::FileName> file =
        TransactionLog::ParseName(name);
    if (!file.has_value() || file->generation != generation) continue;
    // No segment but the first begins ahead of the first record.
    removed.emplace_back(file->is_tip ? 0 : file->base + 1, name);
  }
  std::ranges::sort(removed);
  for (const auto& [order, name] : removed) {
    absl::Status status = file_system_.Remove(Join(path_, name));
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return file_system_.SyncDirectory(path_);
}

// Replays `log`, up to epoch `last` if that is given, from the nearest
// checkpoint that can be used; from the beginning when there is none.
absl::StatusOr<TransactionLog::ReplayReport> PageStore::ReplayFromCheckpoint(
    TransactionLog& log, std::optional<Epoch> last,
    std::unique_ptr<Loader>& loader) {
  absl::StatusOr<TransactionLog::SyncPoint> tip = log.Tip();
  if (!tip.ok()) return tip.status();
  uint64_t position = tip->checkpoint;
  uint64_t unusable = 0;
  while (position != 0) {
    absl::StatusOr<std::optional<TransactionLog::Checkpoint>> found =
        log.ReadCheckpoint(position);
    if (!found.ok()) return found.status();
    absl::StatusOr<CheckpointRecord> record =
        found->has_value() ? DecodeCheckpointRecord((*found)->meta)
                           : absl::DataLossError("no checkpoint");
    if (record.ok() && (!last.has_value() || (*found)->epoch <= *last)) {
      loader = std::make_unique<Loader>(*this, log, position, unusable);
      absl::StatusOr<TransactionLog::ReplayReport> replayed =
          log.Replay({.last = last, .checkpoint = position}, *loader);
      if (!loader->start_is_unusable()) return replayed;
    }
    if (!last.has_value()) unusable = std::max(unusable, position);
    // It lies ahead, or the search would not end.
    if (!record.ok() || record->previous >= position) break;
    position = record->previous;
  }
  loader = std::make_unique<Loader>(*this, log, /*start=*/0, unusable);
  return log.Replay({.last = last}, *loader);
}

std::shared_ptr<const PageStore::State> PageStore::Visible() const {
  const absl::MutexLock lock(visible_mutex_);
  return visible_;
}

void PageStore::Show(std::shared_ptr<const State> state) {
  // What was shown before is let go without the lock.
  const absl::MutexLock lock(visible_mutex_);
  visible_.swap(state);
}

absl::StatusOr<std::unique_ptr<TransactionLog>> PageStore::OpenToRead(
    const State& state) const {
  return TransactionLog::Open(file_system_, path_, state.header, state.files);
}

Epoch PageStore::first() const {
  return Epoch::FromValue(Visible()->header.first_epoch);
}

Epoch PageStore::newest() const { return Visible()->info.epoch; }

EpochInfo PageStore::newest_info() const { return Visible()->info; }

std::span<const EpochInfo> PageStore::epochs() {
  if (!LoadEpochs().ok()) return {};
  const absl::MutexLock lock(write_mutex_);
  return std::span(epochs_).first(std::min<size_t>(
      epochs_.size(),
      static_cast<size_t>(newest().value() + 1 - first().value())));
}

absl::Status PageStore::LoadEpochs() {
  const absl::MutexLock lock(write_mutex_);
  if (!epochs_.empty() || written_->info.epoch == Epoch()) {
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<TransactionLog>> log = OpenToRead(*written_);
  if (!log.ok()) return log.status();
  Loader loader(*this, **log, /*start=*/0, /*unusable=*/0);
  const Epoch last = written_->info.epoch;
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      (*log)->Replay({.last = last}, loader);
  if (!replayed.ok()) return Annotate(replayed.status());
  std::vector<EpochInfo>& found = loader.epochs();
  const uint64_t count = last.value() - written_->header.first_epoch + 1;
  if (found.size() < count) {
    return Annotate(absl::DataLossError(absl::StrCat(
        "the log has ", found.size(), " of the epochs up to ", last.value())));
  }
  found.resize(static_cast<size_t>(count));
  // A checkpoint may have told what is damaged ahead of it.
  found.back() = written_->info;
  epochs_ = std::move(found);
  return absl::OkStatus();
}

absl::StatusOr<PageStore::Snapshot> PageStore::SnapshotAt(Epoch epoch) {
  const std::shared_ptr<const State> newest = Visible();
  const uint64_t first = newest->header.first_epoch;
  const Epoch last = newest->info.epoch;
  if (last == Epoch()) {
    return absl::NotFoundError(absl::StrCat("'", path_, "' has no epochs"));
  }
  if (epoch.value() < first || epoch > last) {
    return absl::NotFoundError(absl::StrCat(
        "'", path_, "' has the epochs ", first, " to ", last.value(),
        ", and not ", epoch.value(),
        epoch != Epoch() && epoch.value() < first ? ", which was pruned" : ""));
  }
  const auto damaged = [&](const EpochInfo* info) {
    return absl::DataLossError(
        absl::StrCat("'", path_, "': epoch ", epoch.value(), " is damaged: ",
                     info == nullptr || info->lost ? "its commit record is"
                                                   : "a list of its pages is"));
  };
  if (epoch == last) {
    if (newest->info.lost || newest->info.table_damaged) {
      return damaged(&newest->info);
    }
    return Snapshot(*this, newest);
  }
  absl::StatusOr<std::unique_ptr<TransactionLog>> log = OpenToRead(*newest);
  if (!log.ok()) return log.status();
  std::unique_ptr<Loader> loader;
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      ReplayFromCheckpoint(**log, epoch, loader);
  if (!replayed.ok()) return Annotate(replayed.status());
  const EpochInfo* const info = loader->Find(epoch);
  if (info == nullptr || info->lost || info->table_damaged) {
    return damaged(info);
  }
  if (info->absent) {
    return absl::NotFoundError(
        absl::StrCat("'", path_, "': epoch ", epoch.value(),
                     " was lost before the store was salvaged"));
  }
  return Snapshot(*this, std::make_shared<const State>(
                             State{.header = newest->header,
                                   .files = newest->files,
                                   .data = newest->data,
                                   .info = *info,
                                   .table = std::move(loader->table())}));
}

absl::StatusOr<PageStore::Snapshot> PageStore::Newest() {
  std::shared_ptr<const State> state = Visible();
  if (state->info.epoch == Epoch()) return Snapshot(*this, std::move(state));
  return SnapshotAt(state->info.epoch);
}

absl::StatusOr<PageStore::Batch> PageStore::Begin(uint64_t bytes) {
  return Begin(Snapshot(*this, Visible()), bytes);
}

absl::StatusOr<PageStore::Batch> PageStore::Begin(const Snapshot& base,
                                                  uint64_t bytes) {
  if (base.store_ != this) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path_, "': the snapshot is another store's"));
  }
  PageTable table = base.state_->table;
  if (absl::Status status = table.Resize(PagesFor(bytes)); !status.ok()) {
    return Annotate(status);
  }
  const absl::MutexLock lock(write_mutex_);
  if (absl::Status status = CheckWritable(); !status.ok()) return status;
  ++open_batches_;
  return Batch(*this, base.state_, bytes, std::move(table), next_batch_++);
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
  const CommitRecord record{.time_ns = options_.clock.WallTime(),
                            .message = info.message};
  if (options_.durability == Durability::kEach) {
    const absl::MutexLock sync_lock(sync_mutex_);
    const absl::MutexLock lock(write_mutex_);
    absl::StatusOr<Epoch> epoch =
        Write(batch, record, /*copied=*/nullptr, info.checkpoint);
    if (!epoch.ok()) return epoch;
    if (absl::Status status = SyncWrittenLocked(); !status.ok()) return status;
    return epoch;
  }
  absl::StatusOr<Epoch> epoch;
  {
    const absl::MutexLock lock(write_mutex_);
    epoch = Write(batch, record, /*copied=*/nullptr, info.checkpoint);
    if (!epoch.ok()) return epoch;
    if (options_.durability == Durability::kNone) {
      Show(written_);
      return epoch;
    }
  }
  // Whoever has the lock syncs for those who wait for it, too.
  const absl::MutexLock sync_lock(sync_mutex_);
  if (synced_ >= *epoch) return epoch;
  if (absl::Status status = SyncWritten(); !status.ok()) return status;
  return epoch;
}

absl::StatusOr<Epoch> PageStore::CommitCopy(Batch batch,
                                            const EpochInfo& copied) {
  const absl::MutexLock lock(write_mutex_);
  absl::StatusOr<Epoch> epoch = Write(
      batch, {.time_ns = copied.time_ns, .message = copied.message}, &copied,
      /*checkpoint=*/false);
  if (epoch.ok()) Show(written_);
  return epoch;
}

absl::Status PageStore::CheckWritable() const {
  if (options_.mode == Mode::kRead) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", path_, "' was opened for reading"));
  }
  return broken_;
}

absl::StatusOr<Epoch> PageStore::Write(Batch& batch, CommitRecord record,
                                       const EpochInfo* copied,
                                       bool checkpoint) {
  if (absl::Status status = TakeLog(batch); !status.ok()) return status;
  absl::Status status = ZeroTail(batch);
  if (status.ok()) status = Flush(batch);
  if (!status.ok()) return Annotate(status);
  record.state_bytes = batch.bytes_;
  record.changed_bytes =
      copied != nullptr ? copied->changed_bytes : batch.changed_bytes_;
  record.changed_pages =
      copied != nullptr ? copied->changed_pages : batch.changed_pages_;
  record.data_records = batch.records_;
  record.root = batch.table_.Root();
  if (copied != nullptr && record.root != copied->root) {
    return absl::DataLossError(absl::StrCat("'", path_, "': epoch ",
                                            copied->epoch.value(),
                                            " does not have its root"));
  }
  const std::vector<std::byte> commit = EncodeCommitRecord(record);
  const uint64_t commit_bytes = TransactionLog::ReplayBytes(commit.size(), 0);
  const uint64_t replay_bytes =
      open_cost_.replay_bytes + batch.replay_bytes_ + commit_bytes;
  checkpoint = checkpoint || CheckpointIsDue(batch.table_, replay_bytes);
  if (checkpoint) {
    status = WriteCheckpoint(batch.table_, batch.bytes_, batch.stored_bytes_);
    if (!status.ok()) return Annotate(status);
  }
  absl::StatusOr<Epoch> epoch = log_->CommitUnsynced(commit);
  if (!epoch.ok()) return Annotate(epoch.status());
  if (!lazy_) {
    if (status = log_->Flush(); !status.ok()) return Annotate(status);
  }
  open_cost_.replay_bytes = replay_bytes;
  if (checkpoint) {
    open_cost_ = {.checkpoint = *epoch,
                  .checkpoint_bytes =
                      CheckpointData::LogBytes(batch.table_.stored_pages()),
                  .replay_bytes = commit_bytes};
  }
  written_ = std::make_shared<const State>(
      State{.header = written_->header,
            .files = log_->files(),
            .data = log_->data(),
            .info = {.epoch = *epoch,
                     .time_ns = record.time_ns,
                     .bytes = record.state_bytes,
                     .changed_bytes = record.changed_bytes,
                     .changed_pages = record.changed_pages,
                     .stored_bytes = batch.stored_bytes_ + commit_bytes,
                     .root = record.root,
                     .message = std::move(record.message)},
            .table = std::move(batch.table_)});
  if (!epochs_.empty()) epochs_.push_back(written_->info);
  Forget(batch);
  return epoch;
}

absl::Status PageStore::WriteAbsent(Epoch epoch) {
  const absl::MutexLock lock(write_mutex_);
  const std::vector<std::byte> commit = EncodeCommitRecord({.absent = true});
  absl::StatusOr<Epoch> written = log_->CommitUnsynced(commit);
  if (!written.ok()) return Annotate(written.status());
  MMSB_CHECK(*written == epoch, "PageStore: epoch %llu became %llu",
             static_cast<unsigned long long>(epoch.value()),
             static_cast<unsigned long long>(written->value()));
  open_cost_.replay_bytes += TransactionLog::ReplayBytes(commit.size(), 0);
  return absl::OkStatus();
}

bool PageStore::CheckpointIsDue(const PageTable& table,
                                uint64_t replay_bytes) const {
  const uint64_t to_read = open_cost_.checkpoint_bytes + replay_bytes;
  const uint64_t tables = 3 * CheckpointData::LogBytes(table.stored_pages());
  return to_read > tables && to_read - tables > options_.checkpoint_slack_bytes;
}

absl::Status PageStore::WriteCheckpoint(const PageTable& table,
                                        uint64_t state_bytes,
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

absl::Status PageStore::Checkpoint() {
  const absl::MutexLock sync_lock(sync_mutex_);
  const absl::MutexLock lock(write_mutex_);
  if (absl::Status status = CheckWritable(); !status.ok()) return status;
  if (streaming_ != 0) {
    return absl::AbortedError(
        absl::StrCat("'", path_, "': a large batch is open"));
  }
  const EpochInfo& info = written_->info;
  const bool sync = options_.durability != Durability::kNone;
  if (info.epoch == Epoch()) return absl::OkStatus();
  if (open_cost_.checkpoint == info.epoch) {
    // It may be what an earlier process has written, and nobody synced.
    return sync ? SyncWrittenLocked() : absl::OkStatus();
  }
  // Its own records are told by the first commit record.
  const std::vector<std::byte> commit =
      EncodeCommitRecord({.state_bytes = info.bytes,
                          .time_ns = info.time_ns,
                          .changed_bytes = info.changed_bytes,
                          .changed_pages = info.changed_pages,
                          .root = info.root,
                          .message = info.message});
  const uint64_t commit_bytes = TransactionLog::ReplayBytes(commit.size(), 0);
  absl::Status status = log_->BeginRestatement();
  if (status.ok()) {
    status = WriteCheckpoint(written_->table, info.bytes,
                             info.stored_bytes - commit_bytes);
  }
  if (status.ok()) status = log_->CommitUnsynced(commit).status();
  if (status.ok()) status = log_->Flush();
  if (!status.ok()) {
    log_->Abort().IgnoreError();
    return Annotate(status);
  }
  open_cost_ = {.checkpoint = info.epoch,
                .checkpoint_bytes =
                    CheckpointData::LogBytes(written_->table.stored_pages()),
                .replay_bytes = commit_bytes};
  return sync ? SyncWrittenLocked() : absl::OkStatus();
}

absl::Status PageStore::Sync() {
  const absl::MutexLock sync_lock(sync_mutex_);
  return SyncWritten();
}

// Without the lock of those who write while the disk is waited for.
absl::Status PageStore::SyncWritten() {
  absl::StatusOr<std::optional<TransactionLog::SyncPoint>> point;
  std::shared_ptr<const State> state;
  {
    const absl::MutexLock lock(write_mutex_);
    if (absl::Status status = CheckWritable(); !status.ok()) return status;
    point = log_->PrepareSync();
    if (!point.ok()) return Annotate(point.status());
    if (!point->has_value()) return absl::OkStatus();
    state = written_;
  }
  if (absl::Status status = log_->SyncTo(**point); !status.ok()) {
    const absl::MutexLock lock(write_mutex_);
    DropUnacknowledged();
    return Annotate(status);
  }
  synced_ = (*point)->epoch;
  if (options_.durability != Durability::kNone) Show(std::move(state));
  return absl::OkStatus();
}

absl::Status PageStore::SyncWrittenLocked() {
  absl::StatusOr<std::optional<TransactionLog::SyncPoint>> point =
      log_->PrepareSync();
  if (!point.ok()) return Annotate(point.status());
  if (!point->has_value()) return absl::OkStatus();
  if (absl::Status status = log_->SyncTo(**point); !status.ok()) {
    DropUnacknowledged();
    return Annotate(status);
  }
  synced_ = (*point)->epoch;
  Show(written_);
  return absl::OkStatus();
}

// After a failed sync. In mode kNone readers have seen it, and it stays until
// the store is opened again.
void PageStore::DropUnacknowledged() {
  if (options_.durability == Durability::kNone) return;
  log_->DropUnacknowledged();
  written_ = Visible();
}

PageStoreStats PageStore::Stats() const {
  const std::shared_ptr<const State> newest = Visible();
  const PageTable::Counts counts = newest->table.Count();
  const absl::MutexLock lock(write_mutex_);
  return {.log_bytes = log_->bytes(),
          .log_files = log_->segments(),
          .pages = newest->table.pages(),
          .zero_pages = counts.zero,
          .delta_pages = counts.delta,
          .checkpoint = open_cost_.checkpoint,
          .checkpoint_bytes = open_cost_.checkpoint_bytes,
          .replay_bytes = open_cost_.replay_bytes,
          .table = table_pool_->Stats()};
}

absl::Status PageStore::Annotate(const absl::Status& status) const {
  return absl::Status(status.code(),
                      absl::StrCat("'", path_, "': ", status.message()));
}

uint64_t PageStore::PagesFor(uint64_t bytes) const {
  return bytes / page_bytes() + (bytes % page_bytes() != 0 ? 1 : 0);
}

}  // namespace mmsb
