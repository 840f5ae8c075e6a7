#ifndef MMSB_BENCH_ALLOCATORS_BARE_STACK_H_
#define MMSB_BENCH_ALLOCATORS_BARE_STACK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace mmsb {

// The least that a pool with its free blocks beside it can do: a stack of
// addresses, that never grows and never runs out. The limit of what a
// MemoryPool can reach.
template <size_t kBytes>
class BareStack {
 public:
  explicit BareStack(size_t blocks)
      : memory_(new std::byte[blocks * kBytes]), stack_(new void*[blocks]) {
    top_ = stack_.get();
    for (size_t i = blocks; i-- > 0;) *top_++ = memory_.get() + i * kBytes;
  }
  void* Allocate() { return *--top_; }
  void Deallocate(void* p) { *top_++ = p; }

 private:
  const std::unique_ptr<std::byte[]> memory_;
  const std::unique_ptr<void*[]> stack_;
  void** top_;
};

// The same, counting what it hands out without an instruction in most calls: it
// takes from one stack and gives to another, and where the first one's top is
// says how often it was taken from since they last changed places. What it
// costs is that the newest free block is not the next one. A block is first
// handed out when both are empty.
template <size_t kBytes>
class BareStackPair {
 public:
  explicit BareStackPair(size_t blocks)
      : memory_(new std::byte[blocks * kBytes]), fresh_(memory_.get()) {
    for (Stack* stack : {&taken_, &given_}) {
      stack->slots.reset(new void*[blocks]);
      stack->top = stack->start = stack->slots.get();
    }
  }
  void* Allocate() {
    if (taken_.top == taken_.slots.get()) [[unlikely]]
      return AllocateSlowly();
    return *--taken_.top;
  }
  void Deallocate(void* p) { *given_.top++ = p; }

  [[nodiscard]] uint64_t allocations() const {
    return allocations_ + static_cast<uint64_t>(taken_.start - taken_.top);
  }

 private:
  struct Stack {
    std::unique_ptr<void*[]> slots;
    void** top;
    void** start;  // where top was when the stacks changed places
  };

  [[gnu::noinline]] void* AllocateSlowly() {
    allocations_ = allocations();
    std::swap(taken_, given_);
    taken_.start = taken_.top;
    if (taken_.top != taken_.slots.get()) return *--taken_.top;
    ++allocations_;
    return std::exchange(fresh_, fresh_ + kBytes);
  }

  const std::unique_ptr<std::byte[]> memory_;
  std::byte* fresh_;
  Stack taken_;
  Stack given_;
  uint64_t allocations_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_BARE_STACK_H_
