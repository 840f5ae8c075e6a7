#include "memory/log/transaction_log.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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
#include "memory/log/log_record.h"
#include "memory/log/log_segments.h"
#include "memory/log/prefix_oracle.h"
#include "memory/log/store_header.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

Bytes FromText(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return Bytes(bytes.begin(), bytes.end());
}

std::string ToText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Writes down what a replay shows, as text.
class Recorder final : public TransactionLog::Visitor {
 public:
  absl::Status OnData(const TransactionLog::Record& record) override {
    absl::StrAppend(&seen, "d", record.epoch.value(), ".", record.sequence, ":",
                    ToText(record.meta), record.data_damaged ? "!" : "", " ");
    data.push_back({record.data_position, record.data_bytes});
    return absl::OkStatus();
  }
  absl::Status OnCommit(const TransactionLog::Record& record) override {
    absl::StrAppend(&seen, "c", record.epoch.value(), ":", ToText(record.meta),
                    " ");
    return absl::OkStatus();
  }
  absl::Status OnCheckpoint(const TransactionLog::Record& record) override {
    absl::StrAppend(&seen, "p", record.epoch.value(), ".", record.sequence, ":",
                    ToText(record.meta), record.data_damaged ? "!" : "", " ");
    return absl::OkStatus();
  }
  absl::Status OnRestated(const TransactionLog::Record& record) override {
    absl::StrAppend(&seen, "r", record.epoch.value(), ":", ToText(record.meta),
                    " ");
    return absl::OkStatus();
  }
  absl::Status OnLostCommit(Epoch epoch) override {
    absl::StrAppend(&seen, "lost", epoch.value(), " ");
    return absl::OkStatus();
  }

  struct Data {
    uint64_t position;
    uint64_t bytes;
  };
  std::string seen;
  std::vector<Data> data;
};

class TransactionLogTest : public testing::Test {
 protected:
  TransactionLogTest() { EXPECT_TRUE(files_.CreateDirectory(directory_).ok()); }

  std::string Path(const std::string& name) const {
    return directory_ + "/" + name;
  }

  std::unique_ptr<TransactionLog> Open(
      FileSystem::Access access = FileSystem::Access::kReadWrite) {
    absl::StatusOr<std::unique_ptr<TransactionLog>> log =
        TransactionLog::Open(files_, directory_, header_, access);
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  std::unique_ptr<TransactionLog> OpenAndReplay() {
    std::unique_ptr<TransactionLog> log = Open();
    Recorder recorder;
    EXPECT_TRUE(log->Replay({}, recorder).ok());
    return log;
  }

  // Three transactions with two data records each.
  void WriteThree() {
    const std::unique_ptr<TransactionLog> log = OpenAndReplay();
    for (int i = 1; i <= 3; ++i) {
      for (const char* part : {"a", "b"}) {
        const std::string text = absl::StrCat(part, i);
        ASSERT_TRUE(log->Append(FromText(text), FromText(text + text)).ok());
      }
      const absl::StatusOr<Epoch> epoch =
          log->Commit(FromText(absl::StrCat("m", i)));
      ASSERT_TRUE(epoch.ok()) << epoch.status();
      EXPECT_EQ(epoch->value(), static_cast<uint64_t>(i));
    }
  }
  static constexpr std::string_view kThree =
      "d1.0:a1 d1.1:b1 c1:m1 d2.0:a2 d2.1:b2 c2:m2 d3.0:a3 d3.1:b3 c3:m3 ";

  struct Replayed {
    std::string seen;
    TransactionLog::ReplayReport report;
  };
  Replayed Replay(TransactionLog::ReplayOptions options = {}) {
    const std::unique_ptr<TransactionLog> log = Open(FileSystem::Access::kRead);
    Recorder recorder;
    absl::StatusOr<TransactionLog::ReplayReport> report =
        log->Replay(options, recorder);
    EXPECT_TRUE(report.ok()) << report.status();
    return {recorder.seen, *std::move(report)};
  }

  uint64_t SizeOf(const std::string& name) {
    return files_.Info(Path(name))->bytes;
  }
  void Resize(const std::string& name, uint64_t bytes) {
    const auto file = *files_.Open(Path(name), FileSystem::Access::kReadWrite);
    ASSERT_TRUE(file->Truncate(bytes).ok());
  }
  void Flip(const std::string& name, uint64_t position) {
    const auto file = *files_.Open(Path(name), FileSystem::Access::kReadWrite);
    std::array<std::byte, 1> byte{};
    ASSERT_EQ(*file->ReadAt(position, byte), 1u);
    byte[0] ^= std::byte{0x10};
    ASSERT_TRUE(file->WriteAt(position, byte).ok());
  }

  FaultyFileSystem files_;
  const StoreHeader header_{.page_bytes = 4096, .store_id = 0x1234567890};
  const std::string directory_ = "directory";
};

// A disk whose states after a crash are judged at each sync.
class JudgedDisk {
 public:
  explicit JudgedDisk(const StoreHeader& header) : header_(header) {
    EXPECT_TRUE(disk.CreateDirectory(kDirectory).ok());
    EXPECT_TRUE(disk.SyncDirectory(".").ok());
    disk.OnCrashPoint([this] { Judge(); });
  }

  std::unique_ptr<TransactionLog> OpenAndReplay(FileSystem& from) {
    absl::StatusOr<std::unique_ptr<TransactionLog>> log = TransactionLog::Open(
        from, kDirectory, header_, FileSystem::Access::kReadWrite);
    EXPECT_TRUE(log.ok()) << log.status();
    Recorder recorder;
    EXPECT_TRUE((*log)->Replay({.check_data = true}, recorder).ok());
    seen = recorder.seen;
    return *std::move(log);
  }

  void Judge() {
    disk.ForEachCrashState(
        {.sector_bytes = sector_bytes}, [&](FaultyFileSystem& left) {
          OpenAndReplay(left);
          const absl::Status verdict = oracle.Check(seen);
          EXPECT_TRUE(verdict.ok()) << where << ": " << verdict << ": " << seen;
        });
  }

  FaultyFileSystem disk;
  PrefixOracle oracle{""};
  std::string where;  // in the test, for messages
  std::string seen;   // by the last replay
  size_t sector_bytes = 512;

 private:
  static constexpr char kDirectory[] = "store";
  const StoreHeader header_;
};

TEST_F(TransactionLogTest, AnEmptyDirectoryIsALogOfNoTransactions) {
  const Replayed replayed = Replay();
  EXPECT_EQ(replayed.seen, "");
  EXPECT_EQ(replayed.report.newest, Epoch());
  EXPECT_FALSE(replayed.report.tip_damaged);
  EXPECT_TRUE(files_.List(directory_)->empty()) << "reading creates nothing";
}

TEST_F(TransactionLogTest, ReplaysWhatWasCommitted) {
  WriteThree();
  const Replayed replayed = Replay({.check_data = true});
  EXPECT_EQ(replayed.seen, kThree);
  EXPECT_EQ(replayed.report.newest.value(), 3u);
  EXPECT_EQ(replayed.report.end, SizeOf("log"));
  EXPECT_TRUE(replayed.report.damage.empty());
  EXPECT_EQ(Replay({.last = Epoch::FromValue(1)}).seen,
            "d1.0:a1 d1.1:b1 c1:m1 ");
}

TEST_F(TransactionLogTest, AReplayMayBeginWithACheckpoint) {
  WriteThree();
  EXPECT_EQ(Open()->Tip()->checkpoint, 0u);
  {
    const std::unique_ptr<TransactionLog> log = OpenAndReplay();
    EXPECT_EQ(log->last_checkpoint(), 0u);
    ASSERT_TRUE(log->Append(FromText("a4"), FromText("data")).ok());
    ASSERT_TRUE(log->AppendCheckpoint(FromText("x"), FromText("all")).ok());
    ASSERT_TRUE(log->AppendCheckpoint(FromText("y"), {}).ok());
    EXPECT_EQ(log->last_checkpoint(), 0u) << "not committed yet";
    ASSERT_TRUE(log->Commit(FromText("m4")).ok());
    ASSERT_TRUE(log->Append(FromText("a5"), {}).ok());
    ASSERT_TRUE(log->AppendCheckpoint(FromText("gone"), {}).ok());
    ASSERT_TRUE(log->Abort().ok());
    ASSERT_TRUE(log->Append(FromText("a5"), {}).ok());
    ASSERT_TRUE(log->Commit(FromText("m5")).ok());
  }
  const std::string tail = "p4.1:x p4.2:y c4:m4 d5.0:a5 c5:m5 ";
  EXPECT_EQ(Replay().seen, absl::StrCat(kThree, "d4.0:a4 ", tail));
  const uint64_t position = Open()->Tip()->checkpoint;
  const auto found = *Open()->ReadCheckpoint(position);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->epoch, Epoch::FromValue(4));
  EXPECT_EQ(ToText(found->meta), "x");
  // Damage ahead of it is not looked at.
  Flip("log", StoreHeader::kBytes);
  const Replayed replayed = Replay({.checkpoint = position});
  EXPECT_EQ(replayed.seen, tail);
  EXPECT_TRUE(replayed.report.damage.empty());
  EXPECT_EQ(Replay({.last = Epoch::FromValue(4), .checkpoint = position}).seen,
            "p4.1:x p4.2:y c4:m4 ");
  const std::unique_ptr<TransactionLog> log = Open();
  Recorder recorder;
  ASSERT_TRUE(log->Replay({.checkpoint = position}, recorder).ok());
  EXPECT_EQ(log->last_checkpoint(), position);
  EXPECT_EQ(log->Commit(FromText("m6"))->value(), 6u);
  EXPECT_EQ(Open()->Tip()->checkpoint, position);
  Flip("log", StoreHeader::kBytes);
  EXPECT_FALSE(Replay().report.tip_checkpoint_wrong);
}

TEST_F(TransactionLogTest, ATransactionIsRestated) {
  EXPECT_FALSE(OpenAndReplay()->BeginRestatement().ok()) << "there is none";
  WriteThree();
  {
    const std::unique_ptr<TransactionLog> log = OpenAndReplay();
    ASSERT_TRUE(log->BeginRestatement().ok());
    ASSERT_TRUE(log->AppendCheckpoint(FromText("x"), FromText("all")).ok());
    EXPECT_FALSE(log->BeginRestatement().ok()) << "it has begun";
    EXPECT_EQ(log->Commit(FromText("m3"))->value(), 3u);
    // And again, by the same writer.
    ASSERT_TRUE(log->BeginRestatement().ok());
    ASSERT_TRUE(log->AppendCheckpoint(FromText("y"), FromText("all")).ok());
    EXPECT_EQ(log->Commit(FromText("m3"))->value(), 3u);
    ASSERT_TRUE(log->Append(FromText("a4"), {}).ok());
    EXPECT_EQ(log->Commit(FromText("m4"))->value(), 4u);
  }
  EXPECT_EQ(Replay({.check_data = true}).seen,
            absl::StrCat(kThree, "p3.3:x r3:m3 p3.5:y r3:m3 d4.0:a4 c4:m4 "));
  const uint64_t position = Open()->Tip()->checkpoint;
  EXPECT_EQ(Replay({.checkpoint = position}).seen,
            "p3.5:y c3:m3 d4.0:a4 c4:m4 ");
  EXPECT_EQ(Replay({.last = Epoch::FromValue(3)}).seen, kThree);
}

// Damage to what restates a transaction is told, and takes no epoch away.
TEST_F(TransactionLogTest, EveryFlippedByteOfARestatementIsSeen) {
  WriteThree();
  const uint64_t begin = SizeOf("log");
  for (const bool goes_on : {false, true}) {
    uint64_t end = 0;
    {
      const std::unique_ptr<TransactionLog> log = OpenAndReplay();
      if (!goes_on) {
        ASSERT_TRUE(log->BeginRestatement().ok());
        ASSERT_TRUE(log->AppendCheckpoint(FromText("x"), FromText("all")).ok());
        ASSERT_TRUE(log->AppendCheckpoint(FromText("y"), FromText("all")).ok());
        ASSERT_TRUE(log->Commit(FromText("m3")).ok());
        end = SizeOf("log");
      } else {
        end = SizeOf("log");
        ASSERT_TRUE(log->Append(FromText("a4"), {}).ok());
        ASSERT_TRUE(log->Commit(FromText("m4")).ok());
      }
    }
    const std::string next = goes_on ? "d4.0:a4 c4:m4 " : "";
    for (uint64_t position = begin; position < end; ++position) {
      Flip("log", position);
      const Replayed replayed = Replay({.check_data = true});
      EXPECT_TRUE(!replayed.report.damage.empty() ||
                  replayed.seen.find('!') != std::string::npos)
          << position;
      EXPECT_TRUE(replayed.seen.starts_with(kThree)) << position;
      EXPECT_TRUE(replayed.seen.ends_with(next)) << position;
      EXPECT_EQ(replayed.seen.find("lost"), std::string::npos) << position;
      EXPECT_EQ(replayed.report.newest.value(), goes_on ? 4u : 3u);
      EXPECT_EQ(replayed.report.torn_bytes, 0u) << position;
      Flip("log", position);
    }
  }
}

TEST_F(TransactionLogTest, AnUnfinishedRestatementIsCutOff) {
  WriteThree();
  const uint64_t bytes = SizeOf("log");
  {
    const std::unique_ptr<TransactionLog> log = OpenAndReplay();
    ASSERT_TRUE(log->BeginRestatement().ok());
    ASSERT_TRUE(log->AppendCheckpoint(FromText("x"), FromText("all")).ok());
    ASSERT_TRUE(log->Flush().ok());
  }
  const uint64_t end = SizeOf("log");
  const Replayed replayed = Replay();
  EXPECT_EQ(replayed.seen, kThree);
  EXPECT_TRUE(replayed.report.damage.empty());
  EXPECT_EQ(replayed.report.torn_bytes, end - bytes);
  EXPECT_EQ(OpenAndReplay()->Commit(FromText("m4"))->value(), 4u);
  EXPECT_EQ(Replay().seen, absl::StrCat(kThree, "c4:m4 "));
}

// Several transactions and one sync: the tip names none of them before it, and
// a crash leaves the first of them.
TEST_F(TransactionLogTest, OneSyncCoversAllThatWasCommittedBeforeIt) {
  WriteThree();
  const uint64_t bytes = SizeOf("log");
  std::vector<uint64_t> ends;
  {
    const std::unique_ptr<TransactionLog> log = OpenAndReplay();
    for (const uint64_t epoch : {4, 5, 6}) {
      EXPECT_EQ(
          log->CommitUnsynced(FromText(absl::StrCat("m", epoch)))->value(),
          epoch);
      ends.push_back(log->bytes());
    }
    EXPECT_EQ(SizeOf("log"), bytes) << "it waits in memory";
    EXPECT_FALSE(OpenAndReplay()->PrepareSync()->has_value()) << "all is";
    const auto point = log->PrepareSync();
    ASSERT_TRUE(point.ok()) << point.status();
    ASSERT_TRUE(point->has_value());
    EXPECT_EQ((*point)->epoch, Epoch::FromValue(6));
    EXPECT_EQ(SizeOf("log"), ends.back());
    const auto at = [&](uint64_t flipped) {
      Flip("log", flipped);
      Replayed replayed = Replay();
      Flip("log", flipped);
      return replayed;
    };
    EXPECT_EQ(at(ends[0]).seen, absl::StrCat(kThree, "c4:m4 "));
    EXPECT_TRUE(at(ends[0]).report.damage.empty());
    ASSERT_TRUE(log->SyncTo(**point).ok());
    EXPECT_FALSE(at(ends[0]).report.damage.empty());
  }
  EXPECT_EQ(Replay().seen, absl::StrCat(kThree, "c4:m4 c5:m5 c6:m6 "));
}

TEST_F(TransactionLogTest, AGenerationHasFilesAndAFirstEpochOfItsOwn) {
  WriteThree();
  StoreHeader header = header_;
  header.generation = 2;
  header.first_epoch = 7;
  const auto open = [&] {
    return *TransactionLog::Open(files_, directory_, header,
                                 FileSystem::Access::kReadWrite);
  };
  {
    const std::unique_ptr<TransactionLog> log = open();
    Recorder recorder;
    ASSERT_TRUE(log->Replay({}, recorder).ok());
    EXPECT_EQ(log->Commit(FromText("m7"))->value(), 7u);
  }
  Recorder recorder;
  ASSERT_TRUE(open()->Replay({}, recorder).ok());
  EXPECT_EQ(recorder.seen, "c7:m7 ");
  EXPECT_GT(SizeOf("log.2"), 0u);
  EXPECT_EQ(SizeOf("tip.2"), SizeOf("tip"));
  EXPECT_EQ(Replay().seen, kThree);
  // Its records are not taken for those of another generation.
  header.generation = 3;
  ASSERT_TRUE(
      files_
          .Rename(Path("log.2"), Path("log.3"), FileSystem::IfExists::kReplace)
          .ok());
  EXPECT_EQ(open()->Replay({}, recorder).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(TransactionLogTest, WhatIsNoCheckpointIsNoPlaceToBegin) {
  WriteThree();
  {
    const std::unique_ptr<TransactionLog> log = OpenAndReplay();
    ASSERT_TRUE(log->AppendCheckpoint(FromText("x"), FromText("all")).ok());
    ASSERT_TRUE(log->Commit({}).ok());
  }
  const uint64_t position = Open()->Tip()->checkpoint;
  const uint64_t end = SizeOf("log");
  for (const uint64_t wrong :
       {uint64_t{0}, uint64_t{StoreHeader::kBytes}, position - 1, position + 1,
        end - 1, end, ~uint64_t{0}}) {
    EXPECT_FALSE((*Open()->ReadCheckpoint(wrong)).has_value()) << wrong;
    Recorder recorder;
    EXPECT_EQ(Open()->Replay({.checkpoint = wrong}, recorder).status().code(),
              absl::StatusCode::kDataLoss)
        << wrong;
    EXPECT_EQ(recorder.seen, "");
  }
  for (uint64_t at = position; at < position + RecordHead::kBytes + 1; ++at) {
    Flip("log", at);
    EXPECT_FALSE((*Open()->ReadCheckpoint(position)).has_value()) << at;
    Flip("log", at);
  }
  // A tip that names another record than the checkpoint's.
  const auto file = *files_.Open(Path("tip"), FileSystem::Access::kReadWrite);
  const LogTip tip{
      .epoch = Epoch::FromValue(4), .end = end, .checkpoint = position + 1};
  for (const uint64_t at : {uint64_t{0}, uint64_t{LogTip::kBytes}}) {
    ASSERT_TRUE(file->WriteAt(at, tip.Encode(header_.store_id)).ok());
  }
  EXPECT_TRUE(Replay().report.tip_checkpoint_wrong);
}

TEST_F(TransactionLogTest, DataIsReadWhereAppendPutIt) {
  const std::unique_ptr<TransactionLog> log = OpenAndReplay();
  const absl::StatusOr<uint64_t> position =
      log->Append(FromText("meta"), FromText("data"));
  ASSERT_TRUE(position.ok());
  ASSERT_TRUE(log->Flush().ok());
  Bytes out(4);
  ASSERT_TRUE(log->data().Read(*position, out).ok())
      << "before the commit, too";
  EXPECT_EQ(ToText(out), "data");
  EXPECT_EQ(log->data().Read(*position + 1, out).code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(TransactionLogTest, AbortAndAnUnfinishedTransactionLeaveNothing) {
  WriteThree();
  const uint64_t bytes = SizeOf("log");
  {
    const std::unique_ptr<TransactionLog> log = OpenAndReplay();
    for (const bool written : {true, false}) {
      ASSERT_TRUE(log->Append(FromText("x"), FromText("y")).ok());
      if (written) {
        ASSERT_TRUE(log->Flush().ok());
      }
      EXPECT_EQ(SizeOf("log") > bytes, written);
      ASSERT_TRUE(log->Abort().ok());
      EXPECT_EQ(SizeOf("log"), bytes);
    }
    ASSERT_TRUE(log->Append(FromText("x"), FromText("y")).ok());
    ASSERT_TRUE(log->Flush().ok());
    // And then the process ends.
  }
  const Replayed replayed = Replay();
  EXPECT_EQ(replayed.seen, kThree);
  EXPECT_EQ(replayed.report.torn_bytes, SizeOf("log") - bytes);
  EXPECT_TRUE(replayed.report.damage.empty());

  const std::unique_ptr<TransactionLog> log = OpenAndReplay();
  EXPECT_EQ(log->Commit({})->value(), 4u);
  EXPECT_EQ(Replay().seen, absl::StrCat(kThree, "c4: "));
}

TEST_F(TransactionLogTest, WhateverPartOfAnUnacknowledgedTailIsThereIsCutOff) {
  WriteThree();
  const uint64_t acknowledged = SizeOf("log");
  Bytes tip(static_cast<size_t>(SizeOf("tip")));
  ASSERT_TRUE((*files_.Open(Path("tip"), FileSystem::Access::kRead))
                  ->ReadAt(0, tip)
                  .ok());
  {
    const std::unique_ptr<TransactionLog> log = OpenAndReplay();
    ASSERT_TRUE(log->Append(FromText("tail"), FromText("data")).ok());
    ASSERT_TRUE(log->Commit(FromText("m4")).ok());
  }
  const uint64_t whole = SizeOf("log");
  Bytes log_bytes(static_cast<size_t>(whole));
  ASSERT_TRUE((*files_.Open(Path("log"), FileSystem::Access::kRead))
                  ->ReadAt(0, log_bytes)
                  .ok());
  // The power went before the tip was written and while the log was.
  const auto write = [&](const std::string& name, const Bytes& bytes) {
    const auto file = *files_.Open(Path(name), FileSystem::Access::kReadWrite);
    ASSERT_TRUE(file->Truncate(bytes.size()).ok());
    ASSERT_TRUE(file->WriteAt(0, bytes).ok());
  };
  for (uint64_t end = acknowledged; end < whole; ++end) {
    for (const bool zeros : {false, true}) {
      // The tail is shorter, or its end never reached the disk.
      Bytes torn = log_bytes;
      torn.resize(static_cast<size_t>(end));
      if (zeros) torn.resize(static_cast<size_t>(whole));
      write("log", torn);
      write("tip", tip);
      const Replayed replayed = Replay();
      ASSERT_EQ(replayed.seen, kThree) << end;
      ASSERT_TRUE(replayed.report.damage.empty()) << end;
      ASSERT_EQ(replayed.report.torn_bytes, torn.size() - acknowledged);
      ASSERT_EQ(OpenAndReplay()->Commit(FromText("m4"))->value(), 4u) << end;
      ASSERT_EQ(Replay().seen, absl::StrCat(kThree, "c4:m4 "));
    }
  }
  // A commit record that overtook the records ahead of it was not acknowledged.
  for (uint64_t hole = acknowledged; hole < acknowledged + 56; ++hole) {
    write("log", log_bytes);
    write("tip", tip);
    Flip("log", hole);
    for (const bool check_data : {false, true}) {
      const Replayed replayed = Replay({.check_data = check_data});
      ASSERT_EQ(replayed.seen, kThree) << hole;
      ASSERT_TRUE(replayed.report.damage.empty()) << hole;
    }
    ASSERT_EQ(OpenAndReplay()->Commit(FromText("m4"))->value(), 4u) << hole;
  }
  // Whole beyond the tip: it counts, and the tip follows before more is added.
  write("log", log_bytes);
  write("tip", tip);
  EXPECT_EQ(Replay().seen, absl::StrCat(kThree, "d4.0:tail c4:m4 "));
  ASSERT_TRUE(OpenAndReplay()->Append({}, {}).ok());
  Flip("log", whole - 1);
  EXPECT_FALSE(Replay().report.damage.empty()) << "it counts as acknowledged";
}

TEST_F(TransactionLogTest, EveryFlippedByteIsSeenOrHarmless) {
  WriteThree();
  const uint64_t bytes = SizeOf("log");
  for (uint64_t position = 0; position < bytes; ++position) {
    Flip("log", position);
    const Replayed replayed = Replay({.check_data = true});
    const TransactionLog::ReplayReport& report = replayed.report;
    if (position < StoreHeader::kBytes) {
      EXPECT_EQ(report.damaged_headers, std::vector<std::string>{"log"})
          << position;
      EXPECT_EQ(replayed.seen, kThree) << position;
    } else {
      EXPECT_NE(replayed.seen, kThree) << position;
      EXPECT_TRUE(!report.damage.empty() ||
                  replayed.seen.find('!') != std::string::npos)
          << position;
      EXPECT_EQ(report.newest.value(), 3u) << position;
    }
    EXPECT_EQ(report.torn_bytes, 0u) << position;
    if (!report.damage.empty()) {
      // A damaged log is not written to.
      const std::unique_ptr<TransactionLog> log = OpenAndReplay();
      ASSERT_EQ(log->Append({}, {}).status().code(),
                absl::StatusCode::kFailedPrecondition)
          << position;
    }
    Flip("log", position);
  }
  EXPECT_EQ(Replay({.check_data = true}).seen, kThree);
}

TEST_F(TransactionLogTest, ALogThatLostItsEndIsDamaged) {
  WriteThree();
  for (uint64_t bytes = SizeOf("log"); bytes-- > 0;) {
    Resize("log", bytes);
    const Replayed replayed = Replay();
    ASSERT_FALSE(replayed.report.damage.empty()) << bytes;
    ASSERT_EQ(replayed.report.newest.value(), 3u) << bytes;
    ASSERT_NE(replayed.seen.find("lost3"), std::string::npos) << bytes;
  }
  ASSERT_TRUE(files_.Remove(Path("log")).ok());
  const Replayed replayed = Replay();
  EXPECT_EQ(replayed.seen, "lost1 lost2 lost3 ");
  EXPECT_FALSE(replayed.report.damage.empty());
}

TEST_F(TransactionLogTest, ADamagedTipIsReportedAndHarmless) {
  WriteThree();
  for (uint64_t position = 0; position < SizeOf("tip"); ++position) {
    Flip("tip", position);
    const Replayed replayed = Replay();
    EXPECT_EQ(replayed.seen, kThree) << position;
    EXPECT_TRUE(replayed.report.tip_damaged) << position;
    EXPECT_TRUE(replayed.report.damage.empty()) << position;
    Flip("tip", position);
  }
  ASSERT_TRUE(files_.Remove(Path("tip")).ok());
  EXPECT_EQ(Replay().seen, kThree);
  EXPECT_TRUE(Replay().report.tip_lost);
  EXPECT_EQ(OpenAndReplay()->Commit({})->value(), 4u);
  EXPECT_FALSE(Replay().report.tip_lost);
  EXPECT_FALSE(Replay().report.tip_damaged);
}

TEST_F(TransactionLogTest, AnotherStoresLogIsNotThisOnes) {
  WriteThree();
  const StoreHeader other{.page_bytes = 4096, .store_id = 99};
  const uint64_t bytes = SizeOf("log");
  const std::unique_ptr<TransactionLog> log = *TransactionLog::Open(
      files_, directory_, other, FileSystem::Access::kReadWrite);
  Recorder recorder;
  EXPECT_EQ(log->Replay({}, recorder).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(recorder.seen, "");
  EXPECT_FALSE(log->Append({}, {}).ok());
  EXPECT_EQ(SizeOf("log"), bytes);
}

TEST_F(TransactionLogTest, AFileThatIsNoLogIsNotWrittenTo) {
  for (const uint64_t bytes : {5, 64, 65, 5000}) {
    const auto file = *files_.Open(Path("log"), FileSystem::Access::kCreate);
    ASSERT_TRUE(file->Truncate(0).ok());
    ASSERT_TRUE(file->WriteAt(0, Bytes(bytes, std::byte{'x'})).ok());
    const std::unique_ptr<TransactionLog> log = Open();
    Recorder recorder;
    log->Replay({}, recorder).IgnoreError();
    EXPECT_FALSE(log->Append({}, {}).ok()) << bytes;
    EXPECT_EQ(SizeOf("log"), bytes);
  }
}

TEST_F(TransactionLogTest, ALostTipCutsNothingOff) {
  WriteThree();
  const uint64_t bytes = SizeOf("log");
  for (const uint64_t tip_bytes : {0, 5, 64}) {
    Resize("tip", 0);
    Resize("tip", tip_bytes);
    EXPECT_TRUE(Replay().report.tip_lost) << tip_bytes;
    Flip("log", bytes - 1);
    EXPECT_FALSE(Replay().report.damage.empty()) << tip_bytes;
    EXPECT_FALSE(OpenAndReplay()->Append({}, {}).ok()) << tip_bytes;
    EXPECT_EQ(SizeOf("log"), bytes);
    Flip("log", bytes - 1);
  }
}

TEST_F(TransactionLogTest, AWholeSlotOfTheTipIsThereWhileTheOtherIsMended) {
  for (const uint64_t slot : {0, 1}) {
    JudgedDisk judged(header_);
    judged.disk.OnCrashPoint(nullptr);
    for (const char* const meta : {"a", "b"}) {
      const auto log = judged.OpenAndReplay(judged.disk);
      ASSERT_TRUE(log->Commit(FromText(meta)).ok());
    }
    {
      const auto log = judged.OpenAndReplay(judged.disk);
      ASSERT_TRUE(log->CommitUnsynced(FromText("c")).ok());
      ASSERT_TRUE(log->Flush().ok());
    }
    {
      // A slot is damaged, and behind what was not acknowledged a crash left a
      // part of a record.
      const auto tip =
          *judged.disk.Open("store/tip", FileSystem::Access::kReadWrite);
      ASSERT_TRUE(tip->WriteAt(slot * LogTip::kBytes, Bytes(8)).ok());
      ASSERT_TRUE(tip->Sync().ok());
      const auto log =
          *judged.disk.Open("store/log", FileSystem::Access::kReadWrite);
      ASSERT_TRUE(log->WriteAt(log->Info()->bytes, FromText("M")).ok());
      ASSERT_TRUE(log->Sync().ok());
    }
    const auto log = judged.OpenAndReplay(judged.disk);
    judged.disk.OnCrashPoint([&] {
      judged.disk.ForEachCrashState({}, [&](FaultyFileSystem& left) {
        const auto reader = *TransactionLog::Open(left, "store", header_,
                                                  FileSystem::Access::kRead);
        Recorder recorder;
        const auto report = reader->Replay({}, recorder);
        ASSERT_TRUE(report.ok()) << report.status();
        EXPECT_FALSE(report->tip_lost) << slot;
        EXPECT_TRUE(report->damage.empty()) << slot;
      });
    });
    ASSERT_TRUE(log->Append({}, {}).ok());
  }
}

// A reader that opened the first log and the second one's tip.
TEST_F(TransactionLogTest, ALogThatWasMadeAnewIsNotOneThatIsDamaged) {
  {
    const auto log = OpenAndReplay();
    ASSERT_TRUE(log->CommitUnsynced(FromText("a")).ok());
    ASSERT_TRUE(log->Flush().ok());
  }
  const auto first =
      std::make_shared<const LogSegments>(std::vector<LogSegment>{
          {.base = 0,
           .path = Path("log"),
           .file = *files_.Open(Path("log"), FileSystem::Access::kRead)}});
  ASSERT_EQ(OpenAndReplay()->Commit(FromText("b"))->value(), 2u);
  std::shared_ptr<File> tip =
      *files_.Open(Path("tip"), FileSystem::Access::kRead);
  const auto reader = *TransactionLog::Open(
      files_, directory_, header_,
      TransactionLog::Files{.log = first, .tip = std::move(tip)});
  Recorder recorder;
  EXPECT_TRUE(absl::IsAborted(reader->Replay({}, recorder).status()));
  EXPECT_EQ(Replay().seen, "c1:a c2:b ");
}

// Each commit that it says is lost is told, and kept by who is told; so there
// are no more than the log's size could account for, or a few thousand.
TEST_F(TransactionLogTest, AForgedTipIsAnErrorAndNoLongLoop) {
  WriteThree();
  const auto forge = [&](uint64_t epoch) {
    const LogTip tip{.epoch = Epoch::FromValue(epoch), .end = ~uint64_t{0}};
    const auto file = *files_.Open(Path("tip"), FileSystem::Access::kReadWrite);
    ASSERT_TRUE(file->WriteAt(0, tip.Encode(header_.store_id)).ok());
  };
  for (const uint64_t epoch :
       {uint64_t{5000}, uint64_t{1} << 19, uint64_t{1} << 40, ~uint64_t{0}}) {
    ASSERT_NO_FATAL_FAILURE(forge(epoch));
    Recorder recorder;
    EXPECT_EQ(Open()->Replay({}, recorder).status().code(),
              absl::StatusCode::kDataLoss)
        << epoch;
  }
  ASSERT_NO_FATAL_FAILURE(forge(4000));
  EXPECT_TRUE(Replay().seen.ends_with(" lost3999 lost4000 "));
}

// A whole record that is not the next one of its transaction is no part of it.
TEST_F(TransactionLogTest, ARecordOutOfSequenceIsDamage) {
  WriteThree();
  {
    const auto file = *files_.Open(Path("log"), FileSystem::Access::kReadWrite);
    Bytes bytes(RecordHead::kBytes);
    ASSERT_EQ(*file->ReadAt(StoreHeader::kBytes, bytes), bytes.size());
    std::optional<RecordHead> head =
        RecordHead::Decode(bytes, StoreHeader::kBytes, header_.store_id);
    ASSERT_TRUE(head.has_value());
    head->sequence = 1;
    ASSERT_TRUE(
        file->WriteAt(StoreHeader::kBytes, head->Encode(header_.store_id))
            .ok());
  }
  const Replayed replayed = Replay();
  ASSERT_EQ(replayed.report.damage.size(), 1u);
  EXPECT_EQ(replayed.report.damage[0].begin, StoreHeader::kBytes);
  EXPECT_EQ(replayed.report.damage[0].epoch, Epoch::FromValue(1));
  EXPECT_EQ(replayed.seen,
            "d1.1:b1 c1:m1 d2.0:a2 d2.1:b2 c2:m2 d3.0:a3 d3.1:b3 c3:m3 ");
}

TEST_F(TransactionLogTest, MagicNumbersAloneDoNotMakeRecoverySlow) {
  WriteThree();
  const uint64_t bytes = SizeOf("log");
  std::string tail;
  while (tail.size() < (size_t{8} << 20)) tail += "MRC\1";
  const auto file = *files_.Open(Path("log"), FileSystem::Access::kReadWrite);
  ASSERT_TRUE(file->WriteAt(bytes, FromText(tail)).ok());
  const Replayed replayed = Replay();
  EXPECT_EQ(replayed.seen, kThree);
  EXPECT_EQ(replayed.report.torn_bytes, tail.size());
}

TEST_F(TransactionLogTest, AFailedSyncLeavesNothingThatLooksStored) {
  WriteThree();
  const uint64_t bytes = SizeOf("log");
  absl::Status failed;
  for (uint64_t calls = 0; !absl::StrContains(failed.message(), "sync");
       ++calls) {
    // One failure, after which everything works again, as with a disk's.
    ASSERT_LT(calls, 20u);
    const std::unique_ptr<TransactionLog> attempt = OpenAndReplay();
    ASSERT_TRUE(attempt->Append(FromText("x"), FromText("y")).ok());
    files_.FailAfter(calls, FaultyFileSystem::Fault::kIoError, 1);
    failed = attempt->Commit(FromText("m4")).status();
    files_.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
    ASSERT_FALSE(failed.ok()) << calls;
    EXPECT_FALSE(attempt->Commit({}).ok()) << "is not tried again";
    EXPECT_EQ(Replay().seen, kThree) << calls;
  }
  EXPECT_TRUE(absl::StrContains(failed.message(), Path("log"))) << failed;
  EXPECT_EQ(SizeOf("log"), bytes) << "cut off at once";
}

// A sync of the directory that failed may have lost the names for good.
TEST_F(TransactionLogTest, AFailureWhileTheFilesAreMadeLosesNoLaterCommit) {
  bool failed = true;
  for (uint64_t calls = 0; failed; ++calls) {
    for (const uint64_t failures : {1, 2, 100}) {
      JudgedDisk judged(header_);
      judged.where = absl::StrCat(failures, " calls fail after ", calls);
      judged.oracle.Begin("c1:a ");
      {
        const auto log = judged.OpenAndReplay(judged.disk);
        judged.disk.FailAfter(calls, FaultyFileSystem::Fault::kIoError,
                              failures);
        failed = !log->Commit(FromText("a")).ok();
        judged.disk.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
      }
      if (!failed) judged.oracle.Acknowledge();
      const auto log = judged.OpenAndReplay(judged.disk);
      const std::string before = judged.seen;
      judged.oracle.Begin(
          absl::StrCat(before, before.empty() ? "c1" : "c2", ":b "));
      ASSERT_TRUE(log->Commit(FromText("b")).ok()) << judged.where;
      judged.oracle.Acknowledge();
      judged.Judge();
    }
  }
}

// Also where a process ends before it syncs, and the machine does not.
TEST_F(TransactionLogTest, ATipNamesNothingWhileTheLogMayLoseItsName) {
  JudgedDisk judged(header_);
  judged.oracle.Begin("c1:a ");
  {
    const auto log = judged.OpenAndReplay(judged.disk);
    ASSERT_TRUE(log->CommitUnsynced(FromText("a")).ok());
    ASSERT_TRUE(log->Flush().ok());
  }
  const auto log = judged.OpenAndReplay(judged.disk);
  EXPECT_EQ(judged.seen, "c1:a ");
  judged.oracle.Begin("c1:a c2:b ");
  ASSERT_TRUE(log->Commit(FromText("b")).ok());
  judged.oracle.Acknowledge();
  judged.Judge();
  EXPECT_EQ(*judged.disk.List("store"),
            (std::vector<std::string>{"log", "tip"}));
}

// Two data records and the commit record, unsynced.
void CommitThreeRecords(TransactionLog& log, std::string_view meta) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(log.Append(FromText(meta), Bytes(64)).ok());
  }
  ASSERT_TRUE(log.CommitUnsynced(FromText(meta)).ok());
}

// Leaves an acknowledged epoch 1, which ends at `*end`, and behind it all of
// epoch 2 but one byte, as a crash may.
void LeaveATornTail(JudgedDisk& judged, uint64_t* end) {
  {
    const auto log = judged.OpenAndReplay(judged.disk);
    judged.oracle.Begin("c1:a ");
    ASSERT_TRUE(log->Commit(FromText("a")).ok());
    judged.oracle.Acknowledge();
    *end = log->bytes();
    judged.oracle.Begin("c1:a d2.0:b d2.1:b c2:b ");
    CommitThreeRecords(*log, "b");
    ASSERT_TRUE(log->Flush().ok());
  }
  const auto file =
      *judged.disk.Open("store/log", FileSystem::Access::kReadWrite);
  ASSERT_TRUE(file->WriteAt(*end, FromText("?")).ok());
  ASSERT_TRUE(file->Sync().ok());
}

// The records of a tail that was cut off have the numbers and the places of
// those that come in their stead.
TEST_F(TransactionLogTest, ACrashMixesNothingWithATailThatWasCutOff) {
  JudgedDisk judged(header_);
  judged.sector_bytes = 64;
  uint64_t end = 0;
  ASSERT_NO_FATAL_FAILURE(LeaveATornTail(judged, &end));
  const auto log = judged.OpenAndReplay(judged.disk);
  EXPECT_EQ(judged.seen, "c1:a ");
  judged.oracle.Begin("c1:a d2.0:c d2.1:c c2:c ");
  CommitThreeRecords(*log, "c");
  ASSERT_TRUE(log->SyncTo(log->PrepareSync()->value()).ok());
  judged.oracle.Acknowledge();
  judged.Judge();
}

// The cut was seen by a later process, and not by the disk.
TEST_F(TransactionLogTest, ACutThatAFailedSyncLostMixesNothing) {
  JudgedDisk judged(header_);
  judged.sector_bytes = 64;
  uint64_t end = 0;
  ASSERT_NO_FATAL_FAILURE(LeaveATornTail(judged, &end));
  {
    const auto log = judged.OpenAndReplay(judged.disk);
    // The tip is read, written and synced; then comes the cut.
    judged.disk.FailAfter(4, FaultyFileSystem::Fault::kIoError, 1);
    ASSERT_FALSE(log->Append({}, {}).ok()) << "the sync of the cut";
  }
  ASSERT_EQ(judged.disk.Info("store/log")->bytes, end) << "it seems to be cut";
  const auto log = judged.OpenAndReplay(judged.disk);
  judged.oracle.Begin("c1:a d2.0:c d2.1:c c2:c ");
  CommitThreeRecords(*log, "c");
  ASSERT_TRUE(log->SyncTo(log->PrepareSync()->value()).ok());
  judged.oracle.Acknowledge();
  judged.Judge();
}

TEST_F(TransactionLogTest, ACrashMixesNothingWithWhatWasAborted) {
  JudgedDisk judged(header_);
  judged.sector_bytes = 64 << 10;
  const Bytes data(TransactionLog::kReadAheadBytes + 1);  // is not buffered
  const auto log = judged.OpenAndReplay(judged.disk);
  judged.oracle.Begin("c1:a ");
  ASSERT_TRUE(log->Commit(FromText("a")).ok());
  judged.oracle.Acknowledge();
  ASSERT_TRUE(log->Append(FromText("b"), data).ok());
  ASSERT_TRUE(log->Abort().ok());
  judged.oracle.Begin("c1:a d2.0:c c2:c ");
  ASSERT_TRUE(log->Append(FromText("c"), data).ok());
  ASSERT_TRUE(log->Commit(FromText("c")).ok());
  judged.oracle.Acknowledge();
  judged.Judge();
}

TEST_F(TransactionLogTest, MisuseIsRefused) {
  WriteThree();
  const std::unique_ptr<TransactionLog> not_replayed = Open();
  EXPECT_EQ(not_replayed->Append({}, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(not_replayed->Commit({}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  const std::unique_ptr<TransactionLog> in_part = Open();
  Recorder recorder;
  ASSERT_TRUE(in_part->Replay({.last = Epoch::FromValue(1)}, recorder).ok());
  EXPECT_EQ(in_part->Append({}, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  const std::unique_ptr<TransactionLog> reader =
      Open(FileSystem::Access::kRead);
  ASSERT_TRUE(reader->Replay({}, recorder).ok());
  EXPECT_EQ(reader->Append({}, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  const std::unique_ptr<TransactionLog> writer = OpenAndReplay();
  EXPECT_EQ(
      writer->Append(Bytes(RecordHead::kMaxMetaBytes + 1), {}).status().code(),
      absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(writer->Commit({})->value(), 4u) << "the log is as it was";
}

TEST_F(TransactionLogTest, AVisitorsErrorEndsTheReplay) {
  class Refusing final : public TransactionLog::Visitor {
    absl::Status OnData(const TransactionLog::Record&) override {
      return absl::CancelledError("enough");
    }
    absl::Status OnCommit(const TransactionLog::Record&) override {
      return absl::OkStatus();
    }
    absl::Status OnLostCommit(Epoch) override { return absl::OkStatus(); }
  };
  WriteThree();
  Refusing refusing;
  EXPECT_EQ(Open()->Replay({}, refusing).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace mmsb
