#ifndef MMSB_ALLOCATOR_SLAB_H_
#define MMSB_ALLOCATOR_SLAB_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/raw_allocator.h"
#include "allocator/size_histogram.h"
#include "allocator/slab_heap.h"
#include "allocator/slab_size_classes.h"
#include "primitives/check.h"
#include "primitives/poison.h"

namespace mmsb {

// General allocation: any size from 1 byte, any alignment, on any thread.
//
//   thread          stack of free addresses for each of 80 classes
//      | ^          batches
//   depot           one such stack a class, for all threads
//      | ^          what finds no room in it
//   slabs           64 or 256 KiB, a bit a block; chunks of 16 MiB address
//   space
//      | ^          commit, decommit
//   MemoryMapper    and requests above 32 KiB, each a mapping of its own
//
// Owns all memory it hands out, and gives it back in the destructor, with or
// without live blocks in it. Any number of allocators live side by side; one
// may be destroyed while threads that used it live on, once none is in a call
// and none will make another. Neither copied nor moved, as threads point at it.
//
// A request is rounded up to one of the sizes in slab_size_classes.h, by less
// than an eighth. A thread takes and gives blocks from and to a stack of
// addresses of its own, outside the blocks: neither call reads or writes the
// block, its slab or a line that another thread writes; the block that will be
// taken next is prefetched. What that costs is a load of the
// thread's cache, one of the stack's head, and one of the address. A block that
// is given back by another thread than took it goes on the giver's stack; when
// that is full its older half goes to the depot, where the first thread that
// runs out finds it, or home to the slabs, in one batch under one lock
// (magazines: Bonwick and Adams, USENIX 2001). A thread that ends leaves its
// stacks to the next thread that begins; until then they count as idle.
//
// Thread-safe, all of it, but for ForEachLive() and the destructor. After
// fork() the child may go on, whatever other threads were doing: it adopts
// their stacks, and loses only the blocks that were on their way at that
// moment. For fork and the end of threads the process keeps two hooks.
//
// Memory goes back to the system when a slab's last block came home and then
// either Purge() was called or SlabOptions::decay_ns passed, in a process that
// does nothing, too; a forked child first takes or gives a batch. Of a slab
// that is in use, but that no block left or came to for so long, what fills
// whole granules and is free goes back as well, but stays committed and is not
// counted. The decay also empties stacks that nobody owns, and sends home what
// lay in the depots all the while. What it cannot reach is the stacks of living
// threads: at most 32 KiB, or 8 blocks, of each class that the thread uses.
// Purge() empties those of its caller.
//
// Null when the mapper has no more, after what lies idle was tried, and for
// what raw_allocator.h says; always, if the process had no room for its hooks.
// With Policy = Checked, Deallocate(), Reallocate() and UsableSize() end the
// process when the block is not live (double free, never allocated), not of
// this allocator (foreign pointer), named by an address inside it (interior
// pointer), or was not allocated with a size and alignment that come to the
// same block. Its chunks have one bit more for every 8 bytes, 1.6 %. Heeds
// kCountsCalls of the policy: without it Histogram() is empty.
//
// Allocate and Deallocate are O(1) up to 32 KiB, but for one call in a batch.
// Above, they are one system call or two, and O(n) moves of 24 bytes among n
// large blocks. A thread remembers 8 caches, by the allocator's number modulo
// 8: when it uses two in turn that fall together, or more than 8, calls take
// the lock of the process's caches and some 50 ns instead of some 10.
// Poisoned are blocks that nobody has, and the slack behind what was asked for.
//
//   SlabAllocator slab;
//   void* p = slab.Allocate(100, 8);
//   slab.Deallocate(p, 100, 8);
template <class Policy = Unchecked>
class BasicSlabAllocator {
  static_assert(CheckPolicy<Policy>);

 public:
  using Options = SlabOptions;

  BasicSlabAllocator() : BasicSlabAllocator(Options()) {}

  // Takes nothing from the mapper until the first allocation.
  explicit BasicSlabAllocator(const Options& options)
      : heap_(options, Policy::kChecked, kCountsCalls<Policy>) {
    AnnotatePoolCreated(this);
  }
  BasicSlabAllocator(const BasicSlabAllocator&) = delete;
  BasicSlabAllocator& operator=(const BasicSlabAllocator&) = delete;
  ~BasicSlabAllocator() { AnnotatePoolDestroyed(this); }

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    void* const p = Take(bytes, alignment);
    if (p != nullptr) AnnotatePoolAllocated(this, p, bytes);
    return p;
  }

  // As Allocate(), and says how large the whole block is.
  [[nodiscard]] SizedBlock AllocateAtLeast(size_t bytes,
                                           size_t alignment) noexcept {
    void* const p = Take(bytes, alignment);
    if (p == nullptr) return {};
    const size_t block_bytes = heap_.BlockBytes(p);
    AnnotatePoolAllocated(this, p, block_bytes);
    return {p, block_bytes};
  }

  // As Allocate(), and all `bytes` bytes are zero: large ones as they come.
  [[nodiscard]] void* AllocateZeroed(size_t bytes, size_t alignment) noexcept {
    void* const p = Allocate(bytes, alignment);
    if (p == nullptr) return nullptr;
    if (IsSlabRequest(bytes, alignment)) {
      std::memset(p, 0, bytes);
    } else {
      UnpoisonDefined(p, bytes);
    }
    return p;
  }

  // Gives back a live block; null is ignored.
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if (p == nullptr) return;
    if constexpr (Policy::kChecked) {
      heap_.MarkFreed({.function = "Deallocate",
                       .p = p,
                       .bytes = bytes,
                       .alignment = alignment,
                       .sized = true});
    }
    if (IsSlabRequest(bytes, alignment)) [[likely]] {
      Give(p, SlabClassOf(bytes, alignment));
    } else {
      GiveLarge(p);
    }
  }

  // The same for who does not know the size: costs a look at the slab.
  void Deallocate(void* p) noexcept {
    if (p == nullptr) return;
    if constexpr (Policy::kChecked) {
      heap_.MarkFreed({.function = "Deallocate", .p = p});
    }
    if (heap_.chunks().Contains(p)) {
      Give(p, slab_internal::Chunk::SlabOf(p)->slab_class);
    } else {
      GiveLarge(p);
    }
  }

  // Makes a live block one of `new_bytes` without a copy, and returns where it
  // is now; or null. Up to 32 KiB that is where it lies, within its class. A
  // large block that shrinks gives its end back; one that grows is moved by the
  // system, which maps its memory elsewhere, unless there is room behind it:
  // null where the mapper cannot, as under ASan, MSan and Valgrind. A block
  // that would become large, or cease to be, is copied.
  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept {
    if constexpr (Policy::kChecked) {
      heap_.CheckLive({.function = "Reallocate",
                       .p = p,
                       .bytes = old_bytes,
                       .alignment = alignment,
                       .sized = true});
    }
    const bool was_small = IsSlabRequest(old_bytes, alignment);
    if (was_small != IsSlabRequest(new_bytes, alignment)) return nullptr;
    void* now = p;
    size_t end = std::max(old_bytes, new_bytes);
    if (!was_small) {
      now = heap_.ResizeLarge(p, new_bytes, alignment, &end);
      if (now == nullptr) return nullptr;
    } else if (SlabClassOf(old_bytes, alignment) !=
               SlabClassOf(new_bytes, alignment)) {
      return nullptr;
    }
    const auto block = static_cast<std::byte*>(now);
    if (new_bytes > old_bytes) {
      UnpoisonFresh(block + old_bytes, new_bytes - old_bytes);
      // Of a large block that grew the slack is another.
      PoisonFreed(block + new_bytes, end - new_bytes);
    } else {
      // The end of a large block is gone.
      PoisonFreed(block + new_bytes, std::min(old_bytes, end) - new_bytes);
    }
    AnnotatePoolResized(this, p, now, new_bytes);
    return now;
  }

  // Bytes of the live block that begins at `p`, at least what was asked for.
  // Only the bytes asked for may be used, but for AllocateAtLeast()'s blocks.
  [[nodiscard]] size_t UsableSize(const void* p) const noexcept {
    if constexpr (Policy::kChecked) {
      heap_.CheckLive({.function = "UsableSize", .p = p});
    }
    return heap_.BlockBytes(p);
  }

  // True for what lies in a large block, and for all addresses of chunks.
  [[nodiscard]] bool Owns(const void* p) const noexcept {
    size_t bytes = 0;
    return heap_.chunks().Contains(p) || heap_.FindLarge(p, &bytes) != nullptr;
  }

  // Sends what the calling thread, ended threads and the depots keep home, and
  // gives the memory of all empty slabs back to the system: how many bytes. Of
  // other slabs, free granules go back too, and are not counted.
  size_t Purge() noexcept { return heap_.Purge(); }

  // What the allocator's thread does every quarter of decay_ns: what was idle
  // for decay_ns goes back to the system.
  void Decay() noexcept { heap_.Decay(); }

  // Calls `visit(void* p, size_t bytes)` for each live block, with the size of
  // the whole block, at a moment when no other call is running. `visit` makes
  // none either. Empties all stacks first, so the next calls are slower.
  template <class Visit>
  void ForEachLive(Visit&& visit) {
    heap_.ForEachLive(
        [](void* argument, void* p, size_t bytes) {
          (*static_cast<std::remove_reference_t<Visit>*>(argument))(p, bytes);
        },
        const_cast<void*>(static_cast<const void*>(std::addressof(visit))));
  }

  // cached is what lies on stacks and in depots; free, in slabs, and memory of
  // slabs that are no more. peak is the most that was outside of the depots:
  // what was live, and what threads kept. Adds up what each thread counted,
  // while others go on: exact when none does. Costs some microseconds a thread.
  [[nodiscard]] AllocatorStats Stats() const noexcept { return heap_.Stats(); }

  // Blocks by size: of the blocks, not of what was asked for.
  [[nodiscard]] SizeHistogram Histogram() const noexcept {
    return heap_.Histogram();
  }

 private:
  [[nodiscard]] void* Take(size_t bytes, size_t alignment) {
    if (IsSlabRequest(bytes, alignment)) [[likely]] {
      void* const p =
          heap_.Pop<kCountsCalls<Policy>>(SlabClassOf(bytes, alignment));
      if constexpr (Policy::kChecked) {
        if (p != nullptr) heap_.MarkLive(p);
      }
      return p;
    }
    size_t block_bytes = 0;
    void* const p = heap_.AllocateLarge(bytes, alignment, &block_bytes);
    if (p != nullptr) {
      PoisonFreed(static_cast<std::byte*>(p) + bytes, block_bytes - bytes);
    }
    return p;
  }

  void Give(void* p, size_t slab_class) {
    AnnotatePoolFreed(this, p, SlabClassBytes(slab_class));
    heap_.Push(slab_class, p);
  }

  void GiveLarge(void* p) {
    size_t block_bytes = 0;
    if (heap_.FindLarge(p, &block_bytes) == p) {
      AnnotatePoolFreed(this, p, block_bytes);
      if (heap_.DeallocateLarge(p, block_bytes)) return;
    }
    Die("SlabAllocator::Deallocate(%p): not a live block of this allocator", p);
  }

  // Counting takes locks.
  mutable slab_internal::Heap heap_;
};

using SlabAllocator = BasicSlabAllocator<>;

static_assert(OwningAllocator<SlabAllocator>);
static_assert(CountingAllocator<SlabAllocator>);
static_assert(HistogramAllocator<SlabAllocator>);
static_assert(ReallocatingAllocator<SlabAllocator>);
static_assert(RoundingAllocator<SlabAllocator>);
static_assert(ZeroingAllocator<SlabAllocator>);
static_assert(RawAllocator<BasicSlabAllocator<Checked>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_SLAB_H_
