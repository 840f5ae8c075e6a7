#include "memory/epoch/epoch_reclaimer.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "allocator/lockfree_sync.h"
#include "gtest/gtest.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

// Counts those that are alive.
struct Object {
  explicit Object(std::atomic<int>& alive) : alive(alive) {
    alive.fetch_add(1, std::memory_order_relaxed);
  }
  ~Object() {
    value = 0;
    alive.fetch_sub(1, std::memory_order_relaxed);
  }
  std::atomic<int>& alive;  // relaxed: a count
  uint64_t value = 42;
};

template <class Sync>
class EpochReclaimerTest : public testing::Test {
 protected:
  using Reclaimer = BasicEpochReclaimer<Sync>;

  absl::Status RetireNew(Reclaimer& reclaimer) {
    return reclaimer.Retire(std::make_unique<Object>(alive_));
  }

  std::atomic<int> alive_ = 0;
};

using Syncs = testing::Types<SystemSync, SymmetricSync>;
TYPED_TEST_SUITE(EpochReclaimerTest, Syncs);

TYPED_TEST(EpochReclaimerTest, FreesAtOnceWithoutReaders) {
  typename TestFixture::Reclaimer reclaimer;
  EXPECT_EQ(reclaimer.Collect(), 0u);
  ASSERT_TRUE(this->RetireNew(reclaimer).ok());
  ASSERT_TRUE(this->RetireNew(reclaimer).ok());
  EXPECT_EQ(this->alive_, 2);
  EXPECT_EQ(reclaimer.retired(), 2u);
  EXPECT_EQ(reclaimer.Collect(), 2u);
  EXPECT_EQ(this->alive_, 0);
}

TYPED_TEST(EpochReclaimerTest, KeepsWhatWasRetiredSinceThePin) {
  typename TestFixture::Reclaimer reclaimer;
  auto reader = *reclaimer.AddReader("a");
  ASSERT_TRUE(this->RetireNew(reclaimer).ok());
  {
    const auto pin = reader.Pin();
    EXPECT_EQ(reclaimer.Collect(), 1u) << "was retired before";
    ASSERT_TRUE(this->RetireNew(reclaimer).ok());
    {
      const auto nested = reader.Pin();
    }
    EXPECT_EQ(reclaimer.Collect(), 0u);
    EXPECT_EQ(this->alive_, 1);
  }
  EXPECT_EQ(reclaimer.Collect(), 1u);
}

TYPED_TEST(EpochReclaimerTest, LaterReadersHoldNothingUp) {
  typename TestFixture::Reclaimer reclaimer;
  auto early = *reclaimer.AddReader("early");
  auto late = *reclaimer.AddReader("late");
  {
    const auto first = early.Pin();
    ASSERT_TRUE(this->RetireNew(reclaimer).ok());
    const auto second = late.Pin();
    EXPECT_EQ(reclaimer.Collect(), 0u);
  }
  const auto pin = late.Pin();
  EXPECT_EQ(reclaimer.Collect(), 1u);
}

TYPED_TEST(EpochReclaimerTest, AtTheLimitTheStalledReaderIsNamed) {
  ManualClock clock(0, 0);
  typename TestFixture::Reclaimer reclaimer(
      {.max_readers = 2, .max_retired = 3, .clock = clock});
  auto idle = *reclaimer.AddReader("idle");
  auto slow = *reclaimer.AddReader("slow scan");
  EXPECT_TRUE(absl::IsResourceExhausted(reclaimer.AddReader("c").status()));
  {
    const auto pin = slow.Pin();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(this->RetireNew(reclaimer).ok());
    ASSERT_EQ(reclaimer.PinnedReaders().size(), 1u);
    clock.Advance(7'000'000);
    auto object = std::make_unique<Object>(this->alive_);
    const absl::Status refused = reclaimer.Retire(std::move(object));
    EXPECT_TRUE(absl::IsResourceExhausted(refused));
    EXPECT_EQ(refused.message(),
              "epoch reclaimer: 3 objects wait, which is the limit; reader "
              "'slow scan' was first seen pinned 7 ms ago");
    EXPECT_NE(object, nullptr) << "is still the caller's";
    const auto readers = reclaimer.PinnedReaders();
    ASSERT_EQ(readers.size(), 1u);
    EXPECT_EQ(readers[0].name, "slow scan");
    EXPECT_EQ(readers[0].retired, 3u);
    EXPECT_EQ(readers[0].seen_for_ns, 7'000'000);
    EXPECT_TRUE(reclaimer.CheckInvariants().ok());
  }
  EXPECT_TRUE(this->RetireNew(reclaimer).ok()) << "makes room itself";
  EXPECT_EQ(this->alive_, 1);
  EXPECT_TRUE(reclaimer.PinnedReaders().empty());
}

TYPED_TEST(EpochReclaimerTest, ItsEndFreesWhatIsLeft) {
  {
    typename TestFixture::Reclaimer reclaimer;
    auto reader = *reclaimer.AddReader("a");
    auto moved = std::move(reader);
    const auto pin = moved.Pin();
    ASSERT_TRUE(this->RetireNew(reclaimer).ok());
  }
  EXPECT_EQ(this->alive_, 0);
}

TYPED_TEST(EpochReclaimerTest, PlacesOfReadersAreUsedAgain) {
  typename TestFixture::Reclaimer reclaimer({.max_readers = 1});
  for (int i = 0; i < 10; ++i) {
    auto reader = reclaimer.AddReader("again");
    ASSERT_TRUE(reader.ok()) << reader.status();
    const auto pin = reader->Pin();
  }
}

TYPED_TEST(EpochReclaimerTest, ReadersNeverSeeWhatWasFreed) {
  typename TestFixture::Reclaimer reclaimer;
  std::atomic<Object*> current = new Object(this->alive_);
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&, i] {
      auto reader = *reclaimer.AddReader(std::to_string(i));
      // relaxed: only ends the loop.
      while (!done.load(std::memory_order_relaxed)) {
        const auto pin = reader.Pin();
        // acquire: pairs with the writer's acq_rel.
        ASSERT_EQ(current.load(std::memory_order_acquire)->value, 42u);
      }
    });
  }
  for (int i = 0; i < 20'000; ++i) {
    std::unique_ptr<Object> old(
        current.exchange(new Object(this->alive_), std::memory_order_acq_rel));
    while (!reclaimer.Retire(std::move(old)).ok()) std::this_thread::yield();
  }
  done.store(true, std::memory_order_relaxed);
  for (std::thread& reader : readers) reader.join();
  reclaimer.Collect();
  EXPECT_TRUE(reclaimer.CheckInvariants().ok()) << reclaimer.CheckInvariants();
  EXPECT_EQ(this->alive_, 1);
  delete current.load(std::memory_order_relaxed);
}

TEST(EpochReclaimerDeathTest, AReaderMustEndFirst) {
  EXPECT_DEATH(
      {
        auto reclaimer = std::make_unique<EpochReclaimer>();
        auto reader = *reclaimer->AddReader("left behind");
        reclaimer = nullptr;
      },
      "reader 'left behind' outlives it");
}

}  // namespace
}  // namespace mmsb
