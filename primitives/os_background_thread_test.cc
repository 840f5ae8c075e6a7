#include "primitives/os_background_thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "primitives/os_clock.h"
#include "primitives/os_error.h"
#include "primitives/os_mutex.h"

// A child of a threaded process may start threads of its own here: only the
// BackgroundThread of the parent is used in it.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace mmsb {
namespace {

// Counts runs, and lets a test wait for them and hold them up.
class Runs {
 public:
  static void Run(void* self) { static_cast<Runs*>(self)->Run(); }

  void WaitFor(int count) {
    MutexLock lock(mutex_);
    while (count_ < count) changed_.Wait(mutex_);
  }
  int count() {
    MutexLock lock(mutex_);
    return count_;
  }
  void Hold() {
    MutexLock lock(mutex_);
    held_ = true;
  }
  void LetGo() {
    MutexLock lock(mutex_);
    held_ = false;
    changed_.NotifyAll();
  }

 private:
  void Run() {
    MutexLock lock(mutex_);
    ++count_;
    changed_.NotifyAll();
    while (held_) changed_.Wait(mutex_);
  }

  Mutex mutex_;
  CondVar changed_;
  int count_ MMSB_GUARDED_BY(mutex_) = 0;
  bool held_ MMSB_GUARDED_BY(mutex_) = false;
};

TEST(BackgroundThreadTest, RunsWhenWoken) {
  Runs runs;
  BackgroundThread thread;
  EXPECT_FALSE(thread.running());
  thread.Wake();  // Nobody to wake.
  ASSERT_TRUE(thread.Start(&Runs::Run, &runs).ok());
  EXPECT_TRUE(thread.running());
  EXPECT_EQ(runs.count(), 0);
  for (int i = 1; i <= 100; ++i) {
    thread.Wake();
    runs.WaitFor(i);
  }
  thread.Stop();
  EXPECT_FALSE(thread.running());
  EXPECT_EQ(runs.count(), 100);
}

TEST(BackgroundThreadTest, WakesThatComeTogetherAreOne) {
  Runs runs;
  BackgroundThread thread;
  ASSERT_TRUE(thread.Start(&Runs::Run, &runs).ok());
  runs.Hold();
  thread.Wake();
  runs.WaitFor(1);
  for (int i = 0; i < 10; ++i) thread.Wake();
  runs.LetGo();
  runs.WaitFor(2);
  thread.Stop();
  EXPECT_EQ(runs.count(), 2);
}

TEST(BackgroundThreadTest, ARunSeesWhatItsWakerDid) {
  struct Mail {
    int letter = 0;  // Not atomic: ThreadSanitizer watches it.
    std::atomic<int> read = 0;
  } mail;
  BackgroundThread thread;
  ASSERT_TRUE(thread
                  .Start(
                      [](void* argument) {
                        Mail& box = *static_cast<Mail*>(argument);
                        // release: pairs with the acquire below.
                        box.read.store(box.letter, std::memory_order_release);
                      },
                      &mail)
                  .ok());
  for (int letter = 1; letter <= 100; ++letter) {
    mail.letter = letter;
    thread.Wake();
    // acquire: pairs with the release above; the run is over with the letter.
    while (mail.read.load(std::memory_order_acquire) != letter) {
      std::this_thread::yield();
    }
  }
}

TEST(BackgroundThreadTest, RunsOncePerPeriodOfItsClock) {
  constexpr int64_t kPeriod = 1'000'000'000'000;  // Never, by the real clock.
  ManualClock clock;
  Runs runs;
  BackgroundThread thread;
  ASSERT_TRUE(
      thread.Start(&Runs::Run, &runs, {.period_ns = kPeriod, .clock = &clock})
          .ok());
  for (int i = 1; i <= 3; ++i) {
    // The thread takes its deadline from the clock after its last run, which
    // this thread cannot see; so the clock goes on until the run has come.
    while (runs.count() < i) {
      clock.Advance(kPeriod);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  const int before = runs.count();
  clock.Advance(kPeriod / 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_LE(runs.count(), before + 1);
}

TEST(BackgroundThreadTest, RunsByTheSystemsClock) {
  Runs runs;
  BackgroundThread thread;
  const int64_t start = Clock::System().Now();
  ASSERT_TRUE(thread.Start(&Runs::Run, &runs, {.period_ns = 5'000'000}).ok());
  runs.WaitFor(3);
  EXPECT_GE(Clock::System().Now() - start, 15'000'000);
}

TEST(BackgroundThreadTest, StopsWhileItWaits) {
  Runs runs;
  for (int i = 0; i < 200; ++i) {
    BackgroundThread thread;
    ASSERT_TRUE(thread.Start(&Runs::Run, &runs).ok());
    thread.Stop();
    thread.Stop();
  }
  for (int i = 0; i < 20; ++i) {
    BackgroundThread thread;
    ASSERT_TRUE(
        thread.Start(&Runs::Run, &runs, {.period_ns = 1'000'000'000'000}).ok());
  }
  EXPECT_EQ(runs.count(), 0);
}

TEST(BackgroundThreadTest, StopWaitsForTheRunInProgress) {
  struct Slow {
    std::atomic<bool> begun = false;
    bool ended = false;  // Not atomic: Stop orders it.
  } slow;
  BackgroundThread thread;
  ASSERT_TRUE(thread
                  .Start(
                      [](void* argument) {
                        Slow& work = *static_cast<Slow*>(argument);
                        // relaxed: only tells that the run is in progress.
                        work.begun.store(true, std::memory_order_relaxed);
                        std::this_thread::sleep_for(
                            std::chrono::milliseconds(30));
                        work.ended = true;
                      },
                      &slow)
                  .ok());
  thread.Wake();
  while (!slow.begun.load(std::memory_order_relaxed)) {
    std::this_thread::yield();
  }
  thread.Stop();
  EXPECT_TRUE(slow.ended);
}

TEST(BackgroundThreadTest, WakesFromManyThreadsAndFromTheWorkItself) {
  struct Chain {
    BackgroundThread thread;
    std::atomic<int> runs = 0;
  } chain;
  ASSERT_TRUE(chain.thread
                  .Start(
                      [](void* argument) {
                        Chain& c = *static_cast<Chain*>(argument);
                        // relaxed: only counts.
                        if (c.runs.fetch_add(1, std::memory_order_relaxed) <
                            1000) {
                          c.thread.Wake();
                        }
                      },
                      &chain)
                  .ok());
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) chain.thread.Wake();
  });
  for (int i = 0; i < 1000; ++i) chain.thread.Wake();
  other.join();
  while (chain.runs.load(std::memory_order_relaxed) < 1001) {
    std::this_thread::yield();
  }
  chain.thread.Stop();
}

TEST(BackgroundThreadTest, CanBeStartedAgain) {
  Runs runs;
  BackgroundThread thread;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(thread.Start(&Runs::Run, &runs).ok());
    EXPECT_EQ(thread.Start(&Runs::Run, &runs).code(), EBUSY);
    thread.Wake();
    runs.WaitFor(i);
    thread.Stop();
  }
}

TEST(BackgroundThreadTest, MisuseIsRefused) {
  Runs runs;
  BackgroundThread thread;
  EXPECT_EQ(thread.Start(nullptr, &runs).code(), EINVAL);
  EXPECT_EQ(thread.Start(&Runs::Run, &runs, {.period_ns = 0}).code(), EINVAL);
  EXPECT_EQ(thread.Start(&Runs::Run, &runs, {.period_ns = -1}).code(), EINVAL);
  EXPECT_EQ(thread.Start(&Runs::Run, &runs, {.clock = nullptr}).code(), EINVAL);
  EXPECT_FALSE(thread.running());
}

TEST(BackgroundThreadTest, AThreadThatCannotBeMadeIsReturned) {
  pthread_attr_t normal;
  ASSERT_EQ(pthread_getattr_default_np(&normal), 0);
  pthread_attr_t absurd;
  ASSERT_EQ(pthread_attr_init(&absurd), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&absurd, size_t{1} << 48), 0);
  ASSERT_EQ(pthread_setattr_default_np(&absurd), 0);
  Runs runs;
  BackgroundThread thread;
  const OsError error = thread.Start(&Runs::Run, &runs);
  ASSERT_EQ(pthread_setattr_default_np(&normal), 0);
  EXPECT_EQ(error.code(), EAGAIN);
  EXPECT_STREQ(error.operation(), "pthread_create");
  EXPECT_FALSE(thread.running());
  EXPECT_TRUE(thread.Start(&Runs::Run, &runs).ok());
}

struct Seen {
  BackgroundThread thread;
  Runs runs;
  std::string name;
  bool usr1_blocked = false;
  bool segv_blocked = false;

  static void Look(void* self) {
    Seen& seen = *static_cast<Seen*>(self);
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof(name));
    seen.name = name;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    seen.usr1_blocked = sigismember(&blocked, SIGUSR1) == 1;
    seen.segv_blocked = sigismember(&blocked, SIGSEGV) == 1;
    Runs::Run(&seen.runs);
  }
};

TEST(BackgroundThreadTest, HasAShortNameAndTakesNoSignalsOfTheProcess) {
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  Seen seen;
  ASSERT_TRUE(
      seen.thread.Start(&Seen::Look, &seen, {.name = "a name that is too long"})
          .ok());
  seen.thread.Wake();
  seen.thread.Stop();
  if (seen.runs.count() == 0) {  // Stopped before the run began.
    ASSERT_TRUE(
        seen.thread
            .Start(&Seen::Look, &seen, {.name = "a name that is too long"})
            .ok());
    seen.thread.Wake();
    seen.runs.WaitFor(1);
    seen.thread.Stop();
  }
  EXPECT_EQ(seen.name, "a name that is ");
  EXPECT_TRUE(seen.usr1_blocked);
  EXPECT_FALSE(seen.segv_blocked);
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&after, SIGUSR1), sigismember(&before, SIGUSR1));
}

TEST(BackgroundThreadDeathTest, StoppingFromTheWorkIsRefused) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        BackgroundThread thread;
        if (thread
                .Start(
                    [](void* argument) {
                      static_cast<BackgroundThread*>(argument)->Stop();
                    },
                    &thread)
                .ok()) {
          thread.Wake();
          std::this_thread::sleep_for(std::chrono::seconds(20));
        }
      },
      "Stop: called by the thread itself");
}

int InChild(BackgroundThread* thread, Runs* runs,
            int (*body)(BackgroundThread*, Runs*)) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(body(thread, runs));
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(BackgroundThreadTest, IsStoppedInAForkedChildAndMayBeStartedThere) {
  Runs runs;
  BackgroundThread thread;
  ASSERT_TRUE(thread.Start(&Runs::Run, &runs).ok());
  thread.Wake();
  runs.WaitFor(1);
  EXPECT_EQ(InChild(&thread, &runs,
                    [](BackgroundThread* inherited, Runs*) {
                      if (inherited->running()) return 1;
                      inherited->Wake();
                      inherited->Stop();
                      Runs own;
                      if (!inherited->Start(&Runs::Run, &own).ok()) return 2;
                      if (!inherited->running()) return 3;
                      inherited->Wake();
                      own.WaitFor(1);
                      inherited->Stop();
                      return 0;
                    }),
            0);
  // The parent's thread goes on.
  EXPECT_TRUE(thread.running());
  thread.Wake();
  runs.WaitFor(2);
}

TEST(BackgroundThreadTest, ForkAtAnyMomentLeavesAnObjectThatCanBeDestroyed) {
  Runs runs;
  BackgroundThread thread;
  ASSERT_TRUE(thread.Start(&Runs::Run, &runs, {.period_ns = 10'000}).ok());
  for (int i = 0; i < 50; ++i) {
    thread.Wake();
    ASSERT_EQ(InChild(&thread, &runs,
                      [](BackgroundThread* inherited, Runs*) {
                        inherited->~BackgroundThread();
                        return 0;
                      }),
              0);
  }
}

}  // namespace
}  // namespace mmsb
