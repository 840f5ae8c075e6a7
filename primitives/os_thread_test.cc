#include "primitives/os_thread.h"

#include <sched.h>

#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(ThreadOrdinalTest, IsOnesOwnForLife) {
  constexpr int kThreads = 8;
  std::set<uint32_t> ordinals = {ThreadOrdinal()};
  Mutex mutex;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const uint32_t ordinal = ThreadOrdinal();
      std::this_thread::yield();
      EXPECT_EQ(ThreadOrdinal(), ordinal);
      MutexLock lock(mutex);
      ordinals.insert(ordinal);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ordinals.size(), kThreads + 1u);
  // Dense: a table of as many entries as threads has room for all.
  EXPECT_EQ(*ordinals.rbegin(), static_cast<uint32_t>(kThreads));
}

TEST(CpuTest, FollowsTheThreadsAffinity) {
  EXPECT_GE(CpuCount(), 1u);
  std::thread([] {
    cpu_set_t allowed;
    ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    EXPECT_EQ(CpuCount(), static_cast<uint32_t>(CPU_COUNT(&allowed)));
    uint32_t last = 0;
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &allowed)) last = cpu;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(CpuCount(), 1u);
    EXPECT_EQ(CurrentCpu(), last);
  }).join();
}

}  // namespace
}  // namespace mmsb
