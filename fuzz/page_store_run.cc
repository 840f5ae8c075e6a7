#include "fuzz/page_store_run.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fuzz/program.h"
#include "memory/delta/delta.h"
#include "memory/epoch/epoch.h"
#include "memory/invariants.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/transaction_log.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/states.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Op = PageStoreOp;
using enum ProgramArg;
using Bytes = std::vector<std::byte>;

constexpr ProgramKind::Value kSetup[] = {
    {"page_bytes_log2", kByte},  // modulo 3, plus 9
    {"checkpoints", kByte},      // odd: as often as can be
    {"segments", kByte},         // of the log; 0: one; else 64 bytes, less 1
    {"durability", kByte},       // modulo 3: each, group, none
};

constexpr ProgramKind::Op kOps[] = {
    {"kWrite", kSize, kByte},
    {"kSet", kSize, kByte},
    {"kZero", kByte},
    {"kResize", kSize},
    {"kCommit", kByte},
    {"kCheckpoint", kByte},
    {"kAbandon"},
    {"kReopen"},
    {"kRead", kByte},
    {"kVerify"},
    {"kFail", kByte, kByte},
    {"kSync"},
    {"kTable"},
    {"kPrune", kByte},
    {"kHold", kByte},
    {"kConflict", kByte, kByte},
    {"kSalvage"},
    {"kFill", kByte, kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kMaxStateBytes = 9000;
// Each is kept, and each may be read.
constexpr size_t kMaxEpochs = 24;
constexpr size_t kMaxHeld = 4;
constexpr size_t kMaxSalvages = 2;
constexpr std::array kDurability = {Durability::kEach, Durability::kGroup,
                                    Durability::kNone};

class Model {
 public:
  explicit Model(const Program& program)
      : options_({.mode = PageStore::Mode::kCreate,
                  .page_bytes = uint32_t{512} << program.setup[0] % 3,
                  .checkpoint_slack_bytes =
                      program.setup[1] % 2 != 0 ? 0 : ~uint64_t{0},
                  .segment_bytes = program.setup[2] == 0
                                       ? TransactionLog::kSegmentBytes
                                       : (program.setup[2] - 1) * 64,
                  .durability = kDurability[program.setup[3] % 3],
                  .clock = clock_}) {}

  std::string Run(const Program& program) {
    std::string error = Open();
    for (size_t i = 0; error.empty() && i < program.steps.size(); ++i) {
      error = Perform(program.steps[i]);
      if (error.empty() && store_ != nullptr) {
        const absl::Status status = CheckInvariants(*store_);
        if (!status.ok()) error = status.ToString();
      }
      if (!error.empty()) return AtStep(i, error);
    }
    StopFailing();
    if (error.empty()) error = Open();
    // What failed has its last say here.
    failing_ = false;
    for (size_t e = first_; error.empty() && e <= epochs_.size(); ++e) {
      error = Read(e);
    }
    if (error.empty()) error = Verify();
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  void StopFailing() {
    disk_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
  }

  // Nothing befalls the files but calls that fail, so it opens whenever none
  // does.
  std::string Open() {
    held_.clear();
    store_ = nullptr;
    absl::StatusOr<std::unique_ptr<PageStore>> store =
        PageStore::Open(disk_, "store", options_);
    if (!store.ok()) {
      return failing_ ? "" : "Open: " + store.status().ToString();
    }
    store_ = *std::move(store);
    return Settle();
  }

  // A commit or a prune that failed may be there all the same, and one that
  // nobody asked to be durable may be gone.
  std::string Settle() {
    const uint64_t newest = store_->newest().value();
    if (newest == epochs_.size() + 1 && in_doubt_) epochs_.push_back(doubtful_);
    in_doubt_ = false;
    if (failing_ && newest >= durable_ && newest < epochs_.size()) {
      epochs_.resize(newest);
    }
    if (newest != epochs_.size()) {
      return "the newest epoch is " + std::to_string(newest) + ", not " +
             std::to_string(epochs_.size());
    }
    if (!failing_ || options_.durability != Durability::kNone) {
      durable_ = newest;
    }
    const uint64_t first = store_->first().value();
    if (first == doubtful_first_) first_ = first;
    doubtful_first_ = 0;
    return first == first_ ? ""
                           : "the first epoch is " + std::to_string(first) +
                                 ", not " + std::to_string(first_);
  }

  std::string Perform(const Program::Step& step) {
    switch (step.op) {
      case Op::kWrite:
        for (size_t i = 0; i <= step.b % 64 && !state_.empty(); ++i) {
          state_[(step.a + i) % state_.size()] =
              static_cast<std::byte>(step.b + i * 13);
        }
        return "";
      case Op::kSet:
        if (!state_.empty()) {
          state_[step.a % state_.size()] = static_cast<std::byte>(step.b);
        }
        return "";
      case Op::kZero:
      case Op::kFill: {
        const size_t page = options_.page_bytes;
        const size_t pages = (state_.size() + page - 1) / page;
        if (pages == 0) return "";
        const size_t begin = step.a % pages * page;
        const size_t end = std::min(begin + page, state_.size());
        for (size_t i = begin; i < end; ++i) {
          state_[i] = step.op == Op::kZero
                          ? std::byte{0}
                          : static_cast<std::byte>(step.b + i * 7 + i / 128);
        }
        return "";
      }
      case Op::kResize:
        state_.resize(step.a % kMaxStateBytes);
        return "";
      case Op::kCommit:
      case Op::kCheckpoint:
        return Commit(std::string(step.a, 'm'), step.op == Op::kCheckpoint);
      case Op::kReopen:
        return Open();
      case Op::kFail:
        disk_.FailAfter(step.a, FaultyFileSystem::Fault::kShortWrite,
                        step.b % 8);
        failing_ = true;
        return "";
      default:
        break;
    }
    if (store_ == nullptr) return Open();
    switch (step.op) {
      case Op::kAbandon: {
        const absl::StatusOr<PageStore::Batch> batch =
            store_->Begin(state_.size());
        return batch.ok() || failing_ ? "" : batch.status().ToString();
      }
      case Op::kRead:
        return Read(epochs_.empty() ? 1 : 1 + step.a % epochs_.size());
      case Op::kSync:
        return Done("Sync", store_->Sync());
      case Op::kTable:
        return Done("Checkpoint", store_->Checkpoint());
      case Op::kPrune:
        return Prune(step.a);
      case Op::kHold:
        return Hold(step.a);
      case Op::kConflict:
        return Conflict(step.a, step.b);
      case Op::kSalvage:
        return Salvage();
      default:
        return Verify();
    }
  }

  // After it all that was committed is durable, or the store is opened again.
  std::string Done(const char* call, const absl::Status& status) {
    if (status.ok()) {
      durable_ = epochs_.size();
      return "";
    }
    return failing_ ? Open() : std::string(call) + ": " + status.ToString();
  }

  std::string Commit(std::string message, bool checkpoint) {
    if (epochs_.size() >= kMaxEpochs) return "";
    if (store_ == nullptr) {
      std::string error = Open();
      if (!error.empty() || store_ == nullptr) return error;
    }
    return Committed(
        CommitState(*store_, state_,
                    {.message = std::move(message), .checkpoint = checkpoint}),
        state_);
  }

  std::string Committed(const absl::StatusOr<Epoch>& epoch,
                        const Bytes& state) {
    if (epoch.ok()) {
      epochs_.push_back(state);
      if (options_.durability != Durability::kNone) durable_ = epochs_.size();
      return epoch->value() == epochs_.size() ? "" : "a wrong epoch";
    }
    if (!failing_) return "Commit: " + epoch.status().ToString();
    in_doubt_ = true;
    doubtful_ = state;
    return Open();
  }

  std::string Prune(uint64_t epoch) {
    if (epochs_.empty()) {
      return store_->Prune(Epoch::FromValue(epoch)).ok()
                 ? "a prune of no epochs"
                 : "";
    }
    const uint64_t first = first_ + epoch % (epochs_.size() - first_ + 1);
    const absl::Status status = store_->Prune(Epoch::FromValue(first));
    if (!status.ok()) doubtful_first_ = first;
    std::string error = Done("Prune", status);
    if (!error.empty() || !status.ok()) return error;
    first_ = first;
    if (store_->first().value() != first) return "Prune to a wrong epoch";
    return ReadHeld();
  }

  // A snapshot stays right whatever is committed or pruned.
  std::string Hold(uint64_t epoch) {
    if (held_.size() == kMaxHeld || epochs_.empty()) return ReadHeld();
    const uint64_t held = first_ + epoch % (epochs_.size() - first_ + 1);
    absl::StatusOr<PageStore::Snapshot> snapshot =
        store_->SnapshotAt(Epoch::FromValue(held));
    if (!snapshot.ok()) {
      return failing_ ? "" : "SnapshotAt: " + snapshot.status().ToString();
    }
    held_.push_back({*std::move(snapshot), epochs_[held - 1]});
    return "";
  }

  std::string ReadHeld() {
    for (Held& held : held_) {
      Bytes state(held.snapshot.pages() * options_.page_bytes);
      const absl::Status status =
          held.snapshot.Read(PageId::FromValue(0), state);
      if (!status.ok() && !failing_) return "held: " + status.ToString();
      state.resize(held.snapshot.bytes());
      if (status.ok() && state != held.state) {
        return "epoch " + std::to_string(held.snapshot.epoch().value()) +
               ", which was held, has other bytes";
      }
    }
    return "";
  }

  // Of two batches on one epoch the second is committed if it has not changed
  // or read the page that the first one changed.
  std::string Conflict(uint64_t a, uint64_t b) {
    if (epochs_.size() + 2 > kMaxEpochs || epochs_.empty()) return "";
    const size_t page = options_.page_bytes;
    const Bytes base = epochs_.back();
    const size_t pages = (base.size() + page - 1) / page;
    if (pages == 0) return "";
    const size_t mine = a % pages;
    const size_t theirs = b % pages;
    const bool reads = a / 16 % 2 != 0;
    absl::StatusOr<Epoch> second;
    {
      absl::StatusOr<PageStore::Batch> batch = store_->Begin(base.size());
      if (!batch.ok()) return failing_ ? "" : batch.status().ToString();
      Bytes before(page);
      std::copy_n(base.begin() + static_cast<ptrdiff_t>(mine * page),
                  std::min(page, base.size() - mine * page), before.begin());
      Bytes after = before;
      after[0] ^= std::byte{0x5A};
      absl::Status status = batch->Put(PageId::FromValue(mine),
                                       *Delta::Make(before, after), after);
      if (status.ok() && reads) {
        status = batch->Read(PageId::FromValue(theirs), before);
      }
      if (!status.ok()) return failing_ ? "" : status.ToString();
      Bytes first = base;
      first[theirs * page] ^= std::byte{0xA5};
      const absl::StatusOr<Epoch> committed = CommitState(*store_, first);
      if (!committed.ok() && !failing_) return committed.status().ToString();
      if (committed.ok()) {
        std::string error = Committed(committed, first);
        if (!error.empty()) return error;
        second = store_->Commit(*std::move(batch), {});
      } else {
        in_doubt_ = true;
        doubtful_ = first;
      }
    }
    if (in_doubt_) return Open();
    if (mine == theirs || reads) {
      if (absl::IsAborted(second.status()) || (!second.ok() && failing_)) {
        return "";
      }
      return "a batch upon a page that was changed: " +
             second.status().ToString();
    }
    Bytes both = epochs_.back();
    both[mine * page] ^= std::byte{0x5A};
    return Committed(second, both);
  }

  // The copy has every epoch; where it failed, it has, or is no store.
  std::string Salvage() {
    if (salvages_ == kMaxSalvages) return "";
    std::string error = Done("Sync", store_->Sync());
    if (!error.empty() || store_ == nullptr || durable_ != epochs_.size()) {
      return error;
    }
    held_.clear();
    store_ = nullptr;
    const std::string path = "copy" + std::to_string(salvages_++);
    const absl::StatusOr<SalvageReport> report =
        PageStore::Salvage(disk_, "store", path, options_);
    if (!report.ok()) {
      if (!failing_) return "Salvage: " + report.status().ToString();
      StopFailing();
    } else if (report->epochs != epochs_.size() - first_ + 1 ||
               !report->lost.empty()) {
      return failing_ ? Open() : "Salvage lost an epoch";
    }
    PageStore::Options options = options_;
    options.mode = PageStore::Mode::kRead;
    const auto copy = PageStore::Open(disk_, path, options);
    if (copy.ok()) {
      if ((*copy)->newest().value() != epochs_.size()) {
        return "the copy is not whole";
      }
      for (size_t e = first_; error.empty() && e <= epochs_.size(); ++e) {
        error = ReadFrom(**copy, e);
      }
    } else if (!failing_) {
      error = "the copy: " + copy.status().ToString();
    }
    return error.empty() ? Open() : error;
  }

  std::string Read(uint64_t epoch) { return ReadFrom(*store_, epoch); }

  std::string ReadFrom(PageStore& store, uint64_t epoch) {
    const absl::StatusOr<Bytes> state =
        ReadState(store, Epoch::FromValue(epoch));
    if (epoch < first_ || epoch > epochs_.size()) {
      return absl::IsNotFound(state.status()) ? "" : "an epoch that is none";
    }
    if (!state.ok()) return failing_ ? "" : state.status().ToString();
    return *state == epochs_[epoch - 1]
               ? ""
               : "epoch " + std::to_string(epoch) + " has other bytes";
  }

  std::string Verify() {
    // What waits in memory is not in the log.
    std::string error = Done("Sync", store_->Sync());
    if (!error.empty() || store_ == nullptr) return error;
    const absl::StatusOr<VerifyReport> report =
        store_->Verify([](uint64_t, uint64_t) {});
    if (!report.ok()) return failing_ ? "" : report.status().ToString();
    if (!report->damage.empty()) {
      return failing_ ? "" : "damage: " + report->damage.front();
    }
    const size_t epochs = epochs_.size() - first_ + 1;
    if (report->epochs != epochs) return failing_ ? "" : "Verify miscounts";
    if (absl::Status status = store_->LoadEpochs(); !status.ok()) {
      return failing_ ? "" : status.ToString();
    }
    if (store_->epochs().size() != epochs) return "epochs() miscounts";
    for (const EpochInfo& info : store_->epochs()) {
      if (info.bytes != epochs_[info.epoch.value() - 1].size()) {
        return "epochs() has another size";
      }
    }
    return "";
  }

  struct Held {
    PageStore::Snapshot snapshot;
    Bytes state;
  };

  ManualClock clock_{0, 1'000'000};
  FaultyFileSystem disk_;
  const PageStore::Options options_;
  std::unique_ptr<PageStore> store_;
  Bytes state_;
  std::vector<Bytes> epochs_;  // that were committed, those pruned too
  uint64_t first_ = 1;         // that was not pruned
  uint64_t durable_ = 0;       // up to which nothing may be lost
  std::vector<Held> held_;     // not beyond store_
  size_t salvages_ = 0;
  bool failing_ = false;   // calls of the disk may fail, or have
  bool in_doubt_ = false;  // whether doubtful_ was committed
  Bytes doubtful_;
  uint64_t doubtful_first_ = 0;  // whether it was pruned to it; 0: was not
};

}  // namespace

const ProgramKind kPageStoreProgram = {"PageStore", kSetup, kOps,
                                       RunPageStoreProgram};

std::string RunPageStoreProgram(const Program& program) {
  return Model(program).Run(program);
}

}  // namespace mmsb
