#include "memory/log/transaction_log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/epoch/epoch.h"
#include "memory/log/crc32c.h"
#include "memory/log/file_system.h"
#include "memory/log/log_data.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"

namespace mmsb {
namespace {

constexpr size_t kStreamBytes = 1 << 20;
// The most lost commits that are told one by one. It bounds what a forged tip
// can make a reader do.
constexpr uint64_t kMaxLostCommits = 1 << 20;

std::string_view AsString(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct TipFile {
  LogTip tip;
  size_t slot = 0;       // that it is in
  bool damaged = false;  // a slot was
  bool known = false;    // one slot was whole, at the least
};

absl::StatusOr<TipFile> ReadTip(File* file, uint64_t salt) {
  TipFile result;
  std::array<std::byte, LogTip::kSlots * LogTip::kBytes> bytes{};
  if (file != nullptr) {
    absl::StatusOr<size_t> read = file->ReadAt(0, bytes);
    if (!read.ok()) return read.status();
  }
  for (size_t slot = 0; slot < LogTip::kSlots; ++slot) {
    const std::optional<LogTip> tip = LogTip::Decode(
        std::span(bytes).subspan(slot * LogTip::kBytes, LogTip::kBytes), salt);
    if (!tip.has_value()) {
      result.damaged = true;
      continue;
    }
    if (!result.known || std::pair(tip->epoch, tip->end) >
                             std::pair(result.tip.epoch, result.tip.end)) {
      result.tip = *tip;
      result.slot = slot;
    }
    result.known = true;
  }
  return result;
}

// True when `bytes`, which a log begins with, may be what a crash left of its
// header: parts of it that never reached the disk read as zeros.
bool IsPartOfHeader(std::span<const std::byte> bytes,
                    const StoreHeader& header) {
  const auto whole = header.Encode();
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != whole[i] && bytes[i] != std::byte{0}) return false;
  }
  return true;
}

}  // namespace

// Walks over the records of a log of a given size.
class TransactionLog::Reader {
 public:
  Reader(File& file, uint64_t log_bytes, uint64_t salt)
      : file_(file), log_bytes_(log_bytes), salt_(salt) {}

  // The head of the record at `position`, with its meta copied to `meta`; none
  // when there is no whole record, as far as can be told without its data.
  absl::StatusOr<std::optional<RecordHead>> ReadRecord(
      uint64_t position, std::vector<std::byte>& meta) {
    absl::StatusOr<std::optional<RecordHead>> head = ReadHead(position);
    if (!head.ok() || !head->has_value()) return head;
    absl::StatusOr<std::span<const std::byte>> bytes =
        Fetch(position + RecordHead::kBytes, (*head)->meta_bytes);
    if (!bytes.ok()) return bytes.status();
    if (Crc32c(*bytes) != (*head)->meta_checksum) return std::nullopt;
    meta.assign(bytes->begin(), bytes->end());
    return head;
  }

  absl::StatusOr<std::optional<RecordHead>> ReadHead(uint64_t position) {
    if (position > log_bytes_ || log_bytes_ - position < RecordHead::kBytes) {
      return std::nullopt;
    }
    absl::StatusOr<std::span<const std::byte>> bytes =
        Fetch(position, RecordHead::kBytes);
    if (!bytes.ok()) return bytes.status();
    std::optional<RecordHead> head =
        RecordHead::Decode(*bytes, position, salt_);
    if (head.has_value() && head->end() > log_bytes_) return std::nullopt;
    return head;
  }

  // The position of the first record head at or after `from`, or the log's end.
  absl::StatusOr<uint64_t> FindRecord(uint64_t from) {
    const std::string_view magic(RecordHead::kMagic.data(),
                                 RecordHead::kMagic.size());
    uint64_t position = from;
    while (position < log_bytes_ &&
           log_bytes_ - position >= RecordHead::kBytes) {
      absl::StatusOr<std::span<const std::byte>> bytes =
          FetchWindow(position, RecordHead::kBytes, kStreamBytes);
      if (!bytes.ok()) return bytes.status();
      for (size_t at = AsString(*bytes).find(magic);
           at != std::string_view::npos &&
           bytes->size() - at >= RecordHead::kBytes;
           at = AsString(*bytes).find(magic, at + 1)) {
        const std::optional<RecordHead> head =
            RecordHead::Decode(bytes->subspan(at), position + at, salt_);
        if (head.has_value() && head->end() <= log_bytes_) return position + at;
      }
      position += bytes->size() - (RecordHead::kBytes - 1);
    }
    return log_bytes_;
  }

  absl::StatusOr<bool> DataIsDamaged(const RecordHead& head) {
    absl::crc32c_t checksum{0};
    for (uint64_t at = head.data_position(); at < head.end();) {
      absl::StatusOr<std::span<const std::byte>> bytes =
          Fetch(at, std::min<uint64_t>(kStreamBytes, head.end() - at));
      if (!bytes.ok()) return bytes.status();
      checksum = absl::ExtendCrc32c(checksum, AsString(*bytes));
      at += bytes->size();
    }
    return static_cast<uint32_t>(checksum) != head.data_checksum;
  }

 private:
  // `bytes` bytes from `position`, within the log; valid until the next call.
  absl::StatusOr<std::span<const std::byte>> Fetch(uint64_t position,
                                                   size_t bytes) {
    absl::StatusOr<std::span<const std::byte>> window =
        FetchWindow(position, bytes, std::max(bytes, kReadAheadBytes));
    if (!window.ok()) return window.status();
    return window->first(bytes);
  }

  // As Fetch, but what is at hand from `position` on if that is `least` bytes,
  // or else up to `most`.
  absl::StatusOr<std::span<const std::byte>> FetchWindow(uint64_t position,
                                                         size_t least,
                                                         size_t most) {
    if (position < window_begin_ || position - window_begin_ > window_.size() ||
        window_.size() - (position - window_begin_) < least) {
      window_.resize(std::min<uint64_t>(most, log_bytes_ - position));
      window_begin_ = position;
      absl::StatusOr<size_t> read = file_.ReadAt(position, window_);
      if (!read.ok()) {
        window_.clear();
        return read.status();
      }
      // A log that shrank since its size was asked for reads as zeros, which
      // are no record.
      std::fill(window_.begin() + static_cast<ptrdiff_t>(*read), window_.end(),
                std::byte{0});
    }
    return std::span<const std::byte>(window_).subspan(position -
                                                       window_begin_);
  }

  File& file_;
  const uint64_t log_bytes_;
  const uint64_t salt_;
  std::vector<std::byte> window_;
  uint64_t window_begin_ = 0;
};

TransactionLog::TransactionLog(FileSystem& file_system, std::string directory,
                               const StoreHeader& header,
                               FileSystem::Access access)
    : file_system_(file_system),
      directory_(std::move(directory)),
      header_(header),
      access_(access) {}

std::string TransactionLog::LogPath() const {
  return absl::StrCat(directory_, "/", LogName(header_.generation));
}

std::string TransactionLog::TipPath() const {
  return absl::StrCat(directory_, "/", TipName(header_.generation));
}

std::string TransactionLog::LogName(uint64_t generation) {
  return generation == 0 ? "log" : absl::StrCat("log.", generation);
}

std::string TransactionLog::TipName(uint64_t generation) {
  return generation == 0 ? "tip" : absl::StrCat("tip.", generation);
}

absl::Status TransactionLog::Changed() const {
  return absl::AbortedError(
      absl::StrCat("'", LogPath(), "' changed while it was read"));
}

absl::StatusOr<std::unique_ptr<TransactionLog>> TransactionLog::Open(
    FileSystem& file_system, std::string directory, const StoreHeader& header,
    FileSystem::Access access) {
  std::unique_ptr<TransactionLog> log(
      new TransactionLog(file_system, std::move(directory), header, access));
  for (auto [path, file] : {std::pair(log->LogPath(), &log->log_),
                            std::pair(log->TipPath(), &log->tip_)}) {
    if (absl::Status status = log->OpenIfPresent(path, *file); !status.ok()) {
      return status;
    }
  }
  return log;
}

absl::StatusOr<std::unique_ptr<TransactionLog>> TransactionLog::Open(
    FileSystem& file_system, std::string directory, const StoreHeader& header,
    Files files) {
  std::unique_ptr<TransactionLog> log(new TransactionLog(
      file_system, std::move(directory), header, FileSystem::Access::kRead));
  log->log_ = std::move(files.log);
  log->tip_ = std::move(files.tip);
  return log;
}

absl::Status TransactionLog::OpenIfPresent(const std::string& path,
                                           std::shared_ptr<File>& file) {
  if (file != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<File>> opened =
      file_system_.Open(path, access_ == FileSystem::Access::kRead
                                  ? FileSystem::Access::kRead
                                  : FileSystem::Access::kReadWrite);
  if (opened.ok()) {
    file = *std::move(opened);
    return absl::OkStatus();
  }
  return absl::IsNotFound(opened.status()) ? absl::OkStatus() : opened.status();
}

absl::StatusOr<TransactionLog::ReplayReport> TransactionLog::Replay(
    const ReplayOptions& options, Visitor& visitor) {
  state_ = State::kFailed;
  ReplayReport report;
  // A writer may be at work. It makes the tip before the log and moves the tip
  // after the log, so whoever reads the tip first finds the log at least as
  // new.
  const bool log_was_there = log_ != nullptr;
  if (absl::Status status = OpenIfPresent(TipPath(), tip_); !status.ok()) {
    return status;
  }
  absl::StatusOr<TipFile> tip = ReadTip(tip_.get(), header_.salt());
  if (!tip.ok()) return tip.status();
  if (absl::Status status = OpenIfPresent(LogPath(), log_); !status.ok()) {
    return status;
  }

  uint64_t log_bytes = 0;
  if (log_ != nullptr) {
    absl::StatusOr<FileInfo> info = log_->Info();
    if (!info.ok()) return info.status();
    log_bytes = info->bytes;
    if (absl::Status status = CheckHeader(log_bytes, report); !status.ok()) {
      return status;
    }
    if (log_was_there && log_bytes > StoreHeader::kBytes) {
      report.tip_damaged = tip->damaged && tip->known;
      report.tip_lost = !tip->known;
    }
  }
  // With the tip unknown, whatever is whole counts as acknowledged.
  const auto was_acknowledged = [&](Epoch epoch) {
    return !tip->known || epoch <= tip->tip.epoch;
  };

  struct Pending {
    RecordHead head;
    bool data_damaged;
  };
  std::vector<Pending> pending;  // of the transaction `expected`
  std::vector<std::byte> meta;
  Epoch expected = Epoch::FromValue(header_.first_epoch);
  // What the next record must link to; none when that is not known.
  std::optional<uint32_t> link = 0;
  uint32_t link_at_end = 0;  // of the last record ahead of report.end
  report.newest = Epoch::FromValue(header_.first_epoch - 1);
  bool transaction_damaged = false;
  // The pending records restate the transaction before `expected`.
  bool restating = false;
  // Of the record that would restate it; none when it was not seen.
  std::optional<uint32_t> next_of_newest;
  uint32_t next_sequence = 0;  // in this transaction
  uint64_t checkpoint = 0;     // of this transaction
  uint64_t last_checkpoint = 0;
  uint64_t last_at_tip = 0;  // the last one up to the tip's epoch
  end_ = log_bytes;
  uint64_t position = StoreHeader::kBytes;

  std::optional<Reader> reader;
  if (log_ != nullptr) reader.emplace(*log_, log_bytes, header_.salt());
  if (options.checkpoint.has_value()) {
    absl::StatusOr<std::optional<RecordHead>> first = std::nullopt;
    if (reader.has_value()) first = reader->ReadHead(*options.checkpoint);
    if (!first.ok()) return first.status();
    if (!first->has_value() || (*first)->kind != RecordKind::kCheckpoint) {
      return absl::DataLossError(absl::StrCat(
          "'", LogPath(), "' has no checkpoint at ", *options.checkpoint));
    }
    position = *options.checkpoint;
    expected = (*first)->epoch;
    link = std::nullopt;
    next_sequence = (*first)->sequence;
  }
  report.end = std::min<uint64_t>(position, log_bytes);

  const auto to_record = [&meta](const RecordHead& head, bool data_damaged) {
    return Record{.epoch = head.epoch,
                  .sequence = head.sequence,
                  .meta = meta,
                  .position = head.position,
                  .data_position = head.data_position(),
                  .data_bytes = head.data_bytes,
                  .data_checksum = head.data_checksum,
                  .data_damaged = data_damaged};
  };
  const auto visit_pending = [&]() -> absl::Status {
    for (const Pending& p : pending) {
      absl::StatusOr<std::optional<RecordHead>> again =
          reader->ReadRecord(p.head.position, meta);
      if (!again.ok()) return again.status();
      if (!again->has_value()) return Changed();
      const Record record = to_record(p.head, p.data_damaged);
      if (absl::Status status = p.head.kind == RecordKind::kData
                                    ? visitor.OnData(record)
                                    : visitor.OnCheckpoint(record);
          !status.ok()) {
        return status;
      }
    }
    pending.clear();
    next_sequence = 0;
    checkpoint = 0;
    return absl::OkStatus();
  };
  // The transactions up to `last` were committed, and their commit records are
  // gone.
  const auto lose_commits = [&](Epoch last) -> absl::Status {
    if (last.value() - expected.value() >= kMaxLostCommits) {
      return absl::DataLossError(absl::StrCat(
          "'", LogPath(), "' lost the epochs ", expected.value(), " to ",
          last.value(), ", more than can be told one by one"));
    }
    for (; expected <= last; expected = expected.Next()) {
      if (absl::Status status = visit_pending(); !status.ok()) return status;
      if (absl::Status status = visitor.OnLostCommit(expected); !status.ok()) {
        return status;
      }
      report.newest = expected;
      next_of_newest = std::nullopt;
    }
    return absl::OkStatus();
  };
  const auto is_acknowledged = [&](const RecordHead& head) {
    return restating ? !tip->known || head.end() <= tip->tip.end
                     : was_acknowledged(expected);
  };

  const auto wanted = [&] {
    return !options.last.has_value() || expected <= *options.last;
  };
  while (position < log_bytes && wanted()) {
    absl::StatusOr<std::optional<RecordHead>> read =
        reader->ReadRecord(position, meta);
    if (!read.ok()) return read.status();
    const auto is_linked = [&](const RecordHead& head) {
      return !link.has_value() || head.link == *link;
    };
    const auto is_next = [&](const RecordHead& head, uint32_t sequence) {
      return head.sequence == sequence ||
             (transaction_damaged && head.sequence > sequence);
    };
    const auto restates = [&](const RecordHead& head) {
      return head.epoch == report.newest && next_of_newest.has_value() &&
             (restating
                  ? head.kind != RecordKind::kData &&
                        is_next(head, next_sequence)
                  : head.kind == RecordKind::kCheckpoint && pending.empty() &&
                        is_next(head, *next_of_newest));
    };
    // Every lost transaction took a record at the least; more of them than fit
    // before this record is not a thing that damage can do.
    const auto goes_on = [&](const RecordHead& head) {
      return head.epoch >= expected &&
             head.epoch.value() - expected.value() <=
                 position / RecordHead::kBytes &&
             (head.epoch > expected ||
              is_next(head, restating ? 0 : next_sequence));
    };
    if (!read->has_value() || !is_linked(**read) ||
        !(goes_on(**read) || restates(**read))) {
      absl::StatusOr<uint64_t> found = reader->FindRecord(position + 1);
      if (!found.ok()) return found.status();
      report.damage.push_back({position, *found, expected});
      transaction_damaged = true;
      link = std::nullopt;
      position = *found;
      continue;
    }
    const RecordHead head = **read;
    if (head.epoch < expected) {
      restating = true;
    } else if (restating) {
      // What ended the restatement is gone: a checkpoint less, and no epoch. A
      // writer only goes on after one that is whole.
      if (!is_acknowledged(head)) break;
      if (!transaction_damaged) {
        report.damage.push_back(
            {pending.front().head.position, position, report.newest});
      }
      pending.clear();
      restating = false;
      transaction_damaged = false;
      next_sequence = 0;
      checkpoint = 0;
      report.end = position;
    }
    if (head.epoch > expected) {
      // A writer only goes on after a transaction that is whole.
      if (!was_acknowledged(expected)) break;
      if (absl::Status status =
              lose_commits(Epoch::FromValue(head.epoch.value() - 1));
          !status.ok()) {
        return status;
      }
      report.end = position;  // what is lost was committed, and is no tail
      transaction_damaged = false;
      if (!wanted()) break;
      continue;  // the visit above has used `meta`
    }
    position = head.end();
    link = head.checksum;
    if (head.kind != RecordKind::kCommit) {
      bool data_damaged = false;
      if (options.check_data && is_acknowledged(head)) {
        absl::StatusOr<bool> damaged = reader->DataIsDamaged(head);
        if (!damaged.ok()) return damaged.status();
        data_damaged = *damaged;
      }
      pending.push_back({head, data_damaged});
      next_sequence = head.sequence + 1;
      if (head.kind == RecordKind::kCheckpoint && checkpoint == 0) {
        checkpoint = head.position;
      }
      continue;
    }
    if (!is_acknowledged(head)) {
      // A commit record may reach the disk before what is ahead of it.
      bool whole = !transaction_damaged;
      for (size_t i = 0; whole && i < pending.size(); ++i) {
        absl::StatusOr<bool> damaged = reader->DataIsDamaged(pending[i].head);
        if (!damaged.ok()) return damaged.status();
        whole = !*damaged;
      }
      if (!whole) break;
    }
    if (checkpoint != 0) last_checkpoint = checkpoint;
    if (is_acknowledged(head)) last_at_tip = last_checkpoint;
    if (absl::Status status = visit_pending(); !status.ok()) return status;
    read = reader->ReadRecord(head.position, meta);
    if (!read.ok()) return read.status();
    if (!read->has_value()) return Changed();
    const Record record = to_record(head, false);
    if (absl::Status status =
            restating ? visitor.OnRestated(record) : visitor.OnCommit(record);
        !status.ok()) {
      return status;
    }
    report.end = position;
    link_at_end = head.checksum;
    next_of_newest = head.sequence + 1;
    transaction_damaged = false;
    if (!std::exchange(restating, false)) {
      report.newest = expected;
      expected = expected.Next();
    }
  }
  if (!wanted()) return report;

  if (tip->known && tip->tip.epoch >= expected) {
    // A writer may have made the log anew since it was opened.
    if (access_ == FileSystem::Access::kRead && log_ != nullptr) {
      const absl::StatusOr<FileInfo> opened = log_->Info();
      const absl::StatusOr<FileInfo> named = file_system_.Info(LogPath());
      if (opened.ok() && named.ok() && opened->identity != named->identity) {
        return Changed();
      }
    }
    if (report.damage.empty() || report.damage.back().begin < report.end) {
      const uint64_t begin = std::min(report.end, tip->tip.end);
      report.damage.push_back({begin, tip->tip.end, expected});
    }
    if (absl::Status status = lose_commits(tip->tip.epoch); !status.ok()) {
      return status;
    }
    return report;
  }
  // A tip that names no epoch may be of a log that was longer: its first writer
  // ended when it had emptied it.
  if (tip->known && tip->tip.epoch == report.newest &&
      report.newest.value() >= header_.first_epoch &&
      tip->tip.end > report.end) {
    // What restated the newest transaction was acknowledged, and is gone.
    if (report.damage.empty() || report.damage.back().begin < report.end) {
      report.damage.push_back({report.end, tip->tip.end, report.newest});
    }
    return report;
  }
  while (!report.damage.empty() && report.damage.back().begin >= report.end) {
    report.damage.pop_back();
  }
  report.torn_bytes = log_bytes - report.end;
  if (report.torn_bytes != 0 && !tip->known &&
      log_bytes > StoreHeader::kBytes && log_was_there) {
    // Nothing says that these bytes were not acknowledged.
    report.damage.push_back({report.end, log_bytes, expected});
    report.torn_bytes = 0;
  }
  if (report.damage.empty()) {
    report.tip_checkpoint_wrong = !options.checkpoint.has_value() &&
                                  tip->known &&
                                  tip->tip.checkpoint != last_at_tip;
    last_checkpoint_ = last_checkpoint;
    state_ = State::kReplayed;
    sync_failed_.store(false, std::memory_order_relaxed);
    prepared_ = false;
    newest_ = report.newest;
    next_of_newest_ = next_of_newest.value_or(0);
    committed_end_ = report.end;
    committed_link_ = link_at_end;
    end_ = report.end;
    buffer_.clear();
    const bool all =
        was_acknowledged(newest_) && (!tip->known || tip->tip.epoch < newest_ ||
                                      tip->tip.end >= committed_end_);
    acknowledged_ = {
        .epoch = all ? newest_ : tip->tip.epoch,
        .end = all ? committed_end_ : std::min(tip->tip.end, committed_end_),
        .checkpoint = all ? last_checkpoint_ : tip->tip.checkpoint};
    next_slot_ = 1 - tip->slot;
    tip_is_unknown_ = false;
    tip_is_damaged_ = tip->damaged;
    const bool names_none =
        !directory_synced_ && acknowledged_.epoch.value() < header_.first_epoch;
    log_is_unnamed_ = names_none;
    tip_is_unnamed_ = names_none || !tip->known;
  }
  return report;
}

// Looks at what the log, of `log_bytes` bytes, begins with.
absl::Status TransactionLog::CheckHeader(uint64_t log_bytes,
                                         ReplayReport& report) {
  std::array<std::byte, StoreHeader::kBytes> bytes{};
  absl::StatusOr<size_t> read = log_->ReadAt(0, bytes);
  if (!read.ok()) return read.status();
  const absl::StatusOr<StoreHeader> found =
      StoreHeader::Decode(std::span(bytes).first(*read), LogPath());
  if (found.ok() && *found != header_) {
    return absl::DataLossError(absl::StrCat(
        "'", LogPath(), "' is of another store than the directory's header"));
  }
  if (log_bytes > StoreHeader::kBytes) {
    report.header_damaged = !found.ok();
  } else if (!IsPartOfHeader(std::span(bytes).first(*read), header_)) {
    return absl::DataLossError(
        absl::StrCat("'", LogPath(), "' is not a log of this store"));
  }
  return absl::OkStatus();
}

absl::Status TransactionLog::CheckUsable() const {
  if (access_ == FileSystem::Access::kRead) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", LogPath(), "' was opened for reading"));
  }
  if (state_ == State::kFailed ||
      sync_failed_.load(std::memory_order_relaxed)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", LogPath(),
        "' must be opened and replayed again: a write to it failed, or it was "
        "not replayed to its end, or it is damaged"));
  }
  return absl::OkStatus();
}

absl::Status TransactionLog::Prepare() {
  if (prepared_) return absl::OkStatus();
  const State before = std::exchange(state_, State::kFailed);  // until all is
  if (tip_ == nullptr || tip_is_unnamed_) {
    // A log without its tip would look damaged after a power failure.
    const LogTip tip{.epoch = acknowledged_.epoch,
                     .end = acknowledged_.end,
                     .checkpoint = acknowledged_.checkpoint};
    absl::StatusOr<std::shared_ptr<File>> made =
        MakeAnew(TipPath(), [&](File& to) { return WriteTip(tip, to); });
    if (!made.ok()) return made.status();
    tip_ = *std::move(made);
    tip_is_unnamed_ = tip_is_damaged_ = false;
  }
  // What was replayed beyond the tip was never acknowledged and may be in
  // memory alone, even if a sync of it failed. It becomes durable before it is
  // built on.
  if (log_ != nullptr && log_is_unnamed_) {
    absl::StatusOr<std::shared_ptr<File>> made = MakeAnew(
        LogPath(), [&](File& to) { return Rewrite(0, committed_end_, to); });
    if (!made.ok()) return made.status();
    log_ = *std::move(made);
    log_is_unnamed_ = false;
  } else if (acknowledged_.end < committed_end_) {
    if (absl::Status status = Rewrite(acknowledged_.end, committed_end_, *log_);
        !status.ok()) {
      return status;
    }
  }
  if (tip_is_damaged_ || acknowledged_.end < committed_end_) {
    if (absl::Status status = WriteTip({.epoch = newest_,
                                        .end = committed_end_,
                                        .checkpoint = last_checkpoint_},
                                       *tip_);
        !status.ok()) {
      return status;
    }
    tip_is_damaged_ = false;
  }
  const bool is_new = committed_end_ <= StoreHeader::kBytes;
  if (log_ == nullptr) {
    absl::StatusOr<std::unique_ptr<File>> created =
        file_system_.Open(LogPath(), FileSystem::Access::kCreate);
    if (!created.ok()) return created.status();
    log_ = *std::move(created);
  } else {
    // Durable before it is written to: a crash must not leave records of the
    // tail behind new ones that have their numbers and places.
    absl::Status status = log_->Truncate(is_new ? 0 : committed_end_);
    if (status.ok()) status = SyncLog();
    if (!status.ok()) return status;
  }
  if (is_new) {
    std::ranges::copy(header_.Encode(), std::back_inserter(buffer_));
    committed_end_ = StoreHeader::kBytes;
  }
  end_ = committed_end_;
  acknowledged_ = {
      .epoch = newest_, .end = committed_end_, .checkpoint = last_checkpoint_};
  prepared_ = true;
  state_ = before;
  return absl::OkStatus();
}

// A file under a name that is durable, in place of what has that name. It is
// the one or the other also for a process that ends here.
absl::StatusOr<std::shared_ptr<File>> TransactionLog::MakeAnew(
    const std::string& path, absl::FunctionRef<absl::Status(File&)> fill) {
  const std::string aside = absl::StrCat(path, kNewSuffix);
  absl::StatusOr<std::shared_ptr<File>> file =
      file_system_.Open(aside, FileSystem::Access::kCreate);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->Truncate(0);
  if (status.ok()) status = fill(**file);
  if (status.ok()) {
    status = file_system_.Rename(aside, path, FileSystem::IfExists::kReplace);
  }
  if (status.ok()) status = file_system_.SyncDirectory(directory_);
  if (!status.ok()) return status;
  return file_system_.Open(path, FileSystem::Access::kReadWrite);
}

// Both slots: neither may be left unreadable. The one that counts comes last,
// as the other may be damaged.
absl::Status TransactionLog::WriteTip(const LogTip& tip, File& to) {
  const auto bytes = tip.Encode(header_.salt());
  for (const size_t slot : {next_slot_, 1 - next_slot_}) {
    absl::Status status = to.WriteAt(slot * LogTip::kBytes, bytes);
    if (status.ok()) status = to.Sync();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status TransactionLog::SyncLog() {
  const absl::MutexLock lock(sync_log_mutex_);
  if (sync_failed_.load(std::memory_order_relaxed)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", LogPath(), "' must be opened and replayed again: a sync failed"));
  }
  absl::Status status = log_->Sync();
  if (!status.ok()) sync_failed_.store(true, std::memory_order_relaxed);
  return status;
}

absl::Status TransactionLog::BeginAppending() {
  if (absl::Status status = CheckUsable(); !status.ok()) return status;
  if (state_ == State::kAppending) return absl::OkStatus();
  if (absl::Status status = Prepare(); !status.ok()) return status;
  restating_ = false;
  sequence_ = 0;
  link_ = committed_link_;
  transaction_checkpoint_ = 0;
  state_ = State::kAppending;
  return absl::OkStatus();
}

absl::Status TransactionLog::BeginRestatement() {
  if (absl::Status status = CheckUsable(); !status.ok()) return status;
  if (state_ == State::kAppending || next_of_newest_ == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", LogPath(), "' has no transaction to restate, or has begun one"));
  }
  if (absl::Status status = BeginAppending(); !status.ok()) return status;
  restating_ = true;
  sequence_ = next_of_newest_;
  return absl::OkStatus();
}

// Writes the log's bytes from `begin` to `end` once more, to its own file or
// another, and syncs that. A page that failed to be written counts as clean
// from then on, and a sync alone would not write it.
absl::Status TransactionLog::Rewrite(uint64_t begin, uint64_t end, File& to) {
  std::vector<std::byte> buffer;
  for (uint64_t at = begin; at < end; at += buffer.size()) {
    buffer.resize(
        static_cast<size_t>(std::min<uint64_t>(kStreamBytes, end - at)));
    if (absl::Status status = data().Read(at, buffer); !status.ok()) {
      return status;
    }
    if (absl::Status status = to.WriteAt(at, buffer); !status.ok()) {
      return status;
    }
  }
  return to.Sync();
}

absl::Status TransactionLog::Write(uint64_t position,
                                   std::span<const std::byte> bytes) {
  absl::Status status = log_->WriteAt(position, bytes);
  if (!status.ok()) {
    state_ = State::kFailed;
    // Gives a full disk its room back. Should this fail too, the next writer
    // cuts the tail off.
    log_->Truncate(std::min(position, committed_end_)).IgnoreError();
  }
  return status;
}

absl::StatusOr<uint64_t> TransactionLog::AppendRecord(
    RecordKind kind, std::span<const std::byte> meta,
    std::span<const std::byte> data) {
  if (meta.size() > RecordHead::kMaxMetaBytes ||
      data.size() > RecordHead::kMaxDataBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a log record of ", meta.size(), " and ", data.size(),
                     " bytes; the limits are ", RecordHead::kMaxMetaBytes,
                     " and ", RecordHead::kMaxDataBytes));
  }
  if (absl::Status status = BeginAppending(); !status.ok()) return status;
  const RecordHead head{
      .kind = kind,
      .link = link_,
      .epoch = restating_ ? newest_ : newest_.Next(),
      .position = end_,
      .sequence = sequence_,
      .meta_bytes = static_cast<uint32_t>(meta.size()),
      .meta_checksum = Crc32c(meta),
      .data_bytes = static_cast<uint32_t>(data.size()),
      .data_checksum = Crc32c(data),
  };
  // Short data go with the rest in one write; long data are not copied.
  const bool at_once = data.size() <= kReadAheadBytes;
  const auto encoded = head.Encode(header_.salt());
  link_ = RecordHead::ChecksumIn(encoded);
  buffer_.insert(buffer_.end(), encoded.begin(), encoded.end());
  buffer_.insert(buffer_.end(), meta.begin(), meta.end());
  if (at_once) buffer_.insert(buffer_.end(), data.begin(), data.end());
  end_ = at_once ? head.end() : head.data_position();
  if (!at_once || buffer_.size() >= kBufferBytes) {
    if (absl::Status status = Flush(); !status.ok()) return status;
  }
  if (!at_once) {
    if (absl::Status status = Write(end_, data); !status.ok()) return status;
    end_ = head.end();
  }
  ++sequence_;
  return head.data_position();
}

absl::Status TransactionLog::Flush() {
  if (buffer_.empty()) return absl::OkStatus();
  if (absl::Status status = CheckUsable(); !status.ok()) return status;
  if (absl::Status status = Write(end_ - buffer_.size(), buffer_);
      !status.ok()) {
    return status;
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> TransactionLog::Append(
    std::span<const std::byte> meta, std::span<const std::byte> data) {
  return AppendRecord(RecordKind::kData, meta, data);
}

absl::Status TransactionLog::AppendCheckpoint(std::span<const std::byte> meta,
                                              std::span<const std::byte> data) {
  absl::StatusOr<uint64_t> data_position =
      AppendRecord(RecordKind::kCheckpoint, meta, data);
  if (!data_position.ok()) return data_position.status();
  if (transaction_checkpoint_ == 0) {
    transaction_checkpoint_ = *data_position - meta.size() - RecordHead::kBytes;
  }
  return absl::OkStatus();
}

absl::StatusOr<Epoch> TransactionLog::CommitUnsynced(
    std::span<const std::byte> meta) {
  absl::StatusOr<uint64_t> appended =
      AppendRecord(RecordKind::kCommit, meta, {});
  if (!appended.ok()) return appended.status();
  if (!restating_) newest_ = newest_.Next();
  next_of_newest_ = sequence_;
  if (transaction_checkpoint_ != 0) last_checkpoint_ = transaction_checkpoint_;
  committed_end_ = end_;
  committed_link_ = link_;
  state_ = State::kReplayed;
  return newest_;
}

absl::StatusOr<std::optional<TransactionLog::SyncPoint>>
TransactionLog::PrepareSync() {
  if (absl::Status status = CheckUsable(); !status.ok()) return status;
  if (!prepared_ && acknowledged_.end >= committed_end_) return std::nullopt;
  if (absl::Status status = Prepare(); !status.ok()) return status;
  if (absl::Status status = Flush(); !status.ok()) return status;
  return SyncPoint{
      .epoch = newest_, .end = committed_end_, .checkpoint = last_checkpoint_};
}

absl::Status TransactionLog::SyncTo(const SyncPoint& point) {
  if (sync_failed_.load(std::memory_order_relaxed)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", LogPath(), "' must be opened and replayed again: a sync failed"));
  }
  if (point == acknowledged_) return absl::OkStatus();
  absl::Status status = SyncLog();
  if (status.ok() && !directory_synced_) {
    status = file_system_.SyncDirectory(directory_);
    directory_synced_ = status.ok();
  }
  const LogTip tip{
      .epoch = point.epoch, .end = point.end, .checkpoint = point.checkpoint};
  if (status.ok()) {
    tip_is_unknown_ = true;
    status =
        tip_->WriteAt(next_slot_ * LogTip::kBytes, tip.Encode(header_.salt()));
  }
  if (status.ok()) status = tip_->Sync();
  if (!status.ok()) {
    sync_failed_.store(true, std::memory_order_relaxed);
    return status;
  }
  tip_is_unknown_ = false;
  next_slot_ = 1 - next_slot_;
  acknowledged_ = point;
  return absl::OkStatus();
}

void TransactionLog::DropUnacknowledged() {
  state_ = State::kFailed;
  buffer_.clear();
  // A tip that may name it is not made a liar.
  if (!tip_is_unknown_ && log_ != nullptr)
    log_->Truncate(acknowledged_.end).IgnoreError();
}

absl::StatusOr<Epoch> TransactionLog::Commit(std::span<const std::byte> meta) {
  absl::StatusOr<Epoch> epoch = CommitUnsynced(meta);
  if (!epoch.ok()) return epoch;
  absl::StatusOr<std::optional<SyncPoint>> point = PrepareSync();
  if (!point.ok()) return point.status();
  if (absl::Status status = SyncTo(point->value()); !status.ok()) {
    DropUnacknowledged();
    return status;
  }
  return epoch;
}

absl::Status TransactionLog::Abort() {
  if (state_ != State::kAppending) return absl::OkStatus();
  state_ = State::kFailed;
  const uint64_t written = end_ - buffer_.size();
  if (written > committed_end_) {
    // As in Prepare: what comes next must not be mixed with it by a crash.
    absl::Status status = log_->Truncate(committed_end_);
    if (status.ok()) status = SyncLog();
    if (!status.ok()) return status;
    buffer_.clear();
  } else {
    buffer_.resize(static_cast<size_t>(committed_end_ - written));
  }
  end_ = committed_end_;
  state_ = State::kReplayed;
  return absl::OkStatus();
}

absl::StatusOr<TransactionLog::SyncPoint> TransactionLog::Tip() {
  if (absl::Status status = OpenIfPresent(TipPath(), tip_); !status.ok()) {
    return status;
  }
  absl::StatusOr<TipFile> tip = ReadTip(tip_.get(), header_.salt());
  if (!tip.ok()) return tip.status();
  return SyncPoint{.epoch = tip->tip.epoch,
                   .end = tip->tip.end,
                   .checkpoint = tip->tip.checkpoint};
}

absl::StatusOr<std::optional<TransactionLog::Checkpoint>>
TransactionLog::ReadCheckpoint(uint64_t position) {
  if (absl::Status status = OpenIfPresent(LogPath(), log_); !status.ok()) {
    return status;
  }
  if (log_ == nullptr) return std::nullopt;
  absl::StatusOr<FileInfo> info = log_->Info();
  if (!info.ok()) return info.status();
  if (position > info->bytes || info->bytes - position < RecordHead::kBytes) {
    return std::nullopt;
  }
  std::array<std::byte, RecordHead::kBytes> bytes{};
  if (absl::Status status = data().Read(position, bytes); !status.ok()) {
    return status;
  }
  const std::optional<RecordHead> head =
      RecordHead::Decode(bytes, position, header_.salt());
  if (!head.has_value() || head->kind != RecordKind::kCheckpoint ||
      head->end() > info->bytes) {
    return std::nullopt;
  }
  Checkpoint found{.epoch = head->epoch, .meta = {}};
  found.meta.resize(head->meta_bytes);
  if (absl::Status status =
          data().Read(position + RecordHead::kBytes, found.meta);
      !status.ok()) {
    return status;
  }
  if (Crc32c(found.meta) != head->meta_checksum) return std::nullopt;
  return found;
}

}  // namespace mmsb
