// Prune and Salvage: the epochs of one log, written into another.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "memory/delta/delta.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"
#include "memory/store/commit_format.h"
#include "memory/store/page_reader.h"
#include "memory/store/page_store.h"
#include "memory/store/page_store_loader.h"
#include "memory/store/page_table.h"
#include "primitives/page_id.h"

namespace mmsb {

// Commits each epoch to another store, as what it changed against the last one
// that was copied; the first one whole. Every page that is copied is compared
// with its checksum.
class PageStore::Copier final : public Loader {
 public:
  Copier(PageStore& from, TransactionLog& log, PageStore& to, Epoch first,
         SalvageReport* salvaged)
      : Loader(from, log, /*start=*/0, /*unusable=*/0),
        to_(to),
        first_(first),
        salvaged_(salvaged),
        page_bytes_(from.page_bytes()),
        reader_(log.data(), page_bytes_, from.options_.apply_delta),
        copied_(*from.table_pool_, page_bytes_),
        before_(kPagesAtOnce * page_bytes_),
        after_(kPagesAtOnce * page_bytes_) {}

 protected:
  absl::Status OnEpoch(std::span<const PageEntry>) override {
    const EpochInfo& info = epochs().back();
    if (info.epoch < first_) return absl::OkStatus();
    if (info.absent) {
      if (salvaged_ == nullptr) return absl::OkStatus();
      return Lose("it was lost before this store was salvaged");
    }
    if (info.lost) return Lose("its commit record is damaged");
    if (info.table_damaged) return Lose("a list of its pages is damaged");
    absl::Status damage;
    if (salvaged_ != nullptr) {
      // Before anything is written: nothing may stand at the end of the copy
      // for an epoch that is lost.
      if (absl::Status status = PutChanges(nullptr, damage); !status.ok()) {
        return status;
      }
      if (!damage.ok()) return Lose(damage.message());
    }
    while (next_ < info.epoch.value()) {
      if (absl::Status status = to_.WriteAbsent(Epoch::FromValue(next_));
          !status.ok()) {
        return status;
      }
      ++next_;
    }
    absl::StatusOr<Batch> batch = to_.Begin(info.bytes);
    if (!batch.ok()) return batch.status();
    if (absl::Status status = PutChanges(&*batch, damage); !status.ok()) {
      return status;
    }
    if (!damage.ok()) return Lose(damage.message());
    absl::StatusOr<Epoch> epoch = to_.CommitCopy(*std::move(batch), info);
    if (!epoch.ok()) return epoch.status();
    next_ = epoch->value() + 1;
    copied_ = table();
    if (salvaged_ != nullptr) {
      ++salvaged_->epochs;
      salvaged_->newest = *epoch;
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kPagesAtOnce = 64;

  absl::Status Lose(std::string_view why) {
    const Epoch epoch = epochs().back().epoch;
    if (salvaged_ != nullptr) {
      salvaged_->lost.push_back({epoch, std::string(why)});
      return absl::OkStatus();
    }
    return absl::DataLossError(absl::StrCat(
        "'", to_.path_, "': epoch ", epoch.value(), " is damaged: ", why));
  }

  // Puts what differs from what was copied, or only reads it, where `batch` is
  // null. A page that cannot be read is `damage`, and ends it.
  absl::Status PutChanges(Batch* batch, absl::Status& damage) {
    const PageTable& now = table();
    for (uint64_t page = now.NextDifference(copied_, 0); page < now.pages();) {
      uint64_t count = 1;
      while (count < kPagesAtOnce &&
             now.NextDifference(copied_, page + count) == page + count &&
             page + count < now.pages()) {
        ++count;
      }
      const auto after =
          std::span(after_).first(static_cast<size_t>(count) * page_bytes_);
      damage = reader_.Read(now, page, after);
      if (!damage.ok()) return absl::OkStatus();
      const uint64_t old =
          std::min(count, std::max(page, copied_.pages()) - page);
      const auto before = std::span(before_).first(after.size());
      const size_t old_bytes = static_cast<size_t>(old) * page_bytes_;
      damage = reader_.Read(copied_, std::min(page, copied_.pages()),
                            before.first(old_bytes));
      if (!damage.ok()) return absl::OkStatus();
      std::ranges::fill(before.subspan(old_bytes), std::byte{0});
      for (uint64_t i = 0; batch != nullptr && i < count; ++i) {
        const size_t at = static_cast<size_t>(i) * page_bytes_;
        if (absl::Status status =
                PutPage(*batch, page + i, before.subspan(at, page_bytes_),
                        after.subspan(at, page_bytes_));
            !status.ok()) {
          return status;
        }
      }
      page = now.NextDifference(copied_, page + count);
    }
    return absl::OkStatus();
  }

  absl::Status PutPage(Batch& batch, uint64_t page,
                       std::span<const std::byte> before,
                       std::span<const std::byte> after) {
    const PageId id = PageId::FromValue(page);
    if (copied_.pages() == 0) return batch.PutWhole(id, after, page_bytes_);
    absl::StatusOr<Delta> delta = Delta::Make(before, after);
    if (!delta.ok()) return delta.status();
    return delta->changed_bytes() > page_bytes_ / 2
               ? batch.PutWhole(id, after, delta->changed_bytes())
               : batch.Put(id, *delta, after);
  }

  PageStore& to_;
  const Epoch first_;
  SalvageReport* const salvaged_;
  const size_t page_bytes_;
  PageReader reader_;
  PageTable copied_;  // of the last epoch that was
  uint64_t next_ = first_.value();
  std::vector<std::byte> before_;
  std::vector<std::byte> after_;
};

absl::Status PageStore::CopyTo(PageStore& to, const State& newest, Epoch first,
                               SalvageReport* salvaged) {
  absl::StatusOr<std::unique_ptr<TransactionLog>> log = OpenToRead(newest);
  if (!log.ok()) return log.status();
  Copier copier(*this, **log, to, first, salvaged);
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      (*log)->Replay({.last = newest.info.epoch}, copier);
  if (!replayed.ok()) return replayed.status();
  if (salvaged != nullptr) salvaged->damage = replayed->segment_damage;
  if (salvaged == nullptr && !replayed->segment_damage.empty()) {
    return absl::DataLossError(absl::StrCat(
        "'", path_, "' is damaged: ", replayed->segment_damage[0]));
  }
  if (salvaged == nullptr && !replayed->damage.empty()) {
    return absl::DataLossError(absl::StrCat(
        "'", path_, "' is damaged: log bytes ", replayed->damage[0].begin,
        " to ", replayed->damage[0].end, " are not whole records"));
  }
  return to.Sync();
}

absl::Status PageStore::LoadEmpty() {
  Loader loader(*this, *log_, /*start=*/0, /*unusable=*/0);
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      log_->Replay({}, loader);
  if (!replayed.ok()) return replayed.status();
  const absl::MutexLock lock(write_mutex_);
  written_ = std::make_shared<const State>(
      State{.header = header_,
            .files = log_->files(),
            .data = log_->data(),
            .info = {},
            .table = PageTable(*table_pool_, page_bytes_)});
  Show(written_);
  lazy_ = true;
  return absl::OkStatus();
}

absl::Status PageStore::Prune(Epoch first) {
  const absl::MutexLock sync_lock(sync_mutex_);
  const absl::MutexLock lock(write_mutex_);
  if (absl::Status status = CheckWritable(); !status.ok()) return status;
  if (open_batches_ != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", path_, "' has an open batch, and is not pruned"));
  }
  const StoreHeader& old = written_->header;
  if (first.value() < old.first_epoch || first > written_->info.epoch) {
    return absl::NotFoundError(
        absl::StrCat("'", path_, "' has ",
                     written_->info.epoch == Epoch()
                         ? "no epochs"
                         : absl::StrCat("the epochs ", old.first_epoch, " to ",
                                        written_->info.epoch.value(),
                                        ", and not ", first.value())));
  }
  if (first.value() == old.first_epoch) return absl::OkStatus();
  if (absl::Status status = SyncWrittenLocked(); !status.ok()) return status;

  StoreHeader header = old;
  ++header.generation;
  header.first_epoch = first.value();
  // What an earlier attempt left.
  absl::Status status = RemoveLog(header.generation);
  Options options = options_;
  options.durability = Durability::kNone;
  options.mode = Mode::kWrite;
  const std::unique_ptr<PageStore> next(
      new PageStore(file_system_, path_, options));
  next->header_ = header;
  next->page_bytes_ = page_bytes_;
  next->table_pool_ = table_pool_;
  if (status.ok()) status = next->OpenLog();
  if (status.ok()) status = next->LoadEmpty();
  if (status.ok()) status = CopyTo(*next, *written_, first, nullptr);
  if (status.ok()) status = WriteHeaderAside(header);
  if (!status.ok()) {
    next->log_ = nullptr;
    // Gives a full disk its room back. Should it fail, the next writer does it,
    // ahead of any commit: the newer log must not be the one that counts if the
    // header is lost.
    if (!RemoveLog(header.generation).ok()) {
      broken_ = absl::FailedPreconditionError(absl::StrCat(
          "'", path_, "' must be opened again: a prune left files behind"));
    }
    return status;
  }
  // From here on either log may be the one that is found after a crash.
  status = PublishHeader();
  if (status.ok()) status = file_system_.SyncDirectory(path_);
  if (!status.ok()) {
    broken_ = absl::FailedPreconditionError(
        absl::StrCat("'", path_,
                     "' must be opened again: it is not known whether it was "
                     "pruned: ",
                     status.message()));
    return status;
  }
  const uint64_t old_generation = old.generation;
  {
    const absl::MutexLock theirs(next->write_mutex_);
    log_ = std::move(next->log_);
    written_ = std::move(next->written_);
    open_cost_ = next->open_cost_;
  }
  epochs_.clear();
  Show(written_);
  status = RemoveLog(old_generation);
  if (status.ok()) return status;
  return absl::Status(
      status.code(),
      absl::StrCat("'", path_, "' was pruned, but its old log is there until ",
                   "it is opened for writing again: ", status.message()));
}

absl::StatusOr<SalvageReport> PageStore::Salvage(FileSystem& file_system,
                                                 const std::string& from,
                                                 const std::string& to,
                                                 const Options& options) {
  absl::StatusOr<std::unique_ptr<PageStore>> source =
      Open(file_system, from,
           {.mode = Mode::kRead,
            .clock = options.clock,
            .apply_delta = options.apply_delta});
  if (!source.ok()) return source.status();
  absl::StatusOr<FileInfo> there = file_system.Info(to);
  if (there.ok()) {
    return absl::AlreadyExistsError(absl::StrCat("'", to, "' exists"));
  }
  if (!absl::IsNotFound(there.status())) return there.status();
  Options made = options;
  made.mode = Mode::kCreate;
  made.page_bytes = static_cast<uint32_t>((*source)->page_bytes());
  made.durability = Durability::kNone;
  const std::shared_ptr<const State> newest = (*source)->Visible();
  const std::unique_ptr<PageStore> target(new PageStore(file_system, to, made));
  target->first_created_ = newest->header.first_epoch;
  target->is_salvage_ = true;
  absl::Status status = target->OpenDirectory(Mode::kCreate);
  if (status.ok()) status = target->OpenLog();
  if (status.ok()) status = target->Load();
  SalvageReport report;
  if (status.ok()) {
    status = (*source)->CopyTo(*target, *newest,
                               Epoch::FromValue(newest->header.first_epoch),
                               &report);
  }
  // All is durable; from here on it is a store.
  if (status.ok()) status = target->WriteHeaderAside(target->header_);
  if (status.ok()) status = target->PublishHeader();
  if (status.ok()) status = file_system.SyncDirectory(to);
  if (!status.ok()) return status;
  return report;
}

}  // namespace mmsb
