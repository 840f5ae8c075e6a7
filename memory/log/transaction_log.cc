#include "memory/log/transaction_log.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
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
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"

namespace mmsb {
namespace {

constexpr size_t kReadAheadBytes = 64 << 10;
constexpr size_t kStreamBytes = 1 << 20;

std::string_view AsString(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct TipFile {
  LogTip tip;
  bool damaged = false;  // a slot was
  bool known = false;    // one slot was whole, at the least
};

absl::StatusOr<TipFile> ReadTip(File* file, uint64_t store_id) {
  TipFile result;
  if (file == nullptr) {
    result.damaged = true;
    return result;
  }
  std::array<std::byte, 2 * LogTip::kBytes> bytes{};
  absl::StatusOr<size_t> read = file->ReadAt(0, bytes);
  if (!read.ok()) return read.status();
  for (size_t slot = 0; slot < 2; ++slot) {
    const std::optional<LogTip> tip = LogTip::Decode(
        std::span(bytes).subspan(slot * LogTip::kBytes, LogTip::kBytes),
        store_id);
    if (!tip.has_value()) {
      result.damaged = true;
      continue;
    }
    result.known = true;
    if (tip->epoch > result.tip.epoch) result.tip = *tip;
  }
  return result;
}

}  // namespace

// Walks over the records of a log of a given size.
class TransactionLog::Reader {
 public:
  Reader(File& file, uint64_t log_bytes, uint64_t store_id)
      : file_(file), log_bytes_(log_bytes), store_id_(store_id) {}

  uint64_t log_bytes() const { return log_bytes_; }

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
        RecordHead::Decode(*bytes, position, store_id_);
    if (head.has_value() && head->end() > log_bytes_) return std::nullopt;
    return head;
  }

  // The position of the first record head at or after `from`, or log_bytes().
  absl::StatusOr<uint64_t> FindRecord(uint64_t from) {
    const std::string_view magic(RecordHead::kMagic.data(),
                                 RecordHead::kMagic.size());
    uint64_t position = from;
    while (position < log_bytes_ &&
           log_bytes_ - position >= RecordHead::kBytes) {
      absl::StatusOr<std::span<const std::byte>> bytes = Fetch(
          position, std::min<uint64_t>(kStreamBytes, log_bytes_ - position));
      if (!bytes.ok()) return bytes.status();
      const size_t found = AsString(*bytes).find(magic);
      if (found == std::string_view::npos) {
        position += bytes->size() - (magic.size() - 1);
        continue;
      }
      position += found;
      absl::StatusOr<std::optional<RecordHead>> head = ReadHead(position);
      if (!head.ok()) return head.status();
      if (head->has_value()) return position;
      ++position;
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
    if (position < window_begin_ || position - window_begin_ > window_.size() ||
        window_.size() - (position - window_begin_) < bytes) {
      window_.resize(std::min<uint64_t>(std::max(bytes, kReadAheadBytes),
                                        log_bytes_ - position));
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
    return std::span<const std::byte>(window_).subspan(position - window_begin_,
                                                       bytes);
  }

  File& file_;
  const uint64_t log_bytes_;
  const uint64_t store_id_;
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
  return absl::StrCat(directory_, "/log");
}

std::string TransactionLog::TipPath() const {
  return absl::StrCat(directory_, "/tip");
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

absl::Status TransactionLog::OpenIfPresent(const std::string& path,
                                           std::unique_ptr<File>& file) {
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
  absl::StatusOr<TipFile> tip = ReadTip(tip_.get(), header_.store_id);
  if (!tip.ok()) return tip.status();
  if (absl::Status status = OpenIfPresent(LogPath(), log_); !status.ok()) {
    return status;
  }

  uint64_t log_bytes = 0;
  if (log_ != nullptr) {
    absl::StatusOr<FileInfo> info = log_->Info();
    if (!info.ok()) return info.status();
    log_bytes = info->bytes;
    std::array<std::byte, StoreHeader::kBytes> bytes{};
    absl::StatusOr<size_t> read = log_->ReadAt(0, bytes);
    if (!read.ok()) return read.status();
    report.header_damaged =
        log_bytes > StoreHeader::kBytes && bytes != header_.Encode();
    if (log_was_there && log_bytes > StoreHeader::kBytes) {
      report.tip_damaged = tip->damaged && tip->known;
      report.tip_lost = !tip->known;
    }
  }

  struct Pending {
    RecordHead head;
    std::vector<std::byte> meta;
    bool data_damaged;
  };
  std::vector<Pending> pending;  // of the transaction `expected`
  Epoch expected = Epoch().Next();
  bool transaction_damaged = false;

  const auto to_record = [](const Pending& p) {
    return Record{.epoch = p.head.epoch,
                  .sequence = p.head.sequence,
                  .meta = p.meta,
                  .position = p.head.position,
                  .data_position = p.head.data_position(),
                  .data_bytes = p.head.data_bytes,
                  .data_damaged = p.data_damaged};
  };
  const auto visit_pending = [&]() -> absl::Status {
    for (const Pending& p : pending) {
      if (absl::Status status = visitor.OnData(to_record(p)); !status.ok()) {
        return status;
      }
    }
    pending.clear();
    return absl::OkStatus();
  };
  // Transactions up to `epoch`, without it, were committed, and their commit
  // records are gone.
  const auto lose_commits_before = [&](Epoch epoch) -> absl::Status {
    for (; expected < epoch; expected = expected.Next()) {
      if (absl::Status status = visit_pending(); !status.ok()) return status;
      if (absl::Status status = visitor.OnLostCommit(expected); !status.ok()) {
        return status;
      }
      report.newest = expected;
    }
    return absl::OkStatus();
  };

  const auto wanted = [&] {
    return !options.last.has_value() || expected <= *options.last;
  };
  end_ = log_bytes;
  uint64_t position = StoreHeader::kBytes;
  report.end = std::min<uint64_t>(position, log_bytes);
  if (log_ != nullptr) {
    Reader reader(*log_, log_bytes, header_.store_id);
    while (position < log_bytes && wanted()) {
      Pending next{};
      absl::StatusOr<std::optional<RecordHead>> head =
          reader.ReadRecord(position, next.meta);
      if (!head.ok()) return head.status();
      // Every lost transaction took a record at the least; more of them than
      // fit before this record is not a thing that damage can do.
      const bool plausible = head->has_value() && (*head)->epoch >= expected &&
                             (*head)->epoch.value() - expected.value() <=
                                 position / RecordHead::kBytes;
      if (!plausible) {
        absl::StatusOr<uint64_t> found = reader.FindRecord(position + 1);
        if (!found.ok()) return found.status();
        report.damage.push_back({position, *found, expected});
        transaction_damaged = true;
        position = *found;
        continue;
      }
      next.head = **head;
      if (next.head.epoch > expected) {
        if (absl::Status status = lose_commits_before(next.head.epoch);
            !status.ok()) {
          return status;
        }
        transaction_damaged = false;
        if (!wanted()) break;
      }
      next.data_damaged = false;
      if (options.check_data) {
        absl::StatusOr<bool> damaged = reader.DataIsDamaged(next.head);
        if (!damaged.ok()) return damaged.status();
        next.data_damaged = *damaged;
      }
      position = next.head.end();
      if (next.head.kind == RecordKind::kData) {
        pending.push_back(std::move(next));
        continue;
      }
      if (transaction_damaged && tip->known && tip->tip.epoch < expected) {
        // The commit record reached the disk before a record ahead of it, and
        // then the power went: never acknowledged, unless more comes after it.
        absl::StatusOr<std::optional<RecordHead>> after =
            reader.ReadHead(position);
        if (!after.ok()) return after.status();
        if (!after->has_value()) break;
      }
      if (absl::Status status = visit_pending(); !status.ok()) return status;
      if (absl::Status status = visitor.OnCommit(to_record(next));
          !status.ok()) {
        return status;
      }
      report.newest = expected;
      report.end = position;
      expected = expected.Next();
      transaction_damaged = false;
    }
  }
  if (!wanted()) return report;

  if (tip->known && tip->tip.epoch >= expected) {
    if (report.damage.empty() || report.damage.back().begin < report.end) {
      const uint64_t begin = std::min(report.end, tip->tip.end);
      report.damage.push_back({begin, tip->tip.end, expected});
    }
    if (absl::Status status = lose_commits_before(tip->tip.epoch.Next());
        !status.ok()) {
      return status;
    }
    return report;
  }
  while (!report.damage.empty() && report.damage.back().begin >= report.end) {
    report.damage.pop_back();
  }
  report.torn_bytes = log_bytes - report.end;
  if (report.damage.empty()) {
    state_ = State::kReplayed;
    newest_ = report.newest;
    committed_end_ = report.end;
    end_ = report.end;
    tip_is_behind_ = tip->damaged || tip->tip.epoch < newest_;
  }
  return report;
}

absl::Status TransactionLog::BeginAppending() {
  if (access_ == FileSystem::Access::kRead) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", LogPath(), "' was opened for reading"));
  }
  if (state_ == State::kFailed) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", LogPath(),
        "' must be opened and replayed again: a write to it failed, or it was "
        "not replayed to its end, or it is damaged"));
  }
  if (state_ == State::kAppending) return absl::OkStatus();

  state_ = State::kFailed;  // until all of this has been done
  for (auto [path, file] :
       {std::pair(TipPath(), &tip_), std::pair(LogPath(), &log_)}) {
    if (*file != nullptr) continue;
    absl::StatusOr<std::unique_ptr<File>> created =
        file_system_.Open(path, FileSystem::Access::kCreate);
    if (!created.ok()) return created.status();
    *file = *std::move(created);
  }
  if (absl::Status status = log_->Truncate(committed_end_); !status.ok()) {
    return status;
  }
  if (committed_end_ <= StoreHeader::kBytes) {
    if (absl::Status status = log_->WriteAt(0, header_.Encode());
        !status.ok()) {
      return status;
    }
    committed_end_ = StoreHeader::kBytes;
  }
  if (tip_is_behind_ && newest_ != Epoch()) {
    if (absl::Status status = WriteTip(); !status.ok()) return status;
  }
  tip_is_behind_ = false;
  end_ = committed_end_;
  sequence_ = 0;
  state_ = State::kAppending;
  return absl::OkStatus();
}

// Says that the log is acknowledged up to committed_end_.
absl::Status TransactionLog::WriteTip() {
  const LogTip tip{.epoch = newest_, .end = committed_end_};
  return tip_->WriteAt(tip.slot_position(), tip.Encode(header_.store_id));
}

absl::Status TransactionLog::Write(uint64_t position,
                                   std::span<const std::byte> bytes) {
  absl::Status status = log_->WriteAt(position, bytes);
  if (!status.ok()) {
    state_ = State::kFailed;
    // Gives a full disk its room back. Should this fail too, the next writer
    // cuts the tail off.
    log_->Truncate(committed_end_).IgnoreError();
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
      .epoch = newest_.Next(),
      .position = end_,
      .sequence = sequence_,
      .meta_bytes = static_cast<uint32_t>(meta.size()),
      .meta_checksum = Crc32c(meta),
      .data_bytes = static_cast<uint32_t>(data.size()),
      .data_checksum = Crc32c(data),
  };
  std::vector<std::byte> front(RecordHead::kBytes + meta.size());
  std::ranges::copy(head.Encode(header_.store_id), front.begin());
  std::ranges::copy(meta, front.begin() + RecordHead::kBytes);
  if (absl::Status status = Write(head.position, front); !status.ok()) {
    return status;
  }
  if (absl::Status status = Write(head.data_position(), data); !status.ok()) {
    return status;
  }
  end_ = head.end();
  ++sequence_;
  return head.data_position();
}

absl::StatusOr<uint64_t> TransactionLog::Append(
    std::span<const std::byte> meta, std::span<const std::byte> data) {
  return AppendRecord(RecordKind::kData, meta, data);
}

absl::StatusOr<Epoch> TransactionLog::Commit(std::span<const std::byte> meta) {
  absl::StatusOr<uint64_t> appended =
      AppendRecord(RecordKind::kCommit, meta, {});
  if (!appended.ok()) return appended.status();
  state_ = State::kFailed;  // until all of this has been done
  if (absl::Status status = log_->Sync(); !status.ok()) return status;
  if (!directory_synced_) {
    if (absl::Status status = file_system_.SyncDirectory(directory_);
        !status.ok()) {
      return status;
    }
    directory_synced_ = true;
  }
  newest_ = newest_.Next();
  committed_end_ = end_;
  if (absl::Status status = WriteTip(); !status.ok()) return status;
  state_ = State::kReplayed;
  return newest_;
}

absl::Status TransactionLog::Abort() {
  if (state_ != State::kAppending) return absl::OkStatus();
  state_ = State::kFailed;
  if (absl::Status status = log_->Truncate(committed_end_); !status.ok()) {
    return status;
  }
  end_ = committed_end_;
  state_ = State::kReplayed;
  return absl::OkStatus();
}

absl::Status TransactionLog::ReadData(uint64_t position,
                                      std::span<std::byte> out) {
  if (log_ == nullptr) {
    return absl::DataLossError(absl::StrCat("'", LogPath(), "' is missing"));
  }
  absl::StatusOr<size_t> read = log_->ReadAt(position, out);
  if (!read.ok()) return read.status();
  if (*read != out.size()) {
    return absl::DataLossError(absl::StrCat("'", LogPath(), "' ends ",
                                            out.size() - *read,
                                            " bytes before its data does"));
  }
  return absl::OkStatus();
}

}  // namespace mmsb
