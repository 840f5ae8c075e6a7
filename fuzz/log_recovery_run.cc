#include "fuzz/log_recovery_run.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fuzz/damaged_store.h"
#include "fuzz/program.h"
#include "memory/epoch/epoch.h"
#include "memory/log/faulty_file_system.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/states.h"
#include "memory/testing/allocation_meter.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Op = LogRecoveryOp;
using enum ProgramArg;
using Bytes = std::vector<std::byte>;

constexpr ProgramKind::Value kSetup[] = {
    {"store", kByte},  // of DamagedStore
};

constexpr ProgramKind::Op kOps[] = {
    {"kFlip", kByte, kSize},    {"kCut", kByte, kSize},
    {"kAppend", kByte, kSize},  {"kZero", kByte, kSize},
    {"kMove", kByte, kSize},    {"kRemove", kByte},
    {"kReplace", kByte, kSize}, {"kForge", kByte, kSize},
};
static_assert(std::size(kOps) == Op::kOpCount);

// A store that was forged may say that it is of any size, and is looked at no
// further than this.
constexpr uint64_t kMaxPages = 64;
constexpr uint64_t kMaxEpochs = 24;
constexpr uint64_t kMaxWrittenBytes = 32 << 10;
// What is allocated at once, of pages that may be of 64 KiB.
constexpr size_t kMaxBlockBytes = size_t{5} << 20;

void Damage(const Program::Step& step, DamagedStore& store) {
  const auto bits = static_cast<uint8_t>(1u << (step.b / 3 + step.a) % 8);
  switch (step.op) {
    case Op::kFlip:
      return store.Flip(step.a, step.b, bits);
    case Op::kForge:
      return store.Forge(step.a, step.b, bits);
    case Op::kCut:
      return store.Cut(step.a, step.b);
    case Op::kAppend:
      return store.Append(step.a, step.b % 5000, static_cast<uint8_t>(step.b));
    case Op::kZero:
      return store.Zero(step.a, step.b, 64);
    case Op::kMove:
      return store.Move(step.a, step.b, 2 * step.b, 48);
    case Op::kRemove:
      return store.Remove(step.a);
    default:
      return store.Replace(
          step.a, Bytes(step.b % 5000, static_cast<std::byte>(step.b * 41)));
  }
}

absl::StatusOr<std::unique_ptr<PageStore>> Open(FaultyFileSystem& disk,
                                                PageStore::Mode mode) {
  static ManualClock* const clock = new ManualClock(0, 1'000'000);
  return PageStore::Open(disk, DamagedStore::kPath,
                         {.mode = mode, .page_bytes = 512, .clock = *clock});
}

void ReadPages(PageStore& store, Epoch epoch) {
  auto snapshot = store.SnapshotAt(epoch);
  if (!snapshot.ok()) return;
  Bytes pages(std::min(snapshot->pages(), kMaxPages) * store.page_bytes());
  snapshot->Read(PageId::FromValue(0), pages).IgnoreError();
}

// Whatever checksums say, nothing more is done than what bytes ask for: no
// crash, and no block of memory that is larger than they are.
std::string LookAtForged(FaultyFileSystem& disk) {
  {
    const AllocationMeter meter;
    if (const auto store = Open(disk, PageStore::Mode::kRead); store.ok()) {
      const uint64_t newest = (*store)->newest().value();
      for (uint64_t e = 0; e <= std::min(newest, kMaxEpochs) + 1; ++e) {
        ReadPages(**store, Epoch::FromValue(e));
      }
      (*store)->Verify([](uint64_t, uint64_t) {}).IgnoreError();
    }
    if (meter.largest() > kMaxBlockBytes) {
      return "a block of " + std::to_string(meter.largest()) + " bytes";
    }
  }
  if (const auto store = Open(disk, PageStore::Mode::kWrite);
      store.ok() && (*store)->newest_info().bytes <= kMaxWrittenBytes) {
    CommitState(**store, Bytes(1000, std::byte{7})).IgnoreError();
    (*store)->Prune((*store)->newest()).IgnoreError();
  }
  return "";
}

// Each epoch can be had back as it was, or not at all.
std::string Compare(PageStore& store, const std::vector<Bytes>& epochs,
                    size_t* intact) {
  const uint64_t newest = store.newest().value();
  if (newest > epochs.size()) return "an epoch that was never committed";
  for (uint64_t e = 1; e <= newest; ++e) {
    const absl::StatusOr<Bytes> state = ReadState(store, Epoch::FromValue(e));
    if (!state.ok()) continue;
    if (*state != epochs[e - 1]) {
      return "epoch " + std::to_string(e) + " has other bytes";
    }
    ++*intact;
  }
  return "";
}

}  // namespace

const ProgramKind kLogRecoveryProgram = {"LogRecovery", kSetup, kOps,
                                         RunLogRecoveryProgram};

std::string RunLogRecoveryProgram(const Program& program) {
  DamagedStore damaged(program.setup[0]);
  for (const Program::Step& step : program.steps) Damage(step, damaged);
  FaultyFileSystem disk;
  damaged.WriteTo(disk);
  if (std::ranges::any_of(program.steps, [](const Program::Step& step) {
        return step.op == Op::kForge;
      })) {
    return LookAtForged(disk);
  }
  size_t intact = 0;
  if (const auto store = Open(disk, PageStore::Mode::kRead); store.ok()) {
    std::string error = Compare(**store, damaged.epochs(), &intact);
    if (!error.empty()) return error;
    const absl::StatusOr<VerifyReport> report =
        (*store)->Verify([](uint64_t, uint64_t) {});
    if (report.ok() && report->ok() && intact != report->epochs) {
      return "Verify found nothing, and an epoch cannot be read";
    }
    // With the tip damaged too, the last commit may look like one that was
    // never acknowledged.
    if (report.ok() && report->ok() && damaged.Differs("log") &&
        !damaged.Differs("tip")) {
      return "Verify found nothing, and the log is not as it was written";
    }
  }
  if (program.steps.empty() && intact != damaged.epochs().size()) {
    return "a store without damage has lost an epoch";
  }
  // A writer goes on, or refuses; what could be read stays.
  const auto store = Open(disk, PageStore::Mode::kWrite);
  if (!store.ok()) return "";
  const uint64_t newest = (*store)->newest().value();
  const Bytes state(1000, std::byte{7});
  const absl::StatusOr<Epoch> epoch = CommitState(**store, state, CommitInfo());
  if (!epoch.ok()) return "";
  if (epoch->value() != newest + 1) return "a wrong epoch";
  const absl::StatusOr<Bytes> again = ReadState(**store, *epoch);
  if (!again.ok()) return "a new epoch is lost: " + again.status().ToString();
  if (*again != state) return "a new epoch has other bytes";
  size_t still = 0;
  for (uint64_t e = 1; e <= newest && e <= damaged.epochs().size(); ++e) {
    const absl::StatusOr<Bytes> old = ReadState(**store, Epoch::FromValue(e));
    if (old.ok() && *old != damaged.epochs()[e - 1]) {
      return "epoch " + std::to_string(e) + " has other bytes after a commit";
    }
    still += old.ok() ? 1 : 0;
  }
  return still >= intact ? "" : "a commit took an epoch away";
}

}  // namespace mmsb
