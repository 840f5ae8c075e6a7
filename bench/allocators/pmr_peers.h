#ifndef MMSB_BENCH_ALLOCATORS_PMR_PEERS_H_
#define MMSB_BENCH_ALLOCATORS_PMR_PEERS_H_

#include <cstddef>
#include <memory_resource>

namespace mmsb {

class PmrPool {
 public:
  explicit PmrPool(size_t block_size) : block_size_(block_size) {}
  void* Allocate() { return pool_.allocate(block_size_, 16); }
  void Deallocate(void* p) { pool_.deallocate(p, block_size_, 16); }

 private:
  const size_t block_size_;
  std::pmr::unsynchronized_pool_resource pool_;
};

class PmrSharedPool {
 public:
  explicit PmrSharedPool(size_t block_size) : block_size_(block_size) {}
  void* Allocate() { return pool_.allocate(block_size_, 16); }
  void Deallocate(void* p) { pool_.deallocate(p, block_size_, 16); }

 private:
  const size_t block_size_;
  std::pmr::synchronized_pool_resource pool_;
};

// Any size, thread-safe.
class PmrGeneral {
 public:
  void* Allocate(size_t bytes, size_t alignment) noexcept {
    return pool_.allocate(bytes, alignment);
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    pool_.deallocate(p, bytes, alignment);
  }

 private:
  std::pmr::synchronized_pool_resource pool_;
};

// Over a buffer that all rounds fit in, so that a round takes nothing from the
// heap.
template <size_t kBytes>
class PmrArena {
 public:
  void* Allocate(size_t bytes) { return arena_.allocate(bytes, 16); }
  void Reset() { arena_.release(); }

 private:
  alignas(64) std::byte buffer_[kBytes];
  std::pmr::monotonic_buffer_resource arena_{buffer_, sizeof(buffer_),
                                             std::pmr::null_memory_resource()};
};

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_PMR_PEERS_H_
