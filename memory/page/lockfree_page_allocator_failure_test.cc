// The system refuses, at every place where it may.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "memory/page/frame_layout.h"
#include "memory/page/lockfree_page_allocator.h"
#include "primitives/bytes.h"
#include "primitives/testing/faulty_mapper.h"

namespace mmsb {
namespace {

constexpr size_t kBytes = 6 * kMiB;

// Everything that asks the system for something; false at the first refusal.
bool UseEverything(FaultyMapper& mapper) {
  const auto made = LockFreePageAllocator::Create({.bytes = kBytes}, mapper);
  if (!made.ok()) {
    EXPECT_EQ(made.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(absl::StrContains(made.status().message(), "injected fault"));
    return false;
  }
  LockFreePageAllocator& frames = **made;
  const auto check = [&] {
    EXPECT_TRUE(frames.CheckInvariants().ok()) << frames.CheckInvariants();
    EXPECT_TRUE(frames.Stats().IdentityHolds());
    EXPECT_EQ(frames.Stats().live(),
              (frames.frame_count() - frames.FreeFrames()) * kFrameBytes);
  };
  for (const int order : {0, 9, 9}) {
    const absl::StatusOr<void*> p = frames.Allocate(order);
    check();
    if (!p.ok()) {
      EXPECT_EQ(p.status().code(), absl::StatusCode::kResourceExhausted);
      EXPECT_TRUE(absl::StrContains(p.status().message(), "injected fault"));
      return false;
    }
    if (order == 9) {
      EXPECT_TRUE(frames.Free(*p, 9).ok());
    }
  }
  const std::vector<uint64_t> bitmap = frames.Bitmap();
  std::vector<uint64_t> full(bitmap.size(), ~uint64_t{0});
  const absl::StatusOr<size_t> purged = frames.Purge();
  check();
  if (!purged.ok()) {
    EXPECT_EQ(purged.status().code(), absl::StatusCode::kInternal);
    return false;
  }
  const absl::Status recovered = frames.Recover(full);
  check();
  if (!recovered.ok()) {
    EXPECT_EQ(frames.Bitmap(), bitmap);
    return false;
  }
  return true;
}

TEST(LockFreePageAllocatorFailureTest, EveryCallFails) {
  uint64_t refused = 0;
  for (uint64_t failing = 0;; ++failing) {
    SCOPED_TRACE(failing);
    ASSERT_LT(failing, 100u);
    FaultyMapper mapper;
    mapper.FailFrom(failing, 1, ENOMEM);
    const bool all = UseEverything(mapper);
    if (!all) {
      ++refused;
      EXPECT_EQ(mapper.failures(), 1u);
      EXPECT_EQ(mapper.outstanding_bytes(), 0u);
    }
    if (mapper.failures() == 0) break;
  }
  // The others are those of one huge frame's memory where another's serves, and
  // of giving address space back, which has nobody to tell.
  EXPECT_GE(refused, 6u);
}

TEST(LockFreePageAllocatorFailureTest, NoMemoryNowAndMemoryLater) {
  FaultyMapper mapper;
  auto frames = *LockFreePageAllocator::Create({.bytes = kBytes}, mapper);
  mapper.FailFrom(0, 1000, ENOMEM);
  for (const int order : {0, 3, 6, 9}) {
    const absl::Status status = frames->Allocate(order).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(absl::StrContains(status.message(), "injected fault"));
  }
  // It does not ask once a huge frame.
  EXPECT_LE(mapper.calls(), 12u);
  EXPECT_EQ(frames->FreeFrames(), kBytes / kFrameBytes);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  mapper.FailFrom(0, 0, ENOMEM);
  void* const p = *frames->Allocate(0);
  // What has memory serves while the system has none.
  mapper.FailFrom(0, 1000, ENOMEM);
  for (size_t i = 1; i < kFramesPerHuge; ++i) {
    ASSERT_TRUE(frames->Allocate(0).ok());
  }
  // Several frames are taken at once by now, and are all given back.
  EXPECT_FALSE(frames->Allocate(0).ok());
  EXPECT_EQ(frames->FreeFrames(), kBytes / kFrameBytes - kFramesPerHuge);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  EXPECT_TRUE(frames->Free(p, 0).ok());
  EXPECT_EQ(*frames->Allocate(0), p);
  mapper.FailFrom(0, 0, ENOMEM);
}

TEST(LockFreePageAllocatorFailureTest, AFailedPurgeLosesNothing) {
  FaultyMapper mapper;
  auto frames = *LockFreePageAllocator::Create({.bytes = kBytes}, mapper);
  void* const p = *frames->Allocate(9);
  ASSERT_TRUE(frames->Free(p, 9).ok());
  mapper.FailFrom(0, 1, EAGAIN);
  EXPECT_EQ(frames->Purge().status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(frames->CheckInvariants().ok()) << frames->CheckInvariants();
  EXPECT_EQ(frames->FreeFrames(), kBytes / kFrameBytes);
  for (int i = 0; i < 3; ++i) {
    *static_cast<char*>(*frames->Allocate(9)) = 1;
  }
}

}  // namespace
}  // namespace mmsb
