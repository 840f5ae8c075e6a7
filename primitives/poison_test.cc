#include "primitives/poison.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gtest/gtest.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

#if !defined(MMSB_POISON_ASAN) && !defined(MMSB_POISON_MSAN) && \
    !defined(MMSB_VALGRIND)
// Without a tool the calls are free: a constant expression holds no
// instruction, no call into a runtime and no request sequence.
constexpr bool NothingHappens() {
  PoisonFreed(nullptr, 64);
  UnpoisonFresh(nullptr, 64);
  UnpoisonDefined(nullptr, 64);
  AnnotatePoolCreated(nullptr);
  AnnotatePoolAllocated(nullptr, nullptr, 64);
  AnnotatePoolFreed(nullptr, nullptr, 64);
  AnnotatePoolDestroyed(nullptr);
  return !IsPoisoned(nullptr) && !RunningOnValgrind();
}
static_assert(NothingHappens());
static_assert(!kPoisonReported);
#endif

// Whether a tool watches each access of this run.
bool Watched() { return kPoisonReported || RunningOnValgrind(); }

constexpr size_t kBlockBytes = 64;

struct Block {
  Block() { std::memset(bytes, 'x', sizeof(bytes)); }
  // The stack's next user must not inherit a state.
  ~Block() { UnpoisonDefined(bytes, sizeof(bytes)); }

  alignas(8) char bytes[kBlockBytes];
};

// Death test statements: AddressSanitizer ends the child at the access,
// Valgrind reports it and goes on.
[[noreturn]] void ReadAndExit(const volatile char* p) {
  static_cast<void>(*p);
  std::_Exit(0);
}
[[noreturn]] void WriteAndExit(volatile char* p) {
  *p = 1;
  std::_Exit(0);
}
[[noreturn]] void BranchOnAndExit(const volatile char* p) {
  if (*p == 'y') std::puts("y");
  std::_Exit(0);
}
bool AnyExit(int) { return true; }

TEST(PoisonTest, BlockIsPoisonedUntilUnpoisoned) {
  Block block;
  EXPECT_FALSE(IsPoisoned(block.bytes));
  PoisonFreed(block.bytes, kBlockBytes);
  EXPECT_EQ(IsPoisoned(block.bytes), Watched());
  EXPECT_EQ(IsPoisoned(block.bytes + kBlockBytes - 1), Watched());
  UnpoisonFresh(block.bytes, kBlockBytes);
  EXPECT_FALSE(IsPoisoned(block.bytes));
  EXPECT_FALSE(IsPoisoned(block.bytes + kBlockBytes - 1));
  PoisonFreed(block.bytes, kBlockBytes);
  UnpoisonDefined(block.bytes, kBlockBytes);
  EXPECT_FALSE(IsPoisoned(block.bytes));
}

TEST(PoisonTest, ContentsStayAsTheyWere) {
  Block block;
  PoisonFreed(block.bytes, kBlockBytes);
  UnpoisonDefined(block.bytes, kBlockBytes);
  for (const char byte : block.bytes) EXPECT_EQ(byte, 'x');
}

TEST(PoisonTest, PartOfABlockCanBeUnpoisoned) {
  Block block;
  PoisonFreed(block.bytes, kBlockBytes);
  UnpoisonDefined(block.bytes, 20);
  EXPECT_FALSE(IsPoisoned(block.bytes + 19));
  EXPECT_EQ(IsPoisoned(block.bytes + 20), Watched());
}

TEST(PoisonTest, NothingOutsideTheBlockIsEverPoisoned) {
  Block block;
  for (size_t first = 0; first <= 16; ++first) {
    for (size_t bytes = 0; bytes <= 32; ++bytes) {
      PoisonFreed(block.bytes + first, bytes);
      for (size_t i = 0; i < kBlockBytes; ++i) {
        if (i >= first && i < first + bytes) continue;
        EXPECT_FALSE(IsPoisoned(block.bytes + i))
            << i << " of " << first << "+" << bytes;
      }
      UnpoisonDefined(block.bytes + first, bytes);
      for (size_t i = 0; i < kBlockBytes; ++i) {
        EXPECT_FALSE(IsPoisoned(block.bytes + i))
            << i << " of " << first << "+" << bytes;
      }
    }
  }
}

TEST(PoisonTest, BlocksOfWholeEightBytesArePoisonedExactly) {
  Block block;
  for (size_t first = 0; first < kBlockBytes; first += 8) {
    PoisonFreed(block.bytes + first, 8);
    for (size_t i = first; i < first + 8; ++i) {
      EXPECT_EQ(IsPoisoned(block.bytes + i), Watched()) << i;
    }
    UnpoisonDefined(block.bytes + first, 8);
  }
}

TEST(PoisonDeathTest, TouchingAFreedBlockIsReported) {
  Block block;
  PoisonFreed(block.bytes, kBlockBytes);
  if (Watched()) {
    EXPECT_EXIT(ReadAndExit(block.bytes + 17), AnyExit,
                kPoisonReported ? "use-after-poison" : "Invalid read of size");
    EXPECT_EXIT(WriteAndExit(block.bytes + 17), AnyExit,
                kPoisonReported ? "use-after-poison" : "Invalid write of size");
  } else {
    EXPECT_EXIT(WriteAndExit(block.bytes + 17), testing::ExitedWithCode(0),
                "^$");
  }
}

TEST(PoisonDeathTest, ReadingAFreshBlockIsReportedWhereContentsAreTracked) {
  Block block;
  UnpoisonFresh(block.bytes, kBlockBytes);
#if defined(MMSB_POISON_MSAN)
  EXPECT_EXIT(BranchOnAndExit(block.bytes + 17), AnyExit,
              "use-of-uninitialized-value");
#else
  EXPECT_EXIT(BranchOnAndExit(block.bytes + 17), testing::ExitedWithCode(0),
              RunningOnValgrind() ? "depends on uninitialised value" : "^$");
#endif
}

TEST(PoisonTest, AWrittenFreshBlockMayBeRead) {
  Block block;
  UnpoisonFresh(block.bytes, kBlockBytes);
  std::memset(block.bytes, 'z', kBlockBytes);
  int z = 0;
  for (const char byte : block.bytes) z += byte == 'z';
  EXPECT_EQ(z, 64);
}

TEST(PoisonTest, PoolAnnotationsPoisonAsTheSingleCallsDo) {
  Block block;
  const int pool = 0;
  AnnotatePoolCreated(&pool);
  PoisonFreed(block.bytes, kBlockBytes);
  AnnotatePoolAllocated(&pool, block.bytes, 32);
  EXPECT_FALSE(IsPoisoned(block.bytes));
  EXPECT_EQ(IsPoisoned(block.bytes + 32), Watched());
  AnnotatePoolAllocated(&pool, block.bytes + 32, 32);
  AnnotatePoolFreed(&pool, block.bytes, 32);
  EXPECT_EQ(IsPoisoned(block.bytes), Watched());
  EXPECT_FALSE(IsPoisoned(block.bytes + 32));
  AnnotatePoolFreed(&pool, block.bytes + 32, 32);
  AnnotatePoolDestroyed(&pool);
}

TEST(PoisonDeathTest, ValgrindKnowsTheFreedBlockOfAPool) {
  MemoryMapper& mapper = SystemMapper();
  const size_t bytes = mapper.Granule().bytes();
  void* region = nullptr;
  ASSERT_TRUE(mapper.Reserve(bytes, mapper.Granule(), &region).ok());
  ASSERT_TRUE(mapper.Commit(region, bytes).ok());
  char* const block = static_cast<char*>(region) + kBlockBytes;
  const int pool = 0;
  AnnotatePoolCreated(&pool);
  PoisonFreed(region, bytes);
  AnnotatePoolAllocated(&pool, block, kBlockBytes);
  AnnotatePoolFreed(&pool, block, kBlockBytes);
  if (Watched()) {
    EXPECT_EXIT(ReadAndExit(block + 17), AnyExit,
                kPoisonReported ? "use-after-poison"
                                : "17 bytes inside a block of size 64 free'd");
  } else {
    EXPECT_EXIT(ReadAndExit(block + 17), testing::ExitedWithCode(0), "^$");
  }
  AnnotatePoolDestroyed(&pool);
  ASSERT_TRUE(mapper.Release(region, bytes).ok());
}

}  // namespace
}  // namespace mmsb
