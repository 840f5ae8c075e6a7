#include "fuzz/transaction_log_run.h"

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

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "fuzz/program.h"
#include "memory/epoch/epoch.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/prefix_oracle.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"

namespace mmsb {
namespace {

using Op = TransactionLogOp;
using enum ProgramArg;
using Bytes = std::vector<std::byte>;

constexpr ProgramKind::Value kSetup[] = {
    {"crash_states", kByte},  // the most that are looked at, in each crash
    // 0: one is never full; otherwise 32 bytes each, less 1: see SegmentBytes
    {"segments", kByte},
};

constexpr ProgramKind::Op kOps[] = {
    {"kAppend", kByte, kSize},
    {"kCheckpoint", kByte, kByte},
    {"kCommit", kByte},
    {"kAbort"},
    {"kReopen"},
    {"kFail", kByte, kByte},
    {"kCrash", kByte},
    {"kCommitUnsynced", kByte},
    {"kSync"},
    {"kRestate", kByte, kByte},
    {"kRead", kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr char kDirectory[] = "store";
constexpr size_t kMaxDataBytes = 2000;
// So much that they go to the disk in a write of their own.
constexpr size_t kLongDataBytes = TransactionLog::kReadAheadBytes + 1;
constexpr size_t kMaxLong = 3;
// A crash has many states; so many are recovered of each, and so many crashes
// happen in a program.
constexpr size_t kMaxCrashes = 3;
constexpr size_t kMaxTransactions = 20;

uint64_t SegmentBytes(uint64_t segments) {
  return segments == 0 ? TransactionLog::kSegmentBytes : (segments - 1) * 32;
}

Bytes Pattern(size_t bytes, uint64_t seed) {
  Bytes pattern(bytes);
  for (size_t i = 0; i < bytes; ++i) {
    pattern[i] = static_cast<std::byte>(seed * 31 + i * 7);
  }
  return pattern;
}

// A text of what a log holds, which the model writes too.
void Describe(char kind, uint64_t epoch, std::span<const std::byte> meta,
              std::span<const std::byte> data, std::string& text) {
  absl::StrAppend(
      &text, std::string(1, kind), epoch, ":", meta.size(), ".",
      meta.empty() ? 0 : std::to_integer<int>(meta[0]), ".", data.size(), ".",
      static_cast<uint32_t>(absl::ComputeCrc32c(std::string_view(
          reinterpret_cast<const char*>(data.data()), data.size()))),
      " ");
}

class Recorder final : public TransactionLog::Visitor {
 public:
  explicit Recorder(const TransactionLog& log) : log_(log) {}

  absl::Status OnData(const TransactionLog::Record& record) override {
    return Note('d', record);
  }
  absl::Status OnCheckpoint(const TransactionLog::Record& record) override {
    return Note('p', record);
  }
  absl::Status OnCommit(const TransactionLog::Record& record) override {
    return Note('c', record);
  }
  absl::Status OnRestated(const TransactionLog::Record& record) override {
    return Note('r', record);
  }
  absl::Status OnLostCommit(Epoch epoch) override {
    absl::StrAppend(&text, "lost", epoch.value(), " ");
    return absl::OkStatus();
  }

  std::string text;

 private:
  absl::Status Note(char kind, const TransactionLog::Record& record) {
    Bytes data(record.data_bytes);
    if (absl::Status status = log_.data().Read(record.data_position, data);
        !status.ok()) {
      return status;
    }
    Describe(kind, record.epoch.value(), record.meta, data, text);
    if (record.data_damaged) absl::StrAppend(&text, "damaged ");
    return absl::OkStatus();
  }

  const TransactionLog& log_;
};

// The log of `disk`, replayed.
absl::StatusOr<std::unique_ptr<TransactionLog>> Open(FileSystem& disk,
                                                     uint64_t segment_bytes,
                                                     std::string& text) {
  absl::StatusOr<std::unique_ptr<TransactionLog>> log =
      TransactionLog::Open(disk, kDirectory, StoreHeader{.store_id = 77},
                           FileSystem::Access::kReadWrite, segment_bytes);
  if (!log.ok()) return log.status();
  Recorder recorder(**log);
  const auto report = (*log)->Replay({.check_data = true}, recorder);
  if (!report.ok()) return report.status();
  // A call that fails, or a crash, takes one of its slots at the most.
  if (report->tip_lost) return absl::DataLossError("the tip is lost");
  text = recorder.text;
  return log;
}

class Model {
 public:
  Model(size_t crash_states, uint64_t segment_bytes)
      : crash_states_(crash_states + 1), segment_bytes_(segment_bytes) {
    disk_.OnCrashPoint([this] {
      if (syncs_to_crash_ == 0) return;
      --syncs_to_crash_;
      if (syncs_to_crash_ != 0) return;
      error_at_sync_ = Crash(more_at_sync_, /*at_end=*/true);
    });
  }

  std::string Run(const Program& program) {
    if (!disk_.CreateDirectory(kDirectory).ok() ||
        !disk_.SyncDirectory(".").ok()) {
      return "no directory";
    }
    std::string error = Reopen();
    for (size_t i = 0; error.empty() && i < program.steps.size(); ++i) {
      error = Perform(program.steps[i]);
      if (error.empty()) error = error_at_sync_;
      if (!error.empty()) return AtStep(i, error);
    }
    disk_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
    failing_ = false;
    syncs_to_crash_ = 0;
    if (error.empty()) error = Reopen();
    if (error.empty()) error = Crash(0, true);
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  std::string Reopen() {
    log_ = nullptr;
    pending_.clear();
    std::string text;
    absl::StatusOr<std::unique_ptr<TransactionLog>> log =
        Open(disk_, segment_bytes_, text);
    if (!log.ok()) return failing_ ? "" : "Open: " + log.status().ToString();
    log_ = *std::move(log);
    return Adopt(text);
  }

  // The state in which the log was found is one that may be.
  std::string Adopt(const std::string& text) {
    if (absl::Status status = oracle_.Check(text); !status.ok()) {
      return status.ToString() + ": " + text;
    }
    committed_ = text;
    return "";
  }

  std::string Perform(const Program::Step& step) {
    if (step.op == Op::kFail) {
      disk_.FailAfter(step.a, FaultyFileSystem::Fault::kShortWrite, step.b % 4);
      failing_ = true;
      return "";
    }
    if (step.op == Op::kReopen || log_ == nullptr) return Reopen();
    ++serial_;
    switch (step.op) {
      case Op::kAppend:
        return Append('d', step.a, DataBytes(step.b));
      case Op::kCheckpoint:
        return Append('p', step.a, step.b);
      case Op::kCommit:
      case Op::kCommitUnsynced:
        return Commit(step.a, step.op == Op::kCommit);
      case Op::kSync:
        return Sync();
      case Op::kRestate:
        return Restate(step.a, step.b);
      case Op::kRead:
        return Read(step.a);
      case Op::kAbort:
        pending_.clear();
        checkpoints_ = false;
        return Failed(log_->Abort(), "Abort");
      default:
        if (crashes_++ >= kMaxCrashes) return "";
        syncs_to_crash_ = step.a / 8 % 8;
        more_at_sync_ = step.a;
        return syncs_to_crash_ == 0 ? Crash(step.a, false) : "";
    }
  }

  size_t DataBytes(uint64_t number) {
    const size_t bytes = number % kMaxDataBytes;
    return number < kLongDataBytes || long_++ >= kMaxLong
               ? bytes
               : kLongDataBytes + bytes;
  }

  // The epoch of the current transaction: each one before has a 'c'.
  [[nodiscard]] uint64_t Next() const {
    return static_cast<uint64_t>(
               std::count(committed_.begin(), committed_.end(), 'c')) +
           1;
  }

  // What a failed call means: nothing, where the disk fails; the log is then
  // opened again.
  std::string Failed(const absl::Status& status, const char* call) {
    if (status.ok()) return "";
    if (!failing_) return std::string(call) + ": " + status.ToString();
    return Reopen();
  }

  std::string Append(char kind, size_t meta_bytes, size_t data_bytes) {
    if (transactions_ >= kMaxTransactions) return "";
    if (kind == 'd' && checkpoints_) return "";  // these come last
    const Bytes meta = Pattern(meta_bytes, serial_);
    const Bytes data = Pattern(data_bytes, serial_ + 1);
    const absl::Status appended = kind == 'd'
                                      ? log_->Append(meta, data).status()
                                      : log_->AppendCheckpoint(meta, data);
    if (!appended.ok()) return Failed(appended, "Append");
    if (kind == 'p') checkpoints_ = true;
    Describe(kind, Next(), meta, data, pending_);
    return "";
  }

  std::string Commit(size_t meta_bytes, bool sync) {
    if (transactions_++ >= kMaxTransactions) return "";
    const Bytes meta = Pattern(meta_bytes, serial_);
    const uint64_t next = Next();
    std::string text = committed_ + pending_;
    Describe('c', next, meta, {}, text);
    Begin(text);
    pending_.clear();
    checkpoints_ = false;
    const absl::StatusOr<Epoch> epoch =
        sync ? log_->Commit(meta) : log_->CommitUnsynced(meta);
    if (!epoch.ok()) return Failed(epoch.status(), "Commit");
    if (sync) oracle_.Acknowledge();
    committed_ = text;
    return epoch->value() == next ? "" : "a wrong epoch";
  }

  std::string Sync() {
    const absl::StatusOr<std::optional<TransactionLog::SyncPoint>> point =
        log_->PrepareSync();
    if (!point.ok()) return Failed(point.status(), "PrepareSync");
    if (point->has_value()) {
      if ((*point)->epoch.value() + 1 != Next()) return "another sync point";
      if (absl::Status status = log_->SyncTo(**point); !status.ok()) {
        log_->DropUnacknowledged();
        return Failed(status, "SyncTo");
      }
    }
    // A later one that failed, and was cut off, may come back by a crash.
    if (begun_ == committed_) oracle_.Acknowledge();
    return "";
  }

  std::string Restate(size_t meta_bytes, size_t data_bytes) {
    if (transactions_++ >= kMaxTransactions) return "";
    const bool may = Next() > 1 && pending_.empty();
    const absl::Status begun = log_->BeginRestatement();
    if (begun.code() == absl::StatusCode::kFailedPrecondition) {
      return may ? "BeginRestatement: " + begun.ToString() : "";
    }
    if (!begun.ok()) return Failed(begun, "BeginRestatement");
    if (!may) return "restated what may not be";
    const Bytes meta = Pattern(meta_bytes, serial_);
    const Bytes data = Pattern(data_bytes, serial_ + 1);
    absl::Status status = log_->AppendCheckpoint(meta, data);
    if (!status.ok()) return Failed(status, "AppendCheckpoint");
    std::string text = committed_;
    Describe('p', Next() - 1, meta, data, text);
    Describe('r', Next() - 1, meta, {}, text);
    Begin(text);
    const absl::StatusOr<Epoch> epoch = log_->CommitUnsynced(meta);
    if (!epoch.ok()) return Failed(epoch.status(), "CommitUnsynced");
    committed_ = text;
    return epoch->value() + 1 == Next() ? "" : "a wrong epoch";
  }

  std::string Read(uint64_t what) {
    if (absl::Status status = log_->Flush(); !status.ok()) {
      return Failed(status, "Flush");
    }
    const std::string error = ReadFlushed(what % 4, what / 4);
    return failing_ ? "" : error;
  }

  std::string ReadFlushed(uint64_t how, uint64_t which) {
    const auto reader = TransactionLog::Open(
        disk_, kDirectory, StoreHeader{.store_id = 77},
        which % 2 == 0 ? log_->files() : TransactionLog::Files{});
    if (!reader.ok()) return "Open: " + reader.status().ToString();
    TransactionLog& log = **reader;
    TransactionLog::ReplayOptions options = {.check_data = true};
    if (how == 1) options.last = Epoch::FromValue(which % 16);
    if (how == 2) {
      const absl::StatusOr<TransactionLog::SyncPoint> tip = log.Tip();
      if (!tip.ok()) return "Tip: " + tip.status().ToString();
      if (tip->checkpoint == 0) return "";
      const auto found = log.ReadCheckpoint(tip->checkpoint);
      if (!found.ok() || !found->has_value()) return "no checkpoint";
      if ((*found)->epoch > tip->epoch) return "a checkpoint of another epoch";
      options.checkpoint = tip->checkpoint;
    }
    if (how == 3) {
      const auto found = log.ReadCheckpoint(StoreHeader::kBytes + which * 8);
      return found.ok() ? "" : "ReadCheckpoint: " + found.status().ToString();
    }
    Recorder recorder(log);
    const auto report = log.Replay(options, recorder);
    if (!report.ok()) return "Replay: " + report.status().ToString();
    if (!report->damage.empty()) return "damage";
    return IsPart(recorder.text, options) ? "" : "read: " + recorder.text;
  }

  // Whether a replay with these options may see that.
  [[nodiscard]] bool IsPart(std::string text,
                            const TransactionLog::ReplayOptions& options) {
    if (options.last.has_value()) {
      const auto commits =
          static_cast<uint64_t>(std::count(text.begin(), text.end(), 'c'));
      return committed_.starts_with(text) &&
             commits == std::min(options.last->value(), Next() - 1);
    }
    if (!options.checkpoint.has_value()) return committed_ == text;
    if (text.empty()) return false;
    if (committed_.ends_with(text)) return true;
    // What the checkpoint restates is a commit to who begins there.
    const size_t commit = text.find('c');
    if (commit != std::string::npos) text[commit] = 'r';
    return committed_.ends_with(text);
  }

  void Begin(const std::string& text) {
    begun_ = text;
    oracle_.Begin(text);
  }

  // Recovers from states that a crash may leave now: at the end from more.
  std::string Crash(size_t more, bool at_end) {
    std::string error;
    size_t number = 0;
    disk_.ForEachCrashState(
        {.max_states = at_end ? 64u : 16u}, [&](FaultyFileSystem& left) {
          if (!error.empty() || number++ > more % 8 + crash_states_) return;
          std::string text;
          absl::StatusOr<std::unique_ptr<TransactionLog>> log =
              Open(left, segment_bytes_, text);
          if (!log.ok()) {
            error = "after a crash: " + log.status().ToString();
            return;
          }
          if (absl::Status status = oracle_.Check(text); !status.ok()) {
            error = status.ToString() + ": " + text;
            return;
          }
          // What was found stays, and a commit on top is found too.
          const absl::StatusOr<Epoch> epoch = (*log)->Commit({});
          if (!epoch.ok()) {
            error = "Commit after a crash: " + epoch.status().ToString();
            return;
          }
          Describe('c', epoch->value(), {}, {}, text);
          *log = nullptr;
          std::string again;
          log = Open(left, segment_bytes_, again);
          if (!log.ok() || again != text) {
            error = "a commit after a crash was lost: " + again;
          }
        });
    return error;
  }

  const size_t crash_states_;
  const uint64_t segment_bytes_;
  FaultyFileSystem disk_;
  std::unique_ptr<TransactionLog> log_;
  PrefixOracle oracle_{""};
  std::string begun_;         // the newest of its states
  std::string committed_;     // what the log holds
  std::string pending_;       // of the transaction that is not committed yet
  bool checkpoints_ = false;  // there are some in it
  bool failing_ = false;
  uint64_t serial_ = 0;
  size_t transactions_ = 0;
  size_t crashes_ = 0;
  size_t long_ = 0;            // data records that are
  size_t syncs_to_crash_ = 0;  // the crash is before the last of them; 0: none
  size_t more_at_sync_ = 0;    // states of it
  std::string error_at_sync_;
};

}  // namespace

const ProgramKind kTransactionLogProgram = {"TransactionLog", kSetup, kOps,
                                            RunTransactionLogProgram};

std::string RunTransactionLogProgram(const Program& program) {
  return Model(program.setup[0] % 32, SegmentBytes(program.setup[1]))
      .Run(program);
}

}  // namespace mmsb
