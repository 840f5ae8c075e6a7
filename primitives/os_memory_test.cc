#include "primitives/os_memory.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/os_error.h"
#include "primitives/poison.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

using Access = MemoryMapper::Access;

constexpr size_t kMax = std::numeric_limits<size_t>::max();

size_t GranuleBytes() { return SystemMapper().Granule().bytes(); }

// A sanitizer turns the signal of a bad access into a report and exits.
constexpr char kBadAccess[] = "";
bool Died(int status) { return status != 0; }

[[noreturn]] void ReadAndExit(const volatile char* p) {
  static_cast<void>(*p);
  std::_Exit(0);
}
[[noreturn]] void WriteAndExit(volatile char* p) {
  *p = 1;
  std::_Exit(0);
}

bool IsMapped(void* granule) {
  unsigned char resident;
  return mincore(granule, GranuleBytes(), &resident) == 0;
}

bool AllZero(const char* p, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    if (p[i] != 0) return false;
  }
  return true;
}

// Address space of this process in bytes.
size_t AddressSpaceBytes() {
  size_t granules = 0;
  std::ifstream("/proc/self/statm") >> granules;
  return granules * GranuleBytes();
}

// A reservation of some granules that the test need not release.
class OsMemoryTest : public testing::Test {
 protected:
  static constexpr size_t kGranules = 8;

  void SetUp() override {
    granule_ = GranuleBytes();
    bytes_ = kGranules * granule_;
    void* base = nullptr;
    const OsError error = mapper_.Reserve(bytes_, mapper_.Granule(), &base);
    ASSERT_TRUE(error.ok()) << error.operation() << error.code();
    base_ = static_cast<char*>(base);
  }

  void TearDown() override { EXPECT_TRUE(mapper_.Release(base_, bytes_).ok()); }

  MemoryMapper& mapper_ = SystemMapper();
  size_t granule_ = 0;
  size_t bytes_ = 0;
  char* base_ = nullptr;
};

using OsMemoryDeathTest = OsMemoryTest;

TEST_F(OsMemoryTest, GranulesAreWhatTheSystemSays) {
  EXPECT_GE(mapper_.Granule().bytes(), 4 * kKiB);
  EXPECT_LE(mapper_.Granule().bytes(), 64 * kKiB);
  EXPECT_GE(mapper_.HugeGranule(), mapper_.Granule());
#if defined(__x86_64__)
  EXPECT_EQ(mapper_.Granule().bytes(), 4 * kKiB);
#endif
  std::ifstream told("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
  size_t huge = 0;
  if (told >> huge) {
    EXPECT_EQ(mapper_.HugeGranule().bytes(), huge);
  } else {
    EXPECT_EQ(mapper_.HugeGranule(), mapper_.Granule());
  }
}

TEST_F(OsMemoryTest, CommittedMemoryIsZeroAndWritable) {
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  EXPECT_TRUE(AllZero(base_, bytes_));
  std::memset(base_, 0xAB, bytes_);
  EXPECT_EQ(base_[bytes_ - 1], '\xAB');
}

TEST_F(OsMemoryTest, CommittingAgainKeepsTheContents) {
  ASSERT_TRUE(mapper_.Commit(base_, 2 * granule_).ok());
  base_[granule_] = 7;
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  EXPECT_EQ(base_[granule_], 7);
  EXPECT_EQ(base_[2 * granule_], 0);
}

TEST_F(OsMemoryDeathTest, OnlyWhatIsCommittedMayBeTouched) {
  EXPECT_EXIT(ReadAndExit(base_), Died, kBadAccess);
  ASSERT_TRUE(mapper_.Commit(base_ + granule_, granule_).ok());
  base_[granule_] = 1;
  base_[2 * granule_ - 1] = 1;
  EXPECT_EXIT(ReadAndExit(base_ + granule_ - 1), Died, kBadAccess);
  EXPECT_EXIT(WriteAndExit(base_ + 2 * granule_), Died, kBadAccess);
}

TEST_F(OsMemoryDeathTest, DecommitTakesAccessAndContents) {
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  std::memset(base_, 1, bytes_);
  ASSERT_TRUE(mapper_.Decommit(base_ + granule_, 2 * granule_).ok());
  EXPECT_EXIT(ReadAndExit(base_ + granule_), Died, kBadAccess);
  EXPECT_TRUE(IsMapped(base_ + granule_));  // Still reserved.
  EXPECT_EQ(base_[granule_ - 1], 1);
  EXPECT_EQ(base_[3 * granule_], 1);
  ASSERT_TRUE(mapper_.Commit(base_ + granule_, 2 * granule_).ok());
  EXPECT_TRUE(AllZero(base_ + granule_, 2 * granule_));
}

TEST_F(OsMemoryTest, DiscardLeavesZeros) {
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  std::memset(base_, 1, bytes_);
  ASSERT_TRUE(mapper_.Discard(base_, granule_).ok());
  EXPECT_TRUE(AllZero(base_, granule_));
  EXPECT_EQ(base_[granule_], 1);
  base_[0] = 2;
  EXPECT_EQ(base_[0], 2);
}

TEST_F(OsMemoryTest, DecommitAndDiscardGiveMemoryBack) {
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  std::memset(base_, 1, bytes_);
  unsigned char resident[kGranules];
  ASSERT_EQ(mincore(base_, bytes_, resident), 0);
  for (const unsigned char one : resident) EXPECT_EQ(one & 1, 1);
  ASSERT_TRUE(mapper_.Discard(base_, granule_).ok());
  ASSERT_TRUE(mapper_.Decommit(base_ + granule_, granule_).ok());
  ASSERT_EQ(mincore(base_, bytes_, resident), 0);
  EXPECT_EQ(resident[0] & 1, 0);
  EXPECT_EQ(resident[1] & 1, 0);
  EXPECT_EQ(resident[2] & 1, 1);
}

TEST_F(OsMemoryDeathTest, ProtectChangesAccessAndKeepsContents) {
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  std::memset(base_, 1, bytes_);
  ASSERT_TRUE(mapper_.Protect(base_, granule_, Access::kRead).ok());
  EXPECT_EQ(base_[0], 1);
  EXPECT_EXIT(WriteAndExit(base_), Died, kBadAccess);
  ASSERT_TRUE(mapper_.Protect(base_, granule_, Access::kNone).ok());
  EXPECT_EXIT(ReadAndExit(base_), Died, kBadAccess);
  ASSERT_TRUE(mapper_.Protect(base_, granule_, Access::kReadWrite).ok());
  EXPECT_EQ(base_[0], 1);
  base_[0] = 2;
}

TEST_F(OsMemoryTest, PartsCanBeReleased) {
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  ASSERT_TRUE(mapper_.Release(base_ + 3 * granule_, granule_).ok());
  EXPECT_TRUE(IsMapped(base_ + 2 * granule_));
  EXPECT_FALSE(IsMapped(base_ + 3 * granule_));
  EXPECT_TRUE(IsMapped(base_ + 4 * granule_));
}

TEST_F(OsMemoryTest, ReleaseUndoesPoisoning) {
  void* other = nullptr;
  ASSERT_TRUE(mapper_.Reserve(granule_, mapper_.Granule(), &other).ok());
  ASSERT_TRUE(mapper_.Commit(other, granule_).ok());
  PoisonFreed(other, granule_);
  ASSERT_TRUE(mapper_.Release(other, granule_).ok());
  // Valgrind knows by itself that nothing is mapped here.
  EXPECT_FALSE(kPoisonReported && IsPoisoned(other));
}

TEST_F(OsMemoryTest, ReservesAtTheAlignmentAskedFor) {
  for (size_t alignment = 1; alignment <= 4 * kGiB; alignment *= 4) {
    void* p = nullptr;
    ASSERT_TRUE(
        mapper_.Reserve(granule_, Alignment::FromBytes(alignment), &p).ok());
    EXPECT_TRUE(IsAligned(p, Alignment::FromBytes(alignment))) << alignment;
    EXPECT_TRUE(IsAligned(p, mapper_.Granule()));
    ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
    *static_cast<char*>(p) = 1;
    ASSERT_TRUE(mapper_.Release(p, granule_).ok());
    EXPECT_FALSE(IsMapped(p));
  }
}

TEST_F(OsMemoryTest, AlignedReservationsKeepNothingBesides) {
  const size_t before = AddressSpaceBytes();
  std::vector<void*> reserved(64);
  for (void*& p : reserved) {
    ASSERT_TRUE(mapper_.Reserve(granule_, Alignment::FromBytes(kGiB), &p).ok());
  }
  EXPECT_LT(AddressSpaceBytes(), before + 16 * kGiB);
  for (void* p : reserved) ASSERT_TRUE(mapper_.Release(p, granule_).ok());
}

// Tools that do not follow memory that moves.
bool CanGrow() {
  return !kAddressSanitizer && !kMemorySanitizer && !RunningOnValgrind();
}

// With ranges of other sizes between them, so that some have to move.
TEST_F(OsMemoryTest, GrownRangesKeepTheirContents) {
  if (!CanGrow()) GTEST_SKIP() << "a tool that does not follow";
  const size_t before = AddressSpaceBytes();
  int moves = 0;
  for (size_t alignment = 1; alignment <= 64 * kMiB; alignment *= 4) {
    const Alignment its = Alignment::FromBytes(alignment);
    for (const size_t step : {size_t{1}, size_t{3}, size_t{60}}) {
      SCOPED_TRACE(testing::Message() << alignment << ", " << step);
      size_t bytes = granule_;
      void* ranges[2] = {};
      for (void*& p : ranges) {
        ASSERT_TRUE(mapper_.Reserve(bytes, its, &p).ok());
        ASSERT_TRUE(mapper_.Commit(p, bytes).ok());
        *static_cast<size_t*>(p) = 0;
      }
      for (int round = 0; round < 4; ++round) {
        const size_t grown_bytes = bytes + step * granule_;
        for (void*& p : ranges) {
          void* grown = nullptr;
          ASSERT_TRUE(mapper_.Grow(p, bytes, grown_bytes, its, &grown).ok());
          if (grown != p) {
            ++moves;
          }
          p = grown;
          EXPECT_TRUE(IsAligned(p, its));
          char* const data = static_cast<char*>(p);
          for (size_t i = 0; i < bytes; i += granule_) {
            ASSERT_EQ(*reinterpret_cast<size_t*>(data + i), i);
          }
          EXPECT_TRUE(AllZero(data + bytes, grown_bytes - bytes));
          for (size_t i = bytes; i < grown_bytes; i += granule_) {
            *reinterpret_cast<size_t*>(data + i) = i;
          }
        }
        bytes = grown_bytes;
      }
      for (void* p : ranges) ASSERT_TRUE(mapper_.Release(p, bytes).ok());
    }
  }
  EXPECT_GT(moves, 0);
  // Nothing stays behind; the program itself may have taken some.
  EXPECT_LT(AddressSpaceBytes(), before + 8 * kMiB);
}

TEST_F(OsMemoryTest, WhatCannotGrowStaysAsItWas) {
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  std::memset(base_, 1, bytes_);
  const Alignment granule = mapper_.Granule();
  const Alignment large = Alignment::FromBytes(64 * kMiB);
  void* aligned = nullptr;
  ASSERT_TRUE(mapper_.Reserve(bytes_, large, &aligned).ok());
  ASSERT_TRUE(mapper_.Commit(aligned, bytes_).ok());
  void* grown = this;
  const auto refusal = [&](char* p, size_t bytes, size_t grown_bytes,
                           Alignment alignment) {
    return mapper_.Grow(p, bytes, grown_bytes, alignment, &grown).code();
  };
  EXPECT_EQ(refusal(base_, bytes_, bytes_, granule), EINVAL);
  EXPECT_EQ(refusal(base_, bytes_, bytes_ - granule_, granule), EINVAL);
  EXPECT_EQ(refusal(base_, bytes_, bytes_ + 1, granule), EINVAL);
  EXPECT_EQ(refusal(base_ + 1, granule_, bytes_, granule), EINVAL);
  EXPECT_EQ(refusal(nullptr, granule_, bytes_, granule), EINVAL);
  EXPECT_EQ(refusal(base_, 0, bytes_, granule), EINVAL);
  EXPECT_EQ(refusal(base_, bytes_, AlignDown(kMax, granule), granule), EINVAL);
  EXPECT_EQ(
      refusal(static_cast<char*>(aligned) + granule_, granule_, bytes_, large),
      EINVAL);
  if (CanGrow()) {
    const size_t before = AddressSpaceBytes();
    for (const size_t more : {64 * kMiB, size_t{1} << 46, size_t{1} << 62}) {
      // Of two states.
      char* const two = static_cast<char*>(aligned);
      ASSERT_TRUE(mapper_.Protect(two, granule_, Access::kRead).ok());
      EXPECT_NE(refusal(two, bytes_, bytes_ + more, granule), 0);
      EXPECT_NE(refusal(two, bytes_, bytes_ + more, large), 0);
      ASSERT_TRUE(mapper_.Protect(two, granule_, Access::kReadWrite).ok());
    }
    for (const Alignment its : {granule, large}) {
      char* const p = static_cast<char*>(its == large ? aligned : base_);
      EXPECT_NE(refusal(p, bytes_, bytes_ + (size_t{1} << 47), its), 0);
    }
    EXPECT_LT(AddressSpaceBytes(), before + 8 * kMiB);
  } else {
    EXPECT_EQ(refusal(base_, bytes_, 2 * bytes_, granule), ENOTSUP);
  }
  EXPECT_EQ(grown, this);
  for (size_t i = 0; i < bytes_; ++i) ASSERT_EQ(base_[i], 1);
  EXPECT_TRUE(mapper_.Release(aligned, bytes_).ok());
}

TEST_F(OsMemoryTest, MisuseIsRefusedAndChangesNothing) {
  ASSERT_TRUE(mapper_.Commit(base_, bytes_).ok());
  std::memset(base_, 1, bytes_);
  char* const end_of_all =
      reinterpret_cast<char*>(AlignDown(kMax, mapper_.Granule()));
  const std::pair<char*, size_t> ranges[] = {
      {nullptr, granule_},
      {base_ + 1, granule_},
      {base_ + granule_ / 2, granule_},
      {base_, 0},
      {base_, granule_ + 1},
      {base_, granule_ / 2},
      {end_of_all, 2 * granule_},
      {base_ + granule_, AlignDown(kMax, mapper_.Granule())},
  };
  for (const auto& [p, bytes] : ranges) {
    SCOPED_TRACE(testing::Message() << static_cast<void*>(p) << "+" << bytes);
    EXPECT_EQ(mapper_.Commit(p, bytes).code(), EINVAL);
    EXPECT_EQ(mapper_.Decommit(p, bytes).code(), EINVAL);
    EXPECT_EQ(mapper_.Discard(p, bytes).code(), EINVAL);
    EXPECT_EQ(mapper_.Protect(p, bytes, Access::kNone).code(), EINVAL);
    EXPECT_EQ(mapper_.AdviseHuge(p, bytes).code(), EINVAL);
    EXPECT_EQ(mapper_.Release(p, bytes).code(), EINVAL);
  }
  for (size_t i = 0; i < bytes_; ++i) ASSERT_EQ(base_[i], 1);
  EXPECT_STREQ(mapper_.Commit(nullptr, granule_).operation(), "Commit");
}

TEST_F(OsMemoryTest, WhatCannotBeReservedLeavesTheOutputAlone) {
  void* p = base_;
  const Alignment granule = mapper_.Granule();
  const Alignment largest = Alignment::FromBytes(size_t{1} << 63);
  EXPECT_EQ(mapper_.Reserve(0, granule, &p).code(), EINVAL);
  EXPECT_EQ(mapper_.Reserve(granule_ + 1, granule, &p).code(), EINVAL);
  EXPECT_EQ(mapper_.Reserve(AlignDown(kMax, granule), granule, &p).code(),
            ENOMEM);
  EXPECT_EQ(mapper_.Reserve(granule_, largest, &p).code(), ENOMEM);
  // The sum of size and slack does not fit size_t.
  EXPECT_EQ(mapper_.Reserve(size_t{1} << 63, largest, &p).code(), ENOMEM);
  EXPECT_EQ(p, base_);
}

TEST_F(OsMemoryTest, ErrnoIsLeftAlone) {
  errno = 77;
  void* p = nullptr;
  EXPECT_FALSE(
      mapper_.Reserve(AlignDown(kMax, mapper_.Granule()), mapper_.Granule(), &p)
          .ok());
  EXPECT_EQ(errno, 77);
  static_cast<void>(mapper_.HugeGranule());
  static_cast<void>(mapper_.AdviseHuge(base_, bytes_));
  EXPECT_EQ(errno, 77);
}

TEST_F(OsMemoryTest, HugeGranulesAreMappedOrRefused) {
  const Alignment huge = mapper_.HugeGranule();
  void* p = base_;
  EXPECT_EQ(mapper_.MapHuge(0, &p).code(), EINVAL);
  if (huge > mapper_.Granule()) {
    EXPECT_EQ(mapper_.MapHuge(granule_, &p).code(), EINVAL);
  }
  const OsError error = mapper_.MapHuge(huge.bytes(), &p);
  if (error.ok()) {
    EXPECT_TRUE(IsAligned(p, huge));
    char* const bytes = static_cast<char*>(p);
    EXPECT_EQ(bytes[0], 0);
    bytes[huge.bytes() - 1] = 1;
    EXPECT_TRUE(mapper_.Discard(p, huge.bytes()).ok());
    EXPECT_EQ(bytes[huge.bytes() - 1], 0);
    EXPECT_TRUE(mapper_.Release(p, huge.bytes()).ok());
  } else {
    // The administrator has set none aside.
    EXPECT_EQ(error.code(), ENOMEM);
    EXPECT_EQ(p, base_);
  }
}

TEST_F(OsMemoryTest, AdviceForHugeGranulesIsTakenOrRefused) {
  const size_t bytes = 4 * mapper_.HugeGranule().bytes();
  void* p = nullptr;
  ASSERT_TRUE(mapper_.Reserve(bytes, mapper_.HugeGranule(), &p).ok());
  const OsError error = mapper_.AdviseHuge(p, bytes);
  std::ifstream known("/sys/kernel/mm/transparent_hugepage/enabled");
  EXPECT_EQ(error.code(), known.good() ? 0 : EINVAL);
  ASSERT_TRUE(mapper_.Commit(p, bytes).ok());
  std::memset(p, 1, bytes);
  ASSERT_TRUE(mapper_.Release(p, bytes).ok());
}

// Limits, set in a child, under which the system itself says no.
[[noreturn]] void CommitUnderALimit(char* base, size_t bytes) {
  const rlimit little = {64 * kKiB, 64 * kKiB};
  if (setrlimit(RLIMIT_DATA, &little) != 0) std::_Exit(1);
  char text[OsError::kTextBytes];
  std::fprintf(stderr, "%s\n",
               SystemMapper().Commit(base, bytes).Describe(text, sizeof(text)));
  std::_Exit(0);
}
[[noreturn]] void ReserveUnderALimit() {
  const rlimit little = {64 * kKiB, 64 * kKiB};
  if (setrlimit(RLIMIT_AS, &little) != 0) std::_Exit(1);
  void* p = nullptr;
  char text[OsError::kTextBytes];
  std::fprintf(stderr, "%s\n",
               SystemMapper()
                   .Reserve(GranuleBytes(), SystemMapper().Granule(), &p)
                   .Describe(text, sizeof(text)));
  std::_Exit(0);
}

// Tries to grow an aligned range with another one behind it, so that it has to
// move, beyond a limit that leaves it where it is.
[[noreturn]] void GrowUnderALimit(int resource) {
  MemoryMapper& mapper = SystemMapper();
  const Alignment alignment = mapper.HugeGranule();
  const size_t bytes = alignment.bytes();
  void* p = nullptr;
  if (!mapper.Reserve(2 * bytes, alignment, &p).ok()) std::_Exit(1);
  char* const range = static_cast<char*>(p);
  if (!mapper.Commit(range, bytes).ok()) std::_Exit(1);
  range[bytes - 1] = 1;
  // Room for a second range, but not for what it grows by too.
  const size_t used = AddressSpaceBytes();
  const rlimit limit = resource == RLIMIT_AS
                           ? rlimit{used + 11 * bytes, used + 11 * bytes}
                           : rlimit{64 * kKiB, 64 * kKiB};
  if (setrlimit(resource, &limit) != 0) std::_Exit(1);
  OsError error;
  for (int i = 0; i < 100; ++i) {
    error = mapper.Grow(range, bytes, 8 * bytes, alignment, &p);
    if (error.ok() || p != range || range[bytes - 1] != 1) std::_Exit(2);
  }
  const size_t now = AddressSpaceBytes();
  char text[OsError::kTextBytes];
  std::fprintf(stderr, "%s, %s\n", error.Describe(text, sizeof(text)),
               now <= used + bytes ? "nothing left behind" : "leaks");
  std::_Exit(0);
}

TEST_F(OsMemoryDeathTest, ALimitLeavesWhatWouldGrowAsItWas) {
  if (!CanGrow() || kThreadSanitizer) {
    GTEST_SKIP() << "a tool that does not follow, or needs memory of its own";
  }
  for (const int resource : {RLIMIT_AS, RLIMIT_DATA}) {
    EXPECT_EXIT(GrowUnderALimit(resource), testing::ExitedWithCode(0),
                "Cannot allocate memory \\(errno 12\\), nothing left behind");
  }
}

TEST_F(OsMemoryDeathTest, TheSystemsRefusalsAreReturned) {
  EXPECT_EXIT(CommitUnderALimit(base_, bytes_), testing::ExitedWithCode(0),
              "mprotect: Cannot allocate memory");
  EXPECT_EXIT(ReserveUnderALimit(), testing::ExitedWithCode(0),
              "mmap: Cannot allocate memory");
}

// Every second granule committed: the kernel's table of ranges fills up.
[[noreturn]] void CommitUntilRefused() {
  MemoryMapper& mapper = SystemMapper();
  const size_t granule = GranuleBytes();
  size_t most_ranges = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> most_ranges;
  const size_t bytes = (most_ranges + 2) * granule;
  void* base = nullptr;
  if (!mapper.Reserve(bytes, mapper.Granule(), &base).ok()) std::_Exit(1);
  OsError error;
  for (size_t i = 0; error.ok() && i + 1 < bytes / granule; i += 2) {
    error = mapper.Commit(static_cast<char*>(base) + i * granule, granule);
  }
  // Giving back works at the limit, and is the way out of it.
  OsError decommitted;
  for (size_t i = 2; decommitted.ok() && i < 200; i += 2) {
    decommitted =
        mapper.Decommit(static_cast<char*>(base) + i * granule, granule);
  }
  const OsError released = mapper.Release(base, bytes);
  char text[OsError::kTextBytes];
  std::fprintf(stderr, "%s, ", error.Describe(text, sizeof(text)));
  std::fprintf(stderr, "%s, ", decommitted.Describe(text, sizeof(text)));
  std::fprintf(stderr, "%s\n", released.Describe(text, sizeof(text)));
  std::_Exit(0);
}

TEST_F(OsMemoryDeathTest, RunningOutOfTheKernelsRangesIsReturned) {
  EXPECT_EXIT(
      CommitUntilRefused(), testing::ExitedWithCode(0),
      "mprotect: Cannot allocate memory \\(errno 12\\), success, success");
}

}  // namespace
}  // namespace mmsb
