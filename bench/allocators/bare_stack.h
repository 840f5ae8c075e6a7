#ifndef MMSB_BENCH_ALLOCATORS_BARE_STACK_H_
#define MMSB_BENCH_ALLOCATORS_BARE_STACK_H_

#include <cstddef>
#include <memory>

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

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_BARE_STACK_H_
