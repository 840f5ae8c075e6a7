#include "primitives/os_mutex.h"

#include <cstdint>
#include <limits>
#include <new>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

constexpr int64_t kMillisecond = 1'000'000;

constinit Mutex static_mutex;  // Constant-initialised.

TEST(MutexTest, OneThreadAtATime) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 10'000;
  Mutex mutex;
  int count = 0;  // Not atomic: ThreadSanitizer watches it.
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        MutexLock lock(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kRounds);
}

bool OtherThreadCanLock(Mutex& mutex) {
  bool taken = false;
  std::thread([&] {
    if (mutex.TryLock()) {
      taken = true;
      mutex.Unlock();
    }
  }).join();
  return taken;
}

TEST(MutexTest, TryLockTellsWhetherItIsHeld) {
  {
    MutexLock lock(static_mutex);
    EXPECT_FALSE(OtherThreadCanLock(static_mutex));
  }
  EXPECT_TRUE(OtherThreadCanLock(static_mutex));
}

// Under ThreadSanitizer, which remembers the order of locks by address.
TEST(MutexTest, ANewMutexAtAnOldAddressIsNotTheOldOne) {
  alignas(Mutex) unsigned char first[sizeof(Mutex)];
  alignas(Mutex) unsigned char second[sizeof(Mutex)];
  for (const bool first_first : {true, false}) {
    Mutex* const a = new (first_first ? first : second) Mutex();
    Mutex* const b = new (first_first ? second : first) Mutex();
    {
      MutexLock outer(*a);
      MutexLock inner(*b);
    }
    a->~Mutex();
    b->~Mutex();
  }
}

TEST(CondVarTest, HandsValuesFromThreadToThread) {
  constexpr int kValues = 2'000;
  Mutex mutex;
  CondVar changed;
  int box = 0;  // 0: empty.
  int64_t sum = 0;
  std::thread consumer([&] {
    for (int i = 0; i < kValues; ++i) {
      MutexLock lock(mutex);
      while (box == 0) changed.Wait(mutex);
      sum += box;
      box = 0;
      changed.NotifyAll();
    }
  });
  for (int value = 1; value <= kValues; ++value) {
    MutexLock lock(mutex);
    while (box != 0) changed.Wait(mutex);
    box = value;
    changed.NotifyAll();
  }
  consumer.join();
  EXPECT_EQ(sum, int64_t{kValues} * (kValues + 1) / 2);
}

TEST(CondVarTest, NotifyAllWakesEveryWaiter) {
  constexpr int kWaiters = 4;
  Mutex mutex;
  CondVar changed;
  CondVar arrived;
  int waiting = 0;
  bool open = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < kWaiters; ++t) {
    threads.emplace_back([&] {
      MutexLock lock(mutex);
      ++waiting;
      arrived.NotifyOne();
      while (!open) changed.Wait(mutex);
    });
  }
  {
    MutexLock lock(mutex);
    while (waiting < kWaiters) arrived.Wait(mutex);
    open = true;
  }
  changed.NotifyAll();
  for (std::thread& thread : threads) thread.join();
}

TEST(CondVarTest, WaitUntilEndsAtTheSystemsDeadline) {
  Mutex mutex;
  CondVar never;
  const int64_t deadline = Clock::System().Now() + 20 * kMillisecond;
  MutexLock lock(mutex);
  while (never.WaitUntil(mutex, deadline)) {
  }
  EXPECT_GE(Clock::System().Now(), deadline);
}

TEST(CondVarTest, ADeadlineInThePastDoesNotWait) {
  Mutex mutex;
  CondVar never;
  MutexLock lock(mutex);
  EXPECT_FALSE(never.WaitUntil(mutex, 1));
  EXPECT_FALSE(never.WaitUntil(mutex, 0));
  EXPECT_FALSE(never.WaitUntil(mutex, std::numeric_limits<int64_t>::min()));
  const ManualClock clock(10);
  EXPECT_FALSE(never.WaitUntil(mutex, 10, clock));
}

TEST(CondVarTest, TheLastDeadlineIsNotMistakenForThePast) {
  Mutex mutex;
  CondVar changed;
  bool ready = false;
  std::thread notifier;
  {
    MutexLock lock(mutex);
    notifier = std::thread([&] {
      MutexLock inner(mutex);
      ready = true;
      changed.NotifyOne();
    });
    while (!ready) {
      ASSERT_TRUE(
          changed.WaitUntil(mutex, std::numeric_limits<int64_t>::max()));
    }
  }
  notifier.join();
}

TEST(CondVarTest, AManualClockEndsAWaitWhenItReachesTheDeadline) {
  Mutex mutex;
  CondVar never;
  ManualClock clock;
  bool timed_out = false;
  std::thread waiter([&] {
    MutexLock lock(mutex);
    while (never.WaitUntil(mutex, 100, clock)) {
    }
    timed_out = clock.Now() >= 100;
  });
  clock.Advance(99);
  clock.Advance(1);
  waiter.join();
  EXPECT_TRUE(timed_out);
}

TEST(CondVarTest, ANotificationEndsAWaitOnAManualClock) {
  Mutex mutex;
  CondVar changed;
  const ManualClock clock;
  bool ready = false;
  std::thread notifier([&] {
    MutexLock lock(mutex);
    ready = true;
    changed.NotifyOne();
  });
  {
    MutexLock lock(mutex);
    while (!ready) ASSERT_TRUE(changed.WaitUntil(mutex, 1, clock));
  }
  notifier.join();
}

// As one does that comes when the wait has run out and waits for the mutex:
// found by Memcheck, under which the end of a BackgroundThread hung.
TEST(CondVarTest, ALostNotificationDoesNotHoldUpAWaitOnAManualClock) {
  Mutex mutex;
  CondVar changed;
  const ManualClock clock;
  bool ready = false;
  std::thread changer([&] {
    MutexLock lock(mutex);
    ready = true;
  });
  {
    MutexLock lock(mutex);
    while (!ready) ASSERT_TRUE(changed.WaitUntil(mutex, 1, clock));
  }
  changer.join();
}

}  // namespace
}  // namespace mmsb
