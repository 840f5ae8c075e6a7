#include "memory/invariants.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/delta/delta.h"
#include "memory/epoch/epoch_reclaimer.h"
#include "memory/log/faulty_file_system.h"
#include "memory/page/lockfree_page_allocator.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/store/page_store.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"
#include "memory/store/testing/states.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

void ExpectHold(const auto& structure) {
  const absl::Status status = CheckInvariants(structure);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(InvariantsTest, HoldOfDeltas) {
  ExpectHold(Delta());
  for (const size_t size : {1, 8, 9, 300}) {
    ExpectHold(*Delta::Make(Bytes(size), Bytes(size, std::byte{1})));
    ExpectHold(*Delta::Make(Bytes(size), Bytes(size)));
  }
}

TEST(InvariantsTest, HoldOfPageAllocators) {
  PageAllocator pages;
  ExpectHold(pages);
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(pages.Allocate({.bytes = 100}).ok());
    ASSERT_TRUE(
        pages.SetMetadata(PageId::FromValue(0), std::string(i, 'x')).ok());
  }
  ExpectHold(pages);
}

TEST(InvariantsTest, HoldOfFrames) {
  const auto frames = *LockFreePageAllocator::Create({.bytes = 16 * kMiB});
  ExpectHold(*frames);
  const absl::StatusOr<void*> run = frames->Allocate(3);
  ASSERT_TRUE(run.ok());
  ExpectHold(*frames);
  ASSERT_TRUE(frames->Free(*run, 3).ok());
  ExpectHold(*frames);
}

TEST(InvariantsTest, HoldOfPageTables) {
  PageTablePool pool;
  PageTable table(pool, 512);
  ExpectHold(table);
  std::mt19937_64 random(1);
  for (const uint64_t pages : {1, 1024, 5000, 1025}) {
    ASSERT_TRUE(table.Resize(pages).ok());
    for (int i = 0; i < 100; ++i) {
      PageTable::Entry entry = table.zero();
      if (i % 3 != 0) {
        entry = {.version = {.position = 100,
                             .bytes = 10,
                             .form = PageVersion::Form::kWhole},
                 .checksum = static_cast<uint32_t>(random())};
      }
      ASSERT_TRUE(table.Set(random() % pages, entry).ok());
    }
    ExpectHold(table);
  }
}

TEST(InvariantsTest, HoldOfStores) {
  FaultyFileSystem disk;
  const auto store =
      *PageStore::Open(disk, "store", {.mode = PageStore::Mode::kCreate});
  ExpectHold(*store);
  for (const Bytes& state : RandomHistory(1, 6)) {
    ASSERT_TRUE(CommitState(*store, state).ok());
    ExpectHold(*store);
  }
}

TEST(InvariantsTest, HoldOfReclaimers) {
  EpochReclaimer reclaimer({.max_retired = 10});
  ExpectHold(reclaimer);
  auto reader = *reclaimer.AddReader("reader");
  const auto pin = reader.Pin();
  for (int i = 0; i < 12; ++i) {
    (void)reclaimer.Retire(std::make_unique<int>(i));
    ExpectHold(reclaimer);
  }
}

}  // namespace
}  // namespace mmsb
