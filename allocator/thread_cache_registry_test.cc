#include "allocator/thread_cache_registry.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "primitives/os_fork.h"

namespace mmsb {
namespace {

namespace registry = thread_cache_registry;

// Runs `body` in a forked child, where it must return 0.
template <class Body>
void InChild(Body body) {
  GTEST_FLAG_SET(death_test_style, "fast");  // A bare fork().
  EXPECT_EXIT(std::_Exit(body()), ::testing::ExitedWithCode(0), "");
}

// What a member hears.
struct Listener {
  Listener() {
    member.object = this;
    member.thread_ended = [](void* self, uint64_t thread) {
      static_cast<Listener*>(self)->ended.push_back(thread);
    };
    member.forked = [](void* self, uint64_t thread) {
      static_cast<Listener*>(self)->forked.push_back(thread);
    };
  }

  registry::Member member;
  std::vector<uint64_t> ended;
  std::vector<uint64_t> forked;
};

// First in this program, as it is about the first use in a process: another
// thread makes that while this one forks, and the child must not wait for it.
TEST(ThreadCacheRegistryTest, AForkDuringTheFirstUseLeavesTheChildUsable) {
  struct State {
    Listener first;
    std::thread thread;
    std::atomic<bool> added = false;
  } state;
  ForkHook hook;
  ASSERT_TRUE(hook.Register({.before =
                                 [](void* argument) {
                                   auto* const s =
                                       static_cast<State*>(argument);
                                   s->thread = std::thread([s] {
                                     s->added = registry::Add(&s->first.member);
                                   });
                                   // Until it waits for the fork to end.
                                   std::this_thread::sleep_for(
                                       std::chrono::milliseconds(100));
                                   EXPECT_FALSE(s->added);
                                 }},
                            &state)
                  .ok());
  InChild([] {
    Listener listener;
    if (!registry::Add(&listener.member)) return 1;
    if (registry::ThisThread() == 0) return 2;
    registry::Remove(&listener.member);
    return 0;
  });
  state.thread.join();
  EXPECT_TRUE(state.added);
  registry::Remove(&state.first.member);
}

TEST(ThreadCacheRegistryTest, NumbersAreNeverUsedAgain) {
  Listener a;
  Listener b;
  ASSERT_TRUE(registry::Add(&a.member));
  ASSERT_TRUE(registry::Add(&b.member));
  EXPECT_NE(a.member.id, 0u);
  EXPECT_GT(b.member.id, a.member.id);
  const uint64_t last = b.member.id;
  registry::Remove(&b.member);
  ASSERT_TRUE(registry::Add(&b.member));
  EXPECT_GT(b.member.id, last);
  registry::Remove(&a.member);
  registry::Remove(&b.member);
}

TEST(ThreadCacheRegistryTest, MembersHearOfTheEndOfThreadsThatWereNamed) {
  Listener early;
  Listener late;
  Listener gone;
  ASSERT_TRUE(registry::Add(&early.member));
  ASSERT_TRUE(registry::Add(&gone.member));
  ASSERT_TRUE(registry::Add(&late.member));
  registry::Remove(&gone.member);
  uint64_t name = 0;
  std::thread([&] {
    name = registry::ThisThread();
    EXPECT_EQ(registry::ThisThread(), name);
    registry::EntryOf(early.member.id).id = early.member.id;
  }).join();
  std::thread([] {}).join();
  EXPECT_NE(name, 0u);
  EXPECT_NE(name, registry::ThisThread());
  EXPECT_EQ(early.ended, std::vector<uint64_t>{name});
  EXPECT_EQ(late.ended, std::vector<uint64_t>{name});
  EXPECT_TRUE(gone.ended.empty());
  registry::Remove(&early.member);
  registry::Remove(&late.member);
}

TEST(ThreadCacheRegistryTest, MembersHearOfAForkInTheChildAlone) {
  Listener listener;
  ASSERT_TRUE(registry::Add(&listener.member));
  const uint64_t name = registry::ThisThread();
  InChild(
      [&] { return listener.forked == std::vector<uint64_t>{name} ? 0 : 1; });
  EXPECT_TRUE(listener.forked.empty());
  registry::Remove(&listener.member);
}

}  // namespace
}  // namespace mmsb
