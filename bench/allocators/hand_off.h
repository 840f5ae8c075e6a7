#ifndef MMSB_BENCH_ALLOCATORS_HAND_OFF_H_
#define MMSB_BENCH_ALLOCATORS_HAND_OFF_H_

#include <array>
#include <atomic>
#include <cstddef>

namespace mmsb {

// A ring by which one thread hands values to one other. What is pushed is
// published every kBatch values, so that the ring costs little beside what is
// measured. Push() and Flush() belong to one thread, Pop() to the other.
template <class T>
class HandOff {
 public:
  // False when the ring is full; then everything in it is published.
  bool Push(const T& value) {
    if (pushed_ - seen_popped_ == kSlots) {
      // acquire: pairs with the release in Pop(); its slots may be reused.
      seen_popped_ = popped_to_.load(std::memory_order_acquire);
      if (pushed_ - seen_popped_ == kSlots) {
        Flush();
        return false;
      }
    }
    slots_[pushed_++ % kSlots] = value;
    if (pushed_ % kBatch == 0) Flush();
    return true;
  }

  // release: pairs with the acquire in Pop(); publishes the slots.
  void Flush() { pushed_to_.store(pushed_, std::memory_order_release); }

  // False when nothing that was published is left.
  bool Pop(T* value) {
    if (popped_ == seen_pushed_) {
      // release: pairs with the acquire in Push(); the slots were read.
      popped_to_.store(popped_, std::memory_order_release);
      // acquire: pairs with the release in Flush().
      seen_pushed_ = pushed_to_.load(std::memory_order_acquire);
      if (popped_ == seen_pushed_) return false;
    }
    *value = slots_[popped_++ % kSlots];
    if (popped_ % kBatch == 0) {
      // release: as above.
      popped_to_.store(popped_, std::memory_order_release);
    }
    return true;
  }

 private:
  static constexpr size_t kSlots = 1024;
  static constexpr size_t kBatch = 32;

  alignas(64) size_t pushed_ = 0;
  size_t seen_popped_ = 0;
  alignas(64) size_t popped_ = 0;
  size_t seen_pushed_ = 0;
  alignas(64) std::atomic<size_t> pushed_to_ = 0;
  alignas(64) std::atomic<size_t> popped_to_ = 0;
  alignas(64) std::array<T, kSlots> slots_;
};

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_HAND_OFF_H_
