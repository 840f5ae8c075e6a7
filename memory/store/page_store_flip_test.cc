// Bytes of a store's files that are not as they were written: seeded flips of
// bits, overwritten stretches, cuts and additions, in any file of the store.
// Whatever they are, a state is read as it was committed or not at all, what is
// lost is reported, nothing that was right is lost by going on, and nothing is
// allocated that the files do not account for.
//
// 500 of them, or as many as MMSB_FLIPS says:
//
//   ./bazelw test --test_env=MMSB_FLIPS=10000 --test_output=all
//       //memory/store:page_store_flip_test

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/transaction_log.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/states.h"
#include "memory/testing/allocation_meter.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Mode = PageStore::Mode;
using Files = std::map<std::string, Bytes>;

constexpr char kPath[] = "store";

uint64_t Flips() {
  const char* const text = std::getenv("MMSB_FLIPS");
  uint64_t flips = 0;
  return text != nullptr && absl::SimpleAtoi(text, &flips) ? flips : 500;
}

// How the store is written.
struct Writing {
  uint64_t slack_bytes = 1 << 20;
  uint64_t segment_bytes = TransactionLog::kSegmentBytes;
};

absl::StatusOr<std::unique_ptr<PageStore>> Open(FileSystem& disk, Mode mode,
                                                Writing writing) {
  return PageStore::Open(disk, kPath,
                         {.mode = mode,
                          .page_bytes = 512,
                          .checkpoint_slack_bytes = writing.slack_bytes,
                          .segment_bytes = writing.segment_bytes});
}

Files Load(FileSystem& disk) {
  Files files;
  const std::vector<std::string> names = *disk.List(kPath);
  for (const std::string& name : names) {
    const auto file =
        *disk.Open(absl::StrCat(kPath, "/", name), FileSystem::Access::kRead);
    Bytes bytes(static_cast<size_t>(file->Info()->bytes));
    EXPECT_EQ(*file->ReadAt(0, bytes), bytes.size());
    if (!bytes.empty()) files[name] = std::move(bytes);
  }
  return files;
}

void Save(FileSystem& disk, const Files& files) {
  ASSERT_TRUE(disk.CreateDirectory(kPath).ok());
  for (const auto& [name, bytes] : files) {
    const auto file =
        disk.CreateNew(absl::StrCat(kPath, "/", name), /*permissions=*/0600);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->WriteAt(0, bytes).ok());
  }
}

uint64_t BytesIn(const Files& files) {
  uint64_t bytes = 0;
  for (const auto& [name, contents] : files) bytes += contents.size();
  return bytes;
}

// Changes one of the files; says how. A byte of a small file is chosen as often
// as the files' heads deserve: half of the time by file, half by size.
std::string Spoil(Files& files, std::mt19937_64& random) {
  auto file = files.begin();
  if (random() % 2 == 0) {
    std::advance(file, random() % files.size());
  } else {
    uint64_t at = random() % BytesIn(files);
    while (at >= file->second.size()) at -= (file++)->second.size();
  }
  Bytes& bytes = file->second;
  const size_t at = random() % bytes.size();
  const std::string where = absl::StrCat(" ", at, " of ", file->first);
  switch (random() % 8) {
    case 0: {
      bytes.resize(at);
      return absl::StrCat("cut at", where);
    }
    case 1: {
      const size_t more = 1 + random() % 100;
      for (size_t i = 0; i < more; ++i) {
        bytes.push_back(static_cast<std::byte>(random() % 3));
      }
      return absl::StrCat(more, " bytes more behind", where);
    }
    case 2: {
      // A sector that was never written, or not lately.
      const size_t end = std::min(bytes.size(), at + 1 + random() % 512);
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(at),
                bytes.begin() + static_cast<ptrdiff_t>(end), std::byte{0});
      return absl::StrCat("zeros up to ", end, " from", where);
    }
    case 3: {
      const size_t end = std::min(bytes.size(), at + 1 + random() % 16);
      for (size_t i = at; i < end; ++i) {
        bytes[i] = static_cast<std::byte>(random());
      }
      return absl::StrCat("noise up to ", end, " from", where);
    }
    default: {
      const unsigned bit = random() % 8;
      bytes[at] ^= static_cast<std::byte>(1u << bit);
      return absl::StrCat("bit ", bit, " flipped at", where);
    }
  }
}

class PageStoreFlipTest : public testing::TestWithParam<Writing> {
 protected:
  // All errors but those of a damaged store fail the test.
  static void ExpectDamage(const absl::Status& status, const char* call) {
    EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
                absl::IsUnimplemented(status) || absl::IsNotFound(status) ||
                absl::IsFailedPrecondition(status))
        << call << ": " << status;
  }

  // Each of the first `epochs` is as it was committed, or an error. Returns how
  // many are right.
  size_t Compare(PageStore& store, size_t epochs) {
    size_t right = 0;
    for (size_t i = 0; i < epochs; ++i) {
      const absl::StatusOr<Bytes> state =
          ReadState(store, Epoch::FromValue(i + 1));
      if (state.ok()) {
        EXPECT_EQ(*state, history_[i]) << "epoch " << i + 1;
        ++right;
      } else {
        ExpectDamage(state.status(), "SnapshotAt");
      }
    }
    return right;
  }

  // True when all epochs are right.
  bool Check(const Files& files) {
    FaultyFileSystem disk;
    Save(disk, files);
    const AllocationMeter meter;
    bool harmless = false;
    bool reported = true;
    size_t right = 0;
    {
      const auto store = Open(disk, Mode::kRead, GetParam());
      if (!store.ok()) {
        ExpectDamage(store.status(), "Open to read");
      } else {
        EXPECT_LE((*store)->newest().value(), history_.size());
        right = Compare(**store, history_.size());
        harmless = right == history_.size();
        const absl::StatusOr<VerifyReport> report =
            (*store)->Verify([](uint64_t, uint64_t) {});
        EXPECT_TRUE(report.ok()) << report.status();
        reported = !report.ok() || !report->ok() || !report->notes.empty() ||
                   report->torn_bytes != 0;
      }
    }
    EXPECT_TRUE(harmless || reported) << "lost, and not a word of it";
    EXPECT_LE(meter.largest(), most_allocated_);
    // Whoever goes on has what there was, or is refused.
    const auto store = Open(disk, Mode::kWrite, GetParam());
    if (!store.ok()) {
      ExpectDamage(store.status(), "Open to write");
    } else if (const auto committed = CommitState(**store, history_.back());
               !committed.ok()) {
      ExpectDamage(committed.status(), "Commit");
    } else {
      const absl::StatusOr<Bytes> last = ReadState(**store, *committed);
      EXPECT_TRUE(last.ok()) << last.status();
      if (last.ok()) {
        EXPECT_EQ(*last, history_.back());
      }
      // What a writer cut off, as nothing says that it was acknowledged, is
      // not there to be read; the rest still is.
      const size_t before = committed->value() - 1;
      EXPECT_GE(Compare(**store, before), std::min(right, before));
    }
    EXPECT_LE(meter.largest(), most_allocated_);
    return harmless;
  }

  std::vector<Bytes> history_;
  size_t most_allocated_ = 0;
};

TEST_P(PageStoreFlipTest, AreDetectedOrHarmless) {
  history_ = RandomHistory(/*seed=*/11, 12);
  FaultyFileSystem disk;
  {
    const auto store = Open(disk, Mode::kCreate, GetParam());
    ASSERT_TRUE(store.ok()) << store.status();
    for (const Bytes& state : history_) {
      ASSERT_TRUE(CommitState(**store, state).ok());
    }
  }
  const Files files = Load(disk);
  // What is needed where nothing is damaged: buffers of fixed sizes, which are
  // larger than this store. Damage may not need more, but by the files' size.
  most_allocated_ = ~size_t{0};
  const AllocationMeter meter;
  ASSERT_TRUE(Check(files));
  most_allocated_ = std::max<size_t>(meter.largest(), BytesIn(files));

  const uint64_t flips = Flips();
  std::mt19937_64 random(GetParam().slack_bytes + 1);
  uint64_t harmless = 0;
  for (uint64_t i = 0; i < flips / 4; ++i) {
    Files wrong = files;
    const std::string what = Spoil(wrong, random);
    harmless += Check(wrong) ? 1 : 0;
    ASSERT_FALSE(HasFailure()) << what << ", number " << i;
  }
  std::printf(
      "%llu damages of %llu bytes in %zu files: %llu detected, %llu without "
      "a loss; at most %zu bytes allocated at once\n",
      static_cast<unsigned long long>(flips / 4),
      static_cast<unsigned long long>(BytesIn(files)), files.size(),
      static_cast<unsigned long long>(flips / 4 - harmless),
      static_cast<unsigned long long>(harmless), most_allocated_);
}

// With checkpoints wherever there can be one, and without any; in one segment,
// and in several.
INSTANTIATE_TEST_SUITE_P(Writings, PageStoreFlipTest,
                         testing::Values(Writing{.slack_bytes = 0}, Writing{},
                                         Writing{.slack_bytes = 0,
                                                 .segment_bytes = 2000},
                                         Writing{.segment_bytes = 0}));

}  // namespace
}  // namespace mmsb
