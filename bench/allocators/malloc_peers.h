#ifndef MMSB_BENCH_ALLOCATORS_MALLOC_PEERS_H_
#define MMSB_BENCH_ALLOCATORS_MALLOC_PEERS_H_

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

// The process's own heap, whichever is preloaded, by each of its two faces:
// malloc and free, and operator new with the delete that is told the size, by
// which some find the block's home faster. A peer's figure is the better one.

namespace mmsb {

struct Malloc {
  static constexpr const char* kName = "malloc";

  void* Allocate(size_t bytes, size_t /*alignment*/) noexcept {
    return std::malloc(bytes);
  }
  void Deallocate(void* p, size_t /*bytes*/, size_t /*alignment*/) noexcept {
    std::free(p);
  }
};

}  // namespace mmsb

// clang before 19 does not declare it by itself.
void operator delete(void* p, std::size_t bytes) noexcept;

namespace mmsb {

struct SizedNew {
  static constexpr const char* kName = "sized new";

  void* Allocate(size_t bytes, size_t /*alignment*/) noexcept {
    return ::operator new(bytes, std::nothrow);
  }
  void Deallocate(void* p, size_t bytes, size_t /*alignment*/) noexcept {
    ::operator delete(p, bytes);
  }
};

// Blocks of one size from either.
template <class Heap, size_t kBytes>
struct HeapBlocks {
  void* Allocate() { return heap.Allocate(kBytes, 16); }
  void Deallocate(void* p) { heap.Deallocate(p, kBytes, 16); }
  Heap heap;
};

// An arena that frees block by block.
template <class Heap>
class HeapArena {
 public:
  HeapArena() { blocks_.reserve(kBlocks); }
  void* Allocate(size_t bytes) {
    void* const p = heap_.Allocate(bytes, 16);
    blocks_.push_back({p, bytes});
    return p;
  }
  void Reset() {
    for (const Block& block : blocks_) {
      heap_.Deallocate(block.data, block.bytes, 16);
    }
    blocks_.clear();
  }

 private:
  static constexpr size_t kBlocks = 8192;
  struct Block {
    void* data;
    size_t bytes;
  };
  std::vector<Block> blocks_;
  Heap heap_;
};

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_MALLOC_PEERS_H_
