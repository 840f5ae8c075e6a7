#include "memory/store/page_store.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "memory/delta/delta.h"
#include "memory/epoch/epoch.h"
#include "memory/log/crc32c.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"
#include "memory/store/testing/forged_log.h"
#include "memory/store/testing/forwarding_file_system.h"
#include "memory/store/testing/states.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Mode = PageStore::Mode;

constexpr uint32_t kPageBytes = 512;

Bytes Padded(Bytes state) {
  state.resize((state.size() + kPageBytes - 1) / kPageBytes * kPageBytes);
  return state;
}

absl::StatusOr<VerifyReport> Verify(PageStore& store) {
  return store.Verify([](uint64_t, uint64_t) {});
}

class PageStoreTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<PageStore>> TryOpen(Mode mode) {
    return PageStore::Open(files_, path_,
                           {.mode = mode,
                            .page_bytes = kPageBytes,
                            .checkpoint_slack_bytes = slack_bytes_,
                            .clock = clock_});
  }
  std::unique_ptr<PageStore> Open(Mode mode) {
    absl::StatusOr<std::unique_ptr<PageStore>> store = TryOpen(mode);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  void Write(const std::vector<Bytes>& history) {
    const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
    for (size_t i = 0; i < history.size(); ++i) {
      clock_.Advance(1);
      const absl::StatusOr<Epoch> epoch =
          CommitState(*store, history[i], absl::StrCat("m", i + 1));
      ASSERT_TRUE(epoch.ok()) << epoch.status();
      ASSERT_EQ(epoch->value(), i + 1);
    }
  }

  void Expect(PageStore& store, const std::vector<Bytes>& history) {
    ASSERT_EQ(store.newest().value(), history.size());
    for (size_t i = 0; i < history.size(); ++i) {
      const absl::StatusOr<Bytes> state =
          ReadState(store, Epoch::FromValue(i + 1));
      ASSERT_TRUE(state.ok()) << state.status();
      ASSERT_EQ(*state, history[i]) << "epoch " << i + 1;
      ASSERT_EQ(store.epochs()[i].message, absl::StrCat("m", i + 1));
      ASSERT_EQ(store.epochs()[i].bytes, history[i].size());
    }
    const absl::StatusOr<VerifyReport> report = Verify(store);
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_TRUE(report->ok());
    ASSERT_EQ(report->epochs, history.size());
  }

  Bytes Load(const std::string& name) {
    Bytes bytes(static_cast<size_t>(files_.Info(path_ + "/" + name)->bytes));
    const auto file =
        *files_.Open(path_ + "/" + name, FileSystem::Access::kRead);
    EXPECT_EQ(*file->ReadAt(0, bytes), bytes.size());
    return bytes;
  }
  void Save(const std::string& name, const Bytes& bytes) {
    const auto file =
        *files_.Open(path_ + "/" + name, FileSystem::Access::kCreate);
    ASSERT_TRUE(file->Truncate(bytes.size()).ok());
    ASSERT_TRUE(file->WriteAt(0, bytes).ok());
  }

  // The positions of the checkpoint records in a log.
  static std::vector<size_t> CheckpointsIn(const Bytes& log) {
    const std::array<std::byte, 4> begin = {
        std::byte{'M'}, std::byte{'R'}, std::byte{'C'},
        static_cast<std::byte>(RecordKind::kCheckpoint)};
    std::vector<size_t> found;
    for (auto at = log.begin();; ++at) {
      at = std::search(at, log.end(), begin.begin(), begin.end());
      if (at == log.end()) return found;
      found.push_back(static_cast<size_t>(at - log.begin()));
    }
  }

  FaultyFileSystem files_;
  ManualClock clock_{0, 1'000'000};
  std::string path_ = "store";
  uint64_t slack_bytes_ = 1 << 20;
};

// Counts the bytes that are read.
class CountedReads final : public ForwardingFileSystem {
 public:
  explicit CountedReads(FileSystem& base) : ForwardingFileSystem(base) {}

  uint64_t bytes() const { return bytes_; }

 private:
  class CountedFile final : public ForwardingFile {
   public:
    CountedFile(CountedReads& owner, std::unique_ptr<File> base)
        : ForwardingFile(std::move(base)), owner_(owner) {}
    absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                  std::span<std::byte> out) override {
      owner_.bytes_ += out.size();
      return ForwardingFile::ReadAt(offset, out);
    }

   private:
    CountedReads& owner_;
  };

  std::unique_ptr<File> Wrap(std::unique_ptr<File> file) override {
    return std::make_unique<CountedFile>(*this, std::move(file));
  }

  uint64_t bytes_ = 0;
};

// Calls a function when a file of that name was opened.
class WhenOpened final : public ForwardingFileSystem {
 public:
  WhenOpened(FileSystem& base, std::string path, std::function<void()> opened)
      : ForwardingFileSystem(base),
        path_(std::move(path)),
        opened_(std::move(opened)) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             Access access) override {
    absl::StatusOr<std::unique_ptr<File>> file =
        ForwardingFileSystem::Open(path, access);
    if (path == path_) opened_();
    return file;
  }

 private:
  std::unique_ptr<File> Wrap(std::unique_ptr<File> file) override {
    return file;
  }

  const std::string path_;
  const std::function<void()> opened_;
};

// A writer that follows one that was killed makes a file of the log anew, which
// a reader has just opened.
TEST_F(PageStoreTest, AReaderBeginsAgainWhenTheLogIsMadeAnewBehindIt) {
  {
    const std::unique_ptr<PageStore> store =
        *PageStore::Open(files_, path_,
                         {.mode = Mode::kCreate,
                          .page_bytes = kPageBytes,
                          .durability = Durability::kNone,
                          .clock = clock_});
    ASSERT_TRUE(CommitState(*store, Bytes(100, std::byte{1})).ok());
    files_.FailAfter(0, FaultyFileSystem::Fault::kIoError);
  }
  files_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
  int opened = 0;
  WhenOpened files(files_, path_ + "/log", [&] {
    if (opened++ != 0) return;
    ASSERT_TRUE(
        CommitState(*Open(Mode::kWrite), Bytes(200, std::byte{2})).ok());
  });
  const absl::StatusOr<std::unique_ptr<PageStore>> reader =
      PageStore::Open(files, path_, {.mode = Mode::kRead, .clock = clock_});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(opened, 2);
  EXPECT_EQ(*ReadState(**reader, Epoch::FromValue(1)),
            Bytes(100, std::byte{1}));
  EXPECT_EQ(*ReadState(**reader, Epoch::FromValue(2)),
            Bytes(200, std::byte{2}));
}

TEST_F(PageStoreTest, EveryEpochComesBackBitForBit) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const std::vector<Bytes> history = RandomHistory(seed, 60);
    Write(history);
    Expect(*Open(Mode::kRead), history);
    path_ = absl::StrCat("store", seed);
  }
}

TEST_F(PageStoreTest, WhatCommitSaysOfAnEpochIsWhatItsRecordSaysLater) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  for (const Bytes& state : RandomHistory(4, 10)) {
    ASSERT_TRUE(CommitState(*store, state, "m").ok());
  }
  const std::unique_ptr<PageStore> later = Open(Mode::kRead);
  ASSERT_EQ(later->epochs().size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    const EpochInfo& said = store->epochs()[i];
    const EpochInfo& read = later->epochs()[i];
    EXPECT_EQ(said.epoch, read.epoch);
    EXPECT_EQ(said.time_ns, read.time_ns);
    EXPECT_EQ(said.bytes, read.bytes);
    EXPECT_EQ(said.changed_bytes, read.changed_bytes);
    EXPECT_EQ(said.changed_pages, read.changed_pages);
    EXPECT_EQ(said.stored_bytes, read.stored_bytes) << "epoch " << i + 1;
    EXPECT_EQ(said.root, read.root);
    EXPECT_EQ(said.message, read.message);
  }
}

TEST_F(PageStoreTest, EpochsGoOnInALaterProcess) {
  const std::vector<Bytes> history = RandomHistory(7, 20);
  for (size_t i = 0; i < history.size(); ++i) {
    const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
    ASSERT_TRUE(CommitState(*store, history[i], absl::StrCat("m", i + 1)).ok());
  }
  Expect(*Open(Mode::kRead), history);
}

TEST_F(PageStoreTest, EpochInfoTellsWhatChanged) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  EXPECT_EQ(store->newest(), Epoch());
  EXPECT_EQ(store->Newest()->pages(), 0u);
  Bytes state(3 * kPageBytes, std::byte{1});
  ASSERT_TRUE(CommitState(*store, state, "first").ok());
  state[5] = std::byte{2};
  state[kPageBytes] = std::byte{2};
  clock_.Advance(500);
  ASSERT_TRUE(CommitState(*store, state, "second").ok());
  const EpochInfo& info = store->epochs()[1];
  EXPECT_EQ(info.changed_bytes, 2u);
  EXPECT_EQ(info.changed_pages, 2u);
  EXPECT_EQ(info.bytes, 3 * kPageBytes);
  EXPECT_EQ(info.time_ns, 1'000'500);
  EXPECT_EQ(info.message, "second");
  EXPECT_LT(info.stored_bytes, 300u) << "a delta, not pages";
  const PageStoreStats stats = store->Stats();
  EXPECT_EQ(stats.pages, 3u);
  EXPECT_EQ(stats.delta_pages, 2u);
  EXPECT_EQ(stats.zero_pages, 0u);
  EXPECT_TRUE(stats.table.IdentityHolds());
}

TEST_F(PageStoreTest, ASparseStateTakesAlmostNoRoom) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  absl::StatusOr<PageStore::Batch> batch = store->Begin(uint64_t{1} << 40);
  ASSERT_TRUE(batch.ok()) << batch.status();
  const Bytes ones(kPageBytes, std::byte{1});
  ASSERT_TRUE(batch->PutWhole(PageId::FromValue(1u << 30), ones, 512).ok());
  ASSERT_TRUE(store->Commit(*std::move(batch), {}).ok());
  EXPECT_LT(store->Stats().log_bytes, 2048u);
  Bytes out(2 * kPageBytes);
  ASSERT_TRUE(
      store->Newest()->Read(PageId::FromValue((1u << 30) - 1), out).ok());
  EXPECT_TRUE(std::equal(ones.begin(), ones.end(), out.begin() + kPageBytes));
}

TEST_F(PageStoreTest, PastTheEndThereAreZeros) {
  Write({Bytes(kPageBytes + 1, std::byte{1})});
  const std::unique_ptr<PageStore> store = Open(Mode::kRead);
  absl::StatusOr<PageStore::Snapshot> snapshot = store->Newest();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  Bytes out(3 * kPageBytes, std::byte{2});
  ASSERT_TRUE(snapshot->Read(PageId::FromValue(1), out).ok());
  EXPECT_EQ(out[0], std::byte{1});
  EXPECT_TRUE(IsZero(std::span(out).subspan(1)));
  std::ranges::fill(out, std::byte{2});
  ASSERT_TRUE(snapshot->Read(PageId::FromValue(~uint64_t{0} - 1), out).ok());
  EXPECT_TRUE(IsZero(out));
  EXPECT_EQ(
      snapshot->Read(PageId::FromValue(0), std::span(out).first(5)).code(),
      absl::StatusCode::kInvalidArgument);
}

TEST_F(PageStoreTest, WhatACutStateHadDoesNotComeBack) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  ASSERT_TRUE(CommitState(*store, Bytes(1000, std::byte{1})).ok());
  // Neither batch puts a page: the store itself must clear the cut page's tail.
  for (const uint64_t bytes : {600, 2000}) {
    absl::StatusOr<PageStore::Batch> batch = store->Begin(bytes);
    ASSERT_TRUE(batch.ok());
    ASSERT_TRUE(store->Commit(*std::move(batch), {}).ok());
  }
  Bytes expected(600, std::byte{1});
  EXPECT_EQ(*ReadState(*store, Epoch::FromValue(2)), expected);
  expected.resize(2000);
  EXPECT_EQ(*ReadState(*store, Epoch::FromValue(3)), expected);
}

TEST_F(PageStoreTest, ReadingAPageNeverNeedsMoreThanTheStatedVersions) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  Bytes state(kPageBytes, std::byte{1});
  size_t whole = 0;
  for (size_t i = 0; i < 100; ++i) {
    state[i] = std::byte{2};
    ASSERT_TRUE(CommitState(*store, state).ok());
    if (store->epochs().back().stored_bytes > kPageBytes) ++whole;
  }
  EXPECT_EQ(whole, 6u) << "the first, and every 17th after it";
}

TEST_F(PageStoreTest, SnapshotsKeepTheirEpochWhileCommitsGoOn) {
  const std::vector<Bytes> history = RandomHistory(3, 30);
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  std::vector<PageStore::Snapshot> snapshots;
  for (const Bytes& state : history) {
    ASSERT_TRUE(CommitState(*store, state).ok());
    snapshots.push_back(*store->Newest());
  }
  for (size_t i = 0; i < history.size(); ++i) {
    Bytes state(snapshots[i].pages() * kPageBytes);
    ASSERT_TRUE(snapshots[i].Read(PageId::FromValue(0), state).ok());
    EXPECT_EQ(state, Padded(history[i]));
  }
}

TEST_F(PageStoreTest, SharedPagesAreKnownWithoutReading) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  Bytes state(3 * kPageBytes, std::byte{1});
  ASSERT_TRUE(CommitState(*store, state).ok());
  state[kPageBytes] = std::byte{9};
  ASSERT_TRUE(CommitState(*store, state).ok());
  const PageStore::Snapshot first = *store->SnapshotAt(Epoch::FromValue(1));
  const PageStore::Snapshot second = *store->SnapshotAt(Epoch::FromValue(2));
  EXPECT_TRUE(second.SharesPage(first, PageId::FromValue(0)));
  EXPECT_FALSE(second.SharesPage(first, PageId::FromValue(1)));
  EXPECT_TRUE(second.SharesPage(first, PageId::FromValue(2)));
  EXPECT_FALSE(second.SharesPage(first, PageId::FromValue(3)));
}

TEST_F(PageStoreTest, ADroppedBatchLeavesNothing) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  ASSERT_TRUE(CommitState(*store, Bytes(700, std::byte{1}), "m1").ok());
  const uint64_t bytes = store->Stats().log_bytes;
  {
    absl::StatusOr<PageStore::Batch> batch = store->Begin(10 << 20);
    ASSERT_TRUE(batch.ok());
    const Bytes page(kPageBytes, std::byte{5});
    for (uint64_t i = 0; i < 5000; ++i) {
      ASSERT_TRUE(batch->PutWhole(PageId::FromValue(i), page, 1).ok());
    }
    EXPECT_GT(files_.Info(path_ + "/log")->bytes, bytes) << "it was streamed";
  }
  EXPECT_EQ(files_.Info(path_ + "/log")->bytes, bytes);
  ASSERT_TRUE(CommitState(*store, Bytes(700, std::byte{2}), "m2").ok());
  Expect(*store, {Bytes(700, std::byte{1}), Bytes(700, std::byte{2})});
}

TEST_F(PageStoreTest, ABatchRefusesWhatDoesNotFitAndNamesThePage) {
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  const Bytes page(kPageBytes, std::byte{5});
  const auto put = [&](std::vector<uint64_t> pages, const Bytes& contents,
                       uint64_t bytes = 4 * kPageBytes) {
    absl::StatusOr<PageStore::Batch> batch = store->Begin(bytes);
    EXPECT_TRUE(batch.ok());
    absl::Status status;
    for (const uint64_t p : pages) {
      status.Update(batch->PutWhole(PageId::FromValue(p), contents, 1));
    }
    return status;
  };
  EXPECT_TRUE(put({0, 3}, page).ok());
  EXPECT_EQ(put({4}, page).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(put({~uint64_t{0}}, page).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(put({2, 1, 2}, page).message(), "page 2 was put already");
  EXPECT_EQ(put({0}, Bytes(100)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(put({0}, page, 100).message(),
            "page 0 has bytes past the end of the state");
  EXPECT_EQ(store->Begin(~uint64_t{0}).status().code(),
            absl::StatusCode::kOutOfRange);
  absl::StatusOr<PageStore::Batch> batch = store->Begin(1);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(store
                ->Commit(*std::move(batch),
                         {.message = std::string(
                              CommitInfo::kMaxMessageBytes + 1, 'x')})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store->newest(), Epoch());
}

TEST_F(PageStoreTest, WhatIsNoStoreIsLeftAlone) {
  EXPECT_EQ(TryOpen(Mode::kRead).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(TryOpen(Mode::kWrite).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(files_.CreateDirectory(path_).ok());
  EXPECT_EQ(TryOpen(Mode::kRead).status().code(), absl::StatusCode::kNotFound);
  Save("letters", Bytes(3));
  for (const Mode mode : {Mode::kRead, Mode::kWrite, Mode::kCreate}) {
    EXPECT_EQ(TryOpen(mode).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(*files_.List(path_), std::vector<std::string>{"letters"});
  ASSERT_TRUE(files_.Remove(path_ + "/letters").ok());

  Save("MMSB", Bytes(64, std::byte{'x'}));
  EXPECT_EQ(TryOpen(Mode::kCreate).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*files_.List(path_), std::vector<std::string>{"MMSB"});
  ASSERT_TRUE(files_.Remove(path_ + "/MMSB").ok());

  Save("MMSB.new", Bytes(3));  // a writer was interrupted
  EXPECT_TRUE(TryOpen(Mode::kCreate).ok());
  EXPECT_TRUE(TryOpen(Mode::kRead).ok());
}

TEST_F(PageStoreTest, AskingForAnEpochThatIsNotThereNamesThoseThatAre) {
  Write(RandomHistory(1, 3));
  const std::unique_ptr<PageStore> store = Open(Mode::kRead);
  EXPECT_EQ(store->SnapshotAt(Epoch()).status().code(),
            absl::StatusCode::kNotFound);
  const absl::Status status = store->SnapshotAt(Epoch::FromValue(4)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("1 to 3"), std::string_view::npos);
  EXPECT_EQ(store->Begin(1).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// With checkpoints an epoch may be read though lists of pages ahead of it are
// lost, and Verify must know.
class PageStoreDamageTest : public PageStoreTest,
                            public testing::WithParamInterface<uint64_t> {
 protected:
  PageStoreDamageTest() { slack_bytes_ = GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(CheckpointSlack, PageStoreDamageTest,
                         testing::Values(0, 1 << 20));

TEST_P(PageStoreDamageTest, EveryFlippedByteIsReportedAndNeverHandedOut) {
  std::vector<Bytes> history = RandomHistory(11, 12);
  Write(history);
  ASSERT_EQ(CheckpointsIn(Load("log")).empty(), slack_bytes_ != 0);
  uint64_t flips = 0;
  for (const std::string name : {"MMSB", "log", "tip"}) {
    const Bytes right = Load(name);
    // Every byte of the small files, and of the log every one that is not in
    // the middle of a page's contents, near enough.
    const size_t stride = name == "log" ? 7 : 1;
    for (size_t at = 0; at < right.size(); at += stride) {
      Bytes wrong = right;
      wrong[at] ^= std::byte{0x01};
      Save(name, wrong);
      ++flips;
      const absl::StatusOr<std::unique_ptr<PageStore>> store =
          TryOpen(Mode::kRead);
      ASSERT_TRUE(store.ok()) << name << " " << at << " " << store.status();
      const absl::StatusOr<VerifyReport> report = Verify(**store);
      ASSERT_TRUE(report.ok()) << name << " " << at << " " << report.status();
      if (name == "tip") {
        EXPECT_FALSE(report->notes.empty()) << at;
      } else {
        EXPECT_FALSE(report->ok()) << name << " " << at;
      }
      std::set<uint64_t> damaged;
      for (const VerifyReport::DamagedEpoch& epoch : report->damaged_epochs) {
        damaged.insert(epoch.epoch.value());
      }
      ASSERT_EQ((*store)->newest().value(), history.size())
          << name << " " << at;
      for (size_t i = 0; i < history.size(); ++i) {
        const absl::StatusOr<Bytes> state =
            ReadState(**store, Epoch::FromValue(i + 1));
        if (damaged.contains(i + 1)) {
          EXPECT_EQ(state.status().code(), absl::StatusCode::kDataLoss)
              << name << " " << at << " epoch " << i + 1;
        } else {
          ASSERT_TRUE(state.ok()) << name << " " << at << state.status();
          ASSERT_EQ(*state, history[i]) << name << " " << at;
        }
      }
      if (!damaged.empty()) {
        EXPECT_FALSE(CommitState(**store, history.back()).ok());
      }
    }
    Save(name, right);
  }
  EXPECT_GT(flips, 300u);
  Expect(*Open(Mode::kRead), history);
}

TEST_P(PageStoreDamageTest, ALogThatWasCutGivesWhatItHasAndSaysSo) {
  const std::vector<Bytes> history = RandomHistory(12, 12);
  Write(history);
  const Bytes right = Load("log");
  for (size_t bytes = 0; bytes < right.size(); bytes += 13) {
    Save("log",
         Bytes(right.begin(), right.begin() + static_cast<ptrdiff_t>(bytes)));
    const std::unique_ptr<PageStore> store = Open(Mode::kRead);
    ASSERT_EQ(store->newest().value(), history.size()) << bytes;
    const absl::StatusOr<VerifyReport> report = Verify(*store);
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_FALSE(report->ok()) << bytes;
    std::set<uint64_t> damaged;
    for (const VerifyReport::DamagedEpoch& epoch : report->damaged_epochs) {
      damaged.insert(epoch.epoch.value());
    }
    for (size_t i = 0; i < history.size(); ++i) {
      const absl::StatusOr<Bytes> state =
          ReadState(*store, Epoch::FromValue(i + 1));
      ASSERT_EQ(state.ok(), !damaged.contains(i + 1))
          << bytes << " epoch " << i + 1 << " " << state.status();
      if (state.ok()) {
        ASSERT_EQ(*state, history[i]) << bytes;
      }
    }
    EXPECT_EQ(TryOpen(Mode::kWrite).status().code(),
              absl::StatusCode::kDataLoss)
        << bytes;
  }
}

TEST_F(PageStoreTest, AStoreIsTheSameFromACheckpointAsFromTheWholeLog) {
  slack_bytes_ = 0;
  for (uint64_t seed = 21; seed <= 23; ++seed) {
    path_ = absl::StrCat("store", seed);
    const std::vector<Bytes> history = RandomHistory(seed, 40);
    uint64_t by_checkpoint = 0;
    for (size_t n = 1; n <= history.size(); ++n) {
      ASSERT_TRUE(CommitState(*Open(Mode::kCreate), history[n - 1],
                              absl::StrCat("m", n))
                      .ok());
      const std::unique_ptr<PageStore> fast = Open(Mode::kRead);
      const PageStoreStats fast_stats = fast->Stats();
      by_checkpoint += fast_stats.checkpoint == Epoch() ? 0 : 1;
      // Without a tip nothing names a checkpoint.
      const Bytes tip = Load("tip");
      ASSERT_TRUE(files_.Remove(path_ + "/tip").ok());
      const std::unique_ptr<PageStore> slow = Open(Mode::kRead);
      Save("tip", tip);
      const PageStoreStats slow_stats = slow->Stats();
      ASSERT_EQ(fast->newest(), slow->newest());
      ASSERT_EQ(fast_stats.pages, slow_stats.pages);
      ASSERT_EQ(fast_stats.zero_pages, slow_stats.zero_pages);
      ASSERT_EQ(fast_stats.delta_pages, slow_stats.delta_pages);
      ASSERT_EQ(fast_stats.log_bytes, slow_stats.log_bytes);
      ASSERT_EQ(fast_stats.checkpoint, slow_stats.checkpoint) << n;
      ASSERT_EQ(fast_stats.checkpoint_bytes, slow_stats.checkpoint_bytes);
      ASSERT_EQ(fast_stats.replay_bytes, slow_stats.replay_bytes);
      for (uint64_t e = 1; e <= n; ++e) {
        absl::StatusOr<PageStore::Snapshot> a =
            fast->SnapshotAt(Epoch::FromValue(e));
        absl::StatusOr<PageStore::Snapshot> b =
            slow->SnapshotAt(Epoch::FromValue(e));
        ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
        ASSERT_EQ(a->bytes(), b->bytes());
        ASSERT_EQ(a->pages(), b->pages());
        for (uint64_t page = 0; page < a->pages(); ++page) {
          ASSERT_TRUE(a->SharesPage(*b, PageId::FromValue(page)))
              << n << " epoch " << e << " page " << page;
        }
      }
      ASSERT_EQ(fast->epochs().size(), n);
      for (size_t i = 0; i < n; ++i) {
        const EpochInfo& a = fast->epochs()[i];
        const EpochInfo& b = slow->epochs()[i];
        ASSERT_EQ(a.epoch, b.epoch);
        ASSERT_EQ(a.time_ns, b.time_ns);
        ASSERT_EQ(a.bytes, b.bytes);
        ASSERT_EQ(a.changed_bytes, b.changed_bytes);
        ASSERT_EQ(a.changed_pages, b.changed_pages);
        ASSERT_EQ(a.stored_bytes, b.stored_bytes) << n << " epoch " << i + 1;
        ASSERT_EQ(a.root, b.root);
        ASSERT_EQ(a.message, b.message);
      }
    }
    EXPECT_GT(by_checkpoint, history.size() / 2);
    Expect(*Open(Mode::kRead), history);
  }
}

TEST_F(PageStoreTest, ADamagedCheckpointGivesWayToTheOneBeforeIt) {
  std::vector<Bytes> history = RandomHistory(31, 20);
  {
    const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
    for (size_t i = 0; i < history.size(); ++i) {
      ASSERT_TRUE(CommitState(*store, history[i],
                              CommitInfo{.message = absl::StrCat("m", i + 1),
                                         .checkpoint = i == 4 || i == 14})
                      .ok());
    }
  }
  ASSERT_EQ(Open(Mode::kRead)->Stats().checkpoint, Epoch::FromValue(15));
  Bytes log = Load("log");
  const std::vector<size_t> positions = CheckpointsIn(log);
  ASSERT_EQ(positions.size(), 2u);
  // In its data, which a replay that passes it does not read.
  log[positions[1] + RecordHead::kBytes + 40 + 3] ^= std::byte{1};
  Save("log", log);
  EXPECT_EQ(Open(Mode::kRead)->Stats().checkpoint, Epoch::FromValue(5));
  {
    const std::unique_ptr<PageStore> store = Open(Mode::kWrite);
    const absl::StatusOr<VerifyReport> report = Verify(*store);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->damaged_epochs.empty());
    ASSERT_EQ(report->damage.size(), 1u);
    EXPECT_NE(report->damage[0].find("the checkpoint of epoch 15 is damaged"),
              std::string::npos)
        << report->damage[0];
    for (size_t i = 0; i < history.size(); ++i) {
      EXPECT_EQ(*ReadState(*store, Epoch::FromValue(i + 1)), history[i]);
    }
    // Nothing is in the way of another commit and another checkpoint.
    history.push_back(history[3]);
    ASSERT_TRUE(CommitState(*store, history.back(),
                            CommitInfo{.message = "m21", .checkpoint = true})
                    .ok());
  }
  const std::unique_ptr<PageStore> store = Open(Mode::kRead);
  EXPECT_EQ(store->Stats().checkpoint, Epoch::FromValue(21));
  for (size_t i = 0; i < history.size(); ++i) {
    EXPECT_EQ(*ReadState(*store, Epoch::FromValue(i + 1)), history[i]);
  }
  // The first one too: then it is the whole log.
  log = Load("log");
  for (const size_t position : CheckpointsIn(log)) {
    log[position + RecordHead::kBytes + 40 + 3] ^= std::byte{2};
  }
  Save("log", log);
  const std::unique_ptr<PageStore> none = Open(Mode::kWrite);
  EXPECT_EQ(none->Stats().checkpoint, Epoch());
  for (size_t i = 0; i < history.size(); ++i) {
    EXPECT_EQ(*ReadState(*none, Epoch::FromValue(i + 1)), history[i]);
  }
}

// A whole record whose sizes and links are not true, as damage cannot make it.
TEST_F(PageStoreTest, AForgedCheckpointIsNotUsed) {
  const std::vector<Bytes> history = RandomHistory(32, 6);
  {
    const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
    for (size_t i = 0; i < history.size(); ++i) {
      ASSERT_TRUE(CommitState(*store, history[i],
                              CommitInfo{.message = absl::StrCat("m", i + 1),
                                         .checkpoint = i == 2})
                      .ok());
    }
  }
  const uint64_t store_id = StoreHeader::Decode(Load("MMSB"), "")->store_id;
  const Bytes right = Load("log");
  const size_t at = CheckpointsIn(right).at(0);
  for (const size_t forged : {0, 8, 16, 24, 32, 36, 40, 44, 48, 56, 60}) {
    // The meta is 40 bytes, and behind it are the entries.
    Bytes log = right;
    const auto bytes = std::span(log).subspan(at);
    for (size_t i = 0; i < 4; ++i) {
      bytes[RecordHead::kBytes + forged + i] = std::byte{0x7f};
    }
    ForgeRecords(
        log, store_id, [](RecordHead& head, std::span<const std::byte> record) {
          if (head.kind != RecordKind::kCheckpoint) return;
          ASSERT_GT(head.data_bytes, 24u);
          const auto meta = record.subspan(RecordHead::kBytes, head.meta_bytes);
          head.meta_checksum = Crc32c(meta);
          head.data_checksum =
              Crc32c(record.subspan(RecordHead::kBytes + head.meta_bytes));
        });
    Save("log", log);
    const std::unique_ptr<PageStore> store = Open(Mode::kRead);
    EXPECT_FALSE(Verify(*store)->ok()) << forged;
    for (size_t i = 0; i < history.size(); ++i) {
      const absl::StatusOr<Bytes> state =
          ReadState(*store, Epoch::FromValue(i + 1));
      // A wrong place of a page within the log is only seen when it is read.
      if (state.ok() || forged < 48) {
        ASSERT_TRUE(state.ok()) << forged << " " << state.status();
        EXPECT_EQ(*state, history[i]) << forged;
      }
    }
  }
}

TEST_F(PageStoreTest, OpeningAfterManyCommitsReadsNoMoreThanIsStated) {
  slack_bytes_ = 8 << 10;
  Bytes state(100 * kPageBytes);
  std::mt19937_64 random(1);
  for (std::byte& b : state) b = static_cast<std::byte>(random());
  uint64_t checkpoints = 0;
  uint64_t most = 0;
  for (size_t commits = 0; commits < 1000;) {
    {
      const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
      for (size_t i = 0; i < 50; ++i, ++commits) {
        state[random() % state.size()] ^= std::byte{1};
        ASSERT_TRUE(CommitState(*store, state, std::string(500, 'm')).ok());
        const PageStoreStats stats = store->Stats();
        const uint64_t stored = stats.pages - stats.zero_pages;
        ASSERT_LE(stats.checkpoint_bytes + stats.replay_bytes,
                  slack_bytes_ + 3 * (24 * stored + 88));
        checkpoints += stats.checkpoint == store->newest() ? 1 : 0;
      }
    }
    CountedReads reads(files_);
    const absl::StatusOr<std::unique_ptr<PageStore>> store =
        PageStore::Open(reads, path_, {});
    ASSERT_TRUE(store.ok()) << store.status();
    most = std::max(most, reads.bytes());
    Bytes page(kPageBytes);
    ASSERT_TRUE((*store)->Newest()->Read(PageId::FromValue(0), page).ok());
    ASSERT_EQ(page, Bytes(state.begin(), state.begin() + kPageBytes));
  }
  const uint64_t stated = 4 * (slack_bytes_ + 3 * (24 * 100 + 88));
  const uint64_t log_bytes = Open(Mode::kRead)->Stats().log_bytes;
  EXPECT_LE(most, stated);
  EXPECT_GT(log_bytes, 8 * stated) << "the log is much longer";
  EXPECT_GT(checkpoints, 10u);
  const Bytes log = Load("log");
  EXPECT_LT(checkpoints * (24 * 100 + 88), log.size() / 2);
  std::printf(
      "%llu of %llu bytes of log read at most, %llu stated; "
      "%llu checkpoints\n",
      static_cast<unsigned long long>(most),
      static_cast<unsigned long long>(log_bytes),
      static_cast<unsigned long long>(stated),
      static_cast<unsigned long long>(checkpoints));
  const absl::StatusOr<VerifyReport> report = Verify(*Open(Mode::kRead));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ok());
  EXPECT_EQ(report->checkpoints, checkpoints);
}

// What a cut state leaves behind must not be read for ever.
TEST_F(PageStoreTest, ACheckpointOfAStateThatShrankIsReplaced) {
  slack_bytes_ = 100;
  const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
  ASSERT_TRUE(CommitState(*store, Bytes(1000 * kPageBytes, std::byte{1}),
                          {.checkpoint = true})
                  .ok());
  EXPECT_EQ(store->Stats().checkpoint_bytes, 24u * 1000 + 88);
  ASSERT_TRUE(CommitState(*store, Bytes(kPageBytes, std::byte{1})).ok());
  EXPECT_EQ(store->Stats().checkpoint, Epoch::FromValue(2));
  EXPECT_EQ(store->Stats().checkpoint_bytes, 24u + 88);
}

TEST_F(PageStoreTest, ALargeTableTakesSeveralRecordsAndComesBack) {
  constexpr uint64_t kPages = 40'000;
  {
    const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
    absl::StatusOr<PageStore::Batch> batch =
        store->Begin(2 * kPages * kPageBytes);
    ASSERT_TRUE(batch.ok());
    for (uint64_t page = 0; page < kPages; ++page) {
      const Bytes contents(kPageBytes, static_cast<std::byte>(1 + page % 255));
      ASSERT_TRUE(
          batch->PutWhole(PageId::FromValue(2 * page), contents, 1).ok());
    }
    ASSERT_TRUE(store->Commit(*std::move(batch), {.checkpoint = true}).ok());
  }
  const std::unique_ptr<PageStore> store = Open(Mode::kRead);
  const PageStoreStats stats = store->Stats();
  EXPECT_EQ(stats.checkpoint, Epoch::FromValue(1));
  EXPECT_EQ(stats.checkpoint_bytes, 24 * kPages + 3 * 88);
  EXPECT_EQ(stats.zero_pages, kPages);
  Bytes out(2 * kPageBytes);
  ASSERT_TRUE(
      store->Newest()->Read(PageId::FromValue(2 * (kPages - 1)), out).ok());
  EXPECT_EQ(out[0], static_cast<std::byte>(1 + (kPages - 1) % 255));
  EXPECT_TRUE(Verify(*store)->ok());
}

TEST_F(PageStoreTest, ADamagedPageIsNeverTheGroundOfACommit) {
  Bytes state(2 * kPageBytes, std::byte{1});
  Write({state});
  Bytes log = Load("log");
  // The byte of page 0 becomes what the next version has there, so that a
  // comparison of bytes alone would miss the change.
  const auto at = std::search_n(log.begin(), log.end(), 100, std::byte{1});
  ASSERT_NE(at, log.end());
  *(at + 50) = std::byte{7};
  Save("log", log);
  const std::unique_ptr<PageStore> store = Open(Mode::kWrite);
  state[static_cast<size_t>(50)] = std::byte{7};
  EXPECT_EQ(CommitState(*store, state).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(store->newest().value(), 1u);
}

TEST_F(PageStoreTest, AFailureOfAnyCallLosesNothing) {
  using Fault = FaultyFileSystem::Fault;
  slack_bytes_ = 0;
  const std::vector<Bytes> history = RandomHistory(5, 4);
  for (const Fault fault : {Fault::kIoError, Fault::kShortWrite}) {
    uint64_t made = 0;
    for (uint64_t calls = 0; calls <= made; ++calls) {
      path_ = absl::StrCat("store", static_cast<int>(fault), "-", calls);
      const uint64_t before = files_.calls();
      files_.FailAfter(calls, fault);
      uint64_t acknowledged = 0;
      if (const auto store = TryOpen(Mode::kCreate); store.ok()) {
        for (size_t i = 0; i < history.size(); ++i) {
          if (!CommitState(**store, history[i], absl::StrCat("m", i + 1))
                   .ok()) {
            break;
          }
          ++acknowledged;
        }
      }
      made = files_.calls() - before;
      files_.FailAfter(0, fault, 0);
      {
        const std::unique_ptr<PageStore> store = Open(Mode::kCreate);
        const uint64_t held = store->newest().value();
        ASSERT_GE(held, acknowledged) << calls;
        ASSERT_LE(held, acknowledged + 1) << calls;
        Expect(*store, {history.begin(),
                        history.begin() + static_cast<ptrdiff_t>(held)});
        for (size_t i = held; i < history.size(); ++i) {
          ASSERT_TRUE(
              CommitState(*store, history[i], absl::StrCat("m", i + 1)).ok());
        }
      }
      Expect(*Open(Mode::kRead), history);
    }
  }
}

}  // namespace
}  // namespace mmsb
