// Threads that commit, read, sync and prune one store at once.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/transaction_log.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/forwarding_file_system.h"
#include "memory/store/testing/states.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Mode = PageStore::Mode;

constexpr uint32_t kPageBytes = 512;
constexpr uint64_t kPages = 24;

std::unique_ptr<PageStore> Open(
    FileSystem& files, Durability durability, Mode mode = Mode::kCreate,
    uint64_t segment_bytes = TransactionLog::kSegmentBytes) {
  absl::StatusOr<std::unique_ptr<PageStore>> store =
      PageStore::Open(files, "store",
                      {.mode = mode,
                       .page_bytes = kPageBytes,
                       .checkpoint_slack_bytes = 4096,
                       .segment_bytes = segment_bytes,
                       .durability = durability});
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

// A page that says which number it holds, in all of its bytes.
Bytes PageOf(uint64_t number) {
  Bytes page(kPageBytes);
  std::mt19937_64 random(number);
  for (std::byte& b : page) b = static_cast<std::byte>(random());
  for (size_t i = 0; i < 8; ++i) {
    page[i] = static_cast<std::byte>(number >> (8 * i));
  }
  return page;
}

// The number that a page holds, or an error when its bytes are not those.
absl::StatusOr<uint64_t> NumberIn(std::span<const std::byte> page) {
  uint64_t number = 0;
  for (size_t i = 8; i-- > 0;) {
    number = number << 8 | std::to_integer<uint64_t>(page[i]);
  }
  if (!std::ranges::equal(PageOf(number), page)) {
    return absl::DataLossError("a mixture");
  }
  return number;
}

absl::Status Fill(PageStore& store) {
  absl::StatusOr<PageStore::Batch> batch = store.Begin(kPages * kPageBytes);
  if (!batch.ok()) return batch.status();
  for (uint64_t page = 0; page < kPages; ++page) {
    absl::Status status =
        batch->PutWhole(PageId::FromValue(page), PageOf(1000), kPageBytes);
    if (!status.ok()) return status;
  }
  return store.Commit(*std::move(batch), {}).status();
}

// Moves a random amount between two pages, which leaves the sum of all numbers
// as it is: what was read and what is written must be of one epoch.
absl::Status Transfer(PageStore& store, std::mt19937_64& random) {
  absl::StatusOr<PageStore::Batch> batch = store.Begin(kPages * kPageBytes);
  if (!batch.ok()) return batch.status();
  const uint64_t from = random() % kPages;
  const uint64_t to = (from + 1 + random() % (kPages - 1)) % kPages;
  Bytes page(kPageBytes);
  std::vector<uint64_t> numbers;
  for (const uint64_t id : {from, to}) {
    absl::Status status = batch->Read(PageId::FromValue(id), page);
    if (!status.ok()) return status;
    absl::StatusOr<uint64_t> number = NumberIn(page);
    if (!number.ok()) return number.status();
    numbers.push_back(*number);
  }
  const uint64_t amount = numbers[0] == 0 ? 0 : random() % numbers[0];
  // In any order.
  absl::Status status = batch->PutWhole(
      PageId::FromValue(from), PageOf(numbers[0] - amount), kPageBytes);
  status.Update(batch->PutWhole(PageId::FromValue(to),
                                PageOf(numbers[1] + amount), kPageBytes));
  if (!status.ok()) return status;
  return store.Commit(*std::move(batch), {}).status();
}

absl::Status CheckSum(PageStore::Snapshot snapshot) {
  Bytes state(kPages * kPageBytes);
  if (absl::Status status = snapshot.Read(PageId::FromValue(0), state);
      !status.ok()) {
    return status;
  }
  uint64_t sum = 0;
  for (uint64_t page = 0; page < kPages; ++page) {
    absl::StatusOr<uint64_t> number =
        NumberIn(std::span(state).subspan(page * kPageBytes, kPageBytes));
    if (!number.ok()) return number.status();
    sum += *number;
  }
  if (sum == kPages * 1000) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("epoch ", snapshot.epoch().value(), " sums up to ", sum));
}

class PageStoreThreadsTest : public testing::TestWithParam<Durability> {};

INSTANTIATE_TEST_SUITE_P(Durability, PageStoreThreadsTest,
                         testing::Values(Durability::kNone, Durability::kGroup,
                                         Durability::kEach));

TEST_P(PageStoreThreadsTest, NobodySeesHalfACommitOrLosesAnother) {
  constexpr int kWriters = 3;
  constexpr int kReaders = 3;
  constexpr int kCommits = 60;
  FaultyFileSystem files;
  // There will be several segments.
  const std::unique_ptr<PageStore> store =
      Open(files, GetParam(), Mode::kCreate, /*segment_bytes=*/16 << 10);
  ASSERT_TRUE(Fill(*store).ok());
  // relaxed: counts, and a flag that only ends loops.
  std::atomic<bool> done = false;
  std::atomic<uint64_t> conflicts = 0;
  std::atomic<uint64_t> committed = 0;
  std::atomic<uint64_t> reads = 0;
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] {
      std::mt19937_64 random(static_cast<uint64_t>(i));
      for (int n = 0; n < kCommits; ++n) {
        const absl::Status status = Transfer(*store, random);
        if (absl::IsAborted(status)) {
          conflicts.fetch_add(1, std::memory_order_relaxed);
        } else {
          ASSERT_TRUE(status.ok()) << status;
          committed.fetch_add(1, std::memory_order_relaxed);
        }
      }
    });
  }
  std::vector<std::thread> others;
  for (int i = 0; i < kReaders; ++i) {
    others.emplace_back([&, i] {
      std::mt19937_64 random(static_cast<uint64_t>(100 + i));
      uint64_t last = 0;
      do {
        absl::StatusOr<PageStore::Snapshot> newest = store->Newest();
        ASSERT_TRUE(newest.ok()) << newest.status();
        ASSERT_GE(newest->epoch().value(), last);
        last = newest->epoch().value();
        const absl::Status status = CheckSum(*std::move(newest));
        ASSERT_TRUE(status.ok()) << status;
        const uint64_t first = store->first().value();
        if (first > last) continue;  // pruned since
        absl::StatusOr<PageStore::Snapshot> some = store->SnapshotAt(
            Epoch::FromValue(first + random() % (last - first + 1)));
        // It may have been pruned since it was asked what is there.
        ASSERT_TRUE(some.ok() || absl::IsNotFound(some.status()))
            << some.status();
        if (some.ok()) {
          const absl::Status old = CheckSum(*std::move(some));
          ASSERT_TRUE(old.ok()) << old;
        }
        reads.fetch_add(1, std::memory_order_relaxed);
      } while (!done.load(std::memory_order_relaxed));
    });
  }
  others.emplace_back([&] {
    do {
      ASSERT_TRUE(store->Sync().ok());
      const absl::Status checkpoint = store->Checkpoint();
      ASSERT_TRUE(checkpoint.ok() || absl::IsAborted(checkpoint));
      const uint64_t newest = store->newest().value();
      if (newest < 20) continue;
      const absl::Status status = store->Prune(Epoch::FromValue(newest - 5));
      ASSERT_TRUE(status.ok() || absl::IsFailedPrecondition(status) ||
                  absl::IsNotFound(status))
          << status;
      std::this_thread::yield();
    } while (!done.load(std::memory_order_relaxed));
  });
  for (std::thread& thread : writers) thread.join();
  done.store(true, std::memory_order_relaxed);
  for (std::thread& thread : others) thread.join();
  EXPECT_EQ(store->newest().value(),
            1 + committed.load(std::memory_order_relaxed));
  EXPECT_GT(reads.load(std::memory_order_relaxed), 0u);
  EXPECT_TRUE(store->Verify([](uint64_t, uint64_t) {})->ok());
  EXPECT_TRUE(store->Stats().table.IdentityHolds());
  RecordProperty("conflicts",
                 static_cast<int>(conflicts.load(std::memory_order_relaxed)));
}

// Lets a test stop a sync of the log in the middle, and counts them.
class GatedSyncs final : public ForwardingFileSystem {
 public:
  explicit GatedSyncs(FileSystem& base) : ForwardingFileSystem(base) {}

  // The next sync of a file stops until it is let go.
  void StopNext() { stop_.store(true, std::memory_order_release); }
  void AwaitStopped() { stopped_.WaitForNotification(); }
  void LetGo() { let_go_.Notify(); }
  uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }

 private:
  class GatedFile final : public ForwardingFile {
   public:
    GatedFile(GatedSyncs& owner, std::unique_ptr<File> base)
        : ForwardingFile(std::move(base)), owner_(owner) {}
    absl::Status Sync() override {
      owner_.syncs_.fetch_add(1, std::memory_order_relaxed);
      if (owner_.stop_.exchange(false, std::memory_order_acq_rel)) {
        owner_.stopped_.Notify();
        owner_.let_go_.WaitForNotification();
      }
      return ForwardingFile::Sync();
    }

   private:
    GatedSyncs& owner_;
  };

  std::unique_ptr<File> Wrap(std::unique_ptr<File> file) override {
    return std::make_unique<GatedFile>(*this, std::move(file));
  }

  std::atomic<bool> stop_ = false;   // acq_rel: handed to the thread it stops
  std::atomic<uint64_t> syncs_ = 0;  // relaxed: a count
  absl::Notification stopped_;
  absl::Notification let_go_;
};

absl::Status PutOne(PageStore& store, uint64_t page, uint64_t number) {
  absl::StatusOr<PageStore::Batch> batch = store.Begin(kPages * kPageBytes);
  if (!batch.ok()) return batch.status();
  absl::Status status =
      batch->PutWhole(PageId::FromValue(page), PageOf(number), kPageBytes);
  if (!status.ok()) return status;
  return store.Commit(*std::move(batch), {}).status();
}

TEST(PageStoreGroupTest, OneSyncServesAllWhoWaitForOne) {
  constexpr uint64_t kThreads = 8;
  FaultyFileSystem disk;
  GatedSyncs files(disk);
  const std::unique_ptr<PageStore> store = Open(files, Durability::kGroup);
  ASSERT_TRUE(Fill(*store).ok());
  const uint64_t before = files.syncs();
  files.StopNext();
  std::vector<std::thread> threads;
  threads.emplace_back([&] { ASSERT_TRUE(PutOne(*store, 0, 1).ok()); });
  files.AwaitStopped();
  // While the disk is busy others write, and readers see none of it.
  for (uint64_t i = 1; i < kThreads; ++i) {
    threads.emplace_back([&, i] { ASSERT_TRUE(PutOne(*store, i, 1).ok()); });
  }
  uint64_t bytes = 0;
  while (store->Stats().log_bytes != bytes || bytes < kThreads * kPageBytes) {
    bytes = store->Stats().log_bytes;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(store->newest().value(), 1u);
  EXPECT_TRUE(store->Newest().ok());
  files.LetGo();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store->newest().value(), 1 + kThreads);
  // The log and the tip each: once for the first, and hardly more than once for
  // all the others.
  EXPECT_LE(files.syncs() - before, 2 * (kThreads / 2));
}

// A sync that finds nothing to do is no more than that to the first commit.
TEST(PageStoreGroupTest, TheFirstCommitMayComeBesideASync) {
  for (int i = 0; i < 50; ++i) {
    FaultyFileSystem files;
    const std::unique_ptr<PageStore> store = Open(files, Durability::kGroup);
    std::thread syncing([&] { EXPECT_TRUE(store->Sync().ok()); });
    EXPECT_TRUE(Fill(*store).ok());
    syncing.join();
    EXPECT_EQ(store->newest().value(), 1u);
  }
}

TEST(PageStoreBatchTest, ABatchOverPagesThatChangedIsAborted) {
  FaultyFileSystem files;
  const std::unique_ptr<PageStore> store = Open(files, Durability::kEach);
  ASSERT_TRUE(Fill(*store).ok());
  const auto begin = [&] { return *store->Begin(kPages * kPageBytes); };
  PageStore::Batch same = begin();
  PageStore::Batch other = begin();
  PageStore::Batch reader = begin();
  PageStore::Batch resizing = *store->Begin(kPageBytes);
  ASSERT_TRUE(same.PutWhole(PageId::FromValue(5), PageOf(1), kPageBytes).ok());
  ASSERT_TRUE(other.PutWhole(PageId::FromValue(6), PageOf(2), kPageBytes).ok());
  Bytes out(2 * kPageBytes);
  ASSERT_TRUE(reader.Read(PageId::FromValue(4), out).ok());
  ASSERT_TRUE(PutOne(*store, 5, 3).ok());
  for (PageStore::Batch* const batch : {&same, &reader}) {
    const absl::Status status = store->Commit(std::move(*batch), {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_TRUE(absl::StrContains(status.message(), "page 5 was changed"))
        << status;
  }
  EXPECT_EQ(store->Commit(std::move(other), {})->value(), 3u);
  EXPECT_EQ(store->Commit(std::move(resizing), {})->value(), 4u);
  PageStore::Batch late = *store->Begin(*store->SnapshotAt(Epoch::FromValue(3)),
                                        kPages * kPageBytes);
  const absl::Status status = store->Commit(std::move(late), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(absl::StrContains(status.message(), "the size was changed"));
  EXPECT_EQ(*ReadState(*store, Epoch::FromValue(4)), PageOf(1000));
  EXPECT_EQ((*ReadState(*store, Epoch::FromValue(3)))[6 * kPageBytes],
            std::byte{2});
}

TEST(PageStoreBatchTest, PagesComeInAnyOrder) {
  FaultyFileSystem files;
  const std::unique_ptr<PageStore> store = Open(files, Durability::kEach);
  constexpr uint64_t kMany = 6000;  // several records
  std::vector<uint64_t> order(kMany);
  for (uint64_t i = 0; i < kMany; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  absl::StatusOr<PageStore::Batch> batch = store->Begin(kMany * kPageBytes);
  ASSERT_TRUE(batch.ok());
  for (const uint64_t page : order) {
    ASSERT_TRUE(
        batch->PutWhole(PageId::FromValue(page), PageOf(page + 1), kPageBytes)
            .ok());
  }
  EXPECT_EQ(batch->PutWhole(PageId::FromValue(order[0]), PageOf(1), 1).code(),
            absl::StatusCode::kInvalidArgument);
  // It has begun to write, and holds others up.
  EXPECT_EQ(PutOne(*store, 0, 1).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(store->Checkpoint().code(), absl::StatusCode::kAborted);
  ASSERT_TRUE(store->Commit(*std::move(batch), {}).ok());
  absl::StatusOr<PageStore::Snapshot> snapshot = store->Newest();
  Bytes page(kPageBytes);
  for (uint64_t i = 0; i < kMany; ++i) {
    ASSERT_TRUE(snapshot->Read(PageId::FromValue(i), page).ok());
    ASSERT_EQ(*NumberIn(page), i + 1);
  }
  EXPECT_TRUE(store->Verify([](uint64_t, uint64_t) {})->ok());
}

// In every mode: after a sync that failed nothing more is taken, and opening
// the store again finds it whole.
TEST(PageStoreDurabilityTest, AfterAFailedSyncTheStoreIsOpenedAgain) {
  for (const Durability durability :
       {Durability::kNone, Durability::kGroup, Durability::kEach}) {
    // A commit writes to the log and syncs it, and then does so with the tip.
    for (const uint64_t calls : {1, 3}) {
      FaultyFileSystem files;
      {
        const std::unique_ptr<PageStore> store = Open(files, durability);
        ASSERT_TRUE(Fill(*store).ok());
        ASSERT_TRUE(PutOne(*store, 0, 1000).ok());
        ASSERT_TRUE(store->Sync().ok());
        files.FailAfter(calls, FaultyFileSystem::Fault::kIoError, 1);
        absl::Status status = PutOne(*store, 1, 7);
        EXPECT_EQ(status.ok(), durability == Durability::kNone) << status;
        if (status.ok()) status = store->Sync();
        EXPECT_TRUE(absl::StrContains(status.message(), "cannot sync"))
            << status;
        EXPECT_EQ(store->Sync().code(), absl::StatusCode::kFailedPrecondition);
        EXPECT_EQ(PutOne(*store, 2, 7).code(),
                  absl::StatusCode::kFailedPrecondition);
        // Not Aborted: another attempt would not help.
        EXPECT_EQ(PutOne(*store, 1, 8).code(),
                  absl::StatusCode::kFailedPrecondition);
        EXPECT_FALSE(store->Checkpoint().ok());
        EXPECT_FALSE(store->Prune(Epoch::FromValue(2)).ok());
        EXPECT_TRUE(CheckSum(*store->SnapshotAt(Epoch::FromValue(1))).ok());
        EXPECT_EQ(store->epochs().size(), store->newest().value())
            << store->LoadEpochs();
      }
      const std::unique_ptr<PageStore> store = Open(files, durability);
      EXPECT_TRUE(store->Verify([](uint64_t, uint64_t) {})->ok());
      EXPECT_TRUE(CheckSum(*store->SnapshotAt(Epoch::FromValue(1))).ok());
      EXPECT_TRUE(PutOne(*store, 2, 7).ok());
    }
  }
}

}  // namespace
}  // namespace mmsb
