#ifndef MMSB_ALLOCATOR_BLOCK_MAGAZINE_H_
#define MMSB_ALLOCATOR_BLOCK_MAGAZINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "allocator/lockfree_sync.h"
#include "primitives/cache_line.h"

namespace mmsb {

// Up to `capacity` free blocks that one thread, the owner, takes and gives back
// by plain loads and stores, while any other may take one that it needs more.
//
// The owner works at the bottom, newest first; thieves take the oldest from the
// top (Chase and Lev, Dynamic circular work-stealing deque, 2005; memory orders
// after Le, Pop, Cohen and Zappa Nardelli, Correct and efficient work-stealing
// for weak memory models, 2013). Positions only count up at the top, and a
// block at position p is in slot p modulo the capacity:
//
//           top                bottom
//     ...... | oldest ... newest | ......     bottom - top <= capacity
//
// Owner and thief meet only at the last block. The owner first stores the
// lowered bottom, then reads top; the thief first reads top, then bottom. With
// a full fence in the middle on both sides, one of them sees the other: either
// the thief sees that the block is gone, or the owner sees that top has come
// near and takes the last block by compare-exchange, as thieves do. On the
// owner's side that fence would be most of the cost of an allocation; it is the
// free half of an asymmetric pair (Sync::LightFence), and the thief pays
// (Sync::HeavyFence). Without such a pair the bottom is exchanged instead of
// stored, and all four accesses are sequentially consistent.
//
// No ABA: top counts steals and takings of a last block in 64 bits, and never
// comes back to a value. While top is t, the block at position t leaves only by
// a compare-exchange of top, so one that succeeds took what the slot held when
// bottom was seen above t.
//
// Owns no block, and no memory: the slots lie behind it, in Bytes() of memory
// that the caller provides. The owner may change: what the old one did must
// happen before what the new one does. Never fails, takes constant time.
//
//   auto* m = ::new (memory) BlockMagazine<>(64, asymmetric);
//   if (m->Push(block)) block = m->TakeNewest();
template <class Sync = SystemSync>
class alignas(kCacheLineBytes) BlockMagazine {
 public:
  // What is seen of a magazine from outside, for telling that nothing was put
  // into it between two looks: neither number ever goes down.
  struct Sight {
    uint64_t pushes;  // completed
    uint64_t top;
    bool empty;
  };

  enum class Theft {
    kTaken,
    kMissed,   // there is none, or another thread was faster
    kRefused,  // there is one, but the system refuses the heavy fence
  };

  // Of memory, for `capacity` blocks.
  [[nodiscard]] static constexpr size_t Bytes(size_t capacity) {
    return sizeof(BlockMagazine) + capacity * sizeof(Slot);
  }

  // `capacity` is a power of two; `asymmetric` is Sync::HasAsymmetricFence().
  BlockMagazine(size_t capacity, bool asymmetric)
      : mask_(capacity - 1), asymmetric_(asymmetric) {
    std::uninitialized_default_construct_n(reinterpret_cast<Slot*>(this + 1),
                                           capacity);
  }
  BlockMagazine(const BlockMagazine&) = delete;
  BlockMagazine& operator=(const BlockMagazine&) = delete;

  // The owner's: puts a block at the bottom; false when all slots are full.
  [[nodiscard]] bool Push(std::byte* block) {
    // relaxed: written by the owner alone.
    const uint64_t bottom = bottom_.load(std::memory_order_relaxed);
    // acquire: pairs with the compare-exchange in Steal; the thief has read the
    // slot before this writes to it.
    const uint64_t top = top_.load(std::memory_order_acquire);
    if (bottom - top > mask_) [[unlikely]]
      return false;
    SlotAt(bottom).store(block, std::memory_order_relaxed);
    // release: pairs with the acquire in Steal and Look; publishes the slot,
    // and what was done to the block.
    bottom_.store(bottom + 1, std::memory_order_release);
    // After the bottom, as Look() requires. release: pairs with the acquire
    // there.
    pushes_.store(pushes_.load(std::memory_order_relaxed) + 1,
                  std::memory_order_release);
    return true;
  }

  // The owner's: takes the newest of two blocks or more, and stores it in
  // `*block`; of fewer, false. Only of an asymmetric magazine.
  [[nodiscard]] bool TakeUnlessLast(std::byte** block) {
    // relaxed: written by the owner alone.
    const uint64_t bottom = bottom_.load(std::memory_order_relaxed) - 1;
    // relaxed: a look; bottom is lowered only to take a block, as a block that
    // lies below it is seen by nobody.
    if (Below(bottom, top_.load(std::memory_order_relaxed))) [[unlikely]] {
      return false;
    }
    return Take(bottom, LowerAndFence(bottom), block);
  }

  // The owner's: takes the newest block; null when there is none.
  [[nodiscard]] std::byte* TakeNewest() {
    // relaxed: written by the owner alone.
    const uint64_t bottom = bottom_.load(std::memory_order_relaxed);
    // relaxed: a look; none now is none until the owner pushes.
    if (Below(bottom, top_.load(std::memory_order_relaxed))) return nullptr;
    std::byte* block;
    return Take(bottom - 1, Lower(bottom - 1), &block) ? block : nullptr;
  }

  // Anyone's: stores the oldest block in `*block`.
  [[nodiscard]] Theft Steal(std::byte** block) {
    // seq_cst: before the load of bottom, see Lower.
    uint64_t top = top_.load(std::memory_order_seq_cst);
    // A look before the fence, which is dear. acquire: as below.
    if (Below(bottom_.load(std::memory_order_acquire), top)) {
      return Theft::kMissed;
    }
    if (asymmetric_ && !Sync::HeavyFence()) return Theft::kRefused;
    // seq_cst: see Lower; and acquire: pairs with the releases of the owner;
    // the slot at top is filled, and the block is as it was left.
    if (Below(bottom_.load(std::memory_order_seq_cst), top)) {
      return Theft::kMissed;
    }
    // relaxed: visible by the acquire; stale only if top has moved.
    *block = SlotAt(top).load(std::memory_order_relaxed);
    // seq_cst: see Lower; and release: pairs with the acquire in Push.
    return top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,
                                        std::memory_order_relaxed)
               ? Theft::kTaken
               : Theft::kMissed;
  }

  // Anyone's: first look, for LookAgain() to be compared with.
  [[nodiscard]] Sight Look() const {
    // In this order: whatever is pushed after bottom was read here raises
    // `pushes` above what is returned, and whatever is stolen after that raises
    // `top`. acquire, all: they stay in order; pair with the releases in Push
    // and Lower and the compare-exchange in Steal.
    const uint64_t pushes = pushes_.load(std::memory_order_acquire);
    const uint64_t top = top_.load(std::memory_order_acquire);
    return {pushes, top, Below(bottom_.load(std::memory_order_acquire), top)};
  }

  // Anyone's: the same in the other order. If both looks say empty, and the
  // numbers are equal, then no block was in here from the first look until the
  // second began: a block pushed in between would still be here, or its owner
  // took it, having counted the push, or a thief did, having raised top.
  [[nodiscard]] Sight LookAgain() const {
    const uint64_t bottom = bottom_.load(std::memory_order_acquire);
    const uint64_t top = top_.load(std::memory_order_acquire);
    return {pushes_.load(std::memory_order_acquire), top, Below(bottom, top)};
  }

  // How many blocks there are; exact for the owner but for thieves.
  [[nodiscard]] size_t size() const {
    // acquire: a top that is too new makes less than none, which is none.
    const uint64_t top = top_.load(std::memory_order_acquire);
    const uint64_t bottom = bottom_.load(std::memory_order_acquire);
    return Below(bottom, top) ? 0 : static_cast<size_t>(bottom - top);
  }
  [[nodiscard]] bool full() const { return size() > mask_; }

  // Completed Push() calls.
  [[nodiscard]] uint64_t pushes() const {
    // relaxed: a count.
    return pushes_.load(std::memory_order_relaxed);
  }

  // After the owner vanished in the midst of a call, as in a forked child: what
  // is in here again belongs to whoever calls this. Only while no other thread
  // uses the magazine.
  void Repair() {
    // relaxed: one thread.
    const uint64_t top = top_.load(std::memory_order_relaxed);
    if (Below(bottom_.load(std::memory_order_relaxed), top)) {
      bottom_.store(top, std::memory_order_relaxed);
    }
  }

  // Before any other thread knows the magazine: puts `count` blocks into it,
  // which start `stride` bytes apart at `first`; that one will be the newest.
  // They are no pushes, and the magazine is fresh until Touch().
  void Fill(std::byte* first, size_t stride, size_t count) {
    // relaxed, all: one thread.
    for (size_t i = 0; i < count; ++i) {
      SlotAt(i).store(first + (count - 1 - i) * stride,
                      std::memory_order_relaxed);
    }
    bottom_.store(count, std::memory_order_relaxed);
  }

  // Notes, before the first change, that there will be one.
  void Touch() {
    // relaxed, both: for statistics.
    if (!touched()) touched_.store(true, std::memory_order_relaxed);
  }
  [[nodiscard]] bool touched() const {
    return touched_.load(std::memory_order_relaxed);
  }

  // For who keeps magazines in a list.
  typename Sync::template Atomic<uint32_t>& link() { return link_; }

 private:
  template <class T>
  using Atomic = typename Sync::template Atomic<T>;
  using Slot = Atomic<std::byte*>;

  // Whether nothing lies between `top` and `bottom`: the latter may be one less
  // than the former in the midst of a call.
  static bool Below(uint64_t bottom, uint64_t top) {
    return static_cast<int64_t>(bottom - top) <= 0;
  }

  // Stores the lowered bottom, and returns what top is behind that.
  uint64_t Lower(uint64_t bottom) {
    if (asymmetric_) return LowerAndFence(bottom);
    // seq_cst, both: before or behind the thief's two loads.
    bottom_.exchange(bottom, std::memory_order_seq_cst);
    return top_.load(std::memory_order_seq_cst);
  }
  uint64_t LowerAndFence(uint64_t bottom) {
    // release: pairs with the acquire in Steal; a thief that reads this value
    // sees the blocks that were pushed before.
    bottom_.store(bottom, std::memory_order_release);
    Sync::LightFence();
    // relaxed: the fence orders it; see Steal.
    return top_.load(std::memory_order_relaxed);
  }

  // Takes the block at the lowered bottom, the newest; false if thieves did.
  bool Take(uint64_t bottom, uint64_t top, std::byte** block) {
    // relaxed: written by the owner alone.
    *block = SlotAt(bottom).load(std::memory_order_relaxed);
    if (!Below(bottom, top)) [[likely]]
      return true;
    return TakeLast(bottom, top);
  }

  // The end of Take() when thieves may be after the same block: it is whose
  // compare-exchange of top succeeds.
  [[gnu::noinline]] bool TakeLast(uint64_t bottom, uint64_t top) {
    // seq_cst: see Lower.
    const bool taken =
        bottom == top &&
        top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,
                                     std::memory_order_relaxed);
    // release: as in Lower. Nothing is left, and bottom is top again.
    bottom_.store(bottom + 1, std::memory_order_release);
    return taken;
  }

  Slot& SlotAt(uint64_t position) {
    return std::launder(reinterpret_cast<Slot*>(this + 1))[position & mask_];
  }

  Atomic<uint64_t> bottom_{0};  // one behind the newest; the owner's
  Atomic<uint64_t> top_{0};     // the oldest
  Atomic<uint64_t> pushes_{0};  // the owner's
  const uint64_t mask_;         // the capacity, less one
  Atomic<uint32_t> link_{0};
  Atomic<bool> touched_{false};
  const bool asymmetric_;
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_BLOCK_MAGAZINE_H_
