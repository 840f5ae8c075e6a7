// A log in several files: what follows what, and what is told of one that does
// not.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/log_segments.h"
#include "memory/log/prefix_oracle.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Access = FileSystem::Access;

constexpr char kDirectory[] = "store";

Bytes FromText(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// What each transaction's commit record says, and how much data is ahead of it.
class Commits final : public TransactionLog::Visitor {
 public:
  absl::Status OnData(const TransactionLog::Record& record) override {
    data.push_back(record.data_position);
    if (record.data_damaged) absl::StrAppend(&seen, "!");
    return absl::OkStatus();
  }
  absl::Status OnCommit(const TransactionLog::Record& record) override {
    absl::StrAppend(
        &seen, record.epoch.value(),
        std::string(reinterpret_cast<const char*>(record.meta.data()),
                    record.meta.size()),
        " ");
    return absl::OkStatus();
  }
  absl::Status OnRestated(const TransactionLog::Record& record) override {
    absl::StrAppend(&seen, "r", record.epoch.value(), " ");
    return absl::OkStatus();
  }
  absl::Status OnLostCommit(Epoch epoch) override {
    absl::StrAppend(&seen, "lost", epoch.value(), " ");
    return absl::OkStatus();
  }

  std::string seen;
  std::vector<uint64_t> data;  // positions
};

class LogSegmentsTest : public testing::Test {
 protected:
  LogSegmentsTest() {
    EXPECT_TRUE(files_.CreateDirectory(kDirectory).ok());
    EXPECT_TRUE(files_.SyncDirectory(".").ok());
  }

  static std::string Path(const std::string& name) {
    return absl::StrCat(kDirectory, "/", name);
  }

  std::unique_ptr<TransactionLog> Open(FileSystem& files,
                                       Access access = Access::kReadWrite) {
    absl::StatusOr<std::unique_ptr<TransactionLog>> log = TransactionLog::Open(
        files, kDirectory, header_, access, segment_bytes_);
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  struct Replayed {
    std::string seen;
    TransactionLog::ReplayReport report;
    std::unique_ptr<TransactionLog> log;
  };
  Replayed Replay(FileSystem& files, Access access = Access::kReadWrite) {
    std::unique_ptr<TransactionLog> log = Open(files, access);
    Commits commits;
    absl::StatusOr<TransactionLog::ReplayReport> report =
        log->Replay({.check_data = true}, commits);
    EXPECT_TRUE(report.ok()) << report.status();
    return {commits.seen, *std::move(report), std::move(log)};
  }
  Replayed Replay() { return Replay(files_); }

  // A data record and a commit record, each that says `text`.
  static absl::StatusOr<Epoch> Commit(TransactionLog& log,
                                      std::string_view text) {
    if (absl::StatusOr<uint64_t> position =
            log.Append(FromText(text), FromText(text));
        !position.ok()) {
      return position.status();
    }
    return log.Commit(FromText(text));
  }

  // Five transactions, each in a segment of its own.
  void WriteFive() {
    const std::unique_ptr<TransactionLog> log = Replay().log;
    for (const char* const text : {"a", "b", "c", "d", "e"}) {
      ASSERT_TRUE(Commit(*log, text).ok());
    }
  }
  static constexpr std::string_view kFive = "1a 2b 3c 4d 5e ";

  // The log's files, in their order.
  std::vector<std::string> Segments(FileSystem& files) {
    std::vector<std::string> segments = *files.List(kDirectory);
    std::erase_if(segments, [](const std::string& name) {
      const auto parsed = TransactionLog::ParseName(name);
      return !parsed.has_value() || parsed->is_tip;
    });
    return segments;
  }
  std::vector<std::string> Segments() { return Segments(files_); }

  Bytes Load(const std::string& name) {
    const auto file = *files_.Open(Path(name), Access::kRead);
    Bytes bytes(static_cast<size_t>(file->Info()->bytes));
    EXPECT_EQ(*file->ReadAt(0, bytes), bytes.size());
    return bytes;
  }
  void Save(const std::string& name, std::span<const std::byte> bytes) {
    const auto file = *files_.Open(Path(name), Access::kCreate);
    ASSERT_TRUE(file->Truncate(0).ok());
    ASSERT_TRUE(file->WriteAt(0, bytes).ok());
  }

  // What is told of the segments names `name`, and nothing is added to the log.
  void ExpectDamageOf(const std::string& name) {
    const Replayed replayed = Replay();
    const std::string told =
        absl::StrJoin(replayed.report.segment_damage, "; ");
    EXPECT_TRUE(absl::StrContains(told, absl::StrCat("'", Path(name), "'")))
        << name << " is not named: " << told;
    EXPECT_FALSE(replayed.log->Append({}, {}).ok()) << name;
    EXPECT_FALSE(Replay(files_, Access::kRead).report.segment_damage.empty());
  }

  uint64_t segment_bytes_ = 0;
  const StoreHeader header_{.page_bytes = 4096, .store_id = 0x1234567890};
  FaultyFileSystem files_;
};

TEST_F(LogSegmentsTest, NamesAreThoseOfTheFormat) {
  EXPECT_EQ(TransactionLog::LogName(0), "log");
  EXPECT_EQ(TransactionLog::LogName(3), "log.3");
  EXPECT_EQ(TransactionLog::LogName(0, 0xab), "log.0.00000000000000ab");
  EXPECT_EQ(TransactionLog::LogName(12, ~uint64_t{0}),
            "log.12.ffffffffffffffff");
  for (const uint64_t generation : {0, 1, 12}) {
    for (const uint64_t base :
         {uint64_t{0}, uint64_t{171}, uint64_t{1} << 60}) {
      const auto parsed =
          TransactionLog::ParseName(TransactionLog::LogName(generation, base));
      ASSERT_TRUE(parsed.has_value());
      EXPECT_FALSE(parsed->is_tip);
      EXPECT_EQ(parsed->generation, generation);
      EXPECT_EQ(parsed->base, base);
    }
    const auto tip =
        TransactionLog::ParseName(TransactionLog::TipName(generation));
    ASSERT_TRUE(tip.has_value());
    EXPECT_TRUE(tip->is_tip);
    EXPECT_EQ(tip->generation, generation);
  }
  for (const char* const other :
       {"", "lo", "logs", "log.", "log.0", "log.01", "log.x", "log.new",
        "log.0.0000000000000000", "log.0.ab", "log.0.00000000000000AB",
        "log.0.00000000000000ab.new", "tip.0", "tip.1.00000000000000ab"}) {
    EXPECT_FALSE(TransactionLog::ParseName(other).has_value()) << other;
  }
}

TEST_F(LogSegmentsTest, AreReadAsOneRunOfBytes) {
  std::vector<LogSegment> segments;
  for (const auto& [base, text] :
       {std::pair(uint64_t{3}, "defgh"), std::pair(uint64_t{6}, "ghi"),
        std::pair(uint64_t{12}, "mno")}) {
    const std::string name = absl::StrCat("log", base);
    Save(name, FromText(text));
    segments.push_back({.base = base,
                        .path = name,
                        .file = *files_.Open(Path(name), Access::kRead)});
  }
  const LogSegments log(segments);
  // With gaps ahead of the first, and behind the second; the first is longer
  // than its part.
  const std::string all("\0\0\0defghi\0\0\0mno", 15);
  for (size_t begin = 0; begin <= all.size(); ++begin) {
    for (size_t bytes = 0; bytes <= 20; ++bytes) {
      Bytes out(bytes, std::byte{'?'});
      const absl::StatusOr<size_t> read = log.ReadAt(begin, out);
      ASSERT_TRUE(read.ok()) << read.status();
      const std::string expected = all.substr(begin, bytes);
      ASSERT_EQ(*read, expected.size()) << begin << " " << bytes;
      ASSERT_TRUE(
          std::ranges::equal(std::span(out).first(*read), FromText(expected)))
          << begin << " " << bytes;
    }
  }
  EXPECT_EQ(log.Find(2), nullptr);
  EXPECT_EQ(log.Find(5)->base, 3u);
  EXPECT_EQ(log.Find(11)->base, 6u);
  EXPECT_EQ(log.Find(12)->base, 12u);
  EXPECT_EQ(log.Limit(0), 3u);
  EXPECT_EQ(log.Limit(11), 12u);
  EXPECT_EQ(log.Limit(12), ~uint64_t{0});
}

TEST_F(LogSegmentsTest, EachBeginsWhereTheLastOneEnds) {
  WriteFive();
  const std::vector<std::string> names = Segments();
  ASSERT_EQ(names.size(), 5u);
  uint64_t at = 0;
  for (const std::string& name : names) {
    EXPECT_EQ(TransactionLog::ParseName(name)->base, at);
    const Bytes bytes = Load(name);
    const auto header = StoreHeader::Decode(bytes, name);
    ASSERT_TRUE(header.ok()) << header.status();
    StoreHeader expected = header_;
    expected.segment_base = at;
    EXPECT_EQ(*header, expected);
    at += bytes.size();
  }
  const Replayed replayed = Replay(files_, Access::kRead);
  EXPECT_EQ(replayed.seen, kFive);
  EXPECT_TRUE(replayed.report.damage.empty());
  EXPECT_TRUE(replayed.report.notes.empty());
  EXPECT_EQ(replayed.report.torn_bytes, 0u);
  EXPECT_EQ(replayed.log->bytes(), at);
  EXPECT_EQ(replayed.log->segments(), 5u);
  // A later process goes on, and the records are where the replay says.
  {
    const std::unique_ptr<TransactionLog> log = Replay().log;
    ASSERT_EQ(Commit(*log, "f")->value(), 6u);
  }
  Commits commits;
  const std::unique_ptr<TransactionLog> log = Open(files_, Access::kRead);
  ASSERT_TRUE(log->Replay({}, commits).ok());
  ASSERT_EQ(commits.data.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    Bytes out(1);
    ASSERT_TRUE(log->data().Read(commits.data[i], out).ok());
    EXPECT_EQ(out[0], static_cast<std::byte>('a' + i));
  }
}

TEST_F(LogSegmentsTest, AreBoundedInNumber) {
  for (const uint64_t segment_bytes : {0, 300, 5000}) {
    FaultyFileSystem files;
    ASSERT_TRUE(files.CreateDirectory(kDirectory).ok());
    segment_bytes_ = segment_bytes;
    const std::unique_ptr<TransactionLog> log = Replay(files).log;
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(log->CommitUnsynced(Bytes(100)).ok());
    }
    ASSERT_TRUE(log->SyncTo(log->PrepareSync()->value()).ok());
    // No segment is shorter than a header and a record.
    const double least = std::max<double>(static_cast<double>(segment_bytes),
                                          StoreHeader::kBytes + 148);
    const double bytes = static_cast<double>(log->bytes());
    EXPECT_LE(static_cast<double>(log->segments()),
              17 + 16 * std::max(0.0, std::log(bytes / (16 * least))));
    EXPECT_GE(log->segments(), 10u);
    EXPECT_EQ(Segments(files).size(), log->segments());
    EXPECT_EQ(Replay(files).report.newest.value(), 1000u);
  }
}

TEST_F(LogSegmentsTest, ACheckpointIsFoundInWhicheverItIs) {
  {
    const std::unique_ptr<TransactionLog> log = Replay().log;
    for (const char* const text : {"a", "b", "c", "d"}) {
      if (*text == 'c') {
        ASSERT_TRUE(log->AppendCheckpoint(FromText("x"), FromText("all")).ok());
      }
      ASSERT_TRUE(log->Commit(FromText(text)).ok());
    }
    ASSERT_TRUE(log->BeginRestatement().ok());
    ASSERT_TRUE(log->AppendCheckpoint(FromText("y"), FromText("all")).ok());
    ASSERT_TRUE(log->Commit(FromText("d")).ok());
  }
  EXPECT_EQ(Segments().size(), 5u);
  EXPECT_EQ(Replay().seen, "1a 2b 3c 4d r4 ");
  const std::unique_ptr<TransactionLog> log = Open(files_, Access::kRead);
  const uint64_t last = log->Tip()->checkpoint;
  EXPECT_EQ((*log->ReadCheckpoint(last))->meta, FromText("y"));
  const uint64_t base = TransactionLog::ParseName(Segments()[2])->base;
  const uint64_t before = base + StoreHeader::kBytes;
  EXPECT_EQ((*log->ReadCheckpoint(before))->meta, FromText("x"));
  EXPECT_FALSE((*log->ReadCheckpoint(base)).has_value()) << "a header";
  Commits commits;
  ASSERT_TRUE(log->Replay({.checkpoint = before}, commits).ok());
  EXPECT_EQ(commits.seen, "3c 4d r4 ");
}

TEST_F(LogSegmentsTest, WhatAReaderOpenedBeforeItSeesWhenItReplaysAgain) {
  const std::unique_ptr<TransactionLog> log = Replay().log;
  ASSERT_TRUE(Commit(*log, "a").ok());
  const std::unique_ptr<TransactionLog> reader = Open(files_, Access::kRead);
  for (const char* const text : {"b", "c"}) {
    ASSERT_TRUE(Commit(*log, text).ok());
  }
  Commits commits;
  const auto report = reader->Replay({}, commits);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(commits.seen, "1a 2b 3c ");
  EXPECT_TRUE(report->damage.empty());
}

TEST_F(LogSegmentsTest, WhatIsAbortedIsCutOffBehindTheHeader) {
  WriteFive();
  const std::unique_ptr<TransactionLog> log = Replay().log;
  for (const bool written : {false, true}) {
    ASSERT_TRUE(log->Append(FromText("x"), Bytes(3)).ok());
    if (written) {
      ASSERT_TRUE(log->Flush().ok());
    }
    ASSERT_TRUE(log->Abort().ok());
    EXPECT_EQ(Segments().size(), 6u);
    EXPECT_EQ(Replay().seen, kFive);
    EXPECT_EQ(Replay().report.torn_bytes, 0u);
    EXPECT_EQ(Load(Segments().back()).size(), StoreHeader::kBytes);
  }
  ASSERT_TRUE(Commit(*log, "f").ok());
  EXPECT_EQ(Replay().seen, absl::StrCat(kFive, "6f "));
  EXPECT_EQ(Segments().size(), 6u);
}

TEST_F(LogSegmentsTest, EveryFlippedByteIsSeenOrHarmless) {
  WriteFive();
  for (const std::string& name : Segments()) {
    const Bytes right = Load(name);
    for (size_t at = 0; at < right.size(); ++at) {
      Bytes wrong = right;
      wrong[at] ^= std::byte{0x10};
      Save(name, wrong);
      const Replayed replayed = Replay();
      const TransactionLog::ReplayReport& report = replayed.report;
      EXPECT_TRUE(report.segment_damage.empty()) << name;
      if (at < StoreHeader::kBytes) {
        EXPECT_EQ(report.damaged_headers, std::vector<std::string>{name});
        EXPECT_EQ(replayed.seen, kFive) << name << " " << at;
      } else {
        EXPECT_TRUE(!report.damage.empty() ||
                    absl::StrContains(replayed.seen, "!"))
            << name << " " << at;
        EXPECT_EQ(report.newest.value(), 5u);
      }
      EXPECT_EQ(report.torn_bytes, 0u);
    }
    Save(name, right);
  }
  EXPECT_EQ(Replay().seen, kFive);
}

TEST_F(LogSegmentsTest, OneThatIsMissingIsNamed) {
  WriteFive();
  for (const std::string& name : Segments()) {
    const Bytes bytes = Load(name);
    ASSERT_TRUE(files_.Remove(Path(name)).ok());
    ExpectDamageOf(name);
    // The others are there to be read.
    const std::string seen = Replay().seen;
    EXPECT_EQ(std::ranges::count(seen, 'l'), 1) << seen;
    Save(name, bytes);
  }
  EXPECT_EQ(Replay().seen, kFive);
}

TEST_F(LogSegmentsTest, OneThatWasCutIsNamed) {
  WriteFive();
  for (const std::string& name : Segments()) {
    const Bytes right = Load(name);
    for (size_t bytes = 0; bytes < right.size(); ++bytes) {
      Save(name, std::span(right).first(bytes));
      ExpectDamageOf(name);
      EXPECT_EQ(Replay().report.newest.value(), 5u);
    }
    Save(name, right);
  }
  EXPECT_EQ(Replay().seen, kFive);
}

TEST_F(LogSegmentsTest, TwoThatChangedPlacesAreNamed) {
  WriteFive();
  const std::vector<std::string> names = Segments();
  for (size_t i = 0; i < names.size(); ++i) {
    for (size_t j = i + 1; j < names.size(); ++j) {
      const Bytes first = Load(names[i]);
      const Bytes second = Load(names[j]);
      Save(names[i], second);
      Save(names[j], first);
      ExpectDamageOf(names[i]);
      ExpectDamageOf(names[j]);
      Save(names[i], first);
      Save(names[j], second);
    }
  }
  EXPECT_EQ(Replay().seen, kFive);
}

// The first segment is another store's: those that are behind it are this
// one's. When none of them is, it is the whole log that is another's.
TEST_F(LogSegmentsTest, AFirstOneOfAnotherStoreTakesNothingFromTheRest) {
  WriteFive();
  const std::vector<std::string> names = Segments();
  StoreHeader other = header_;
  other.store_id = 99;
  Bytes bytes = Load(names[0]);
  std::ranges::copy(other.Encode(), bytes.begin());
  Save(names[0], bytes);
  {
    const Replayed replayed = Replay();
    EXPECT_EQ(replayed.seen, "lost1 2b 3c 4d 5e ");
    ASSERT_EQ(replayed.report.segment_damage.size(), 1u);
    EXPECT_EQ(replayed.report.segment_damage[0],
              absl::StrCat("'", Path(names[0]),
                           "' is a segment of another log, or of another "
                           "place"));
    EXPECT_FALSE(replayed.log->Append({}, {}).ok());
  }
  for (size_t i = 1; i < names.size(); ++i) {
    other.segment_base = TransactionLog::ParseName(names[i])->base;
    Bytes later = Load(names[i]);
    std::ranges::copy(other.Encode(), later.begin());
    Save(names[i], later);
  }
  const std::unique_ptr<TransactionLog> log = Open(files_);
  Commits commits;
  EXPECT_EQ(log->Replay({}, commits).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(commits.seen, "");
  EXPECT_FALSE(log->Append({}, {}).ok());
  EXPECT_EQ(Load(names[0]), bytes);
}

// A file that bears a segment's name and is none of this log's takes nothing
// away from those that are.
TEST_F(LogSegmentsTest, OneTooManyIsNamedAndNotRead) {
  WriteFive();
  const uint64_t base = TransactionLog::ParseName(Segments()[2])->base;
  const uint64_t end = Replay().log->bytes();
  StoreHeader other = header_;
  other.store_id = 99;
  const auto encoded = other.Encode();
  const std::array<Bytes, 4> contents = {Bytes(), FromText("not of a log"),
                                         Load(Segments()[1]),
                                         Bytes(encoded.begin(), encoded.end())};
  for (const uint64_t at :
       {uint64_t{1}, base - 1, base + 1, end - 1, end + 5, uint64_t{1} << 62,
        (uint64_t{1} << 63) + 1, ~uint64_t{0}}) {
    for (const Bytes& bytes : contents) {
      const std::string name = TransactionLog::LogName(0, at);
      Save(name, bytes);
      const Replayed replayed = Replay();
      EXPECT_EQ(replayed.seen.substr(0, kFive.size()), kFive) << at;
      EXPECT_FALSE(replayed.report.segment_damage.empty()) << at;
      EXPECT_TRUE(absl::StrContains(
          absl::StrJoin(replayed.report.segment_damage, "; "), name));
      EXPECT_FALSE(replayed.log->Append({}, {}).ok());
      ASSERT_TRUE(files_.Remove(Path(name)).ok());
    }
  }
  EXPECT_EQ(Replay().seen, kFive);
}

// A cut was lost by a failed sync, and the log went on in another segment: a
// crash brings back what was cut off, which is behind where the other begins.
TEST_F(LogSegmentsTest, ATailThatComesBackIsNoPartOfTheLog) {
  WriteFive();
  const std::string last = Segments().back();
  Bytes longer = Load(last);
  {
    const std::unique_ptr<TransactionLog> log = Replay().log;
    ASSERT_TRUE(Commit(*log, "f").ok());
  }
  ASSERT_EQ(Segments().size(), 6u);
  // What would be a transaction, whole, in the same place.
  const Bytes next = Load(Segments().back());
  longer.insert(longer.end(), next.begin() + StoreHeader::kBytes, next.end());
  Save(last, longer);
  const Replayed replayed = Replay();
  EXPECT_EQ(replayed.seen, absl::StrCat(kFive, "6f "));
  EXPECT_TRUE(replayed.report.damage.empty());
  ASSERT_EQ(replayed.report.notes.size(), 1u);
  EXPECT_TRUE(absl::StrContains(replayed.report.notes[0], Path(last)));
  ASSERT_TRUE(Commit(*replayed.log, "g").ok());
  EXPECT_EQ(Replay().seen, absl::StrCat(kFive, "6f 7g "));
}

// What no sync was asked for is durable when another segment is there.
TEST_F(LogSegmentsTest, DamageAheadOfTheLastIsNoTornTail) {
  {
    const std::unique_ptr<TransactionLog> log = Replay().log;
    for (const char* const text : {"a", "b", "c"}) {
      ASSERT_TRUE(log->CommitUnsynced(FromText(text)).ok());
    }
    ASSERT_TRUE(log->Flush().ok());
  }
  const std::vector<std::string> names = Segments();
  ASSERT_EQ(names.size(), 3u);
  for (const std::string& name : names) {
    const Bytes right = Load(name);
    Bytes wrong = right;
    wrong.back() ^= std::byte{1};
    Save(name, wrong);
    const Replayed replayed = Replay();
    EXPECT_EQ(replayed.report.damage.empty(), name == names.back());
    EXPECT_EQ(replayed.report.torn_bytes != 0, name == names.back());
    EXPECT_EQ(replayed.log->Append({}, {}).ok(), name == names.back());
    Save(name, right);
  }
}

// Each call of three commits fails once, or fails with all behind it; then the
// log is opened again and goes on. Every crash at every sync on the way leaves
// a prefix, and what was acknowledged.
TEST_F(LogSegmentsTest, AFailureOfAnyCallLosesNothing) {
  bool failed = true;
  for (uint64_t calls = 0; failed; ++calls) {
    for (const uint64_t failures : {1, 1000}) {
      FaultyFileSystem disk;
      ASSERT_TRUE(disk.CreateDirectory(kDirectory).ok());
      ASSERT_TRUE(disk.SyncDirectory(".").ok());
      PrefixOracle oracle("");
      const auto judge = [&] {
        disk.ForEachCrashState({}, [&](FaultyFileSystem& left) {
          const Replayed replayed = Replay(left);
          const absl::Status verdict = oracle.Check(replayed.seen);
          ASSERT_TRUE(verdict.ok()) << verdict << ": " << replayed.seen;
          ASSERT_TRUE(replayed.report.damage.empty());
          ASSERT_TRUE(replayed.report.segment_damage.empty());
          ASSERT_TRUE(Commit(*replayed.log, "z").ok());
          ASSERT_TRUE(absl::StartsWith(Replay(left).seen, replayed.seen));
        });
      };
      disk.OnCrashPoint(judge);
      std::string text;
      {
        const std::unique_ptr<TransactionLog> log = Replay(disk).log;
        disk.FailAfter(calls, FaultyFileSystem::Fault::kIoError, failures);
        failed = false;
        for (int i = 1; i <= 3 && !failed; ++i) {
          absl::StrAppend(&text, i, "a ");
          oracle.Begin(text);
          failed = !Commit(*log, "a").ok();
          if (!failed) oracle.Acknowledge();
        }
        disk.FailAfter(0, FaultyFileSystem::Fault::kIoError, 0);
      }
      const Replayed again = Replay(disk);
      ASSERT_TRUE(oracle.Check(again.seen).ok()) << again.seen;
      oracle.Begin(
          absl::StrCat(again.seen, again.report.newest.value() + 1, "b "));
      ASSERT_TRUE(Commit(*again.log, "b").ok()) << calls;
      oracle.Acknowledge();
      judge();
      ASSERT_FALSE(HasFailure()) << failures << " calls fail after " << calls;
    }
  }
}

}  // namespace
}  // namespace mmsb
