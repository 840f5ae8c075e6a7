#include "primitives/os_guarded_region.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "gtest/gtest.h"
#include "primitives/alignment.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"
#include "primitives/testing/faulty_mapper.h"

namespace mmsb {
namespace {

[[noreturn]] void WriteAndExit(volatile char* p) {
  *p = 1;
  std::_Exit(0);
}
bool Died(int status) { return status != 0; }

TEST(GuardedRegionTest, IsEmptyByDefault) {
  GuardedRegion region;
  EXPECT_EQ(region.data(), nullptr);
  EXPECT_EQ(region.bytes(), 0u);
  EXPECT_TRUE(region.Release().ok());
}

TEST(GuardedRegionDeathTest, OneByteBeforeOrAfterDies) {
  GuardedRegion region;
  ASSERT_TRUE(GuardedRegion::Create(SystemMapper(), 1, &region).ok());
  EXPECT_EQ(region.bytes(), SystemMapper().Granule().bytes());
  EXPECT_TRUE(IsAligned(region.data(), SystemMapper().Granule()));
  char* const data = static_cast<char*>(region.data());
  std::memset(data, 1, region.bytes());
  EXPECT_EXIT(WriteAndExit(data - 1), Died, "");
  EXPECT_EXIT(WriteAndExit(data + region.bytes()), Died, "");
}

TEST(GuardedRegionTest, MovingMovesTheOwnership) {
  FaultyMapper mapper;
  const size_t granule = mapper.Granule().bytes();
  {
    GuardedRegion first;
    ASSERT_TRUE(GuardedRegion::Create(mapper, granule, &first).ok());
    void* const data = first.data();
    GuardedRegion second = std::move(first);
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(first.data(), nullptr);
    EXPECT_EQ(first.bytes(), 0u);
    GuardedRegion third;
    ASSERT_TRUE(GuardedRegion::Create(mapper, granule, &third).ok());
    EXPECT_EQ(mapper.outstanding_bytes(), 6 * granule);
    third = std::move(second);
    EXPECT_EQ(third.data(), data);
    EXPECT_EQ(mapper.outstanding_bytes(), 3 * granule);
    GuardedRegion& same = third;
    third = std::move(same);
    EXPECT_EQ(third.data(), data);
  }
  EXPECT_EQ(mapper.outstanding_bytes(), 0u);
}

TEST(GuardedRegionTest, SizesThatCannotBeAreRefused) {
  GuardedRegion region;
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  MemoryMapper& mapper = SystemMapper();
  EXPECT_EQ(GuardedRegion::Create(mapper, 0, &region).code(), EINVAL);
  EXPECT_EQ(GuardedRegion::Create(mapper, kMax, &region).code(), ENOMEM);
  EXPECT_EQ(
      GuardedRegion::Create(mapper, AlignDown(kMax, mapper.Granule()), &region)
          .code(),
      ENOMEM);
  EXPECT_EQ(GuardedRegion::Create(mapper, kMax / 2, &region).code(), ENOMEM);
  EXPECT_EQ(region.data(), nullptr);
}

TEST(GuardedRegionTest, AnyCallOfTheSystemMayFail) {
  FaultyMapper mapper;
  const size_t granule = mapper.Granule().bytes();
  int failed = 0;
  for (uint64_t skip = 0;; ++skip) {
    GuardedRegion region;
    ASSERT_TRUE(GuardedRegion::Create(mapper, granule, &region).ok());
    mapper.FailFrom(skip, 1, EAGAIN);
    const OsError created = GuardedRegion::Create(mapper, granule, &region);
    const OsError released = region.Release();
    if (mapper.failures() == 0) break;
    ++failed;
    EXPECT_EQ((created.ok() ? released : created).code(), EAGAIN);
    // Only a region whose release failed is still there.
    const bool holds = region.data() != nullptr;
    EXPECT_EQ(mapper.outstanding_bytes(), holds ? 3 * granule : 0);
    if (holds) *static_cast<char*>(region.data()) = 1;
    if (skip == 0) {
      // The release at the start failed, and the one after it did not.
      EXPECT_FALSE(created.ok());
      EXPECT_FALSE(holds);
    }
  }
  EXPECT_EQ(failed, 4);  // Release, Reserve, Commit, Release.
  EXPECT_EQ(mapper.outstanding_bytes(), 0u);
}

TEST(GuardedRegionDeathTest, ADestructorThatCannotReleaseSaysWhy) {
  FaultyMapper mapper;
  EXPECT_DEATH(
      {
        GuardedRegion region;
        if (GuardedRegion::Create(mapper, 1, &region).ok()) {
          mapper.FailFrom(0, 1, EPERM);
        }
      },
      "GuardedRegion of .* bytes at .*: injected fault: Operation not");
}

}  // namespace
}  // namespace mmsb
