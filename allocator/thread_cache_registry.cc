#include "allocator/thread_cache_registry.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

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

class Registry {
 public:
  constexpr Registry() = default;

  bool Add(Member* member) {
    if (!Ready()) return false;
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
    if (!Ready() || !exit_hook_.Arm(this).ok()) return 0;
    // relaxed: only uniqueness matters.
    return threads_.fetch_add(1, std::memory_order_relaxed) + 1;
  }

 private:
  // Whether the hooks are in place, which they are from the first call on that
  // could do it. A thread may vanish in the midst of this, by a fork of another
  // one: nothing here waits for another's call to end but under a lock that the
  // child gets back, and what was done is not done again.
  bool Ready() {
    // acquire: pairs with the release below; the hooks are in place.
    if (ready_.load(std::memory_order_acquire)) return true;
    // Where this succeeds the handlers are installed, and Register() fails only
    // when the hook is registered already.
    uint64_t generation = 0;
    if (!ForkGeneration(&generation).ok()) return false;
    static_cast<void>(fork_hook_.Register({.before = &BeforeFork,
                                           .parent = &AfterForkInParent,
                                           .child = &AfterForkInChild},
                                          this));
    // From here on forks wait for the lock.
    MutexLock lock(mutex_);
    // relaxed: written under the lock.
    if (ready_.load(std::memory_order_relaxed)) return true;
    if (!exit_hook_.Create(&OnThreadExit).ok()) return false;
    // release: pairs with the acquire above.
    ready_.store(true, std::memory_order_release);
    return true;
  }

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

  std::atomic<bool> ready_ = false;
  Mutex mutex_;
  Member* first_ MMSB_GUARDED_BY(mutex_) = nullptr;
  uint64_t last_id_ MMSB_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> threads_ = 0;
  ThreadExitHook exit_hook_;
  ForkHook fork_hook_;
};

// Never constructed at run time, so that no thread waits for another one to do
// it, and never destroyed, because threads and pools may outlive main().
union Eternal {
  constexpr Eternal() : registry() {}
  ~Eternal() {}
  Registry registry;
};
constinit Eternal eternal;

}  // namespace

bool Add(Member* member) noexcept { return eternal.registry.Add(member); }

void Remove(Member* member) noexcept { eternal.registry.Remove(member); }

uint64_t ThisThread() noexcept {
  if (this_thread == 0) [[unlikely]] {
    this_thread = eternal.registry.NameThisThread();
  }
  return this_thread;
}

}  // namespace mmsb::thread_cache_registry
