// What a crash leaves of a store, in every state that FaultyFileSystem shows.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/log/crc32c.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/log_record.h"
#include "memory/log/prefix_oracle.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/forged_log.h"
#include "memory/store/testing/forwarding_file_system.h"
#include "memory/store/testing/states.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Mode = PageStore::Mode;

constexpr char kPath[] = "store";

// How often commits write checkpoints.
enum class Checkpoints { kNever, kOften };

// How commits are written.
struct Writing {
  Checkpoints checkpoints = Checkpoints::kNever;
  uint64_t segment_bytes = TransactionLog::kSegmentBytes;
};

// Each transaction begins a file of its own.
constexpr Writing kSegmented = {.segment_bytes = 0};

absl::StatusOr<std::unique_ptr<PageStore>> Open(
    FileSystem& disk, Mode mode, Writing writing,
    Durability durability = Durability::kEach) {
  static ManualClock* const clock = new ManualClock(0, 1'000'000);
  return PageStore::Open(
      disk, kPath,
      {.mode = mode,
       .page_bytes = 512,
       .checkpoint_slack_bytes =
           writing.checkpoints == Checkpoints::kOften ? 0 : ~uint64_t{0},
       .segment_bytes = writing.segment_bytes,
       .durability = durability,
       .clock = *clock});
}

// A text for what a store holds: the epochs from `first` on, all bytes of them.
std::string TextOf(uint64_t first, std::span<const Bytes> epochs) {
  if (epochs.empty()) return "";
  std::string text = absl::StrCat("from ", first, " ");
  for (const Bytes& epoch : epochs) {
    absl::StrAppend(
        &text, epoch.size(), ":",
        std::string_view(reinterpret_cast<const char*>(epoch.data()),
                         epoch.size()),
        ";");
  }
  return text;
}

absl::StatusOr<std::string> TextOf(PageStore& store) {
  std::vector<Bytes> epochs;
  for (uint64_t e = store.first().value(); e <= store.newest().value(); ++e) {
    absl::StatusOr<Bytes> state = ReadState(store, Epoch::FromValue(e));
    if (!state.ok()) return state.status();
    epochs.push_back(*std::move(state));
  }
  return TextOf(store.first().value(), epochs);
}

// What a reader finds; a store that is not there yet is one without epochs.
absl::StatusOr<std::string> Read(FileSystem& disk) {
  absl::StatusOr<std::unique_ptr<PageStore>> store =
      Open(disk, Mode::kRead, Writing());
  if (absl::IsNotFound(store.status())) return "";
  if (!store.ok()) return store.status();
  return TextOf(**store);
}

// A workload of operations:
//
//   c  commits the next state; p does so with a checkpoint, n without a sync
//   k  writes a checkpoint
//   x  prunes what is before the newest epoch, y what is before the one before
//   s  syncs
//   r  opens the store again
class Workload {
 public:
  Workload(std::string operations, uint64_t seed, Writing writing = {})
      : operations_(std::move(operations)),
        writing_(writing),
        history_(RandomHistory(seed, operations_.size())) {}

  // Commits `history`.
  Workload(std::string operations, std::vector<Bytes> history)
      : operations_(std::move(operations)), history_(std::move(history)) {}

  Writing writing() const { return writing_; }

  // Performs it on `disk`. `begin` is called before the store is opened, which
  // is done again behind an error.
  void Run(
      FileSystem& disk, PrefixOracle& oracle,
      absl::FunctionRef<void()> begin = [] {}) const {
    std::unique_ptr<PageStore> store;
    uint64_t done = 0;  // the newest epoch
    uint64_t first = 1;
    // What a commit that failed has cut off again. A crash may bring it back,
    // until the cut is durable, as it is when something else is committed.
    std::string cut;
    const auto text = [&](uint64_t epochs) {
      if (epochs == 0) return std::string();
      return TextOf(first, std::span(history_).subspan(first - 1).first(
                               epochs - (first - 1)));
    };
    for (const char operation : operations_) {
      if (operation == 'r') store = nullptr;
      if (store == nullptr) {
        begin();
        absl::StatusOr<std::unique_ptr<PageStore>> opened =
            Open(disk, Mode::kCreate, writing_,
                 absl::StrContains(operations_, 'n') ? Durability::kNone
                                                     : Durability::kEach);
        if (!opened.ok()) continue;
        store = *std::move(opened);
        const bool is_empty = store->newest() == Epoch();
        done = is_empty ? 0 : store->newest().value();
        first = is_empty ? 1 : store->first().value();
        // What is built on from here, which a later sync acknowledges.
        const absl::Status found = oracle.Check(text(done));
        EXPECT_TRUE(found.ok()) << found << " by the next process";
        oracle.Begin(text(done));
      }
      absl::Status status;
      switch (operation) {
        case 'c':
        case 'p':
        case 'n':
          oracle.Begin(text(done + 1));
          status = CommitState(*store, history_[done],
                               CommitInfo{.checkpoint = operation == 'p'})
                       .status();
          cut = status.ok() ? "" : text(done + 1);
          done += status.ok() ? 1 : 0;
          if (operation == 'n' && status.ok()) continue;
          break;
        case 'k':
          status = store->Checkpoint();
          break;
        case 's':
          status = store->Sync();
          break;
        case 'x':
        case 'y': {
          const uint64_t before = operation == 'x' ? 0 : 1;
          if (done <= before || done - before <= first) continue;
          first = done - before;
          oracle.Begin(text(done));
          status = store->Prune(Epoch::FromValue(first));
          if (status.ok()) cut.clear();
          break;
        }
        default:
          continue;
      }
      if (status.ok()) {
        if (!cut.empty()) oracle.Begin(text(done));
        oracle.Acknowledge();
        if (!cut.empty()) oracle.Begin(cut);
      } else {
        store = nullptr;
      }
    }
  }

 private:
  std::string operations_;
  Writing writing_;
  std::vector<Bytes> history_;
};

// The first thing that is wrong in a store that nothing befell but a crash. It
// may have taken the log's copy of the header, which is told, and no loss.
std::string Verify(PageStore& store) {
  const absl::StatusOr<VerifyReport> report =
      store.Verify([](uint64_t, uint64_t) {});
  if (!report.ok()) return std::string(report.status().message());
  for (const std::string& damage : report->damage) {
    if (!damage.ends_with(": its header is damaged")) return damage;
  }
  return "";
}

// Recovers from what a crash left: a reader, then a writer, then a commit on
// top. The first thing that is wrong, or nothing.
std::string Recover(FaultyFileSystem& left, const PrefixOracle& oracle,
                    Writing writing) {
  const absl::StatusOr<std::string> read = Read(left);
  if (!read.ok()) return absl::StrCat("a reader: ", read.status().message());
  if (absl::Status verdict = oracle.Check(*read); !verdict.ok()) {
    return absl::StrCat("a reader: ", verdict.message());
  }
  {
    absl::StatusOr<std::unique_ptr<PageStore>> store =
        Open(left, Mode::kCreate, writing);
    if (!store.ok()) {
      return absl::StrCat("a writer: ", store.status().message());
    }
    if (const std::string wrong = Verify(**store); !wrong.empty()) {
      return absl::StrCat("verify: ", wrong);
    }
    const std::vector<std::string> names = *left.List(kPath);
    const auto files = std::ranges::count_if(names, [](const auto& name) {
      const auto parsed = TransactionLog::ParseName(name);
      return !parsed.has_value() || parsed->base == 0;
    });
    if (files > 5) {
      return absl::StrCat(files, " files are there, more than a store needs");
    }
    const absl::StatusOr<std::string> again = TextOf(**store);
    if (!again.ok()) {
      return absl::StrCat("a writer: ", again.status().message());
    }
    if (*again != *read) return "a writer finds other epochs than a reader";
    const absl::StatusOr<Epoch> next =
        CommitState(**store, Bytes(700, std::byte{7}));
    if (!next.ok()) {
      return absl::StrCat("the next commit: ", next.status().message());
    }
  }
  const absl::StatusOr<std::string> after = Read(left);
  if (!after.ok()) {
    return absl::StrCat("after the next commit: ", after.status().message());
  }
  const std::string next =
      TextOf(1, std::vector<Bytes>{Bytes(700, std::byte{7})});
  const std::string expected =
      read->empty() ? next : *read + next.substr(std::strlen("from 1 "));
  return *after == expected ? "" : "the next commit changed other epochs";
}

// Passes everything on to a disk, but for the syncs from number `first` on, of
// files and directories alike.
class Syncs final : public ForwardingFileSystem {
 public:
  enum class Do {
    kAll,        // as they are called
    kSkipFiles,  // says that they are done
    kSkipDirectories,
    kSkipOne,   // the first of them
    kFailOnce,  // the first of them, and tells
    kRetry,     // the same, and calls it again
    // The process ends at the first of them: this call and all that follow
    // fail and do nothing, until Begin().
    kEndProcess,
    // All syncs are done, but a checkpoint is written to the log only behind
    // the sync that should have covered it.
    kLateCheckpoints,
  };

  Syncs(FaultyFileSystem& base, Do what, uint64_t first)
      : ForwardingFileSystem(base), base_(base), what_(what), first_(first) {}

  // Another process begins.
  void Begin() {
    if (!std::exchange(ended_, false)) return;
    base_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
  }

  uint64_t count() const { return count_; }
  bool skipped_directory() const { return skipped_directory_; }

  absl::Status SyncDirectory(const std::string& path) override {
    return Sync(Do::kSkipDirectories,
                [&] { return base_.SyncDirectory(path); });
  }

 private:
  class SyncedFile final : public ForwardingFile {
   public:
    SyncedFile(Syncs& owner, std::unique_ptr<File> base)
        : ForwardingFile(std::move(base)), owner_(owner) {}
    absl::Status WriteAt(uint64_t offset,
                         std::span<const std::byte> data) override {
      if (owner_.what_ == Do::kLateCheckpoints) {
        const bool is_record = data.size() >= RecordHead::kBytes &&
                               data[0] == std::byte{'M'} &&
                               data[2] == std::byte{'C'};
        // What follows a record's head and meta, and is no record, is its data.
        in_checkpoint_ =
            is_record
                ? data[3] == static_cast<std::byte>(RecordKind::kCheckpoint)
                : in_checkpoint_;
        if (in_checkpoint_) {
          late_.emplace_back(offset, Bytes(data.begin(), data.end()));
          return absl::OkStatus();
        }
      }
      return ForwardingFile::WriteAt(offset, data);
    }
    absl::Status Sync() override {
      absl::Status status =
          owner_.Sync(Do::kSkipFiles, [&] { return ForwardingFile::Sync(); });
      for (const auto& [offset, data] : std::exchange(late_, {})) {
        status.Update(ForwardingFile::WriteAt(offset, data));
      }
      return status;
    }

   private:
    Syncs& owner_;
    bool in_checkpoint_ = false;
    std::vector<std::pair<uint64_t, Bytes>> late_;
  };

  absl::Status Sync(Do skipped_by, absl::FunctionRef<absl::Status()> sync) {
    const absl::Status ended = absl::UnavailableError("the process has ended");
    if (ended_) return ended;
    const uint64_t number = count_++;
    if (number == first_ && what_ == Do::kEndProcess) {
      ended_ = true;
      base_.FailAfter(0, FaultyFileSystem::Fault::kIoError);
      return ended;
    }
    if (number >= first_ && what_ == skipped_by) return absl::OkStatus();
    if (number == first_ && what_ == Do::kSkipOne) {
      skipped_directory_ = skipped_by == Do::kSkipDirectories;
      return absl::OkStatus();
    }
    if (number == first_ && (what_ == Do::kFailOnce || what_ == Do::kRetry)) {
      base_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 1);
      absl::Status failed = sync();
      return what_ == Do::kRetry ? sync() : failed;
    }
    return sync();
  }

  std::unique_ptr<File> Wrap(std::unique_ptr<File> file) override {
    return std::make_unique<SyncedFile>(*this, std::move(file));
  }

  FaultyFileSystem& base_;
  const Do what_;
  const uint64_t first_;
  uint64_t count_ = 0;
  bool ended_ = false;
  bool skipped_directory_ = false;
};

// Lets each record's data have its checksum, whatever they are: as if nobody
// compared it.
void DropDataChecks(FaultyFileSystem& disk) {
  const absl::StatusOr<std::vector<std::string>> names = disk.List(kPath);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = absl::StrCat(kPath, "/", name);
    if (!name.starts_with("log")) continue;
    const auto file = *disk.Open(path, FileSystem::Access::kReadWrite);
    Bytes bytes(static_cast<size_t>(disk.Info(path)->bytes));
    ASSERT_EQ(*file->ReadAt(0, bytes), bytes.size());
    const absl::StatusOr<StoreHeader> header = StoreHeader::Decode(bytes, "");
    if (!header.ok()) continue;
    ForgeRecords(bytes, header->salt(),
                 [](RecordHead& head, std::span<const std::byte> record) {
                   head.data_checksum = Crc32c(
                       record.subspan(RecordHead::kBytes + head.meta_bytes));
                 });
    ASSERT_TRUE(file->WriteAt(0, bytes).ok());
  }
}

struct Outcome {
  uint64_t states = 0;
  uint64_t crash_points = 0;
  uint64_t cut_short = 0;  // crash points at which not all was shown
  uint64_t syncs = 0;
  bool skipped_directory = false;
  std::string first_error;
};

// Runs the workload on a new disk, and recovers from all crash states on the
// way.
Outcome Explore(const Workload& workload, Syncs::Do what = Syncs::Do::kAll,
                uint64_t first = 0, bool drop_data_checks = false,
                std::mt19937_64* sample = nullptr) {
  Outcome outcome;
  FaultyFileSystem disk;
  FaultyFileSystem::CrashOptions options;
  if (what == Syncs::Do::kFailOnce || what == Syncs::Do::kEndProcess) {
    // What no later sync covers is pending from then on, in each state.
    options.max_states = 64;
    // The name of the directory is its owner's: docs/durability.md.
    EXPECT_TRUE(disk.CreateDirectory(kPath).ok());
    EXPECT_TRUE(disk.SyncDirectory(".").ok());
  }
  PrefixOracle oracle("");
  const auto crash = [&] {
    if (!outcome.first_error.empty()) return;
    ++outcome.crash_points;
    const FaultyFileSystem::CrashStates shown =
        disk.ForEachCrashState(options, [&](FaultyFileSystem& left) {
          if (!outcome.first_error.empty()) return;
          // One in so many, of a sample.
          if (sample != nullptr && (*sample)() % 16 != 0) return;
          if (drop_data_checks) DropDataChecks(left);
          outcome.first_error = Recover(left, oracle, workload.writing());
        });
    outcome.states += shown.states;
    outcome.cut_short += shown.all ? 0 : 1;
  };
  disk.OnCrashPoint(crash);
  Syncs syncs(disk, what, first);
  workload.Run(syncs, oracle, [&] { syncs.Begin(); });
  crash();
  outcome.syncs = syncs.count();
  outcome.skipped_directory = syncs.skipped_directory();
  return outcome;
}

std::vector<std::string> WorkloadsUpTo(size_t operations) {
  std::vector<std::string> all;
  std::vector<std::string> longest = {""};
  for (size_t n = 0; n < operations; ++n) {
    std::vector<std::string> longer;
    for (const std::string& workload : longest) {
      for (const char operation : {'c', 'k', 'x', 'r'}) {
        longer.push_back(workload + operation);
      }
    }
    all.insert(all.end(), longer.begin(), longer.end());
    longest = std::move(longer);
  }
  return all;
}

// The seed of the history, and how long a segment is.
using History = std::pair<uint64_t, uint64_t>;

class ShortWorkloadTest
    : public testing::TestWithParam<std::tuple<std::string, History>> {
 protected:
  static void TearDownTestSuite() {
    std::printf("%llu crash states at %llu points of %llu workloads\n",
                static_cast<unsigned long long>(states_),
                static_cast<unsigned long long>(points_),
                static_cast<unsigned long long>(workloads_));
  }

  // Of all tests in this process.
  static inline uint64_t states_ = 0;
  static inline uint64_t points_ = 0;
  static inline uint64_t workloads_ = 0;
};

TEST_P(ShortWorkloadTest, LeavesAPrefixInEveryCrashState) {
  const auto& [operations, history] = GetParam();
  const Outcome outcome = Explore(
      Workload(operations, history.first, {.segment_bytes = history.second}));
  EXPECT_EQ(outcome.first_error, "");
  EXPECT_EQ(outcome.cut_short, 0u);
  states_ += outcome.states;
  points_ += outcome.crash_points;
  ++workloads_;
}

// The history of seed 1 is of small edits, that of seed 2 writes much. All in
// one file of the log, or in one for each commit.
INSTANTIATE_TEST_SUITE_P(
    UpToThreeOperations, ShortWorkloadTest,
    testing::Combine(testing::ValuesIn(WorkloadsUpTo(3)),
                     testing::Values(History(1, TransactionLog::kSegmentBytes),
                                     History(2, TransactionLog::kSegmentBytes),
                                     History(1, 0))));

// Checkpoints are written when they are due, and open again and again.
TEST(PageStoreCrashTest, LongerWorkloadsWithCheckpointsLeaveAPrefix) {
  uint64_t states = 0;
  for (const char* const operations :
       {"cccccc", "ccrcrc", "ppcp", "cccyc", "cpyrckx"}) {
    for (const auto& [seed, segment_bytes] :
         {History(4, TransactionLog::kSegmentBytes),
          History(5, TransactionLog::kSegmentBytes), History(4, 0)}) {
      const Outcome outcome =
          Explore(Workload(operations, seed,
                           {.checkpoints = Checkpoints::kOften,
                            .segment_bytes = segment_bytes}));
      EXPECT_EQ(outcome.first_error, "")
          << operations << " " << seed << " " << segment_bytes;
      states += outcome.states;
    }
  }
  std::printf("%llu crash states\n", static_cast<unsigned long long>(states));
}

// Longer ones at random, of each a sample of its crash states. In two of three
// a sync fails, or is where a process ends and another goes on. The number of
// them and the seed are taken from MMSB_CRASH_WORKLOADS and MMSB_CRASH_SEED:
//
//   MMSB_CRASH_WORKLOADS=10000 bazel-bin/memory/store/page_store_crash_test
//       --gtest_filter='*Random*'
TEST(PageStoreCrashTest, RandomLongerWorkloadsLeaveAPrefix) {
  const auto number = [](const char* name, uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
  };
  const uint64_t workloads = number("MMSB_CRASH_WORKLOADS", 24);
  const uint64_t seed = number("MMSB_CRASH_SEED", 1);
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  uint64_t points = 0;
  for (uint64_t i = 0; i < workloads; ++i) {
    const std::string_view alphabet =
        random() % 3 == 0 ? "nnnnnsxyr" : "cccccppkxyr";
    std::string operations;
    for (uint64_t n = 4 + random() % 8; n > 0; --n) {
      operations += alphabet[random() % alphabet.size()];
    }
    const uint64_t history = random();
    const auto what = std::array{Syncs::Do::kAll, Syncs::Do::kFailOnce,
                                 Syncs::Do::kEndProcess}[random() % 3];
    const uint64_t failed = random() % (4 * operations.size());
    const Outcome outcome = Explore(
        Workload(
            operations, history,
            {.checkpoints =
                 random() % 2 == 0 ? Checkpoints::kOften : Checkpoints::kNever,
             .segment_bytes = random() % 2 == 0 ? TransactionLog::kSegmentBytes
                                                : random() % 2000}),
        what, failed, /*drop_data_checks=*/false, &random);
    ASSERT_EQ(outcome.first_error, "")
        << operations << " history " << history << ", sync " << failed
        << (what == Syncs::Do::kAll        ? " does not fail"
            : what == Syncs::Do::kFailOnce ? " fails"
                                           : " ends the process")
        << ", workload " << i << " of seed " << seed;
    points += outcome.crash_points;
  }
  std::printf("%llu workloads, crashed at %llu points\n",
              static_cast<unsigned long long>(workloads),
              static_cast<unsigned long long>(points));
}

// Commits that no sync covers may be lost, but only the newest of them, and
// none that a sync covered.
TEST(PageStoreCrashTest, UnsyncedCommitsLeaveAPrefix) {
  uint64_t states = 0;
  for (const char* const operations : {"nnn", "nsnn", "nnsk", "nsnx"}) {
    for (const uint64_t seed : {1, 2}) {
      for (const Writing writing : {Writing(), kSegmented}) {
        const Outcome outcome = Explore(Workload(operations, seed, writing));
        EXPECT_EQ(outcome.first_error, "")
            << operations << " " << seed << " " << writing.segment_bytes;
        states += outcome.states;
      }
    }
  }
  std::printf("%llu crash states\n", static_cast<unsigned long long>(states));
}

// A sync that fails is told, and what comes after it is right all the same; and
// so is what comes after a process that ends there, with all that it wrote
// still in memory. A sample of the states, of which there are most here.
TEST(PageStoreCrashTest, AFailedSyncLosesNothingThatWasAcknowledged) {
  std::mt19937_64 random(1);
  uint64_t states = 0;
  for (const auto& [operations, writing, is_ended_too] :
       {std::tuple("crp", Writing(), false),
        std::tuple("ccyc", Writing(), true),
        std::tuple("ck", Writing{.checkpoints = Checkpoints::kOften}, true),
        std::tuple("ckc", Writing(), false),
        std::tuple("nnsn", Writing(), false),
        std::tuple("nnrns", Writing(), true),
        std::tuple("nnsn", kSegmented, false),
        std::tuple("ccrc", kSegmented, true)}) {
    const Workload workload(operations, /*seed=*/3, writing);
    const uint64_t syncs = Explore(workload).syncs;
    for (uint64_t failed = 0; failed < syncs; ++failed) {
      for (const Syncs::Do what :
           {Syncs::Do::kFailOnce, Syncs::Do::kEndProcess}) {
        if (what == Syncs::Do::kEndProcess && !is_ended_too) continue;
        const Outcome outcome = Explore(workload, what, failed,
                                        /*drop_data_checks=*/false, &random);
        EXPECT_EQ(outcome.first_error, "")
            << operations << " sync " << failed << " " << writing.segment_bytes
            << (what == Syncs::Do::kFailOnce ? "" : " ends the process");
        states += outcome.states;
      }
    }
  }
  std::printf("%llu crash states\n", static_cast<unsigned long long>(states));
}

// A sync of the directory that failed may have lost the names in it for good,
// and a later process cannot know.
TEST(PageStoreCrashTest, AFailureWhileTheStoreIsMadeLosesNoLaterCommit) {
  uint64_t states = 0;
  uint64_t all = 0;
  for (uint64_t calls = 0; calls <= all; ++calls) {
    for (const uint64_t failures : {1, 2}) {
      FaultyFileSystem disk;
      ASSERT_TRUE(disk.CreateDirectory(kPath).ok());
      ASSERT_TRUE(disk.SyncDirectory(".").ok());
      const uint64_t before = disk.calls();
      disk.FailAfter(calls, FaultyFileSystem::Fault::kIoError, failures);
      PrefixOracle unused("");
      Workload("c", /*seed=*/1).Run(disk, unused);
      all = disk.calls() - before;
      disk.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
      {
        const auto store = Open(disk, Mode::kCreate, Writing());
        ASSERT_TRUE(store.ok()) << store.status();
        ASSERT_TRUE(CommitState(**store, Bytes(600, std::byte{3})).ok());
      }
      const absl::StatusOr<std::string> text = Read(disk);
      ASSERT_TRUE(text.ok()) << text.status();
      const PrefixOracle oracle(*text);
      disk.ForEachCrashState({}, [&](FaultyFileSystem& left) {
        ++states;
        EXPECT_EQ(Recover(left, oracle, Writing()), "")
            << failures << " calls fail after " << calls;
      });
    }
  }
  EXPECT_GT(states, 0u);
}

// The same search finds the store out when its syncs are not done.
TEST(PageStoreCrashTest, FindsASyncThatIsMissing) {
  const Workload workload("cc", /*seed=*/1);
  EXPECT_NE(Explore(workload, Syncs::Do::kSkipFiles).first_error, "");
  EXPECT_NE(Explore(workload, Syncs::Do::kSkipDirectories).first_error, "");
}

TEST(PageStoreCrashTest, FindsOneDirectorySyncThatIsMissing) {
  for (const Writing writing : {Writing(), kSegmented}) {
    const Workload workload("ccxc", /*seed=*/1, writing);
    uint64_t directories = 0;
    uint64_t found = 0;
    const uint64_t syncs = Explore(workload).syncs;
    for (uint64_t skipped = 0; skipped < syncs; ++skipped) {
      const Outcome outcome = Explore(workload, Syncs::Do::kSkipOne, skipped);
      if (!outcome.skipped_directory) continue;
      ++directories;
      found += outcome.first_error.empty() ? 0 : 1;
    }
    EXPECT_GT(found, 0u) << "of " << directories;
  }
}

// The one that ends a segment: the next one says that it is durable.
TEST(PageStoreCrashTest, FindsASegmentThatIsBegunBeforeTheLastIsSynced) {
  const Workload workload("nnns", /*seed=*/1, kSegmented);
  const uint64_t syncs = Explore(workload).syncs;
  uint64_t found = 0;
  for (uint64_t skipped = 0; skipped < syncs; ++skipped) {
    const Outcome outcome = Explore(workload, Syncs::Do::kSkipOne, skipped);
    found += outcome.first_error.empty() || outcome.skipped_directory ? 0 : 1;
  }
  EXPECT_GT(found, 1u) << "of " << syncs;
}

// So much that the data go to the disk in a write of their own.
TEST(PageStoreCrashTest, FindsACheckOfDataThatIsMissing) {
  const Workload workload("c", {Bytes(70'000, std::byte{1})});
  EXPECT_EQ(Explore(workload).first_error, "");
  EXPECT_NE(Explore(workload, Syncs::Do::kAll, 0, /*drop_data_checks=*/true)
                .first_error,
            "");
}

// A tip that names a checkpoint which no sync covered: the acknowledged commit
// is there, and what was to make its opening fast is not.
TEST(PageStoreCrashTest, FindsATipThatNamesAnUnsyncedCheckpoint) {
  const Workload workload("cp", /*seed=*/1);
  EXPECT_EQ(Explore(workload).first_error, "");
  EXPECT_NE(Explore(workload, Syncs::Do::kLateCheckpoints).first_error, "");
  EXPECT_EQ(Explore(Workload("cc", /*seed=*/1), Syncs::Do::kLateCheckpoints)
                .first_error,
            "")
      << "it was the checkpoint that was missed";
}

TEST(PageStoreCrashTest, FindsAFailedSyncThatIsOnlyCalledAgain) {
  const Workload workload("cc", /*seed=*/1);
  const uint64_t syncs = Explore(workload).syncs;
  uint64_t found = 0;
  for (uint64_t retried = 0; retried < syncs; ++retried) {
    if (!Explore(workload, Syncs::Do::kRetry, retried).first_error.empty()) {
      ++found;
    }
  }
  EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace mmsb
