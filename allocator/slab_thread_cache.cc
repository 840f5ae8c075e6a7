#include "allocator/slab_thread_cache.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "allocator/slab_size_classes.h"
#include "primitives/os_fork.h"
#include "primitives/os_mutex.h"
#include "primitives/os_thread_exit.h"
#include "primitives/thread_annotations.h"

namespace mmsb::slab_internal {

constinit thread_local ThreadCaches thread_caches = {};

namespace {

// Shared by all heaps, and never destroyed: heaps and threads may outlast
// static destructors.
constinit Mutex registry;

struct Hooks {
  ThreadExitHook exit;
  ForkHook fork;
  bool exit_created = false;
  bool fork_registered = false;
};
constinit Mutex hooks_mutex;
constinit std::atomic<bool> hooks_ready = false;
alignas(Hooks) constinit std::byte hooks_storage[sizeof(Hooks)] = {};
constinit Hooks* hooks MMSB_GUARDED_BY(hooks_mutex) = nullptr;

}  // namespace

ThreadCache* CacheList::First() {
  const MutexLock lock(registry);
  return caches_;
}

bool CacheList::Prepare() {
  // acquire: pairs with the release below.
  if (hooks_ready.load(std::memory_order_acquire)) return true;
  const MutexLock lock(hooks_mutex);
  if (hooks == nullptr) hooks = ::new (hooks_storage) Hooks;
  if (!hooks->exit_created) {
    hooks->exit_created = hooks->exit.Create(&CacheList::OnThreadExit).ok();
  }
  if (!hooks->fork_registered) {
    hooks->fork_registered = hooks->fork.Register(registry).ok();
  }
  if (!hooks->exit_created || !hooks->fork_registered) return false;
  // release: pairs with the acquire above, and where a thread is armed.
  hooks_ready.store(true, std::memory_order_release);
  return true;
}

CacheList::~CacheList() {
  const MutexLock lock(registry);
  for (ThreadCache* cache = caches_; cache != nullptr;
       cache = cache->next_of_heap) {
    if (cache->thread == nullptr) continue;
    if (cache->next_of_thread != nullptr) {
      cache->next_of_thread->previous_of_thread = cache->previous_of_thread;
    }
    (cache->previous_of_thread != nullptr
         ? cache->previous_of_thread->next_of_thread
         : cache->thread->first) = cache->next_of_thread;
  }
}

ThreadCache* CacheList::FindOrAdopt(uint64_t heap_id, bool* may_add) {
  ThreadCaches& mine = thread_caches;
  *may_add = false;
  if (mine.ended) return nullptr;
  if (!mine.armed) {
    // Ready, or there would be no heap to ask for; not guarded once it is.
    auto* const ready = std::launder(reinterpret_cast<Hooks*>(hooks_storage));
    mine.armed = ready->exit.Arm(&mine).ok();
    if (!mine.armed) return nullptr;
  }
  const MutexLock lock(registry);
  ThreadCache* cache = mine.first;
  while (cache != nullptr && cache->heap_id != heap_id) {
    cache = cache->next_of_thread;
  }
  if (cache == nullptr && orphans_ != nullptr) {
    cache = orphans_;
    orphans_ = cache->next_orphan;
    LinkToThread(cache);
  }
  if (cache != nullptr) {
    mine.entries[heap_id % ThreadCaches::kEntries] = {heap_id, cache};
  }
  *may_add = cache == nullptr;
  return cache;
}

void CacheList::Add(ThreadCache* cache, uint64_t heap_id) {
  cache->heap_id = heap_id;
  cache->list = this;
  const MutexLock lock(registry);
  cache->next_of_heap = caches_;
  caches_ = cache;
  LinkToThread(cache);
  thread_caches.entries[heap_id % ThreadCaches::kEntries] = {heap_id, cache};
}

ThreadCache* CacheList::TakeOrphan() {
  const MutexLock lock(registry);
  ThreadCache* const orphan = orphans_;
  if (orphan != nullptr) orphans_ = orphan->next_orphan;
  return orphan;
}

void CacheList::GiveOrphan(ThreadCache* orphan) {
  const MutexLock lock(registry);
  orphan->next_orphan = orphans_;
  orphans_ = orphan;
}

void CacheList::AdoptAllInChild() {
  const MutexLock lock(registry);
  orphans_ = nullptr;
  for (ThreadCache* cache = caches_; cache != nullptr;
       cache = cache->next_of_heap) {
    if (cache->thread == &thread_caches) continue;
    cache->thread = nullptr;
    cache->next_orphan = orphans_;
    orphans_ = cache;
  }
}

void CacheList::OnThreadExit(void* caches) {
  auto* const mine = static_cast<ThreadCaches*>(caches);
  const MutexLock lock(registry);
  for (ThreadCache *cache = mine->first, *next; cache != nullptr;
       cache = next) {
    next = cache->next_of_thread;
    cache->thread = nullptr;
    cache->next_orphan = cache->list->orphans_;
    cache->list->orphans_ = cache;
  }
  *mine = {};
  mine->ended = true;
}

void CacheList::LinkToThread(ThreadCache* cache) {
  ThreadCaches& mine = thread_caches;
  cache->thread = &mine;
  cache->previous_of_thread = nullptr;
  cache->next_of_thread = mine.first;
  if (mine.first != nullptr) mine.first->previous_of_thread = cache;
  mine.first = cache;
}

}  // namespace mmsb::slab_internal
