#ifndef MMSB_ALLOCATOR_INDEX_STACK_H_
#define MMSB_ALLOCATOR_INDEX_STACK_H_

#include <atomic>
#include <cstdint>

#include "allocator/lockfree_sync.h"
#include "primitives/cache_line.h"
#include "primitives/tagged_index.h"

namespace mmsb {

// A lock-free stack of small numbers, newest first: what free things have in
// common when they are named by index.
//
// Owns its head only. The links, one a number, are the caller's: `link(i)`
// returns the Atomic<uint32_t>& of number i, which is the stack's from Push(i)
// until Pop() returned i, and may be read by a slow Pop() for as long as the
// stack lives. So links lie outside the things they link, and nothing that a
// user writes into a thing races with the stack.
//
// Lock-free (Treiber, Systems Programming: Coping with Parallelism, IBM
// RJ 5118, 1986): a compare-exchange fails only because another one succeeded.
// ABA: Pop() reads head A and A's link, and its compare-exchange must fail if A
// was popped and pushed again meanwhile, as the link may differ by then. The
// tag in the head, raised by every change, makes it fail; see TaggedIndex for
// what a lap of the tag would take. The stack with a Head that has no tag is a
// test of the model checker, which finds the number that is handed out twice.
//
// What a thread did before Push(i) is visible to who gets i from Pop(); and
// what it did before a Pop() that took the last number, to who finds the stack
// empty because of that.
//
//   IndexStack<> stack;
//   stack.Push(link, 3);
//   uint32_t i = stack.Pop(link);  // 3, or IndexStack<>::kNone
template <class Sync = SystemSync, class Head = TaggedIndex>
class alignas(kFalseSharingBytes) IndexStack {
 public:
  // No number; every smaller one may be pushed.
  static constexpr uint32_t kNone = Head::kNull;

  // Puts `i`, which is in no stack, on top.
  template <class LinkOf>
  void Push(const LinkOf& link, uint32_t i) {
    // relaxed: only compared; nothing is read through it.
    Head old = head_.load(std::memory_order_relaxed);
    do {
      // relaxed: published by the compare-exchange.
      link(i).store(old.index(), std::memory_order_relaxed);
      // release: pairs with the acquires in Pop; publishes link(i), and what
      // was done to thing i. Every change of the head is a read-modify-write,
      // so that an acquire of a later value pairs with this one too.
    } while (!head_.compare_exchange_weak(old, old.WithNextTag(i),
                                          std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  // Takes the newest number; kNone when there is none.
  template <class LinkOf>
  [[nodiscard]] uint32_t Pop(const LinkOf& link) {
    // acquire: pairs with the release in Push, for link(i).
    Head old = head_.load(std::memory_order_acquire);
    while (!old.is_null()) {
      // relaxed: visible by the acquire; stale only if the tag has changed.
      const uint32_t next = link(old.index()).load(std::memory_order_relaxed);
      // acquire, both: as the load above. release: pairs with the acquires in
      // Pop and Look; who sees that i is gone also sees what its taker knew of
      // things that were put elsewhere.
      if (head_.compare_exchange_weak(old, old.WithNextTag(next),
                                      std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return old.index();
      }
    }
    return kNone;
  }

  // The head: equal words seen twice mean that nothing was pushed or popped in
  // between, but for a whole lap of the tag.
  [[nodiscard]] Head Look() const {
    // acquire: pairs with the releases in Push and Pop.
    return head_.load(std::memory_order_acquire);
  }

  // Forgets all numbers. Only while no other thread uses the stack.
  void Clear() {
    // relaxed: one thread.
    const Head old = head_.load(std::memory_order_relaxed);
    head_.store(old.WithNextTag(kNone), std::memory_order_relaxed);
  }

 private:
  typename Sync::template Atomic<Head> head_{Head()};
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_INDEX_STACK_H_
