#ifndef MMSB_MEMORY_PAGE_FRAME_TREE_H_
#define MMSB_MEMORY_PAGE_FRAME_TREE_H_

#include <atomic>
#include <cstdint>

namespace mmsb {

// How many frames of a tree are free, and whether a thread has reserved it: the
// upper level of LLFree (USENIX ATC 2023), which says where to look. The truth
// about frames is in huge_frame.h.
//
// Whoever takes or gives frames adds to the count afterwards; the holder of the
// reservation does so in a number of its own, without a read-modify-write, and
// hands it in with the reservation. So at a quiescent moment count plus the
// holder's number is what the counts of the tree's huge frames add up to, and
// both may be off, and one of them negative, in between.
//
// Owns one atomic word. Thread-safe; each call is lock-free: a compare-exchange
// fails only because another call changed the word.
//
//   if (tree.Reserve([](int64_t free) { return free > 0; })) ...
//   tree.Unreserve(-3);  // three frames fewer
template <class Sync>
class FrameTree {
 public:
  explicit FrameTree(int64_t free) : word_(Word(free)) {}

  struct Sight {
    int64_t free = 0;
    bool reserved = false;
  };

  [[nodiscard]] Sight Look() const {
    // relaxed: a hint.
    return SightOf(word_.load(std::memory_order_relaxed));
  }

  // Reserves the tree if nobody has, and `wanted(free)` says so.
  template <class Wanted>
  [[nodiscard]] bool Reserve(const Wanted& wanted) {
    // relaxed: only compared.
    uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const Sight sight = SightOf(word);
      if (sight.reserved || !wanted(sight.free)) return false;
      // acquire: pairs with the release in Unreserve.
      if (word_.compare_exchange_weak(word, word | kReserved,
                                      std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
  }

  // Gives the reservation up; `change` is what its holder took and gave.
  void Unreserve(int64_t change) {
    // release: pairs with the acquire in Reserve. The flag is set, so that
    // subtracting it clears it and nothing else.
    word_.fetch_add(static_cast<uint64_t>(change) - kReserved,
                    std::memory_order_release);
  }

  // `change` frames more, or fewer, by who has not reserved the tree.
  void Add(int64_t change) {
    // relaxed: a hint.
    word_.fetch_add(static_cast<uint64_t>(change), std::memory_order_relaxed);
  }

  // Starts anew with `free` frames, not reserved. No other call may run.
  void Reset(int64_t free) {
    // relaxed: one thread.
    word_.store(Word(free), std::memory_order_relaxed);
  }

 private:
  static constexpr uint64_t kReserved = uint64_t{1} << 63;
  // Added to the count, so that the flag is none of its business.
  static constexpr uint64_t kZero = uint64_t{1} << 62;

  static constexpr uint64_t Word(int64_t free) {
    return kZero + static_cast<uint64_t>(free);
  }
  static constexpr Sight SightOf(uint64_t word) {
    return {.free = static_cast<int64_t>((word & ~kReserved) - kZero),
            .reserved = (word & kReserved) != 0};
  }

  typename Sync::template Atomic<uint64_t> word_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_FRAME_TREE_H_
