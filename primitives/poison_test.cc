#include "primitives/poison.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gtest/gtest.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

#if !MMSB_ADDRESS_SANITIZER && !MMSB_MEMORY_SANITIZER && !defined(MMSB_VALGRIND)
// Without a tool the calls are free: a constant expression holds no
// instruction, no call into a runtime and no request sequence.
constexpr bool NothingHappens() {
  PoisonFreed(nullptr, 64);
  UnpoisonFresh(nullptr, 64);
  UnpoisonDefined(nullptr, 64);
  AnnotatePoolCreated(nullptr);
  AnnotatePoolAllocated(nullptr, nullptr, 64);
  AnnotatePoolFreed(nullptr, nullptr, 64);
  AnnotatePoolResized(nullptr, nullptr, nullptr, 64);
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

// Errors that Valgrind has reported, in the parent's past too. It writes them
// where no death test can read them.
uint64_t ValgrindErrors() {
#if defined(MMSB_VALGRIND)
  constexpr uint64_t kCountErrors = 0x1201;
  return poison_internal::ValgrindRequest(0, kCountErrors);
#else
  return 0;
#endif
}

// Death test statements. AddressSanitizer and MemorySanitizer end the child at
// the access; Valgrind goes on, and the exit code says whether it reported one.
constexpr int kReported = 7;

template <class Access>
[[noreturn]] void ExitAfter(Access access) {
  const uint64_t before = ValgrindErrors();
  access();
  std::_Exit(ValgrindErrors() == before ? 0 : kReported);
}
[[noreturn]] void ReadAndExit(const volatile char* p) {
  ExitAfter([p] { static_cast<void>(*p); });
}
[[noreturn]] void WriteAndExit(volatile char* p) {
  ExitAfter([p] { *p = 1; });
}
[[noreturn]] void BranchOnAndExit(const volatile char* p) {
  ExitAfter([p] {
    if (*p == 'y') std::puts("y");
  });
}
bool Reported(int status) { return status != 0; }

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
    const char* const report = kPoisonReported ? "use-after-poison" : "";
    EXPECT_EXIT(ReadAndExit(block.bytes + 17), Reported, report);
    EXPECT_EXIT(WriteAndExit(block.bytes + 17), Reported, report);
  } else {
    EXPECT_EXIT(WriteAndExit(block.bytes + 17), testing::ExitedWithCode(0),
                "^$");
  }
}

TEST(PoisonDeathTest, ReadingAFreshBlockIsReportedWhereContentsAreTracked) {
  Block block;
  UnpoisonFresh(block.bytes, kBlockBytes);
#if MMSB_MEMORY_SANITIZER
  EXPECT_EXIT(BranchOnAndExit(block.bytes + 17), Reported,
              "use-of-uninitialized-value");
#else
  if (RunningOnValgrind()) {
    EXPECT_EXIT(BranchOnAndExit(block.bytes + 17), Reported, "");
  } else {
    EXPECT_EXIT(BranchOnAndExit(block.bytes + 17), testing::ExitedWithCode(0),
                "^$");
  }
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

TEST(PoisonDeathTest, TouchingAFreedBlockOfAPoolIsReported) {
  Block block;
  const int pool = 0;
  AnnotatePoolCreated(&pool);
  PoisonFreed(block.bytes, kBlockBytes);
  AnnotatePoolAllocated(&pool, block.bytes, kBlockBytes);
  EXPECT_EXIT(WriteAndExit(block.bytes + 17), testing::ExitedWithCode(0), "^$");
  AnnotatePoolFreed(&pool, block.bytes, kBlockBytes);
  if (Watched()) {
    EXPECT_EXIT(ReadAndExit(block.bytes + 17), Reported,
                kPoisonReported ? "use-after-poison" : "");
  } else {
    EXPECT_EXIT(ReadAndExit(block.bytes + 17), testing::ExitedWithCode(0),
                "^$");
  }
  AnnotatePoolDestroyed(&pool);
}

}  // namespace
}  // namespace mmsb
