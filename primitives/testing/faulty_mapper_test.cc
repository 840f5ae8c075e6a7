#include "primitives/testing/faulty_mapper.h"

#include <cerrno>
#include <cstddef>

#include "gtest/gtest.h"
#include "primitives/alignment.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

using Access = MemoryMapper::Access;

class FaultyMapperTest : public testing::Test {
 protected:
  FaultyMapper mapper_;
  const size_t granule_ = mapper_.Granule().bytes();
};

TEST_F(FaultyMapperTest, PassesCallsOnUntilToldOtherwise) {
  void* p = nullptr;
  ASSERT_TRUE(mapper_.Reserve(granule_, mapper_.Granule(), &p).ok());
  EXPECT_EQ(mapper_.outstanding_bytes(), granule_);
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  *static_cast<char*>(p) = 1;
  ASSERT_TRUE(mapper_.Protect(p, granule_, Access::kRead).ok());
  EXPECT_EQ(*static_cast<char*>(p), 1);
  ASSERT_TRUE(mapper_.Decommit(p, granule_).ok());
  ASSERT_TRUE(mapper_.Release(p, granule_).ok());
  EXPECT_EQ(mapper_.outstanding_bytes(), 0u);
  EXPECT_EQ(mapper_.failures(), 0u);
}

TEST_F(FaultyMapperTest, FailsTheChosenCallsAndOnlyThose) {
  void* p = nullptr;
  ASSERT_TRUE(mapper_.Reserve(granule_, mapper_.Granule(), &p).ok());
  mapper_.FailFrom(1, 2, EAGAIN);
  EXPECT_TRUE(mapper_.Commit(p, granule_).ok());
  const OsError error = mapper_.Discard(p, granule_);
  EXPECT_EQ(error.code(), EAGAIN);
  EXPECT_STREQ(error.operation(), "injected fault");
  EXPECT_EQ(mapper_.Release(p, granule_).code(), EAGAIN);
  EXPECT_EQ(mapper_.outstanding_bytes(), granule_);
  EXPECT_TRUE(mapper_.Release(p, granule_).ok());
  EXPECT_EQ(mapper_.calls(), 4u);
  EXPECT_EQ(mapper_.failures(), 2u);
}

TEST_F(FaultyMapperTest, ADecommitFailsHalfway) {
  void* p = nullptr;
  ASSERT_TRUE(mapper_.Reserve(2 * granule_, mapper_.Granule(), &p).ok());
  ASSERT_TRUE(mapper_.Commit(p, 2 * granule_).ok());
  auto* const bytes = static_cast<volatile char*>(p);
  mapper_.FailFrom(0, 1, ENOMEM);
  EXPECT_FALSE(mapper_.Decommit(p, 2 * granule_).ok());
  bytes[granule_] = 1;
  EXPECT_DEATH(bytes[0] = 1, "");
  ASSERT_TRUE(mapper_.Commit(p, 2 * granule_).ok());
  bytes[0] = 1;
  ASSERT_TRUE(mapper_.Release(p, 2 * granule_).ok());
}

TEST_F(FaultyMapperTest, EveryOperationCanFailWithoutEffect) {
  void* p = nullptr;
  ASSERT_TRUE(mapper_.Reserve(granule_, mapper_.Granule(), &p).ok());
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  char& byte = *static_cast<char*>(p);
  byte = 1;
  void* other = nullptr;
  mapper_.FailFrom(0, 9, ENOMEM);
  EXPECT_FALSE(mapper_.Reserve(granule_, mapper_.Granule(), &other).ok());
  EXPECT_FALSE(mapper_.MapHuge(mapper_.HugeGranule().bytes(), &other).ok());
  EXPECT_FALSE(mapper_.Commit(p, granule_).ok());
  EXPECT_FALSE(mapper_.Decommit(p, granule_).ok());
  EXPECT_FALSE(mapper_.Discard(p, granule_).ok());
  EXPECT_FALSE(mapper_.Protect(p, granule_, Access::kNone).ok());
  EXPECT_FALSE(mapper_.AdviseHuge(p, granule_).ok());
  EXPECT_FALSE(
      mapper_.Grow(p, granule_, 2 * granule_, mapper_.Granule(), &other).ok());
  EXPECT_FALSE(mapper_.Release(p, granule_).ok());
  EXPECT_EQ(mapper_.failures(), 9u);
  EXPECT_EQ(mapper_.outstanding_bytes(), granule_);
  EXPECT_EQ(other, nullptr);
  EXPECT_EQ(byte, 1);
  byte = 2;
  EXPECT_TRUE(mapper_.Release(p, granule_).ok());
}

TEST_F(FaultyMapperTest, CountsWhatARangeGrowsBy) {
  void* p = nullptr;
  ASSERT_TRUE(mapper_.Reserve(granule_, mapper_.Granule(), &p).ok());
  ASSERT_TRUE(mapper_.Commit(p, granule_).ok());
  const OsError error =
      mapper_.Grow(p, granule_, 3 * granule_, mapper_.Granule(), &p);
  const size_t bytes = error.ok() ? 3 * granule_ : granule_;
  // Tools refuse it, the system does not.
  EXPECT_TRUE(error.ok() || error.code() == ENOTSUP);
  EXPECT_EQ(mapper_.outstanding_bytes(), bytes);
  EXPECT_TRUE(mapper_.Release(p, bytes).ok());
  EXPECT_EQ(mapper_.outstanding_bytes(), 0u);
}

TEST_F(FaultyMapperTest, UpstreamFailuresAreNotCountedAsInjected) {
  void* p = nullptr;
  EXPECT_EQ(mapper_.Reserve(1, mapper_.Granule(), &p).code(), EINVAL);
  EXPECT_EQ(mapper_.failures(), 0u);
  EXPECT_EQ(mapper_.calls(), 1u);
  EXPECT_EQ(mapper_.outstanding_bytes(), 0u);
}

}  // namespace
}  // namespace mmsb
