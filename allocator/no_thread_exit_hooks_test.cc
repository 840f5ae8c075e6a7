// What is left of the thread-safe allocators in a process that has no
// thread-specific key free when it first needs one. One test: whoever gets the
// key once keeps it.

#include <cstddef>
#include <deque>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/slab.h"
#include "allocator/system_source.h"
#include "allocator/thread_cache_registry.h"
#include "gtest/gtest.h"
#include "primitives/os_thread.h"

namespace mmsb {
namespace {

template <class Pool>
std::vector<void*> TakeAll(Pool& pool) {
  std::vector<void*> blocks;
  while (void* const p = pool.Allocate()) blocks.push_back(p);
  return blocks;
}

template <class Pool>
void ExpectWhole(Pool& pool) {
  const std::vector<void*> blocks = TakeAll(pool);
  EXPECT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(),
            pool.capacity());
  for (void* block : blocks) pool.Deallocate(block);
}

// Not by std::thread, which needs a key in some libraries.
void OnAnotherThread(std::function<void()> work) {
  struct State {
    std::function<void()> work;
    Mutex mutex;
    CondVar changed;
    bool done MMSB_GUARDED_BY(mutex) = false;
  } state;
  state.work = std::move(work);
  BackgroundThread thread;
  ASSERT_TRUE(thread
                  .Start(
                      [](void* p) {
                        auto& s = *static_cast<State*>(p);
                        s.work();
                        const MutexLock lock(s.mutex);
                        s.done = true;
                        s.changed.NotifyOne();
                      },
                      &state)
                  .ok());
  thread.Wake();
  const MutexLock lock(state.mutex);
  while (!state.done) state.changed.Wait(state.mutex);
}

TEST(NoThreadExitHooksTest, PoolsShareTheirListAndSlabsServeNothing) {
  std::deque<ThreadExitHook> hooks;
  do {
    hooks.emplace_back();
  } while (hooks.back().Create([](void*) {}).ok());
  hooks.pop_back();

  thread_cache_registry::Member member;
  EXPECT_FALSE(thread_cache_registry::Add(&member));
  EXPECT_EQ(member.id, 0u);
  EXPECT_EQ(thread_cache_registry::ThisThread(), 0u);

  LockFreePool pool({.block_size = 32, .capacity = 300});
  BasicLockFreePool<SystemSource, Checked> checked(
      {.block_size = 32, .capacity = 300});
  for (int i = 0; i < 2; ++i) {
    ExpectWhole(pool);
    ExpectWhole(checked);
    OnAnotherThread([&] { ExpectWhole(pool); });
  }
  EXPECT_EQ(pool.Stats().live(), 0u);
  EXPECT_EQ(pool.Stats().allocations(), 1200u);
  EXPECT_EQ(pool.Stats().allocations(), pool.Stats().deallocations());

  SlabAllocator slab;
  EXPECT_EQ(slab.Allocate(64, 8), nullptr);
  EXPECT_EQ(slab.Allocate(1 << 20, 8), nullptr);
  EXPECT_EQ(slab.Stats().failures(), 2u);
  EXPECT_EQ(slab.Purge(), 0u);

  // With a key to be had, new allocators are as ever, and old ones stay as
  // they are.
  hooks.clear();
  EXPECT_TRUE(thread_cache_registry::Add(&member));
  EXPECT_NE(thread_cache_registry::ThisThread(), 0u);
  thread_cache_registry::Remove(&member);
  ExpectWhole(pool);
  SlabAllocator later;
  void* const p = later.Allocate(64, 8);
  EXPECT_NE(p, nullptr);
  later.Deallocate(p, 64, 8);
  EXPECT_EQ(slab.Allocate(64, 8), nullptr);
}

}  // namespace
}  // namespace mmsb
