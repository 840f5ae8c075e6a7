#include "fuzz/page_store_run.h"

#include <algorithm>
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
#include "memory/epoch/epoch.h"
#include "memory/invariants.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/transaction_log.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/states.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Op = PageStoreOp;
using enum ProgramArg;
using Bytes = std::vector<std::byte>;

constexpr ProgramKind::Value kSetup[] = {
    {"page_bytes_log2", kByte},  // modulo 3, plus 9
    {"checkpoints", kByte},      // odd: as often as can be
    {"segments", kByte},         // of the log; 0: one; else 64 bytes, less 1
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
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kMaxStateBytes = 9000;
// Each is kept, and each may be read.
constexpr size_t kMaxEpochs = 24;

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
    disk_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
    failing_ = false;
    if (error.empty()) error = Open();
    for (size_t i = 0; error.empty() && i < epochs_.size(); ++i) {
      error = Read(i);
    }
    if (error.empty()) error = Verify();
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  // Nothing befalls the files but calls that fail, so it opens whenever none
  // does.
  std::string Open() {
    store_ = nullptr;
    absl::StatusOr<std::unique_ptr<PageStore>> store =
        PageStore::Open(disk_, "store", options_);
    if (!store.ok()) {
      return failing_ ? "" : "Open: " + store.status().ToString();
    }
    store_ = *std::move(store);
    return Settle();
  }

  // A commit that failed may be there all the same.
  std::string Settle() {
    const uint64_t newest = store_->newest().value();
    if (newest == epochs_.size() + 1 && in_doubt_) epochs_.push_back(doubtful_);
    in_doubt_ = false;
    if (newest != epochs_.size()) {
      return "the newest epoch is " + std::to_string(newest) + ", not " +
             std::to_string(epochs_.size());
    }
    return "";
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
      case Op::kZero: {
        const size_t page = options_.page_bytes;
        const size_t pages = (state_.size() + page - 1) / page;
        if (pages == 0) return "";
        const size_t begin = step.a % pages * page;
        std::fill_n(state_.begin() + static_cast<ptrdiff_t>(begin),
                    std::min(page, state_.size() - begin), std::byte{0});
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
        if (epochs_.empty()) {
          return store_->SnapshotAt(Epoch::FromValue(1)).ok()
                     ? "an epoch that is none"
                     : "";
        }
        return Read(step.a % epochs_.size());
      default:
        return Verify();
    }
  }

  std::string Commit(std::string message, bool checkpoint) {
    if (epochs_.size() >= kMaxEpochs) return "";
    if (store_ == nullptr) {
      std::string error = Open();
      if (!error.empty() || store_ == nullptr) return error;
    }
    const absl::StatusOr<Epoch> epoch =
        CommitState(*store_, state_,
                    {.message = std::move(message), .checkpoint = checkpoint});
    if (epoch.ok()) {
      epochs_.push_back(state_);
      return epoch->value() == epochs_.size() ? "" : "a wrong epoch";
    }
    if (!failing_) return "Commit: " + epoch.status().ToString();
    in_doubt_ = true;
    doubtful_ = state_;
    return Open();
  }

  std::string Read(size_t index) {
    const absl::StatusOr<Bytes> state =
        ReadState(*store_, Epoch::FromValue(index + 1));
    if (!state.ok()) return failing_ ? "" : state.status().ToString();
    return *state == epochs_[index]
               ? ""
               : "epoch " + std::to_string(index + 1) + " has other bytes";
  }

  std::string Verify() {
    const absl::StatusOr<VerifyReport> report =
        store_->Verify([](uint64_t, uint64_t) {});
    if (!report.ok()) return failing_ ? "" : report.status().ToString();
    if (!report->damage.empty()) {
      return failing_ ? "" : "damage: " + report->damage.front();
    }
    return report->epochs == epochs_.size() ? "" : "Verify miscounts";
  }

  ManualClock clock_{0, 1'000'000};
  FaultyFileSystem disk_;
  const PageStore::Options options_;
  std::unique_ptr<PageStore> store_;
  Bytes state_;
  std::vector<Bytes> epochs_;
  bool failing_ = false;   // calls of the disk may fail, or have
  bool in_doubt_ = false;  // whether doubtful_ was committed
  Bytes doubtful_;
};

}  // namespace

const ProgramKind kPageStoreProgram = {"PageStore", kSetup, kOps,
                                       RunPageStoreProgram};

std::string RunPageStoreProgram(const Program& program) {
  return Model(program).Run(program);
}

}  // namespace mmsb
