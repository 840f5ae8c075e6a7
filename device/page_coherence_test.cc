#include "device/page_coherence.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "device/simd/mask_algebra.h"
#include "device/simd/mask_view.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using Side = PageCoherence::Side;
using State = PageCoherence::State;
using Code = absl::StatusCode;

constexpr size_t kBytes = 4 * 64;

// A page in each state; where lines differ, line 0 is newer on the host and
// line 3 on the device.
PageCoherence InState(State state) {
  if (state == State::kDeviceOnly) {
    return PageCoherence(kBytes, Side::kDevice);
  }
  PageCoherence page(kBytes);
  if (state == State::kHostOnly) return page;
  page.Copied(Side::kHost);
  if (state == State::kHostDirty || state == State::kBothDirty) {
    EXPECT_TRUE(page.Wrote(Side::kHost, 0, 1).ok());
  }
  if (state == State::kDeviceDirty || state == State::kBothDirty ||
      state == State::kLost) {
    EXPECT_TRUE(page.Wrote(Side::kDevice, 3 * 64, 1).ok());
  }
  if (state == State::kLost) page.DeviceLost();
  return page;
}

constexpr State kStates[] = {
    State::kHostOnly,    State::kBothClean, State::kHostDirty,
    State::kDeviceDirty, State::kBothDirty, State::kDeviceOnly,
    State::kLost,
};

// The table in the header: what an operation makes of each state, in the order
// of kStates; "" for the status instead.
struct Row {
  const char* name;
  std::function<absl::Status(PageCoherence&)> operation;
  std::vector<State> becomes;
  std::vector<Code> code;
};

TEST(PageCoherenceTest, TheTableHolds) {
  const auto ok = [](PageCoherence&) { return absl::OkStatus(); };
  const std::vector<Code> always_ok(7, Code::kOk);
  const std::vector<State> same(kStates, kStates + 7);
  const Row rows[] = {
      {"host writes line 1",
       [](PageCoherence& p) { return p.Wrote(Side::kHost, 64, 64); },
       {State::kHostOnly, State::kHostDirty, State::kHostDirty,
        State::kBothDirty, State::kBothDirty, State::kDeviceOnly, State::kLost},
       {Code::kOk, Code::kOk, Code::kOk, Code::kOk, Code::kOk,
        Code::kFailedPrecondition, Code::kDataLoss}},
      {"host writes line 3",
       [](PageCoherence& p) { return p.Wrote(Side::kHost, 255, 1); },
       {State::kHostOnly, State::kHostDirty, State::kHostDirty,
        State::kDeviceDirty, State::kBothDirty, State::kDeviceOnly,
        State::kLost},
       {Code::kOk, Code::kOk, Code::kOk, Code::kFailedPrecondition,
        Code::kFailedPrecondition, Code::kFailedPrecondition, Code::kDataLoss}},
      {"device writes line 1",
       [](PageCoherence& p) { return p.Wrote(Side::kDevice, 127, 1); },
       {State::kHostOnly, State::kDeviceDirty, State::kBothDirty,
        State::kDeviceDirty, State::kBothDirty, State::kDeviceOnly,
        State::kLost},
       {Code::kFailedPrecondition, Code::kOk, Code::kOk, Code::kOk, Code::kOk,
        Code::kOk, Code::kDataLoss}},
      {"device writes line 0",
       [](PageCoherence& p) { return p.Wrote(Side::kDevice, 0, 64); },
       {State::kHostOnly, State::kDeviceDirty, State::kHostDirty,
        State::kDeviceDirty, State::kBothDirty, State::kDeviceOnly,
        State::kLost},
       {Code::kFailedPrecondition, Code::kOk, Code::kFailedPrecondition,
        Code::kOk, Code::kFailedPrecondition, Code::kOk, Code::kDataLoss}},
      {"nothing is written",
       [](PageCoherence& p) { return p.Wrote(Side::kHost, 64, 0); },
       same,
       {Code::kOk, Code::kOk, Code::kOk, Code::kOk, Code::kOk, Code::kOk,
        Code::kDataLoss}},
      {"copied to the device",
       [&](PageCoherence& p) { return p.Copied(Side::kHost), ok(p); },
       {State::kBothClean, State::kBothClean, State::kBothClean,
        State::kDeviceDirty, State::kDeviceDirty, State::kDeviceOnly,
        State::kLost},
       always_ok},
      {"copied to the host",
       [&](PageCoherence& p) { return p.Copied(Side::kDevice), ok(p); },
       {State::kHostOnly, State::kBothClean, State::kHostDirty,
        State::kBothClean, State::kHostDirty, State::kBothClean, State::kLost},
       always_ok},
      {"the device is lost",
       [&](PageCoherence& p) { return p.DeviceLost(), ok(p); },
       {State::kHostOnly, State::kHostOnly, State::kHostOnly, State::kLost,
        State::kLost, State::kLost, State::kLost},
       always_ok},
      {"restored", [&](PageCoherence& p) { return p.Restore(), ok(p); },
       std::vector<State>(7, State::kHostOnly), always_ok},
  };
  for (const Row& row : rows) {
    for (size_t i = 0; i < 7; ++i) {
      SCOPED_TRACE(std::string(row.name) + ", " +
                   std::string(PageStateName(kStates[i])));
      PageCoherence page = InState(kStates[i]);
      ASSERT_EQ(page.state(), kStates[i]);
      EXPECT_EQ(row.operation(page).code(), row.code[i]);
      EXPECT_EQ(page.state(), row.becomes[i]);
    }
  }
}

TEST(PageCoherenceTest, NoLineIsNewerOnBothSidesAndAllIsNewerSomewhere) {
  for (const State state : kStates) {
    PageCoherence page = InState(state);
    std::vector<uint8_t> both(MaskBytes(page.lines()));
    const MaskSpan overlap(both, 0, page.lines());
    AndMasks(page.newer(Side::kHost), page.newer(Side::kDevice), overlap);
    EXPECT_TRUE(NoneSet(overlap)) << state;
  }
  EXPECT_TRUE(AllSet(InState(State::kHostOnly).newer(Side::kHost)));
  EXPECT_TRUE(AllSet(InState(State::kDeviceOnly).newer(Side::kDevice)));
}

TEST(PageCoherenceTest, TheLinesOfARange) {
  for (const size_t bytes : {1, 63, 64, 65, 700, 4096}) {
    for (size_t offset = 0; offset <= bytes; offset += 13) {
      for (size_t length = 0; offset + length <= bytes; length += 29) {
        PageCoherence page(bytes);
        page.Copied(Side::kHost);
        ASSERT_TRUE(page.Wrote(Side::kHost, offset, length).ok());
        for (size_t line = 0; line < page.lines(); ++line) {
          const bool touched = length > 0 && offset < line * 64 + 64 &&
                               offset + length > line * 64;
          ASSERT_EQ(page.newer(Side::kHost)[line], touched)
              << bytes << " " << offset << " " << length << " " << line;
        }
      }
    }
  }
}

TEST(PageCoherenceTest, RangesAndMasksThatDoNotFitAreRefused) {
  PageCoherence page(100);
  EXPECT_EQ(page.lines(), 2);
  EXPECT_TRUE(absl::IsOutOfRange(page.Wrote(Side::kHost, 101, 0)));
  EXPECT_TRUE(absl::IsOutOfRange(page.Wrote(Side::kHost, 99, 2)));
  EXPECT_TRUE(absl::IsOutOfRange(page.Wrote(Side::kHost, 1, ~size_t{0})));
  EXPECT_TRUE(absl::IsOutOfRange(page.CheckReadable(Side::kHost, 100, 1)));
  const std::vector<uint8_t> mask(1);
  EXPECT_TRUE(
      absl::IsInvalidArgument(page.Wrote(Side::kHost, MaskView(mask, 0, 3))));
}

TEST(PageCoherenceTest, ReadableIsWhatIsNotNewerElsewhere) {
  const PageCoherence dirty = InState(State::kBothDirty);
  EXPECT_TRUE(dirty.CheckReadable(Side::kHost, 0, 192).ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(dirty.CheckReadable(Side::kHost, 191, 2)));
  EXPECT_TRUE(dirty.CheckReadable(Side::kDevice, 64, 192).ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(dirty.CheckReadable(Side::kDevice, 63, 1)));
  const PageCoherence lost = InState(State::kLost);
  EXPECT_TRUE(lost.CheckReadable(Side::kHost, 0, 192).ok());
  EXPECT_TRUE(absl::IsDataLoss(lost.CheckReadable(Side::kHost, 0, 256)));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      InState(State::kHostOnly).CheckReadable(Side::kDevice, 0, 1)));
}

}  // namespace
}  // namespace mmsb
