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
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "memory/epoch/epoch.h"
#include "memory/log/crc32c.h"
#include "memory/log/file_system.h"
#include "memory/log/log_data.h"
#include "memory/log/log_record.h"
#include "memory/log/log_segments.h"
#include "memory/log/store_header.h"

namespace mmsb {
namespace {

constexpr size_t kStreamBytes = 1 << 20;
// The most lost commits that are told one by one: as many as what is left of
// the log has room for records, within these. It bounds what a forged tip can
// make a reader do and keep.
constexpr uint64_t kMinLostCommits = 1 << 12;
constexpr uint64_t kMaxLostCommits = 1 << 20;
// A segment is at least so much of the log ahead of its end.
constexpr uint64_t kSegmentShare = 16;
// No segment begins beyond; so much more is never in one.
constexpr uint64_t kMaxBase = uint64_t{1} << 63;

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

// Up to where the bytes of each segment are there, and those of the last one,
// as positions in the log.
struct TransactionLog::Extents {
  std::vector<uint64_t> ends;
  uint64_t log_bytes = 0;
};

// Walks over the records of a log whose segments have given sizes.
class TransactionLog::Reader {
 public:
  Reader(const LogSegments& segments, const Extents& extents, uint64_t salt)
      : segments_(segments),
        extents_(extents),
        log_bytes_(extents.log_bytes),
        salt_(salt) {}

  // Where the record is to be found that stands at `position` or, where a
  // segment begins there, behind its header.
  [[nodiscard]] uint64_t PassHeader(uint64_t position) const {
    const LogSegment* const segment = segments_.Find(position);
    return segment != nullptr && segment->base == position
               ? position + StoreHeader::kBytes
               : position;
  }

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
    if (head.has_value() && !Fits(*head)) return std::nullopt;
    return head;
  }

  // The position of the first record head at or after `from`, or the log's end.
  absl::StatusOr<uint64_t> FindRecord(uint64_t from) {
    const std::string_view magic(RecordHead::kMagic.data(),
                                 RecordHead::kMagic.size());
    uint64_t position = PassGap(from);
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
        if (head.has_value() && Fits(*head)) return position + at;
      }
      position = PassGap(position + bytes->size() - (RecordHead::kBytes - 1));
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
  // All of a record is in one segment.
  [[nodiscard]] bool Fits(const RecordHead& head) const {
    return head.end() <= log_bytes_ &&
           head.end() <= segments_.Limit(head.position);
  }

  // A gap may be as long as a forged name says.
  [[nodiscard]] uint64_t PassGap(uint64_t position) const {
    const std::span<const LogSegment> all = segments_.all();
    const auto next =
        std::ranges::upper_bound(all, position, {}, &LogSegment::base);
    if (next == all.end()) return position;
    const auto behind = static_cast<size_t>(next - all.begin());
    return behind == 0 || position >= extents_.ends[behind - 1] ? next->base
                                                                : position;
  }

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
      absl::StatusOr<size_t> read = segments_.ReadAt(position, window_);
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

  const LogSegments& segments_;
  const Extents& extents_;
  const uint64_t log_bytes_;
  const uint64_t salt_;
  std::vector<std::byte> window_;
  uint64_t window_begin_ = 0;
};

TransactionLog::TransactionLog(FileSystem& file_system, std::string directory,
                               const StoreHeader& header,
                               FileSystem::Access access,
                               uint64_t segment_bytes)
    : file_system_(file_system),
      directory_(std::move(directory)),
      header_(header),
      access_(access),
      segment_bytes_(segment_bytes) {}

std::string TransactionLog::LogPath(uint64_t base) const {
  return absl::StrCat(directory_, "/", LogName(header_.generation, base));
}

std::string TransactionLog::TipPath() const {
  return absl::StrCat(directory_, "/", TipName(header_.generation));
}

std::string TransactionLog::LogName(uint64_t generation, uint64_t base) {
  if (base != 0) {
    return absl::StrCat("log.", generation, ".",
                        absl::Hex(base, absl::kZeroPad16));
  }
  return generation == 0 ? "log" : absl::StrCat("log.", generation);
}

std::string TransactionLog::TipName(uint64_t generation) {
  return generation == 0 ? "tip" : absl::StrCat("tip.", generation);
}

std::optional<TransactionLog::FileName> TransactionLog::ParseName(
    std::string_view name) {
  const std::vector<std::string_view> parts = absl::StrSplit(name, '.');
  FileName parsed{.is_tip = parts[0] == "tip"};
  if ((parts.size() > 1 && !absl::SimpleAtoi(parts[1], &parsed.generation)) ||
      (parts.size() > 2 && !absl::SimpleHexAtoi(parts[2], &parsed.base))) {
    return std::nullopt;
  }
  const std::string same = parsed.is_tip
                               ? TipName(parsed.generation)
                               : LogName(parsed.generation, parsed.base);
  return name == same ? std::optional(parsed) : std::nullopt;
}

absl::Status TransactionLog::Changed() const {
  return absl::AbortedError(
      absl::StrCat("'", LogPath(), "' changed while it was read"));
}

absl::StatusOr<std::unique_ptr<TransactionLog>> TransactionLog::Open(
    FileSystem& file_system, std::string directory, const StoreHeader& header,
    FileSystem::Access access, uint64_t segment_bytes) {
  std::unique_ptr<TransactionLog> log(new TransactionLog(
      file_system, std::move(directory), header, access, segment_bytes));
  absl::Status status = log->OpenSegments();
  if (status.ok()) status = log->OpenIfPresent(log->TipPath(), log->tip_);
  if (!status.ok()) return status;
  return log;
}

absl::StatusOr<std::unique_ptr<TransactionLog>> TransactionLog::Open(
    FileSystem& file_system, std::string directory, const StoreHeader& header,
    Files files) {
  std::unique_ptr<TransactionLog> log(
      new TransactionLog(file_system, std::move(directory), header,
                         FileSystem::Access::kRead, kSegmentBytes));
  log->segments_ = std::move(files.log);
  log->tip_ = std::move(files.tip);
  return log;
}

// Opens the segments that are not open yet. A prune removes the oldest first,
// so that without it no other is looked at; those that are open stay.
absl::Status TransactionLog::OpenSegments() {
  absl::StatusOr<std::vector<std::string>> names =
      file_system_.List(directory_);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  if (!names.ok()) return names.status();
  std::vector<uint64_t> bases;
  for (const std::string& name : *names) {
    const std::optional<FileName> parsed = ParseName(name);
    if (parsed.has_value() && !parsed->is_tip &&
        parsed->generation == header_.generation) {
      bases.push_back(parsed->base);
    }
  }
  std::ranges::sort(bases);
  std::vector<LogSegment> segments;
  if (segments_ != nullptr) {
    segments.assign(segments_->all().begin(), segments_->all().end());
  }
  const bool was_first = !segments.empty() && segments.front().base == 0;
  if (bases.empty() || (was_first && bases.front() != 0)) {
    return absl::OkStatus();
  }
  foreign_.clear();
  LogSegment first;  // if it is foreign
  bool is_new = false;
  for (const uint64_t base : bases) {
    if (std::ranges::binary_search(segments, base, {}, &LogSegment::base)) {
      continue;
    }
    LogSegment segment{.base = base, .path = LogPath(base), .file = nullptr};
    if (absl::Status status = OpenIfPresent(segment.path, segment.file);
        !status.ok()) {
      return status;
    }
    if (segment.file == nullptr) break;
    const auto next =
        std::ranges::upper_bound(segments, base, {}, &LogSegment::base);
    absl::StatusOr<bool> is_foreign = IsForeign(
        segment, next == segments.begin() ? nullptr : &*std::prev(next));
    if (!is_foreign.ok()) return is_foreign.status();
    if (*is_foreign) {
      foreign_.push_back(segment.path);
      if (base == 0) first = std::move(segment);
      continue;
    }
    segments.insert(next, std::move(segment));
    is_new = true;
  }
  // The log as a whole is another's: CheckHeader says so.
  if (segments.empty() && first.file != nullptr) {
    foreign_.clear();
    segments.push_back(std::move(first));
    is_new = true;
  }
  if (is_new) SetSegments(std::move(segments));
  return absl::OkStatus();
}

// Whether a segment begins with another header than its own, whole; or with
// none, and is where the one ahead of it has not ended.
absl::StatusOr<bool> TransactionLog::IsForeign(const LogSegment& segment,
                                               const LogSegment* before) const {
  if (segment.base > kMaxBase) return true;
  std::array<std::byte, StoreHeader::kBytes> bytes{};
  absl::StatusOr<size_t> read = segment.file->ReadAt(0, bytes);
  if (!read.ok()) return read.status();
  const absl::StatusOr<StoreHeader> found =
      StoreHeader::Decode(std::span(bytes).first(*read), segment.path);
  if (found.ok()) return *found != HeaderAt(segment.base);
  if (before == nullptr) return false;
  absl::StatusOr<FileInfo> info = before->file->Info();
  if (!info.ok()) return info.status();
  return before->base + info->bytes > segment.base;
}

// Whether a writer has made it anew since a reader opened it.
bool TransactionLog::WasMadeAnew(const LogSegment& segment) const {
  if (access_ != FileSystem::Access::kRead) return false;
  const absl::StatusOr<FileInfo> opened = segment.file->Info();
  const absl::StatusOr<FileInfo> named = file_system_.Info(segment.path);
  return opened.ok() && named.ok() && opened->identity != named->identity;
}

StoreHeader TransactionLog::HeaderAt(uint64_t base) const {
  StoreHeader header = header_;
  header.segment_base = base;
  return header;
}

void TransactionLog::SetSegments(std::vector<LogSegment> segments) {
  segments_ = std::make_shared<const LogSegments>(std::move(segments));
  const absl::MutexLock lock(sync_log_mutex_);
  tail_ = segments_->last().file;
}

uint64_t TransactionLog::TailBase() const {
  return segments_ == nullptr ? 0 : segments_->last().base;
}

// Where the records of the last segment begin, or what follows those that were
// committed.
uint64_t TransactionLog::TailBegin() const {
  return std::max(committed_end_, TailBase() + StoreHeader::kBytes);
}

// Looks at how the segments follow one another, and at their headers.
absl::StatusOr<TransactionLog::Extents> TransactionLog::CheckSegments(
    ReplayReport& report) {
  Extents extents;
  for (const std::string& path : foreign_) {
    report.segment_damage.push_back(absl::StrCat(
        "'", path, "' is a segment of another log, or of another place"));
  }
  const std::span<const LogSegment> all = segments_->all();
  for (size_t i = 0; i < all.size(); ++i) {
    const LogSegment& segment = all[i];
    absl::StatusOr<FileInfo> info = segment.file->Info();
    if (!info.ok()) return info.status();
    uint64_t end = segment.base + info->bytes;
    if (i == 0 && segment.base != 0 && foreign_.empty()) {
      report.segment_damage.push_back(
          absl::StrCat("'", LogPath(), "' is missing"));
    }
    if (i + 1 < all.size()) {
      const LogSegment& next = all[i + 1];
      if (end < next.base) {
        if (WasMadeAnew(segment)) return Changed();
        report.segment_damage.push_back(absl::StrCat(
            "'", LogPath(end), "' is missing, or '", segment.path,
            "' was cut: nothing holds the log's bytes ", end, " to ", next.base,
            ", where '", next.path, "' begins"));
      } else if (end > next.base) {
        report.notes.push_back(
            absl::StrCat("'", segment.path, "' has ", end - next.base,
                         " bytes beyond where '", next.path,
                         "' begins: a crash brought back what was cut off"));
        end = next.base;
      }
    }
    extents.ends.push_back(end);
  }
  extents.log_bytes = extents.ends.back();
  return extents;
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
  const bool log_was_there = segments_ != nullptr;
  if (absl::Status status = OpenIfPresent(TipPath(), tip_); !status.ok()) {
    return status;
  }
  absl::StatusOr<TipFile> tip = ReadTip(tip_.get(), header_.salt());
  if (!tip.ok()) return tip.status();
  // What is wanted up to an epoch that is known is in what is open.
  if (segments_ == nullptr || !options.last.has_value()) {
    if (absl::Status status = OpenSegments(); !status.ok()) return status;
  }

  Extents extents;
  uint64_t log_bytes = 0;
  if (segments_ != nullptr) {
    absl::StatusOr<Extents> found = CheckSegments(report);
    if (!found.ok()) return found.status();
    extents = *std::move(found);
    log_bytes = extents.log_bytes;
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
    std::optional<size_t> kept_at;  // where its meta is in `kept`
  };
  std::vector<Pending> pending;  // of the transaction `expected`
  std::vector<std::byte> meta;
  // The meta of what is pending, up to kReadAheadBytes; others are read again.
  std::vector<std::byte> kept;
  std::vector<std::byte> reread;
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
  if (segments_ != nullptr) {
    reader.emplace(*segments_, extents, header_.salt());
  }
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

  const auto to_record = [](const RecordHead& head,
                            std::span<const std::byte> its_meta,
                            bool data_damaged) {
    return Record{.epoch = head.epoch,
                  .sequence = head.sequence,
                  .meta = its_meta,
                  .position = head.position,
                  .data_position = head.data_position(),
                  .data_bytes = head.data_bytes,
                  .data_checksum = head.data_checksum,
                  .data_damaged = data_damaged};
  };
  const auto visit_pending = [&]() -> absl::Status {
    for (const Pending& p : pending) {
      std::span<const std::byte> its_meta;
      if (p.kept_at.has_value()) {
        its_meta = std::span(kept).subspan(*p.kept_at, p.head.meta_bytes);
      } else {
        absl::StatusOr<std::optional<RecordHead>> again =
            reader->ReadRecord(p.head.position, reread);
        if (!again.ok()) return again.status();
        if (!again->has_value()) return Changed();
        its_meta = reread;
      }
      const Record record = to_record(p.head, its_meta, p.data_damaged);
      if (absl::Status status = p.head.kind == RecordKind::kData
                                    ? visitor.OnData(record)
                                    : visitor.OnCheckpoint(record);
          !status.ok()) {
        return status;
      }
    }
    pending.clear();
    kept.clear();
    next_sequence = 0;
    checkpoint = 0;
    return absl::OkStatus();
  };
  // The transactions up to `last` were committed, and their commit records are
  // gone.
  const auto lose_commits = [&](Epoch last) -> absl::Status {
    if (last.value() - expected.value() >=
        std::clamp(log_bytes / RecordHead::kBytes, kMinLostCommits,
                   kMaxLostCommits)) {
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
    position = reader->PassHeader(position);
    if (position >= log_bytes) break;
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
      kept.clear();
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
      continue;
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
      pending.push_back({head, data_damaged, std::nullopt});
      if (meta.size() <= kReadAheadBytes - kept.size()) {
        pending.back().kept_at = kept.size();
        kept.insert(kept.end(), meta.begin(), meta.end());
      }
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
    const Record record = to_record(head, meta, false);
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
    if (segments_ != nullptr && WasMadeAnew(segments_->last())) {
      return Changed();
    }
    if (report.damage.empty() || report.damage.back().begin < report.end) {
      const uint64_t begin = std::min(report.end, tip->tip.end);
      report.damage.push_back({begin, tip->tip.end, expected});
    }
    if (log_bytes < tip->tip.end && !extents.ends.empty()) {
      report.segment_damage.push_back(absl::StrCat(
          "'", LogPath(log_bytes), "' is missing, or '", segments_->last().path,
          "' was cut: the tip names the log's bytes up ", "to ", tip->tip.end));
    }
    if (absl::Status status = lose_commits(tip->tip.epoch); !status.ok()) {
      return status;
    }
    return report;
  }
  if (report.end < TailBase()) {
    // Not acknowledged, and durable all the same, or the last segment would not
    // be there.
    if (report.damage.empty() || report.damage.back().begin < report.end) {
      report.damage.push_back({report.end, TailBase(), expected});
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
  const uint64_t tail_begin =
      TailBase() == 0 ? report.end
                      : std::max(report.end, TailBase() + StoreHeader::kBytes);
  report.torn_bytes = log_bytes - std::min(log_bytes, tail_begin);
  if (report.torn_bytes != 0 && !tip->known &&
      log_bytes > StoreHeader::kBytes && log_was_there) {
    // Nothing says that these bytes were not acknowledged.
    report.damage.push_back({report.end, log_bytes, expected});
    report.torn_bytes = 0;
  }
  if (report.damage.empty() && report.segment_damage.empty()) {
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
    const absl::MutexLock lock(sync_log_mutex_);
    const bool names_none =
        !directory_synced_ && acknowledged_.epoch.value() < header_.first_epoch;
    tail_is_unnamed_ =
        TailBase() == 0 ? names_none
                        : !directory_synced_ && acknowledged_.end <= TailBase();
    tip_is_unnamed_ = names_none || !tip->known;
  }
  return report;
}

// Looks at what the log, of `log_bytes` bytes, begins with.
absl::Status TransactionLog::CheckHeader(uint64_t log_bytes,
                                         ReplayReport& report) {
  for (const LogSegment& segment : segments_->all()) {
    std::array<std::byte, StoreHeader::kBytes> bytes{};
    absl::StatusOr<size_t> read = segment.file->ReadAt(0, bytes);
    if (!read.ok()) return read.status();
    const absl::StatusOr<StoreHeader> found =
        StoreHeader::Decode(std::span(bytes).first(*read), segment.path);
    if (found.ok() && *found != HeaderAt(segment.base)) {
      return absl::DataLossError(
          absl::StrCat("'", segment.path,
                       "' is of another store than the directory's header"));
    }
    if (log_bytes > StoreHeader::kBytes) {
      if (!found.ok()) {
        report.damaged_headers.push_back(
            LogName(header_.generation, segment.base));
      }
    } else if (!IsPartOfHeader(std::span(bytes).first(*read), header_)) {
      return absl::DataLossError(
          absl::StrCat("'", LogPath(), "' is not a log of this store"));
    }
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
        MakeAnew(TipPath(), [&](File& to) {
          // Both slots: neither may be left unreadable.
          const auto slot = tip.Encode(header_.salt());
          absl::Status status = to.WriteAt(0, slot);
          if (status.ok()) status = to.WriteAt(LogTip::kBytes, slot);
          if (status.ok()) status = to.Sync();
          return status;
        });
    if (!made.ok()) return made.status();
    tip_ = *std::move(made);
    tip_is_unnamed_ = tip_is_damaged_ = false;
  } else if (absl::Status status = RewriteTip(); !status.ok()) {
    return status;
  }
  // What was replayed beyond the tip was never acknowledged and may be in
  // memory alone, even if a sync of it failed. It becomes durable before it is
  // built on.
  if (segments_ != nullptr && tail_is_unnamed_) {
    if (absl::Status status = MakeSegmentAnew(TailBase()); !status.ok()) {
      return status;
    }
    tail_is_unnamed_ = false;
  } else if (acknowledged_.end < committed_end_) {
    const LogSegment& last = segments_->last();
    if (absl::Status status = Rewrite(std::max(acknowledged_.end, last.base),
                                      committed_end_, *last.file, last.base);
        !status.ok()) {
      return status;
    }
  }
  if (tip_is_damaged_ || acknowledged_.end < committed_end_) {
    if (absl::Status status = WriteTip({.epoch = newest_,
                                        .end = committed_end_,
                                        .checkpoint = last_checkpoint_});
        !status.ok()) {
      return status;
    }
    tip_is_damaged_ = false;
  }
  const bool is_new = committed_end_ <= StoreHeader::kBytes;
  if (segments_ == nullptr) {
    absl::StatusOr<std::unique_ptr<File>> created =
        file_system_.Open(LogPath(), FileSystem::Access::kCreate);
    if (!created.ok()) return created.status();
    SetSegments({{.base = 0, .path = LogPath(), .file = *std::move(created)}});
  } else {
    // Durable before it is written to: a crash must not leave records of the
    // tail behind new ones that have their numbers and places.
    absl::Status status = CutTail(is_new ? 0 : TailBegin());
    if (status.ok()) status = SyncLog(Sync::kFile);
    if (!status.ok()) return status;
  }
  if (is_new) {
    std::ranges::copy(header_.Encode(), std::back_inserter(buffer_));
    committed_end_ = StoreHeader::kBytes;
  }
  end_ = TailBegin();
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

// The last segment, as far as it was committed, under a name that is durable.
absl::Status TransactionLog::MakeSegmentAnew(uint64_t base) {
  const uint64_t begin = base + StoreHeader::kBytes;
  absl::StatusOr<std::shared_ptr<File>> made =
      MakeAnew(LogPath(base), [&](File& to) {
        absl::Status status = to.WriteAt(0, HeaderAt(base).Encode());
        if (status.ok()) {
          status = Rewrite(begin, std::max(begin, committed_end_), to, base);
        }
        return status;
      });
  if (!made.ok()) return made.status();
  std::vector<LogSegment> segments(segments_->all().begin(),
                                   segments_->all().end());
  if (segments.back().base == base) segments.pop_back();
  segments.push_back(
      {.base = base, .path = LogPath(base), .file = *std::move(made)});
  SetSegments(std::move(segments));
  return absl::OkStatus();
}

bool TransactionLog::SegmentIsFull() const {
  const uint64_t base = TailBase();
  return committed_end_ > base + StoreHeader::kBytes &&
         committed_end_ - base >= segment_bytes_ &&
         committed_end_ - base >= committed_end_ / kSegmentShare;
}

// All that was committed becomes durable first, with the names of its files: a
// segment is only there when the ones ahead of it are whole.
absl::Status TransactionLog::BeginSegment() {
  if (absl::Status status = Flush(); !status.ok()) return status;
  const State before = std::exchange(state_, State::kFailed);  // until it is
  absl::Status status = SyncLog(Sync::kFileAndNames);
  if (status.ok()) status = MakeSegmentAnew(committed_end_);
  if (!status.ok()) return status;
  end_ = TailBegin();
  state_ = before;
  return absl::OkStatus();
}

// Writes the slot that counts once more, as it is, and syncs it. It may be in
// memory alone: an earlier process may have ended, or have failed, at its sync.
// Then the other slot is all that is known to be on the disk, and is not to be
// written to before this one is. If it is this one that was on the disk, the
// same bytes take nothing from it, however they arrive.
absl::Status TransactionLog::RewriteTip() {
  const uint64_t at = (1 - next_slot_) * LogTip::kBytes;
  std::array<std::byte, LogTip::kBytes> slot{};
  absl::StatusOr<size_t> read = tip_->ReadAt(at, slot);
  if (!read.ok()) return read.status();
  absl::Status status = tip_->WriteAt(at, std::span(slot).first(*read));
  return status.ok() ? tip_->Sync() : status;
}

// To the slot that does not count; then it does. The other one must be known to
// be durable.
absl::Status TransactionLog::WriteTip(const LogTip& tip) {
  absl::Status status =
      tip_->WriteAt(next_slot_ * LogTip::kBytes, tip.Encode(header_.salt()));
  if (status.ok()) status = tip_->Sync();
  if (status.ok()) next_slot_ = 1 - next_slot_;
  return status;
}

absl::Status TransactionLog::SyncLog(Sync what) {
  const absl::MutexLock lock(sync_log_mutex_);
  if (sync_failed_.load(std::memory_order_relaxed)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", LogPath(), "' must be opened and replayed again: a sync failed"));
  }
  absl::Status status = tail_->Sync();
  if (status.ok() && what == Sync::kFileAndNames && !directory_synced_) {
    status = file_system_.SyncDirectory(directory_);
    directory_synced_ = status.ok();
  }
  if (!status.ok()) sync_failed_.store(true, std::memory_order_relaxed);
  return status;
}

// Cuts the last segment off at `position`, which is not ahead of it.
absl::Status TransactionLog::CutTail(uint64_t position) {
  const LogSegment& last = segments_->last();
  return last.file->Truncate(position - last.base);
}

absl::Status TransactionLog::BeginAppending() {
  if (absl::Status status = CheckUsable(); !status.ok()) return status;
  if (state_ == State::kAppending) return absl::OkStatus();
  if (absl::Status status = Prepare(); !status.ok()) return status;
  if (SegmentIsFull()) {
    if (absl::Status status = BeginSegment(); !status.ok()) return status;
  }
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

// Writes the log's bytes from `begin` to `end` once more, to their own segment
// or another of that base, and syncs it. A page that failed to be written
// counts as clean from then on, and a sync alone would not write it.
absl::Status TransactionLog::Rewrite(uint64_t begin, uint64_t end, File& to,
                                     uint64_t to_base) {
  std::vector<std::byte> buffer;
  for (uint64_t at = begin; at < end; at += buffer.size()) {
    buffer.resize(
        static_cast<size_t>(std::min<uint64_t>(kStreamBytes, end - at)));
    if (absl::Status status = data().Read(at, buffer); !status.ok()) {
      return status;
    }
    if (absl::Status status = to.WriteAt(at - to_base, buffer); !status.ok()) {
      return status;
    }
  }
  return to.Sync();
}

absl::Status TransactionLog::Write(uint64_t position,
                                   std::span<const std::byte> bytes) {
  const LogSegment& last = segments_->last();
  absl::Status status = last.file->WriteAt(position - last.base, bytes);
  if (!status.ok()) {
    state_ = State::kFailed;
    // Gives a full disk its room back. Should this fail too, the next writer
    // cuts the tail off.
    CutTail(std::min(position, TailBegin())).IgnoreError();
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
  absl::Status status = SyncLog(Sync::kFileAndNames);
  const LogTip tip{
      .epoch = point.epoch, .end = point.end, .checkpoint = point.checkpoint};
  if (status.ok()) {
    tip_is_unknown_ = true;
    status = WriteTip(tip);
  }
  if (!status.ok()) {
    sync_failed_.store(true, std::memory_order_relaxed);
    return status;
  }
  tip_is_unknown_ = false;
  acknowledged_ = point;
  return absl::OkStatus();
}

void TransactionLog::DropUnacknowledged() {
  state_ = State::kFailed;
  buffer_.clear();
  // A tip that may name it is not made a liar, and what is in a segment ahead
  // of the last one is durable.
  if (!tip_is_unknown_ && segments_ != nullptr) {
    const uint64_t base = TailBase();
    CutTail(base == 0 ? acknowledged_.end
                      : std::max(acknowledged_.end, base + StoreHeader::kBytes))
        .IgnoreError();
  }
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
  const uint64_t begin = TailBegin();
  if (written > begin) {
    // As in Prepare: what comes next must not be mixed with it by a crash.
    absl::Status status = CutTail(begin);
    if (status.ok()) status = SyncLog(Sync::kFile);
    if (!status.ok()) return status;
    buffer_.clear();
  } else {
    buffer_.resize(static_cast<size_t>(begin - written));
  }
  end_ = begin;
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
  if (segments_ == nullptr) {
    if (absl::Status status = OpenSegments(); !status.ok()) return status;
  }
  const LogSegment* const segment =
      segments_ == nullptr ? nullptr : segments_->Find(position);
  if (segment == nullptr) return std::nullopt;
  absl::StatusOr<FileInfo> info = segment->file->Info();
  if (!info.ok()) return info.status();
  const uint64_t end =
      std::min(segment->base + info->bytes, segments_->Limit(position));
  if (position > end || end - position < RecordHead::kBytes) {
    return std::nullopt;
  }
  std::array<std::byte, RecordHead::kBytes> bytes{};
  if (absl::Status status = data().Read(position, bytes); !status.ok()) {
    return status;
  }
  const std::optional<RecordHead> head =
      RecordHead::Decode(bytes, position, header_.salt());
  if (!head.has_value() || head->kind != RecordKind::kCheckpoint ||
      head->end() > end) {
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
