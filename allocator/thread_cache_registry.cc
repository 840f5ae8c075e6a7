#include "allocator/thread_cache_registry.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "primitives/os_fork.h"
#include "primitives/os_mutex.h"
#include "primitives/os_thread_exit.h"
#include "primitives/thread_annotations.h"

namespace mmsb::thread_cache_registry {

[[gnu::tls_model(
    "initial-exec")]] constinit thread_local Entry entries[kEntries];

namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local uint64_t this_thread =
    0;

// What is never destroyed, because threads and pools may outlive main().
template <class T>
class Eternal {
 public:
  Eternal() { ::new (memory_) T(); }
  T* operator->() { return std::launder(reinterpret_cast<T*>(memory_)); }

 private:
  alignas(T) std::byte memory_[sizeof(T)];
};

class Registry {
 public:
  Registry() {
    ready_ = exit_hook_.Create(&OnThreadExit).ok() &&
             fork_hook_
                 .Register({.before = &BeforeFork,
                            .parent = &AfterForkInParent,
                            .child = &AfterForkInChild},
                           this)
                 .ok();
  }

  bool Add(Member* member) {
    if (!ready_) return false;
    MutexLock lock(mutex_);
    member->id = ++last_id_;
    member->previous = nullptr;
    member->next = first_;
    if (first_ != nullptr) first_->previous = member;
    first_ = member;
    return true;
  }

  void Remove(Member* member) {
    MutexLock lock(mutex_);
    (member->previous != nullptr ? member->previous->next : first_) =
        member->next;
    if (member->next != nullptr) member->next->previous = member->previous;
  }

  uint64_t NameThisThread() {
    // Any argument that is not null will do.
    if (!ready_ || !exit_hook_.Arm(this).ok()) return 0;
    // relaxed: only uniqueness matters.
    return threads_.fetch_add(1, std::memory_order_relaxed) + 1;
  }

 private:
  static void OnThreadExit(void* self) {
    auto* const registry = static_cast<Registry*>(self);
    const uint64_t thread = this_thread;
    this_thread = 0;
    for (Entry& entry : entries) entry = Entry();
    MutexLock lock(registry->mutex_);
    for (Member* m = registry->first_; m != nullptr; m = m->next) {
      m->thread_ended(m->object, thread);
    }
  }

  // The lock taken here is given back by one of the two below.
  static void BeforeFork(void* self) MMSB_NO_THREAD_SAFETY_ANALYSIS {
    static_cast<Registry*>(self)->mutex_.Lock();
  }
  static void AfterForkInParent(void* self) MMSB_NO_THREAD_SAFETY_ANALYSIS {
    static_cast<Registry*>(self)->mutex_.Unlock();
  }
  static void AfterForkInChild(void* self) MMSB_NO_THREAD_SAFETY_ANALYSIS {
    auto* const registry = static_cast<Registry*>(self);
    for (Member* m = registry->first_; m != nullptr; m = m->next) {
      m->forked(m->object, this_thread);
    }
    registry->mutex_.Unlock();
  }

  bool ready_ = false;
  Mutex mutex_;
  Member* first_ MMSB_GUARDED_BY(mutex_) = nullptr;
  uint64_t last_id_ MMSB_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> threads_ = 0;
  ThreadExitHook exit_hook_;
  ForkHook fork_hook_;
};

Eternal<Registry>& TheRegistry() {
  static Eternal<Registry> registry;
  return registry;
}

}  // namespace

bool Add(Member* member) noexcept { return TheRegistry()->Add(member); }

void Remove(Member* member) noexcept { TheRegistry()->Remove(member); }

uint64_t ThisThread() noexcept {
  if (this_thread == 0) [[unlikely]] {
    this_thread = TheRegistry()->NameThisThread();
  }
  return this_thread;
}

}  // namespace mmsb::thread_cache_registry
