#include "primitives/os_fork.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "primitives/os_error.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb {
namespace {

// Runs `body` in a forked child and returns its exit code; -1 when a signal
// ended it, an alarm after 20 seconds among them.
template <class Body>
int InChild(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(body());
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Appends its name and the moment to a common text.
struct Recorder {
  ForkHook hook;
  const char* name;
  std::string* text;

  OsError Register() {
    return hook.Register({.before = [](void* self) { Note(self, "<"); },
                          .parent = [](void* self) { Note(self, "p"); },
                          .child = [](void* self) { Note(self, "c"); }},
                         this);
  }
  static void Note(void* self, const char* moment) {
    const Recorder& recorder = *static_cast<Recorder*>(self);
    *recorder.text += std::string(recorder.name) + moment + " ";
  }
};

TEST(ForkHookTest, RunsInReverseBeforeAndInOrderAfter) {
  std::string text;
  Recorder a = {.hook = {}, .name = "a", .text = &text};
  Recorder b = {.hook = {}, .name = "b", .text = &text};
  Recorder c = {.hook = {}, .name = "c", .text = &text};
  ASSERT_TRUE(a.Register().ok());
  ASSERT_TRUE(b.Register().ok());
  ASSERT_TRUE(c.Register().ok());
  EXPECT_EQ(InChild([&] { return text == "c< b< a< ac bc cc " ? 0 : 1; }), 0);
  EXPECT_EQ(text, "c< b< a< ap bp cp ");

  text.clear();
  b.hook.Unregister();
  EXPECT_EQ(InChild([&] { return text == "c< a< ac cc " ? 0 : 1; }), 0);
  EXPECT_EQ(text, "c< a< ap cp ");

  text.clear();
  a.hook.Unregister();
  c.hook.Unregister();
  c.hook.Unregister();
  EXPECT_EQ(InChild([] { return 0; }), 0);
  EXPECT_EQ(text, "");
}

TEST(ForkHookTest, DestructionUnregisters) {
  std::string text;
  {
    Recorder gone = {.hook = {}, .name = "gone", .text = &text};
    ASSERT_TRUE(gone.Register().ok());
  }
  EXPECT_EQ(InChild([] { return 0; }), 0);
  EXPECT_EQ(text, "");
}

TEST(ForkHookTest, RegisteringTwiceIsRefusedAndCountsOnce) {
  std::string text;
  Recorder a = {.hook = {}, .name = "a", .text = &text};
  ASSERT_TRUE(a.Register().ok());
  EXPECT_EQ(a.Register().code(), EBUSY);
  EXPECT_EQ(InChild([] { return 0; }), 0);
  EXPECT_EQ(text, "a< ap ");
  a.hook.Unregister();
  EXPECT_TRUE(a.Register().ok());
}

TEST(ForkHookTest, MissingCallbacksAreLeftOut) {
  ForkHook hook;
  int parents = 0;
  ASSERT_TRUE(
      hook.Register({.parent = [](void* n) { ++*static_cast<int*>(n); }},
                    &parents)
          .ok());
  EXPECT_EQ(InChild([&] { return parents; }), 0);
  EXPECT_EQ(parents, 1);
}

// An object with a lock, as a pool would be.
class Counter {
 public:
  OsError Register() { return hook_.EnsureRegistered(mutex_); }
  void Add() {
    MutexLock lock(mutex_);
    // volatile: stored one after the other, as a fork in between would see.
    volatile uint64_t& first = first_;
    first = first + 1;
    second_ = first;
  }
  bool Whole() {
    MutexLock lock(mutex_);
    return first_ == second_;
  }

 private:
  Mutex mutex_;
  uint64_t first_ MMSB_GUARDED_BY(mutex_) = 0;
  uint64_t second_ MMSB_GUARDED_BY(mutex_) = 0;
  ForkHook hook_;  // Last: unregistered before the mutex is gone.
};

TEST(ForkHookTest, AChildOfAThreadedProcessFindsTheObjectWholeAndUnlocked) {
  Counter counter;
  ASSERT_TRUE(counter.Register().ok());
  ASSERT_TRUE(counter.Register().ok());
  std::atomic<bool> stop = false;
  std::thread other([&] {
    // relaxed: only ends the loop.
    while (!stop.load(std::memory_order_relaxed)) counter.Add();
  });
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(InChild([&] {
                if (!counter.Whole()) return 1;
                counter.Add();
                return counter.Whole() ? 0 : 2;
              }),
              0);
  }
  stop.store(true, std::memory_order_relaxed);
  other.join();
}

TEST(ForkHookTest, HooksComeAndGoWhileOthersFork) {
  std::atomic<bool> stop = false;
  std::thread other([&] {
    // relaxed: only ends the loop.
    while (!stop.load(std::memory_order_relaxed)) {
      Counter counter;
      if (!counter.Register().ok()) return;
      counter.Add();
    }
  });
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(InChild([] { return 0; }), 0);
  }
  stop.store(true, std::memory_order_relaxed);
  other.join();
}

TEST(ForkGenerationTest, CountsTheForksOfALine) {
  uint64_t start = 0;
  ASSERT_TRUE(ForkGeneration(&start).ok());
  EXPECT_EQ(InChild([&] {
              uint64_t child = 0;
              if (!ForkGeneration(&child).ok() || child != start + 1) return 1;
              return InChild([&] {
                       uint64_t grandchild = 0;
                       return ForkGeneration(&grandchild).ok() &&
                                      grandchild == start + 2
                                  ? 0
                                  : 1;
                     }) == 0
                         ? 0
                         : 2;
            }),
            0);
  uint64_t end = 0;
  ASSERT_TRUE(ForkGeneration(&end).ok());
  EXPECT_EQ(end, start);
}

}  // namespace
}  // namespace mmsb
