// A store without a disk: all that a store can do, over files in memory.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
#include "memory/log/memory_file_system.h"
#include "memory/log/posix_file_system.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/states.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Mode = PageStore::Mode;

absl::StatusOr<std::unique_ptr<PageStore>> TryOpen(
    FileSystem& files, Mode mode, const std::string& path = "store") {
  return PageStore::Open(
      files, path,
      {.mode = mode, .page_bytes = 512, .checkpoint_slack_bytes = 8192});
}

std::unique_ptr<PageStore> Open(FileSystem& files, Mode mode,
                                const std::string& path = "store") {
  absl::StatusOr<std::unique_ptr<PageStore>> store = TryOpen(files, mode, path);
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

void ExpectSound(PageStore& store) {
  const absl::StatusOr<VerifyReport> report =
      store.Verify([](uint64_t, uint64_t) {});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ok());
}

// Random bytes, which nothing makes smaller.
Bytes RandomState(uint64_t seed, size_t bytes) {
  std::mt19937_64 random(seed);
  Bytes state(bytes);
  for (std::byte& b : state) b = static_cast<std::byte>(random());
  return state;
}

TEST(PageStoreMemoryTest, HoldsEveryEpochLongerThanAStoreIsOpen) {
  const std::vector<Bytes> history = RandomHistory(11, 60);
  MemoryFileSystem files;
  for (size_t i = 0; i < history.size(); ++i) {
    ASSERT_TRUE(CommitState(*Open(files, Mode::kCreate), history[i], "").ok());
  }
  const std::unique_ptr<PageStore> store = Open(files, Mode::kRead);
  for (size_t i = 0; i < history.size(); ++i) {
    EXPECT_EQ(*ReadState(*store, Epoch::FromValue(i + 1)), history[i]);
  }
  ExpectSound(*store);
}

// Commits, prunes, checkpoints and salvages of one seed, in memory and on disk.
TEST(PageStoreMemoryTest, IsTheStoreThatADiskHolds) {
  const std::string folder = testing::TempDir() + "page_store_memory_test";
  ASSERT_TRUE(PosixFileSystem().CreateDirectory(folder).ok());
  MemoryFileSystem memory;
  ASSERT_TRUE(memory.CreateDirectory("store").ok());
  const auto memory_store = Open(memory, Mode::kCreate, "store/0");
  const auto disk_store =
      Open(PosixFileSystem(), Mode::kCreate, folder + "/store");
  std::mt19937_64 random(12);
  uint64_t first = 1;
  for (const Bytes& state : RandomHistory(13, 40)) {
    for (PageStore* const store : {memory_store.get(), disk_store.get()}) {
      ASSERT_TRUE(CommitState(*store, state, "").ok());
    }
    if (random() % 8 == 0) {
      const uint64_t newest = memory_store->newest().value();
      first += random() % (newest - first + 1);
      for (PageStore* const store : {memory_store.get(), disk_store.get()}) {
        ASSERT_TRUE(store->Prune(Epoch::FromValue(first)).ok());
        ASSERT_TRUE(store->Checkpoint().ok());
      }
    }
  }
  ASSERT_GT(first, 1u);
  const PageStoreStats in_memory = memory_store->Stats();
  const PageStoreStats on_disk = disk_store->Stats();
  EXPECT_EQ(in_memory.log_bytes, on_disk.log_bytes);
  EXPECT_EQ(in_memory.checkpoint, on_disk.checkpoint);
  EXPECT_EQ(memory_store->first().value(), first);
  ASSERT_TRUE(PageStore::Salvage(memory, "store/0", "salvaged", {}).ok());
  const auto salvaged = Open(memory, Mode::kRead, "salvaged");
  for (uint64_t epoch = first; epoch <= memory_store->newest().value();
       ++epoch) {
    const Bytes state = *ReadState(*disk_store, Epoch::FromValue(epoch));
    EXPECT_EQ(*ReadState(*memory_store, Epoch::FromValue(epoch)), state);
    EXPECT_EQ(*ReadState(*salvaged, Epoch::FromValue(epoch)), state);
  }
  ExpectSound(*memory_store);
  ExpectSound(*disk_store);
}

TEST(PageStoreMemoryTest, HasOneWriter) {
  MemoryFileSystem files;
  auto first = Open(files, Mode::kCreate);
  ASSERT_TRUE(CommitState(*first, RandomState(1, 1000), "").ok());
  std::thread waiter([&] {
    const auto second = Open(files, Mode::kWrite);
    EXPECT_EQ(second->newest().value(), 2u);
    EXPECT_TRUE(CommitState(*second, RandomState(3, 1000), "").ok());
  });
  ASSERT_TRUE(CommitState(*first, RandomState(2, 1000), "").ok());
  first = nullptr;
  waiter.join();
  EXPECT_EQ(Open(files, Mode::kRead)->newest().value(), 3u);
}

// Commits until there is no more room: what was acknowledged is there, and
// goes on once the old epochs are given up, for which a reserve is freed.
TEST(PageStoreMemoryTest, AFullMemoryLosesNothing) {
  constexpr uint64_t kMaxBytes = 1 << 20;
  MemoryFileSystem files({.max_bytes = kMaxBytes});
  ASSERT_TRUE((*files.CreateNew("reserve", 0600))
                  ->WriteAt(0, RandomState(0, 128 << 10))
                  .ok());
  uint64_t committed = 0;
  {
    const auto store = Open(files, Mode::kCreate);
    for (;;) {
      const absl::StatusOr<Epoch> epoch =
          CommitState(*store, RandomState(committed + 1, 20'000), "");
      if (!epoch.ok()) {
        EXPECT_TRUE(absl::IsResourceExhausted(epoch.status()))
            << epoch.status();
        break;
      }
      committed = epoch->value();
    }
  }
  ASSERT_GT(committed, 20u);
  EXPECT_GT(files.used_bytes(), kMaxBytes - (64 << 10));
  EXPECT_LE(files.used_bytes(), kMaxBytes);
  {
    const auto store = Open(files, Mode::kRead);
    ASSERT_EQ(store->newest().value(), committed);
    for (uint64_t epoch = 1; epoch <= committed; ++epoch) {
      ASSERT_EQ(*ReadState(*store, Epoch::FromValue(epoch)),
                RandomState(epoch, 20'000));
    }
    ExpectSound(*store);
  }
  // What the failed commit left is cut off by the next writer.
  const auto store = Open(files, Mode::kWrite);
  EXPECT_TRUE(absl::IsResourceExhausted(
      store->Prune(Epoch::FromValue(committed - 10))));
  ASSERT_TRUE(files.Remove("reserve").ok());
  const absl::Status pruned = store->Prune(Epoch::FromValue(committed));
  ASSERT_TRUE(pruned.ok()) << pruned;
  EXPECT_LT(files.used_bytes(), kMaxBytes / 4);
  ASSERT_TRUE(CommitState(*store, RandomState(committed + 1, 20'000), "").ok());
  ExpectSound(*store);
}

// A quota of every size: a store that opens, or none at all.
TEST(PageStoreMemoryTest, EveryQuotaFailsCleanly) {
  constexpr size_t kStep = MemoryFileSystem::kEntryBytes;
  uint64_t full = 0;
  for (uint64_t quota = 0; full < 3; quota += kStep) {
    MemoryFileSystem files({.max_bytes = quota});
    uint64_t acknowledged = 0;
    if (const auto store = TryOpen(files, Mode::kCreate); store.ok()) {
      for (uint64_t i = 1; i <= 3; ++i) {
        if (!CommitState(**store, RandomState(i, 9000), "").ok()) break;
        acknowledged = i;
      }
    }
    const auto reopened = TryOpen(files, Mode::kRead);
    if (!reopened.ok()) {
      EXPECT_EQ(acknowledged, 0u) << reopened.status();
      EXPECT_TRUE(absl::IsNotFound(reopened.status())) << reopened.status();
    } else {
      EXPECT_GE((*reopened)->newest().value(), acknowledged);
      for (uint64_t i = 1; i <= (*reopened)->newest().value(); ++i) {
        EXPECT_EQ(*ReadState(**reopened, Epoch::FromValue(i)),
                  RandomState(i, 9000));
      }
      ExpectSound(**reopened);
    }
    full += acknowledged == 3 ? 1 : 0;
    ASSERT_LT(quota, 1u << 20);
  }
}

TEST(PageStoreMemoryTest, ReadersBesideAWriterSeeWholeEpochs) {
  constexpr uint64_t kEpochs = 60;
  constexpr size_t kStateBytes = 20'000;
  MemoryFileSystem files;
  const auto store = Open(files, Mode::kCreate);
  ASSERT_TRUE(CommitState(*store, RandomState(1, kStateBytes), "").ok());
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    // One in the writer's store, one that opens it anew, as a process would.
    readers.emplace_back([&, r] {
      uint64_t seen = 0;
      while (seen < kEpochs) {
        std::unique_ptr<PageStore> own;
        if (r == 1) own = Open(files, Mode::kRead);
        PageStore& reader = r == 1 ? *own : *store;
        const uint64_t newest = reader.newest().value();
        EXPECT_GE(newest, seen);
        seen = newest;
        const absl::StatusOr<Bytes> state =
            ReadState(reader, Epoch::FromValue(seen));
        // A prune may overtake who reads, but for the newest epoch of all.
        if (absl::IsNotFound(state.status())) {
          EXPECT_LT(seen, store->newest().value());
          continue;
        }
        ASSERT_TRUE(state.ok()) << state.status();
        ASSERT_EQ(*state, RandomState(seen, kStateBytes));
      }
    });
  }
  for (uint64_t i = 2; i <= kEpochs; ++i) {
    EXPECT_TRUE(CommitState(*store, RandomState(i, kStateBytes), "").ok());
    if (i % 20 == 0) {
      EXPECT_TRUE(store->Prune(Epoch::FromValue(i)).ok());
    }
  }
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace mmsb
