#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/states.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Mode = PageStore::Mode;

constexpr uint32_t kPageBytes = 512;

class PageStorePruneTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<PageStore>> TryOpen(Mode mode,
                                                     std::string path) {
    return PageStore::Open(files_, std::move(path),
                           {.mode = mode,
                            .page_bytes = kPageBytes,
                            .checkpoint_slack_bytes = slack_bytes_,
                            .segment_bytes = segment_bytes_,
                            .durability = durability_,
                            .clock = clock_});
  }
  std::unique_ptr<PageStore> Open(Mode mode, std::string path = "store") {
    absl::StatusOr<std::unique_ptr<PageStore>> store =
        TryOpen(mode, std::move(path));
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  // Commits what is behind the store's newest epoch.
  absl::Status Commit(PageStore& store, const std::vector<Bytes>& history) {
    for (uint64_t i = store.newest().value(); i < history.size(); ++i) {
      clock_.Advance(1);
      absl::Status status =
          CommitState(store, history[i], absl::StrCat("m", i + 1)).status();
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // The store holds the epochs of `history` from `first` on, and is sound.
  void Expect(PageStore& store, const std::vector<Bytes>& history,
              uint64_t first) {
    ASSERT_EQ(store.first().value(), first);
    ASSERT_EQ(store.newest().value(), history.size());
    for (uint64_t e = 0; e <= history.size() + 1; ++e) {
      const absl::StatusOr<Bytes> state = ReadState(store, Epoch::FromValue(e));
      if (e < first || e > history.size()) {
        ASSERT_EQ(state.status().code(), absl::StatusCode::kNotFound) << e;
        ASSERT_EQ(absl::StrContains(state.status().message(), "was pruned"),
                  e != 0 && e < first)
            << state.status();
        continue;
      }
      ASSERT_TRUE(state.ok()) << state.status();
      ASSERT_EQ(*state, history[e - 1]) << "epoch " << e;
    }
    ASSERT_EQ(store.epochs().size(), history.size() + 1 - first);
    for (uint64_t e = first; e <= history.size(); ++e) {
      const EpochInfo& info = store.epochs()[e - first];
      ASSERT_EQ(info.epoch.value(), e);
      ASSERT_EQ(info.message, absl::StrCat("m", e));
      ASSERT_EQ(info.bytes, history[e - 1].size());
    }
    const absl::StatusOr<VerifyReport> report =
        store.Verify([](uint64_t, uint64_t) {});
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_TRUE(report->ok()) << report->damage.front();
    ASSERT_EQ(report->epochs, history.size() + 1 - first);
  }

  uint64_t BytesOf(const std::string& path) {
    uint64_t bytes = 0;
    const std::vector<std::string> names = *files_.List(path);
    for (const std::string& name : names) {
      bytes += files_.Info(path + "/" + name)->bytes;
    }
    return bytes;
  }
  void Flip(const std::string& path, uint64_t at) {
    const auto file = *files_.Open(path, FileSystem::Access::kReadWrite);
    std::array<std::byte, 1> byte{};
    ASSERT_EQ(*file->ReadAt(at, byte), 1u);
    byte[0] ^= std::byte{0x40};
    ASSERT_TRUE(file->WriteAt(at, byte).ok());
  }

  std::optional<FaultyFileSystem> disk_{std::in_place};
  FaultyFileSystem& files_ = *disk_;
  ManualClock clock_{0, 1'000'000};
  uint64_t slack_bytes_ = 1 << 20;
  uint64_t segment_bytes_ = TransactionLog::kSegmentBytes;
  Durability durability_ = Durability::kEach;
};

TEST_F(PageStorePruneTest, KeepsEveryEpochFromTheOneThatIsNamedOn) {
  for (const uint64_t slack : {uint64_t{0}, uint64_t{1} << 20}) {
    slack_bytes_ = slack;
    for (uint64_t seed = 1; seed <= 6; ++seed) {
      segment_bytes_ = seed % 2 == 0 ? 2000 : TransactionLog::kSegmentBytes;
      const std::string path = absl::StrCat("store", slack, "-", seed);
      const std::vector<Bytes> history = RandomHistory(seed, 40);
      std::vector<Bytes> past(history.begin(), history.begin() + 20);
      const std::unique_ptr<PageStore> store = Open(Mode::kCreate, path);
      ASSERT_TRUE(Commit(*store, past).ok());
      uint64_t held = 1;
      for (const uint64_t first : {1, 7, 8, 20}) {
        ASSERT_TRUE(store->Prune(Epoch::FromValue(first)).ok());
        held = first;
        Expect(*store, past, held);
        Expect(*Open(Mode::kRead, path), past, held);
      }
      EXPECT_EQ(store->Prune(Epoch::FromValue(19)).code(),
                absl::StatusCode::kNotFound);
      EXPECT_EQ(store->Prune(Epoch::FromValue(21)).code(),
                absl::StatusCode::kNotFound);
      ASSERT_TRUE(Commit(*store, history).ok());
      Expect(*store, history, held);
      ASSERT_TRUE(store->Prune(Epoch::FromValue(33)).ok());
      Expect(*store, history, 33);
    }
  }
}

TEST_F(PageStorePruneTest, GivesRoomBackAndLeavesNoFile) {
  std::vector<Bytes> history;
  for (int i = 0; i < 50; ++i) {
    history.push_back(Bytes(20 * kPageBytes, static_cast<std::byte>(i + 1)));
  }
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  ASSERT_TRUE(Commit(*store, history).ok());
  const uint64_t all = BytesOf("store");
  ASSERT_TRUE(store->Prune(Epoch::FromValue(50)).ok());
  EXPECT_LT(BytesOf("store"), all / 40);
  EXPECT_EQ(*files_.List("store"),
            (std::vector<std::string>{"MMSB", "lock", "log.1", "tip.1"}));
  Expect(*store, history, 50);
}

TEST_F(PageStorePruneTest, WhoHasTheStoreOpenGoesOnReadingIt) {
  const std::vector<Bytes> history = RandomHistory(9, 12);
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  ASSERT_TRUE(Commit(*store, history).ok());
  const std::unique_ptr<PageStore> reader = Open(Mode::kRead);
  PageStore::Snapshot old = *store->SnapshotAt(Epoch::FromValue(3));
  ASSERT_TRUE(store->Prune(Epoch::FromValue(11)).ok());
  Expect(*reader, history, 1);
  Bytes state(old.pages() * kPageBytes);
  ASSERT_TRUE(old.Read(PageId::FromValue(0), state).ok());
  state.resize(history[2].size());
  EXPECT_EQ(state, history[2]);
  // What was read before a prune is no ground for a commit behind it.
  absl::StatusOr<PageStore::Batch> batch = store->Begin(old, state.size());
  ASSERT_TRUE(batch.ok());
  const absl::Status status = store->Commit(*std::move(batch), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(absl::StrContains(status.message(), "was pruned")) << status;
}

TEST_F(PageStorePruneTest, IsRefusedBesideABatchAndToReaders) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  EXPECT_EQ(store->Prune(Epoch::FromValue(1)).code(),
            absl::StatusCode::kNotFound);
  ASSERT_TRUE(Commit(*store, RandomHistory(1, 3)).ok());
  {
    absl::StatusOr<PageStore::Batch> batch = store->Begin(1);
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(store->Prune(Epoch::FromValue(2)).code(),
              absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(Open(Mode::kRead)->Prune(Epoch::FromValue(2)).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Open(Mode::kRead)->Checkpoint().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(store->Prune(Epoch::FromValue(2)).ok());
}

TEST_F(PageStorePruneTest, DamageInWhatIsKeptEndsItAndChangesNothing) {
  const std::vector<Bytes> history = RandomHistory(2, 8);
  ASSERT_TRUE(Commit(*Open(Mode::kCreate), history).ok());
  uint64_t refused = 0;
  for (uint64_t at = 64; at < files_.Info("store/log")->bytes; at += 101) {
    Flip("store/log", at);
    absl::StatusOr<std::unique_ptr<PageStore>> store =
        TryOpen(Mode::kWrite, "store");
    if (store.ok()) {
      const absl::Status status = (*store)->Prune(Epoch::FromValue(2));
      if (status.ok()) {
        // Nothing that is kept needed it.
        Expect(**store, history, 2);
        return;
      }
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      ++refused;
    }
    store = absl::CancelledError();
    EXPECT_EQ(*files_.List("store"),
              (std::vector<std::string>{"MMSB", "lock", "log", "tip"}));
    Flip("store/log", at);
  }
  EXPECT_GT(refused, 3u);
  Expect(*Open(Mode::kRead), history, 1);
}

TEST_F(PageStorePruneTest, ALostHeaderIsFoundInTheLogThatCounts) {
  const std::vector<Bytes> history = RandomHistory(4, 6);
  {
    const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
    ASSERT_TRUE(Commit(*store, history).ok());
    ASSERT_TRUE(store->Prune(Epoch::FromValue(4)).ok());
  }
  ASSERT_TRUE(files_.Remove("store/MMSB").ok());
  EXPECT_EQ(Open(Mode::kRead)->first().value(), 4u);
  // Beside it is what a prune that never ended has left.
  const auto file = *files_.Open("store/log.2", FileSystem::Access::kCreate);
  const auto source = *files_.Open("store/log.1", FileSystem::Access::kRead);
  std::array<std::byte, StoreHeader::kBytes> bytes{};
  ASSERT_TRUE(source->ReadAt(0, bytes).ok());
  absl::StatusOr<StoreHeader> header = StoreHeader::Decode(bytes, "");
  ASSERT_TRUE(header.ok());
  header->generation = 2;
  ASSERT_TRUE(file->WriteAt(0, header->Encode()).ok());
  EXPECT_EQ(Open(Mode::kWrite)->first().value(), 4u);
  EXPECT_FALSE(files_.Info("store/log.2").ok()) << "it was removed";
  Expect(*Open(Mode::kRead), history, 4);
}

// The log that it wrote is newer than the one that counts, and behind it soon.
TEST_F(PageStorePruneTest, ALostHeaderIsNotFoundInTheLogOfAPruneThatFailed) {
  const std::vector<Bytes> history = RandomHistory(4, 6);
  const std::vector<Bytes> past(history.begin(), history.end() - 1);
  bool pruned = false;
  for (uint64_t calls = 0; !pruned; ++calls) {
    for (const uint64_t failures : {1, 2, 3}) {
      const std::string path = absl::StrCat("store", calls, "-", failures);
      uint64_t newest = past.size();
      {
        const std::unique_ptr<PageStore> store = Open(Mode::kCreate, path);
        ASSERT_TRUE(Commit(*store, past).ok());
        files_.FailAfter(calls, FaultyFileSystem::Fault::kIoError, failures);
        pruned = store->Prune(Epoch::FromValue(3)).ok();
        files_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
        if (Commit(*store, history).ok()) ++newest;
      }
      ASSERT_TRUE(files_.Remove(path + "/MMSB").ok());
      ASSERT_EQ(Open(Mode::kRead, path)->newest().value(), newest)
          << failures << " calls fail after " << calls;
    }
  }
}

TEST_F(PageStorePruneTest, CheckpointMakesTheNextOpeningBeginWithIt) {
  const std::vector<Bytes> history = RandomHistory(6, 9);
  for (const Durability durability :
       {Durability::kEach, Durability::kGroup, Durability::kNone}) {
    durability_ = durability;
    const std::string path = absl::StrCat("s", static_cast<int>(durability));
    {
      const std::unique_ptr<PageStore> store = Open(Mode::kCreate, path);
      EXPECT_TRUE(store->Checkpoint().ok()) << "there is nothing yet";
      ASSERT_TRUE(Commit(*store, {history.begin(), history.end() - 1}).ok());
      ASSERT_TRUE(store->Checkpoint().ok());
      EXPECT_EQ(store->newest().value(), 8u) << "it is no epoch";
      const uint64_t bytes = store->Stats().log_bytes;
      ASSERT_TRUE(store->Checkpoint().ok());
      EXPECT_EQ(store->Stats().log_bytes, bytes) << "there is one";
      EXPECT_EQ(store->Stats().checkpoint.value(), 8u);
    }
    const std::unique_ptr<PageStore> store = Open(Mode::kWrite, path);
    EXPECT_EQ(store->Stats().checkpoint.value(), 8u);
    EXPECT_EQ(store->newest_info().message, "m8");
    ASSERT_TRUE(Commit(*store, history).ok());
    Expect(*store, history, 1);
    EXPECT_EQ((*store->Verify([](uint64_t, uint64_t) {})).checkpoints, 1u);
  }
}

TEST_F(PageStorePruneTest, EveryFlippedByteOfACheckpointOfItsOwnIsHarmless) {
  const std::vector<Bytes> history = RandomHistory(6, 5);
  uint64_t begin = 0;
  uint64_t end = 0;
  {
    const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
    ASSERT_TRUE(Commit(*store, {history.begin(), history.end() - 1}).ok());
    begin = files_.Info("store/log")->bytes;
    ASSERT_TRUE(store->Checkpoint().ok());
    end = files_.Info("store/log")->bytes;
    ASSERT_TRUE(Commit(*store, history).ok());
  }
  for (uint64_t at = begin; at < end; ++at) {
    Flip("store/log", at);
    const std::unique_ptr<PageStore> store = Open(Mode::kRead);
    const absl::StatusOr<VerifyReport> report =
        store->Verify([](uint64_t, uint64_t) {});
    ASSERT_TRUE(report.ok()) << at << report.status();
    EXPECT_FALSE(report->damage.empty()) << at;
    EXPECT_TRUE(report->damaged_epochs.empty()) << at;
    for (uint64_t e = 1; e <= history.size(); ++e) {
      const absl::StatusOr<Bytes> state =
          ReadState(*store, Epoch::FromValue(e));
      ASSERT_TRUE(state.ok()) << at << " " << state.status();
      ASSERT_EQ(*state, history[e - 1]);
    }
    Flip("store/log", at);
  }
}

TEST_F(PageStorePruneTest, SalvageCopiesWhatIsWholeAndTellsTheRest) {
  const std::vector<Bytes> history = RandomHistory(12, 10);
  ASSERT_TRUE(Commit(*Open(Mode::kCreate), history).ok());
  uint64_t copies = 0;
  uint64_t in_part = 0;
  for (uint64_t at = 1; at < files_.Info("store/log")->bytes; at += 211) {
    Flip("store/log", at);
    const std::string to = absl::StrCat("to", at);
    const absl::StatusOr<SalvageReport> report =
        PageStore::Salvage(files_, "store", to, {.clock = clock_});
    ASSERT_TRUE(report.ok()) << at << report.status();
    EXPECT_EQ(report->epochs + report->lost.size(), history.size()) << at;
    const std::unique_ptr<PageStore> salvaged = Open(Mode::kWrite, to);
    std::vector<bool> lost(history.size());
    for (const SalvageReport::LostEpoch& epoch : report->lost) {
      lost[epoch.epoch.value() - 1] = true;
    }
    for (uint64_t e = 1; e <= history.size(); ++e) {
      const absl::StatusOr<Bytes> state =
          ReadState(*salvaged, Epoch::FromValue(e));
      ASSERT_EQ(state.ok(), !lost[e - 1]) << at << " " << e << state.status();
      if (state.ok()) {
        ASSERT_EQ(*state, history[e - 1]) << at;
      } else {
        ASSERT_EQ(state.status().code(), absl::StatusCode::kNotFound)
            << at << " " << e << state.status();
      }
    }
    ASSERT_TRUE(salvaged->Verify([](uint64_t, uint64_t) {})->ok()) << at;
    ASSERT_TRUE(CommitState(*salvaged, Bytes(9, std::byte{9})).ok()) << at;
    ++copies;
    in_part += report->lost.empty() ? 0 : 1;
    Flip("store/log", at);
    EXPECT_EQ(PageStore::Salvage(files_, "store", to, {}).status().code(),
              absl::StatusCode::kAlreadyExists);
  }
  EXPECT_GT(copies, 20u);
  EXPECT_GT(in_part, 10u);
  Expect(*Open(Mode::kRead), history, 1);
}

// What is another store's is told and passed over, also where the log begins.
TEST_F(PageStorePruneTest, SalvagePassesOverASegmentOfAnotherStore) {
  const std::vector<Bytes> history = RandomHistory(12, 10);
  segment_bytes_ = 0;
  ASSERT_TRUE(Commit(*Open(Mode::kCreate), history).ok());
  ASSERT_TRUE(Commit(*Open(Mode::kCreate, "other"), history).ok());
  const auto load = [&](const std::string& path) {
    Bytes bytes(files_.Info(path)->bytes);
    EXPECT_EQ(
        *(*files_.Open(path, FileSystem::Access::kRead))->ReadAt(0, bytes),
        bytes.size());
    return bytes;
  };
  const auto file = *files_.Open("store/log", FileSystem::Access::kReadWrite);
  const Bytes foreign = load("other/log");
  ASSERT_TRUE(file->Truncate(0).ok());
  ASSERT_TRUE(file->WriteAt(0, foreign).ok());
  EXPECT_EQ(TryOpen(Mode::kWrite, "store").status().code(),
            absl::StatusCode::kDataLoss);
  const absl::StatusOr<SalvageReport> report =
      PageStore::Salvage(files_, "store", "to", {.clock = clock_});
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->damage.size(), 1u);
  EXPECT_TRUE(absl::StrContains(report->damage[0], "'store/log' is"));
  EXPECT_EQ(load("store/log"), foreign);
  EXPECT_EQ(report->epochs + report->lost.size(), history.size());
  EXPECT_GE(report->lost.size(), 1u);
  const std::unique_ptr<PageStore> salvaged = Open(Mode::kRead, "to");
  uint64_t copied = 0;
  for (uint64_t e = 1; e <= history.size(); ++e) {
    const absl::StatusOr<Bytes> state =
        ReadState(*salvaged, Epoch::FromValue(e));
    if (!state.ok()) continue;
    EXPECT_EQ(*state, history[e - 1]) << e;
    ++copied;
  }
  EXPECT_EQ(copied, report->epochs);
}

// With a checkpoint behind it, all from there on.
TEST_F(PageStorePruneTest,
       SalvageGoesOnFromACheckpointBehindASegmentOfAnother) {
  const std::vector<Bytes> history = RandomHistory(12, 6);
  segment_bytes_ = 0;
  {
    const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
    ASSERT_TRUE(Commit(*store, {history.begin(), history.begin() + 1}).ok());
    for (size_t e = 1; e < history.size(); ++e) {
      ASSERT_TRUE(CommitState(*store, Bytes(900 * e, std::byte(e)),
                              CommitInfo{.checkpoint = e == 2})
                      .ok());
    }
  }
  ASSERT_TRUE(Commit(*Open(Mode::kCreate, "other"), history).ok());
  ASSERT_TRUE(
      files_.Rename("other/log", "store/log", FileSystem::IfExists::kReplace)
          .ok());
  const absl::StatusOr<SalvageReport> report =
      PageStore::Salvage(files_, "store", "to", {.clock = clock_});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->newest.value(), history.size());
  EXPECT_GE(report->epochs, 4u);
  for (uint64_t e = 3; e <= history.size(); ++e) {
    EXPECT_EQ(*ReadState(*Open(Mode::kRead, "to"), Epoch::FromValue(e)),
              Bytes(900 * (e - 1), std::byte(e - 1)));
  }
}

// Neither a process that is killed nor a crash leaves a part that looks whole.
TEST_F(PageStorePruneTest, APartOfASalvageIsNoStore) {
  const std::vector<Bytes> history = RandomHistory(12, 4);
  ASSERT_TRUE(Commit(*Open(Mode::kCreate), history).ok());
  uint64_t refused = 0;
  const auto expect_all_or_nothing = [&](FaultyFileSystem& disk) {
    const absl::StatusOr<std::unique_ptr<PageStore>> copy =
        PageStore::Open(disk, "to", {.mode = Mode::kRead, .clock = clock_});
    if (!copy.ok()) {
      ++refused;
      ASSERT_TRUE(absl::IsNotFound(copy.status()) ||
                  absl::IsFailedPrecondition(copy.status()))
          << copy.status();
      return;
    }
    ASSERT_EQ((*copy)->newest().value(), history.size());
  };
  files_.OnCrashPoint(
      [&] { files_.ForEachCrashState({}, expect_all_or_nothing); });
  ASSERT_TRUE(
      PageStore::Salvage(files_, "store", "to", {.clock = clock_}).ok());
  EXPECT_GT(refused, 20u);
  Expect(*Open(Mode::kRead, "to"), history, 1);

  files_.OnCrashPoint(nullptr);
  uint64_t made = 0;
  for (uint64_t calls = 0; calls <= made; ++calls) {
    for (const uint64_t failures : {uint64_t{1}, ~uint64_t{0}}) {
      const std::string to = absl::StrCat("to", calls, "-", failures);
      const uint64_t before = files_.calls();
      files_.FailAfter(calls, FaultyFileSystem::Fault::kIoError, failures);
      const absl::StatusOr<SalvageReport> report =
          PageStore::Salvage(files_, "store", to, {.clock = clock_});
      made = files_.calls() - before;
      files_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
      const absl::StatusOr<std::unique_ptr<PageStore>> copy =
          TryOpen(Mode::kRead, to);
      if (!copy.ok()) {
        ASSERT_FALSE(report.ok()) << copy.status();
        ASSERT_TRUE(absl::IsNotFound(copy.status()) ||
                    absl::IsFailedPrecondition(copy.status()))
            << calls << copy.status();
        ASSERT_FALSE(TryOpen(Mode::kWrite, to).ok());
        continue;
      }
      // What could not be read is lost, and told.
      const uint64_t copied = (*copy)->newest().value();
      ASSERT_TRUE(copied == history.size() || report.ok()) << calls;
      if (report.ok()) {
        ASSERT_EQ(report->epochs + report->lost.size(), history.size());
      }
    }
  }
}

// One failure, or all from one on, at each call of opening, commit, checkpoint,
// sync, prune and reading.
TEST_F(PageStorePruneTest, AFailureOfAnyCallLosesNothing) {
  using Fault = FaultyFileSystem::Fault;
  const std::vector<Bytes> history = RandomHistory(5, 4);
  for (const auto& [durability, segment_bytes] :
       {std::pair(Durability::kEach, TransactionLog::kSegmentBytes),
        std::pair(Durability::kGroup, TransactionLog::kSegmentBytes),
        std::pair(Durability::kNone, TransactionLog::kSegmentBytes),
        std::pair(Durability::kEach, uint64_t{0}),
        std::pair(Durability::kNone, uint64_t{0})}) {
    durability_ = durability;
    segment_bytes_ = segment_bytes;
    for (const uint64_t failures : {uint64_t{1}, ~uint64_t{0}}) {
      uint64_t made = 0;
      for (uint64_t calls = 0; calls <= made; ++calls) {
        disk_.emplace();
        const std::string path = "store";
        files_.FailAfter(calls,
                         calls % 2 == 0 ? Fault::kIoError : Fault::kShortWrite,
                         failures);
        uint64_t committed = 0;
        uint64_t pruned_to = 1;
        bool prune_failed = false;
        absl::Status status;
        if (absl::StatusOr<std::unique_ptr<PageStore>> opened =
                TryOpen(Mode::kCreate, path);
            opened.ok()) {
          PageStore& store = **opened;
          status = Commit(store, {history.begin(), history.end() - 1});
          committed = store.newest().value();
          if (status.ok()) status = store.Checkpoint();
          if (status.ok()) status = store.Sync();
          if (status.ok()) {
            status = store.Prune(Epoch::FromValue(2));
            prune_failed = !status.ok();
            pruned_to = store.first().value();
          }
          if (status.ok()) status = Commit(store, history);
          if (status.ok()) {
            status = ReadState(store, Epoch::FromValue(3)).status();
          }
          committed = std::max(committed, store.newest().value());
        } else {
          status = opened.status();
        }
        made = files_.calls();
        files_.FailAfter(0, Fault::kIoError, 0);
        // Closing a store that syncs nothing by itself syncs, and tells nobody.
        if (durability != Durability::kNone) {
          ASSERT_EQ(status.ok(), calls >= made) << calls << " " << status;
        }
        const std::unique_ptr<PageStore> store = Open(Mode::kCreate, path);
        const uint64_t held = store->newest().value();
        ASSERT_GE(held, committed) << calls << " " << status;
        ASSERT_LE(held, committed + 1) << calls;
        if (!prune_failed) {
          ASSERT_EQ(store->first().value(), pruned_to);
        }
        Expect(
            *store,
            {history.begin(), history.begin() + static_cast<ptrdiff_t>(held)},
            store->first().value());
        ASSERT_TRUE(Commit(*store, history).ok());
        Expect(*store, history, store->first().value());
      }
    }
  }
}

}  // namespace
}  // namespace mmsb
