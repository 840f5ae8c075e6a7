#ifndef MMSB_BENCH_ALLOCATORS_BARE_BUMP_H_
#define MMSB_BENCH_ALLOCATORS_BARE_BUMP_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace mmsb {

// The least that an arena can do: a pointer that moves down to the alignment
// and is held against the end. The limit of what an Arena can reach.
class BareBump {
 public:
  void* Allocate(size_t bytes) {
    const uintptr_t at = (cursor_ - bytes) & ~uintptr_t{15};
    if (at < begin_) return nullptr;
    cursor_ = at;
    return reinterpret_cast<void*>(at);
  }
  void Reset() { cursor_ = begin_ + kBytes; }

 private:
  static constexpr size_t kBytes = size_t{1} << 20;

  const std::unique_ptr<std::byte[]> memory_ =
      std::make_unique<std::byte[]>(kBytes);
  const uintptr_t begin_ = reinterpret_cast<uintptr_t>(memory_.get());
  uintptr_t cursor_ = begin_ + kBytes;
};

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_BARE_BUMP_H_
