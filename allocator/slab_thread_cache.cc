#include "allocator/slab_thread_cache.h"

#include <atomic>
#include <cstdint>

#include "allocator/slab_size_classes.h"
#include "primitives/os_fork.h"
#include "primitives/os_mutex.h"
#include "primitives/os_thread_exit.h"

namespace mmsb::slab_internal {

constinit thread_local ThreadCaches thread_caches = {};

namespace {

// Shared by all heaps, and never destroyed: heaps and threads may outlast
// static destructors.
constinit Mutex registry;

struct Hooks {
  ForkHook fork;
  ThreadExitHook exit;
  bool exit_created = false;  // guarded by `registry`
};

// Without a destructor.
union HooksStorage {
  constexpr HooksStorage() : hooks() {}
  ~HooksStorage() {}
  Hooks hooks;
};
constinit HooksStorage storage;
constinit std::atomic<bool> hooks_ready = false;

}  // namespace

ThreadCache* CacheList::First() {
  const MutexLock lock(registry);
  return caches_;
}

bool CacheList::Prepare() {
  // acquire: pairs with the release below.
  if (hooks_ready.load(std::memory_order_acquire)) return true;
  Hooks& hooks = storage.hooks;
  // No fork happens while `registry` is held, once this has returned; and this
  // holds no lock of ours, which a fork that it waits for would copy.
  if (!hooks.fork.EnsureRegistered(registry).ok()) return false;
  const MutexLock lock(registry);
  if (!hooks.exit_created) {
    hooks.exit_created = hooks.exit.Create(&CacheList::OnThreadExit).ok();
  }
  if (!hooks.exit_created) return false;
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
    mine.armed = storage.hooks.exit.Arm(&mine).ok();
    if (!mine.armed) return nullptr;
  }
  const MutexLock lock(registry);
  ThreadCache* cache = FindInThread(heap_id);
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

ThreadCache* CacheList::FindMine(uint64_t heap_id) {
  const MutexLock lock(registry);
  return FindInThread(heap_id);
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

ThreadCache* CacheList::FindInThread(uint64_t heap_id) {
  ThreadCache* cache = thread_caches.first;
  while (cache != nullptr && cache->heap_id != heap_id) {
    cache = cache->next_of_thread;
  }
  return cache;
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
