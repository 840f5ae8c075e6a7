#include "primitives/os_thread_exit.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "primitives/os_error.h"

namespace mmsb {
namespace {

void AppendX(void* text) { *static_cast<std::string*>(text) += "x"; }

TEST(ThreadExitHookTest, RunsOncePerThreadThatArmedIt) {
  ThreadExitHook hook;
  ASSERT_TRUE(hook.Create(&AppendX).ok());
  std::vector<std::string> texts(8);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&hook, &text] {
      EXPECT_EQ(hook.argument(), nullptr);
      EXPECT_TRUE(hook.Arm(&text).ok());
      EXPECT_EQ(hook.argument(), &text);
      text += "-";
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, "-x");
  std::thread([] {}).join();
}

TEST(ThreadExitHookTest, ArmingAgainReplacesAndDisarmingCancels) {
  ThreadExitHook hook;
  ASSERT_TRUE(hook.Create(&AppendX).ok());
  std::string first;
  std::string second;
  std::string third;
  std::thread([&] {
    EXPECT_TRUE(hook.Arm(&first).ok());
    EXPECT_TRUE(hook.Arm(&second).ok());
  }).join();
  std::thread([&] {
    EXPECT_TRUE(hook.Arm(&third).ok());
    EXPECT_TRUE(hook.Disarm().ok());
    EXPECT_EQ(hook.argument(), nullptr);
  }).join();
  EXPECT_EQ(first, "");
  EXPECT_EQ(second, "x");
  EXPECT_EQ(third, "");
}

TEST(ThreadExitHookTest, ADestroyedHookRunsNothing) {
  std::string text;
  ThreadExitHook survivor;
  ASSERT_TRUE(survivor.Create(&AppendX).ok());
  std::thread([&] {
    ThreadExitHook hook;
    EXPECT_TRUE(hook.Create(&AppendX).ok());
    EXPECT_TRUE(hook.Arm(&text).ok());
  }).join();
  EXPECT_EQ(text, "");
}

TEST(ThreadExitHookTest, MisuseIsRefused) {
  ThreadExitHook hook;
  int argument = 0;
  EXPECT_EQ(hook.Arm(&argument).code(), EINVAL);
  EXPECT_EQ(hook.Disarm().code(), EINVAL);
  EXPECT_EQ(hook.argument(), nullptr);
  EXPECT_EQ(hook.Create(nullptr).code(), EINVAL);
  ASSERT_TRUE(hook.Create(&AppendX).ok());
  EXPECT_EQ(hook.Create(&AppendX).code(), EBUSY);
  EXPECT_EQ(hook.Arm(nullptr).code(), EINVAL);
}

TEST(ThreadExitHookTest, RunningOutOfKeysIsReturned) {
  constexpr int kMoreThanThereAre = 2000;
  std::vector<ThreadExitHook> hooks(kMoreThanThereAre);
  int created = 0;
  OsError error;
  for (ThreadExitHook& hook : hooks) {
    error = hook.Create(&AppendX);
    if (!error.ok()) break;
    ++created;
  }
  EXPECT_EQ(error.code(), EAGAIN);
  EXPECT_GT(created, 100);
  EXPECT_LT(created, kMoreThanThereAre);
  hooks.clear();
  ThreadExitHook again;
  EXPECT_TRUE(again.Create(&AppendX).ok());
}

std::string* order = nullptr;
struct NotesItsEnd {
  ~NotesItsEnd() { *order += "thread_local "; }
};

TEST(ThreadExitHookTest, RunsAfterTheThreadsOwnObjects) {
  std::string text;
  order = &text;
  ThreadExitHook hook;
  ASSERT_TRUE(
      hook.Create([](void* t) { *static_cast<std::string*>(t) += "hook "; })
          .ok());
  std::thread([&] {
    EXPECT_TRUE(hook.Arm(&text).ok());
    static thread_local NotesItsEnd made_later;
    static_cast<void>(&made_later);
  }).join();
  EXPECT_EQ(text, "thread_local hook ");
}

struct Rearming {
  ThreadExitHook* hook;
  int rounds;
};

TEST(ThreadExitHookTest, ACallbackThatArmsAgainIsRunAgain) {
  ThreadExitHook hook;
  ASSERT_TRUE(hook.Create([](void* argument) {
                    Rearming& rearming = *static_cast<Rearming*>(argument);
                    if (++rearming.rounds < 3) {
                      EXPECT_TRUE(rearming.hook->Arm(argument).ok());
                    }
                  })
                  .ok());
  Rearming rearming = {.hook = &hook, .rounds = 0};
  std::thread([&] { EXPECT_TRUE(hook.Arm(&rearming).ok()); }).join();
  EXPECT_EQ(rearming.rounds, 3);
}

// This program started again with an argument: how its main thread ends.
std::string OutputOfMainThread(const char* end) {
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof(program));
  if (length <= 0) return "no /proc/self/exe";
  const std::string command =
      "'" + std::string(program, static_cast<size_t>(length)) + "' " + end;
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  char text[256];
  const size_t bytes = std::fread(text, 1, sizeof(text), pipe);
  const int status = pclose(pipe);
  return std::string(text, bytes) +
         (WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "exit 0" : "failed");
}

TEST(ThreadExitHookTest, TheMainThreadRunsItOnlyWhenItEndsAsAThread) {
  EXPECT_EQ(OutputOfMainThread("--end=return"), "armed exit 0");
  EXPECT_EQ(OutputOfMainThread("--end=exit"), "armed exit 0");
  EXPECT_EQ(OutputOfMainThread("--end=pthread_exit"), "armed hook exit 0");
}

int EndMainThread(const char* how) {
  static ThreadExitHook hook;
  OsError error = hook.Create([](void*) {
    std::fputs("hook ", stdout);
    std::fflush(stdout);
  });
  static int argument = 0;
  if (error.ok()) error = hook.Arm(&argument);
  if (!error.ok()) return 1;
  std::fputs("armed ", stdout);
  std::fflush(stdout);
  if (std::strcmp(how, "exit") == 0) std::exit(0);
  if (std::strcmp(how, "pthread_exit") == 0) pthread_exit(nullptr);
  return 0;
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  constexpr char kEnd[] = "--end=";
  if (argc == 2 && std::strncmp(argv[1], kEnd, sizeof(kEnd) - 1) == 0) {
    return mmsb::EndMainThread(argv[1] + sizeof(kEnd) - 1);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
