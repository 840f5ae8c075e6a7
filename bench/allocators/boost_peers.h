#ifndef MMSB_BENCH_ALLOCATORS_BOOST_PEERS_H_
#define MMSB_BENCH_ALLOCATORS_BOOST_PEERS_H_

#if !__has_include(<boost/pool/pool.hpp>) || \
    !__has_include(<boost/lockfree/stack.hpp>)
#error "no Boost headers: ./bazelw toolbox add bench, or install libboost-dev"
#endif

#include <boost/lockfree/stack.hpp>
#include <boost/pool/pool.hpp>
#include <cstddef>
#include <memory>

namespace mmsb {

// boost::pool<>, grown as it chooses.
class BoostPool {
 public:
  explicit BoostPool(size_t block_size) : pool_(block_size) {}
  void* Allocate() { return pool_.malloc(); }
  void Deallocate(void* p) { pool_.free(p); }

 private:
  boost::pool<> pool_;
};

// What boost::lockfree offers as a pool: a bounded stack of free addresses.
template <size_t kBytes, size_t kBlocks>
class BoostLockFreeBlocks {
 public:
  BoostLockFreeBlocks() {
    for (size_t i = 0; i < kBlocks; ++i) {
      free_.bounded_push(memory_.get() + i * kBytes);
    }
  }
  void* Allocate() {
    std::byte* block = nullptr;
    free_.pop(block);
    return block;
  }
  void Deallocate(void* p) { free_.bounded_push(static_cast<std::byte*>(p)); }

 private:
  std::unique_ptr<std::byte[]> memory_ =
      std::make_unique<std::byte[]>(kBytes * kBlocks);
  boost::lockfree::stack<std::byte*> free_{kBlocks};
};

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_BOOST_PEERS_H_
