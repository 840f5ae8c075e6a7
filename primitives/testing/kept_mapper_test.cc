#include "primitives/testing/kept_mapper.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "gtest/gtest.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/os_memory.h"
#include "primitives/poison.h"
#include "primitives/testing/faulty_mapper.h"

namespace mmsb {
namespace {

using Access = MemoryMapper::Access;

constexpr size_t kRangeBytes = 2 * kMiB;

class KeptMapperTest : public testing::Test {
 protected:
  char* Reserve(size_t bytes, Alignment alignment = Alignment()) {
    void* p = nullptr;
    EXPECT_TRUE(mapper_.Reserve(bytes, alignment, &p).ok());
    return static_cast<char*>(p);
  }

  static bool AllZeros(const char* p, size_t bytes) {
    return std::all_of(p, p + bytes, [](char c) { return c == 0; });
  }

  FaultyMapper upstream_;  // counts the calls that the range does not serve
  KeptMapper mapper_{kRangeBytes, upstream_};
  const size_t granule_ = mapper_.Granule().bytes();
};

TEST_F(KeptMapperTest, GivesTheSameMemoryAgainAsZerosWithoutACallUpstream) {
  upstream_.FailFrom(0, 0, ENOMEM);
  char* const p = Reserve(granule_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
    EXPECT_TRUE(AllZeros(p, granule_));
    std::memset(p, 7, granule_);
    if (i == 0) {
      ASSERT_TRUE(mapper_.Decommit(p, granule_).ok());
      continue;
    }
    ASSERT_TRUE(mapper_.Release(p, granule_).ok());
    EXPECT_EQ(Reserve(granule_), p);
  }
  EXPECT_EQ(upstream_.calls(), 0u);
}

TEST_F(KeptMapperTest, GivesMuchMemoryBackAndZerosInItsPlace) {
  const size_t bytes = kRangeBytes / 2;
  char* const p = Reserve(bytes);
  ASSERT_TRUE(mapper_.Commit(p, bytes).ok());
  std::memset(p, 7, bytes);
  upstream_.FailFrom(0, 0, ENOMEM);
  ASSERT_TRUE(mapper_.Decommit(p, bytes).ok());
  EXPECT_EQ(upstream_.calls(), 1u);
  ASSERT_TRUE(mapper_.Commit(p, bytes).ok());
  EXPECT_TRUE(AllZeros(p, bytes));
  std::memset(p, 7, bytes);
  // Zeros are written where the system refuses to give some.
  upstream_.FailFrom(0, 1, ENOMEM);
  ASSERT_TRUE(mapper_.Decommit(p, bytes).ok());
  ASSERT_TRUE(mapper_.Commit(p, bytes).ok());
  EXPECT_TRUE(AllZeros(p, bytes));
}

TEST_F(KeptMapperTest, KeepsContentsThroughCommitAndProtect) {
  char* const p = Reserve(2 * granule_);
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  *p = 7;
  ASSERT_TRUE(mapper_.Commit(p, 2 * granule_).ok());
  EXPECT_EQ(*p, 7);
  ASSERT_TRUE(mapper_.Protect(p, granule_, Access::kNone).ok());
  ASSERT_TRUE(mapper_.Protect(p, granule_, Access::kRead).ok());
  EXPECT_EQ(*p, 7);
  // What has no access is made zeros nevertheless.
  ASSERT_TRUE(mapper_.Protect(p, granule_, Access::kNone).ok());
  ASSERT_TRUE(mapper_.Decommit(p, granule_).ok());
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  EXPECT_TRUE(AllZeros(p, granule_));
  *p = 7;
  ASSERT_TRUE(mapper_.Discard(p, granule_).ok());
  EXPECT_TRUE(AllZeros(p, granule_));
  *p = 7;
  ASSERT_TRUE(mapper_.Decommit(p, granule_).ok());
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  EXPECT_TRUE(AllZeros(p, granule_));
}

TEST_F(KeptMapperTest, PoisonsWhatHasNoAccess) {
  if (!kPoisonReported) GTEST_SKIP() << "nothing is poisoned in this build";
  char* const p = Reserve(2 * granule_);
  EXPECT_TRUE(IsPoisoned(p));
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  EXPECT_FALSE(IsPoisoned(p + granule_ - 1));
  EXPECT_TRUE(IsPoisoned(p + granule_));
  ASSERT_TRUE(mapper_.Protect(p, granule_, Access::kNone).ok());
  EXPECT_TRUE(IsPoisoned(p));
  ASSERT_TRUE(mapper_.Decommit(p, granule_).ok());
  EXPECT_TRUE(IsPoisoned(p));
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  EXPECT_FALSE(IsPoisoned(p));
  ASSERT_TRUE(mapper_.Decommit(p, granule_).ok());
  EXPECT_TRUE(IsPoisoned(p));
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  ASSERT_TRUE(mapper_.Release(p, granule_).ok());
  EXPECT_TRUE(IsPoisoned(p));
}

TEST_F(KeptMapperTest, RangesAreAlignedAndDoNotOverlap) {
  char* const a = Reserve(granule_);
  char* const b = Reserve(granule_, Alignment::FromBytes(8 * granule_));
  char* const c = Reserve(7 * granule_);
  char* const d = Reserve(granule_);
  EXPECT_TRUE(IsAligned(b, Alignment::FromBytes(8 * granule_)));
  EXPECT_EQ(b, a + 8 * granule_);
  EXPECT_EQ(c, a + granule_);
  EXPECT_EQ(d, b + granule_);
  // A part that is given back is there for the next.
  ASSERT_TRUE(mapper_.Release(c + granule_, 2 * granule_).ok());
  EXPECT_EQ(Reserve(2 * granule_), c + granule_);
}

TEST_F(KeptMapperTest, AsksUpstreamForWhatItHasNoRoomFor) {
  Reserve(kRangeBytes);
  void* grown = nullptr;
  upstream_.FailFrom(0, 0, ENOMEM);
  char* const p = Reserve(granule_);
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  ASSERT_TRUE(mapper_.Protect(p, granule_, Access::kRead).ok());
  EXPECT_EQ(*p, 0);
  ASSERT_TRUE(mapper_.Decommit(p, granule_).ok());
  static_cast<void>(
      mapper_.Grow(p, granule_, 2 * granule_, Alignment(), &grown).ok());
  ASSERT_TRUE(mapper_
                  .Release(grown == nullptr ? p : grown,
                           grown == nullptr ? granule_ : 2 * granule_)
                  .ok());
  EXPECT_EQ(upstream_.calls(), 6u);
  upstream_.FailFrom(0, 1, ENOMEM);
  EXPECT_EQ(mapper_.Reserve(granule_, Alignment(), &grown).code(), ENOMEM);
}

TEST_F(KeptMapperTest, MisuseIsRefused) {
  char* const p = Reserve(granule_);
  void* grown = nullptr;
  EXPECT_EQ(mapper_.Reserve(0, Alignment(), &grown).code(), EINVAL);
  EXPECT_EQ(mapper_.Reserve(granule_ + 1, Alignment(), &grown).code(), EINVAL);
  EXPECT_EQ(mapper_.Commit(p, 0).code(), EINVAL);
  EXPECT_EQ(mapper_.Commit(p + 1, granule_).code(), EINVAL);
  EXPECT_EQ(mapper_.Decommit(p, granule_ + 1).code(), EINVAL);
  EXPECT_EQ(mapper_.Release(p, 2 * kRangeBytes).code(), EINVAL);
  EXPECT_EQ(mapper_.Grow(p, granule_, 2 * granule_, Alignment(), &grown).code(),
            ENOTSUP);
}

}  // namespace
}  // namespace mmsb
