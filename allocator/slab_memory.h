#ifndef MMSB_ALLOCATOR_SLAB_MEMORY_H_
#define MMSB_ALLOCATOR_SLAB_MEMORY_H_

#include <atomic>
#include <cstddef>

#include "primitives/alignment.h"
#include "primitives/os_memory.h"

namespace mmsb::slab_internal {

// A MemoryMapper, and a count of the bytes that are committed through it.
//
// Owns nothing; the mapper outlives it. Thread-safe on ranges that do not
// overlap, if the mapper is. Failure is null or false, and changes nothing.
class Memory {
 public:
  explicit Memory(MemoryMapper& mapper)
      : mapper_(mapper), granule_(mapper.Granule()) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  [[nodiscard]] Alignment granule() const { return granule_; }

  [[nodiscard]] size_t committed() const {
    // relaxed: a sum that is exact only when nobody changes it.
    return committed_.load(std::memory_order_relaxed);
  }

  [[nodiscard]] void* Reserve(size_t bytes, Alignment alignment) {
    void* address = nullptr;
    return mapper_.Reserve(bytes, alignment, &address).ok() ? address : nullptr;
  }

  // `fresh` of the bytes were not committed before.
  [[nodiscard]] bool Commit(void* p, size_t bytes, size_t fresh) {
    if (!mapper_.Commit(p, bytes).ok()) return false;
    // relaxed: as in committed(); so below.
    committed_.fetch_add(fresh, std::memory_order_relaxed);
    return true;
  }

  [[nodiscard]] bool Decommit(void* p, size_t bytes) {
    if (!mapper_.Decommit(p, bytes).ok()) return false;
    committed_.fetch_sub(bytes, std::memory_order_relaxed);
    return true;
  }

  // Gives the memory back and stays committed. Best effort.
  void Discard(void* p, size_t bytes) {
    static_cast<void>(mapper_.Discard(p, bytes).ok());
  }

  // `committed` of the bytes were committed.
  [[nodiscard]] bool Release(void* p, size_t bytes, size_t committed) {
    if (!mapper_.Release(p, bytes).ok()) return false;
    committed_.fetch_sub(committed, std::memory_order_relaxed);
    return true;
  }

  // Reserves and commits.
  [[nodiscard]] void* Map(size_t bytes, Alignment alignment) {
    void* const p = Reserve(bytes, alignment);
    if (p == nullptr || Commit(p, bytes, bytes)) return p;
    // If the system refuses this too, address space stays behind, no memory.
    static_cast<void>(Release(p, bytes, 0));
    return nullptr;
  }

  // Makes a range of Map(), or what is left of one, larger: where it is now,
  // without a copy; or null. `alignment` as in Map().
  [[nodiscard]] void* Grow(void* p, size_t bytes, size_t grown_bytes,
                           Alignment alignment) {
    void* grown = nullptr;
    if (!mapper_.Grow(p, bytes, grown_bytes, alignment, &grown).ok()) {
      return nullptr;
    }
    committed_.fetch_add(grown_bytes - bytes, std::memory_order_relaxed);
    return grown;
  }

  // For where nothing more can be done: what the system refuses to take as a
  // whole loses its memory at least, and keeps address space.
  void ReleaseOrDecommit(void* p, size_t bytes, size_t committed) {
    if (mapper_.Release(p, bytes).ok() || mapper_.Decommit(p, bytes).ok()) {
      committed_.fetch_sub(committed, std::memory_order_relaxed);
    }
  }

 private:
  MemoryMapper& mapper_;
  const Alignment granule_;
  std::atomic<size_t> committed_ = 0;
};

}  // namespace mmsb::slab_internal

#endif  // MMSB_ALLOCATOR_SLAB_MEMORY_H_
