#include "allocator/retreat_log.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

using Place = RetreatLog::Place;
using Moment = RetreatLog::Moment;

Place At(uint64_t used) { return {.chunk = 1, .used = used, .large = 0}; }

void Note(RetreatLog& log, const Place& to) {
  if (log.Matters(to)) log.Note(to);
}

TEST(RetreatLogTest, PlacesGoByChunkThenBytesThenLargeBlocks) {
  EXPECT_LT((Place{1, 900, 7}), (Place{2, 1, 0}));
  EXPECT_LT((Place{1, 8, 7}), (Place{1, 9, 0}));
  EXPECT_LT((Place{1, 8, 7}), (Place{1, 8, 8}));
}

TEST(RetreatLogTest, AMomentIsPastWhenTheStackWentBelowItSince) {
  std::array<RetreatLog::Retreat, 4> memory;
  RetreatLog log;
  EXPECT_EQ(log.MoveTo(memory.data(), memory.size()), nullptr);
  const Moment low = log.Take(At(8));
  const Moment high = log.Take(At(16));
  EXPECT_FALSE(log.IsPast(high));
  Note(log, At(8));
  EXPECT_TRUE(log.IsPast(high));
  EXPECT_FALSE(log.IsPast(low));
  EXPECT_FALSE(log.IsPast(log.Take(At(16))));
  EXPECT_EQ(log.MoveTo(nullptr, 0), memory.data());
}

TEST(RetreatLogTest, ARetreatMattersOnceForWhatWasTaken) {
  std::array<RetreatLog::Retreat, 4> memory;
  RetreatLog log;
  log.MoveTo(memory.data(), memory.size());
  EXPECT_FALSE(log.Matters(At(8)));
  const Moment moment = log.Take(At(16));
  EXPECT_TRUE(log.Matters(At(8)));
  log.Note(At(8));
  EXPECT_FALSE(log.Matters(At(9)));
  EXPECT_TRUE(log.Matters(At(8)));
  log.Note(At(8));
  EXPECT_TRUE(log.IsPast(moment));
}

// Against a list of all moments, each told of every retreat, with any amount of
// memory: enough finds every one, less refuses none that stands.
TEST(RetreatLogTest, FindsWhatAListOfAllMomentsFinds) {
  struct Known {
    Moment moment;
    bool past;
  };
  for (size_t capacity = 0; capacity <= 40; ++capacity) {
    SCOPED_TRACE(capacity);
    std::mt19937_64 random(capacity + 1);
    std::array<RetreatLog::Retreat, 40> memory;
    RetreatLog log;
    if (capacity != 0) log.MoveTo(memory.data(), capacity);
    std::vector<Known> known;
    uint64_t used = 0;
    size_t missed = 0;
    for (int step = 0; step < 1000; ++step) {
      const uint64_t choice = random() % 10;
      if (choice < 4) {
        used = std::min<uint64_t>(used + 1 + random() % 4, 40);
      } else if (choice < 7) {
        known.push_back({log.Take(At(used)), false});
      } else if (used != 0) {
        used -= 1 + random() % std::min<uint64_t>(used, 6);
        Note(log, At(used));
        for (Known& k : known) k.past |= At(used) < k.moment.place;
      }
      for (const Known& k : known) {
        const bool found = log.IsPast(k.moment);
        ASSERT_LE(found, k.past);
        if (found != k.past) ++missed;
      }
    }
    // There are 40 places to go back to.
    EXPECT_TRUE(capacity < 40 || missed == 0) << missed;
    EXPECT_TRUE(capacity > 0 || missed != 0);
  }
}

}  // namespace
}  // namespace mmsb
