#include "device/stream_ledger.h"

#include <cstdint>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(StreamLedgerTest, PointsAreReachedInOrder) {
  StreamLedger ledger;
  EXPECT_TRUE(*ledger.Reached(0));
  EXPECT_EQ(ledger.Submit(), 1);
  EXPECT_EQ(ledger.Submit(), 2);
  EXPECT_FALSE(*ledger.Reached(1));
  ledger.Finish(absl::OkStatus());
  EXPECT_TRUE(*ledger.Reached(1));
  EXPECT_FALSE(*ledger.Reached(2));
  ledger.Finish(absl::OkStatus());
  EXPECT_TRUE(ledger.idle());
  EXPECT_TRUE(ledger.Settle(2).ok());
  EXPECT_FALSE(ledger.has_failures());
}

TEST(StreamLedgerTest, APointThatWasNotSubmittedIsAnError) {
  StreamLedger ledger;
  EXPECT_TRUE(absl::IsInvalidArgument(ledger.Reached(1).status()));
}

TEST(StreamLedgerTest, WhatIsBehindAFailureIsSkippedUntilItIsToldOf) {
  StreamLedger ledger;
  for (int i = 0; i < 5; ++i) ledger.Submit();
  ledger.Finish(absl::OkStatus());
  ledger.Finish(absl::UnavailableError("second"));
  EXPECT_TRUE(ledger.SkipsNext());
  EXPECT_TRUE(*ledger.Reached(1));
  EXPECT_EQ(ledger.Reached(2).status().message(), "second");
  // Doomed, though it is not yet skipped.
  EXPECT_EQ(ledger.Reached(5).status().message(), "second");
  ledger.Finish(absl::OkStatus());

  // Told of while two are still to be skipped; the sixth is behind them.
  EXPECT_EQ(ledger.Settle(3).message(), "second");
  EXPECT_EQ(ledger.Submit(), 6);
  EXPECT_TRUE(ledger.SkipsNext());
  ledger.Finish(absl::OkStatus());
  EXPECT_TRUE(ledger.SkipsNext());
  ledger.Finish(absl::OkStatus());
  EXPECT_FALSE(ledger.SkipsNext());
  EXPECT_FALSE(*ledger.Reached(6));
  ledger.Finish(absl::OkStatus());
  EXPECT_TRUE(*ledger.Reached(6));
  EXPECT_EQ(ledger.Reached(4).status().message(), "second");

  // Told once, but for who asks about a point that failed.
  EXPECT_TRUE(ledger.Settle(6).ok());
  EXPECT_EQ(ledger.Settle(4).message(), "second");
}

TEST(StreamLedgerTest, ManyFailuresAreKeptAsFewAndNoneIsForgotten) {
  StreamLedger ledger;
  constexpr uint64_t kOperations = 3 * StreamLedger::kMaxFailures;
  for (uint64_t i = 1; i <= kOperations; ++i) {
    ledger.Submit();
    ledger.Finish(i % 2 == 0 ? absl::AbortedError("even") : absl::OkStatus());
    ledger.Settle(i).IgnoreError();
  }
  for (uint64_t i = 2; i <= kOperations; i += 2) {
    EXPECT_FALSE(ledger.Reached(i).ok()) << i;
  }
  // The newest are still told apart.
  EXPECT_TRUE(*ledger.Reached(kOperations - 1));
  EXPECT_TRUE(*ledger.Reached(1));
}

// Against a list of what became of each operation.
TEST(StreamLedgerTest, AgreesWithAModelOnRandomPrograms) {
  enum class Fate { kPending, kDone, kBad };
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    StreamLedger ledger;
    std::vector<Fate> fates = {Fate::kDone};
    std::vector<bool> doomed = {false};
    bool failed = false;
    for (int step = 0; step < 200; ++step) {
      const uint32_t what = random() % 10;
      if (what < 4) {
        ledger.Submit();
        fates.push_back(Fate::kPending);
        doomed.push_back(failed);
      } else if (what < 9) {
        if (ledger.idle()) continue;
        const size_t next = ledger.finished() + 1;
        const bool skipped = doomed[next];
        ASSERT_EQ(ledger.SkipsNext(), skipped);
        const bool fails = random() % 8 == 0;
        ledger.Finish(fails ? absl::UnavailableError("no") : absl::OkStatus());
        fates[next] = skipped || fails ? Fate::kBad : Fate::kDone;
        if (!skipped && fails) {
          failed = true;
          for (size_t i = next; i < doomed.size(); ++i) doomed[i] = true;
        }
      } else {
        const bool was_failed = failed;
        const absl::Status status = ledger.Settle(ledger.finished());
        EXPECT_EQ(!status.ok(),
                  was_failed || fates[ledger.finished()] == Fate::kBad);
        failed = false;
      }
      for (size_t i = 0; i < fates.size(); ++i) {
        const absl::StatusOr<bool> reached = ledger.Reached(i);
        ASSERT_EQ(reached.ok(), fates[i] == Fate::kDone ||
                                    (fates[i] == Fate::kPending && !doomed[i]))
            << i;
        if (reached.ok()) {
          ASSERT_EQ(*reached, fates[i] == Fate::kDone) << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mmsb
