#include <array>
#include <cstddef>
#include <string>
#include <thread>

#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"
#include "primitives/poison.h"

namespace mmsb {
namespace {

using CheckedPool = BasicLockFreePool<SystemSource, Checked>;

class LockFreePoolDeathTest : public ::testing::Test {
 protected:
  LockFreePoolDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  CheckedPool pool_{{.block_size = 64, .capacity = 16}};
  void* const block_ = pool_.Allocate();
};

TEST_F(LockFreePoolDeathTest, DoubleFree) {
  pool_.Deallocate(block_);
  EXPECT_DEATH(pool_.Deallocate(block_),
               "LockFreePool::Deallocate\\(0x[0-9a-f]+\\): double free");
}

TEST_F(LockFreePoolDeathTest, DoubleFreeOnTwoThreads) {
  std::thread([this] { pool_.Deallocate(block_); }).join();
  EXPECT_DEATH(pool_.Deallocate(block_), "double free");
}

TEST_F(LockFreePoolDeathTest, DoubleFreeByName) {
  const BlockId id = pool_.IdOf(block_);
  pool_.Deallocate(id);
  EXPECT_DEATH(pool_.Deallocate(id), "double free");
}

TEST_F(LockFreePoolDeathTest, NeverAllocated) {
  EXPECT_DEATH(pool_.Deallocate(BlockId::FromValue(15)),
               "LockFreePool::Deallocate\\(0x[0-9a-f]+\\): the block was never "
               "allocated");
}

TEST_F(LockFreePoolDeathTest, NameBeyondTheLastBlock) {
  EXPECT_DEATH(pool_.Deallocate(BlockId::FromValue(16)),
               "LockFreePool::Deallocate\\(BlockId 16\\): the pool has 16");
}

TEST_F(LockFreePoolDeathTest, ForeignPointer) {
  std::array<std::byte, 64> local;
  EXPECT_DEATH(pool_.Deallocate(local.data()),
               "LockFreePool::Deallocate\\(0x[0-9a-f]+\\): foreign pointer");
  CheckedPool other({.block_size = 64, .capacity = 16});
  EXPECT_DEATH(other.Deallocate(block_), "foreign pointer");
  auto* const first =
      static_cast<std::byte*>(pool_.AddressOf(BlockId::FromValue(0)));
  EXPECT_DEATH(pool_.Deallocate(first - 64), "foreign pointer");
  EXPECT_DEATH(pool_.Deallocate(first + 16 * 64), "foreign pointer");
}

TEST_F(LockFreePoolDeathTest, InteriorPointer) {
  for (const size_t offset : {size_t{1}, size_t{32}, size_t{63}}) {
    EXPECT_DEATH(
        pool_.Deallocate(static_cast<std::byte*>(block_) + offset),
        "LockFreePool::Deallocate\\(0x[0-9a-f]+\\): interior pointer, " +
            std::to_string(offset) + " bytes behind");
  }
}

TEST_F(LockFreePoolDeathTest, WrongSizeAndAlignment) {
  EXPECT_DEATH(pool_.Deallocate(block_, 65, 8),
               "LockFreePool::Deallocate\\(0x[0-9a-f]+, 65, 8\\): wrong size");
  EXPECT_DEATH(pool_.Deallocate(block_, 64, 32), "wrong size or alignment");
  EXPECT_DEATH(pool_.Deallocate(block_, 64, 3), "wrong size or alignment");
}

TEST_F(LockFreePoolDeathTest, ReallocateOfWhatIsNotLive) {
  EXPECT_EQ(pool_.Reallocate(block_, 10, 64, 8), block_);
  EXPECT_EQ(pool_.Reallocate(block_, 64, 65, 8), nullptr);
  EXPECT_DEATH(static_cast<void>(pool_.Reallocate(block_, 65, 10, 8)),
               "LockFreePool::Reallocate\\(0x[0-9a-f]+, 65, 10, 8\\): wrong "
               "size or alignment");
  std::array<std::byte, 64> local;
  EXPECT_DEATH(static_cast<void>(pool_.Reallocate(local.data(), 8, 9, 8)),
               "LockFreePool::Reallocate\\(0x[0-9a-f]+\\): foreign pointer");
  EXPECT_DEATH(static_cast<void>(pool_.Reallocate(
                   static_cast<std::byte*>(block_) + 8, 8, 9, 8)),
               "interior pointer, 8 bytes behind");
  pool_.Deallocate(block_);
  EXPECT_DEATH(static_cast<void>(pool_.Reallocate(block_, 8, 9, 8)),
               "LockFreePool::Reallocate\\(0x[0-9a-f]+\\): double free");
}

TEST_F(LockFreePoolDeathTest, OptionsThatMakeNoSense) {
  EXPECT_DEATH(LockFreePool({.block_size = 0, .capacity = 1}),
               "block_size is 0");
  EXPECT_DEATH(LockFreePool({.block_size = 8, .capacity = 1, .alignment = 12}),
               "alignment of 12 bytes is not a power of two");
  EXPECT_DEATH(
      LockFreePool({.block_size = 8, .capacity = 1, .magazine_blocks = 3}),
      "magazine_blocks of 3 is not a power of two");
  EXPECT_DEATH(LockFreePool({.block_size = 8, .capacity = 0xFFFFFFFF}),
               "capacity 4294967295 is above 4294967294");
}

// A tool would report the write itself, so it is told to look away, as from
// code that was built without it.
void WriteUnseen(void* p, size_t offset) {
  auto* const byte = static_cast<std::byte*>(p) + offset;
  UnpoisonDefined(byte, 1);
  *byte ^= std::byte{1};
}

TEST_F(LockFreePoolDeathTest, WriteAfterFreeIsFoundAtReuse) {
  for (const size_t block_size : {1, 8, 64, 100, 4096}) {
    CheckedPool pool({.block_size = block_size, .capacity = 1});
    void* const p = pool.Allocate();
    std::thread([&] { pool.Deallocate(p); }).join();
    for (const size_t offset : {size_t{0}, block_size / 2, block_size - 1}) {
      EXPECT_DEATH(
          {
            WriteUnseen(p, offset);
            static_cast<void>(pool.Allocate(1, 1));
          },
          "LockFreePool::Allocate\\(\\): the free block 0x[0-9a-f]+ was "
          "written "
          "to");
    }
    EXPECT_EQ(pool.Allocate(), p);
  }
}

struct FillsTenBytes : Checked {
  static constexpr size_t kFilledBytes = 10;
};

TEST_F(LockFreePoolDeathTest, FillsAsMuchAsThePolicySays) {
  BasicLockFreePool<SystemSource, FillsTenBytes> pool(
      {.block_size = 64, .capacity = 1});
  void* const p = pool.Allocate();
  pool.Deallocate(p);
  WriteUnseen(p, 10);
  EXPECT_EQ(pool.Allocate(), p);
  pool.Deallocate(p);
  EXPECT_DEATH(
      {
        WriteUnseen(p, 9);
        static_cast<void>(pool.Allocate());
      },
      "was written to");
}

TEST_F(LockFreePoolDeathTest, UseAfterFreeIsReportedUnderPoison) {
  if (!kPoisonReported) GTEST_SKIP() << "this build watches no accesses";
  LockFreePool pool({.block_size = 64, .capacity = 16});
  auto* const p = static_cast<volatile char*>(pool.Allocate());
  pool.Deallocate(const_cast<char*>(p));
  EXPECT_DEATH(p[0] = 1, "use-after-poison");
}

}  // namespace
}  // namespace mmsb
