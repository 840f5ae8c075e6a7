#ifndef MMSB_ALLOCATOR_LOCKFREE_POOL_H_
#define MMSB_ALLOCATOR_LOCKFREE_POOL_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "allocator/allocator_stats.h"
#include "allocator/block_magazine.h"
#include "allocator/check_policy.h"
#include "allocator/freed_fill.h"
#include "allocator/index_stack.h"
#include "allocator/lockfree_sync.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"
#include "allocator/thread_cache_registry.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/cache_line.h"
#include "primitives/check.h"
#include "primitives/id.h"
#include "primitives/poison.h"
#include "primitives/tagged_index.h"

namespace mmsb {

// Names a block of a pool, from 0 to its capacity - 1, in the order of
// addresses.
using BlockId = Id<struct BlockIdTag>;

struct LockFreePoolOptions {
  // What every block holds, in bytes; at least 1.
  size_t block_size = 0;

  // How many blocks there are; below 2^32 - 1.
  size_t capacity = 0;

  // Of every block, in bytes: a power of two; or 0 for the largest one that
  // divides block_size, up to that of std::max_align_t. (Under AddressSanitizer
  // blocks lie at least 8 apart, and are not aligned for that.)
  size_t alignment = 0;

  // How many blocks a magazine holds, a power of two; or 0 for a 16th of the
  // capacity, from 2 to 64 (and more for pools of more than 2^18 blocks). A
  // thread keeps up to two magazines.
  size_t magazine_blocks = 0;

  // How many threads have magazines at one time; or 0 for an 8th of the
  // capacity, from 1 to 64. The threads beyond share one list: they are served
  // as well, only slower.
  size_t max_threads = 0;
};

// A fixed number of blocks of one size, for many threads: any of them allocates
// and any frees, whoever allocated.
//
// Owns its blocks and its bookkeeping, two pieces of memory that come from the
// upstream in the constructor and go back in the destructor; the upstream is
// called at no other time. Neither copied nor moved. May be destroyed while
// threads that used it live on (no call may be running), and be used in static
// constructors and destructors.
//
// Thread-safe. A thread that ends leaves its magazines to the next one that
// needs them. After fork() the child may allocate and free, whatever other
// threads were doing; a block that another thread was just taking or giving
// back at that moment may be lost to the child.
//
// Null only when all `capacity` blocks are live, or when a larger or stricter
// request does not fit a block. If the upstream does not have the memory,
// capacity() is 0, and every answer null. (Where the kernel's membarrier is
// taken away from a process after it had it, by a system call filter, blocks in
// other threads' magazines are no longer found; null may come early then.)
// Options that make no sense end the process. With Policy = Checked,
// Deallocate() ends the process when the block is not live (double free, never
// allocated), not of this pool (foreign pointer), named by an address inside it
// (interior pointer), or, in the long form, could not have been allocated with
// that size and alignment; and Allocate() when the free block that it would
// hand out was written to since, anywhere in its first 4 KiB: they are filled
// when it is freed. Heeds kFilledBytes of the policy.
//
// Poisoned are free blocks, and what is behind the bytes that were asked for.
//
// Allocate and Deallocate take constant time, mostly in the thread's own
// magazine: loads and stores of two cache lines that no other thread touches,
// no atomic read-modify-write. One in magazine_blocks calls exchanges a whole
// magazine by a compare-exchange. When all free blocks lie in other threads'
// magazines, a call looks at each magazine, and takes one block after a heavy
// fence of some microseconds.
//
//   LockFreePool pool({.block_size = 4096, .capacity = 4096});
//   void* p = pool.Allocate();
//   pool.Deallocate(p);  // on any thread
//
// How it works
//
// A free block is always in exactly one place that every thread can see: in a
// magazine (block_magazine.h) or in the list (index_stack.h). There is a fixed
// number of magazines; each is at any time in one of these hands:
//
//   a record    two of them: the loaded one, and the previous one. A record is
//               owned by one thread, or by none.
//   full_       a stack of magazines that have blocks
//   empty_      a stack of magazines that have none
//
// after Bonwick and Adams, Magazines and Vmem, 2001. An owner whose loaded
// magazine runs out takes the previous one, then exchanges an empty one for one
// of full_, then for one in a record without an owner, then takes a single
// block from the list, and last a single block from any magazine, as a thief.
// An owner whose magazines are both full exchanges one for an empty one, and if
// there is none puts the single block into the list, as threads without a
// record do with every block; these take from the list first, then one block
// out of a magazine of full_, which they own while it is popped.
//
// Blocks never move between places. They only go from live to free and back,
// one at a time, by one atomic store or compare-exchange of the magazine or the
// list, and magazines move as wholes without leaving the sight of thieves, who
// walk the array of all magazines. So no block is ever in the hands of a thread
// that is not allocating or freeing that very block, and "nothing found" can be
// told from "everything is on its way": a thief that saw every magazine and the
// list empty looks at all of them again. If they are empty still, and no count
// of pushes, no top and no tag has changed, then no block was free at the
// moment between the two rounds (BlockMagazine::LookAgain). If something has
// changed, some other thread has completed an operation, and it starts over.
// That needs more than each place by itself: who finds a block gone must see
// all that its taker saw, another block given back elsewhere among it, so every
// taking of a block releases, as every giving does.
//
// So every operation is lock-free. No block is handed out twice because a
// magazine hands out none twice, the list neither, and a block is put into one
// of them only by who holds it. ABA: of the magazines' top, which only goes up,
// in block_magazine.h; of the three stacks, whose heads have tags, in
// index_stack.h; records change hands by a compare-exchange from "no owner" to
// a thread number that is never used again, and nothing was read before it.
template <RawAllocator Upstream = SystemSource, class Policy = Unchecked,
          class Sync = SystemSync>
class BasicLockFreePool {
  static_assert(CheckPolicy<Policy>);
  using Magazine = BlockMagazine<Sync>;
  template <class T>
  using Atomic = typename Sync::template Atomic<T>;

 public:
  using Options = LockFreePoolOptions;

  explicit BasicLockFreePool(const Options& options,
                             Upstream upstream = Upstream())
      : BasicLockFreePool(options, std::move(upstream), Layout(options)) {}

  BasicLockFreePool(const BasicLockFreePool&) = delete;
  BasicLockFreePool& operator=(const BasicLockFreePool&) = delete;

  ~BasicLockFreePool() {
    AnnotatePoolDestroyed(this);
    if (id_ != kNoPool) thread_cache_registry::Remove(&member_);
    if (capacity_ == 0) return;
    const size_t bytes = capacity_ * stride_;
    UnpoisonFresh(blocks_, bytes);
    upstream_.Deallocate(metadata_, metadata_bytes_, kMetadataAlignment);
    upstream_.Deallocate(blocks_, bytes, BlocksAlignment());
  }

  // A block of block_size() bytes, contents undefined; or null.
  [[nodiscard]] void* Allocate() noexcept {
    return HandOut(Take(), block_size_);
  }

  // Gives back a live block of this pool; null is ignored.
  void Deallocate(void* p) noexcept {
    if (p == nullptr) return;
    auto* const block = static_cast<std::byte*>(p);
    if constexpr (Policy::kChecked) CheckLive(block);
    if constexpr (kFills) freed_fill::Fill(block, FilledBytes());
    AnnotatePoolFreed(this, block, block_size_);
    const thread_cache_registry::Entry& entry =
        thread_cache_registry::EntryOf(fast_id_);
    if (entry.id == fast_id_) [[likely]] {
      if (static_cast<Magazine*>(entry.first)->Push(block)) [[likely]]
        return;
    }
    DeallocateSlow(block);
  }

  // The same by name; an invalid id stands for null.
  [[nodiscard]] BlockId AllocateId() noexcept {
    void* const p = Allocate();
    return p == nullptr ? BlockId() : IdOf(p);
  }
  void Deallocate(BlockId id) noexcept {
    if (!id.valid()) return;
    if constexpr (Policy::kChecked) {
      if (id.value() >= capacity_) {
        Die("LockFreePool::Deallocate(BlockId %llu): the pool has %zu blocks",
            static_cast<unsigned long long>(id.value()), capacity_);
      }
    }
    Deallocate(AddressOf(id));
  }

  // The first byte of a block of this pool, live or not; `id` is below
  // capacity().
  [[nodiscard]] void* AddressOf(BlockId id) const noexcept {
    return blocks_ + static_cast<size_t>(id.value()) * stride_;
  }

  // The name of the block that `p` points into; invalid when Owns(p) is false.
  [[nodiscard]] BlockId IdOf(const void* p) const noexcept {
    return Owns(p) ? BlockId::FromValue(IndexOf(p)) : BlockId();
  }

  // The RawAllocator form serves what fits a block; a larger or stricter
  // request is answered with null.
  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (Fits(bytes, alignment)) return HandOut(Take(), bytes);
    CountFailure();
    return nullptr;
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if constexpr (Policy::kChecked) {
      if (p != nullptr && !Fits(bytes, alignment)) {
        Die("LockFreePool::Deallocate(%p, %zu, %zu): wrong size or alignment, "
            "the pool's blocks have %zu bytes at multiples of %zu",
            p, bytes, alignment, block_size_, alignment_.bytes());
      }
    }
    Deallocate(p);
  }

  // As Allocate(bytes, alignment), and says that all of the block is usable.
  [[nodiscard]] SizedBlock AllocateAtLeast(size_t bytes,
                                           size_t alignment) noexcept {
    if (!Fits(bytes, alignment)) {
      CountFailure();
      return {};
    }
    void* const p = Allocate();
    return p == nullptr ? SizedBlock{} : SizedBlock{p, block_size_};
  }

  // In place when the new size fits a block, as the old one did; else null.
  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept {
    if constexpr (Policy::kChecked) {
      if (!Fits(old_bytes, alignment)) {
        Die("LockFreePool::Reallocate(%p, %zu, %zu, %zu): wrong size or "
            "alignment, the pool's blocks have %zu bytes at multiples of %zu",
            p, old_bytes, new_bytes, alignment, block_size_,
            alignment_.bytes());
      }
      auto* const block = static_cast<std::byte*>(p);
      // relaxed: the caller holds the block, and nobody else changes it.
      DieUnlessLive(block, "Reallocate",
                    states_[CheckAddress(block, "Reallocate")].load(
                        std::memory_order_relaxed));
    }
    if (!Fits(new_bytes, alignment)) return nullptr;
    auto* const bytes = static_cast<std::byte*>(p);
    if (new_bytes > old_bytes) {
      UnpoisonFresh(bytes + old_bytes, new_bytes - old_bytes);
    } else {
      PoisonFreed(bytes + new_bytes, old_bytes - new_bytes);
    }
    AnnotatePoolResized(this, p, p, new_bytes);
    return p;
  }

  // True when `p` points into a block of this pool, live or not.
  [[nodiscard]] bool Owns(const void* p) const noexcept {
    return reinterpret_cast<uintptr_t>(p) -
               reinterpret_cast<uintptr_t>(blocks_) <
           capacity_ * stride_;
  }

  // Leaves the calling thread's magazines to the others, as its end does; for a
  // thread that will not need the pool for long. It may go on all the same.
  void DetachThread() noexcept {
    thread_cache_registry::Entry& entry = thread_cache_registry::EntryOf(id_);
    if (id_ == kNoPool) return;
    ReleaseRecord(thread_cache_registry::ThisThread());
    if (entry.id == id_) entry = thread_cache_registry::Entry();
  }

  // Bytes of a block that the caller may use.
  [[nodiscard]] size_t block_size() const noexcept { return block_size_; }

  // Bytes: every block starts at a multiple of this.
  [[nodiscard]] size_t alignment() const noexcept { return alignment_.bytes(); }

  // How many blocks there are, live and free.
  [[nodiscard]] size_t capacity() const noexcept { return capacity_; }

  // Exact when no call is running; a guess otherwise. `free` counts the blocks
  // in magazines that no thread has taken yet, and `peak` all others: more were
  // never live, but perhaps never so many. What lies nowhere is live: the
  // identity holds by construction, and says nothing about lost blocks. Takes
  // time in proportion to the number of magazines and of blocks in the list.
  [[nodiscard]] AllocatorStats Stats() const noexcept {
    size_t fresh = 0;
    size_t cached = 0;
    uint64_t freed = list_pushes_.load(std::memory_order_relaxed);
    for (uint32_t i = 0; i < magazine_count_; ++i) {
      const Magazine& magazine = MagazineAt(i);
      freed += magazine.pushes();
      (magazine.touched() ? cached : fresh) += magazine.size();
    }
    uint32_t i = list_.Look().index();
    for (size_t n = 0; i != kNone && n < capacity_; ++n, ++cached) {
      i = links_[i].load(std::memory_order_relaxed);
    }
    fresh = std::min(fresh, capacity_);
    cached = std::min(cached, capacity_ - fresh);
    const size_t live = capacity_ - fresh - cached;
    return AllocatorStats({
        .live = live * stride_,
        .cached = cached * stride_,
        .free = fresh * stride_,
        .metadata = metadata_bytes_,
        .committed = metadata_bytes_ + capacity_ * stride_,
        .peak = (capacity_ - fresh) * stride_,
        .allocations = freed + live,
        .deallocations = freed,
        .failures = failures_.load(std::memory_order_relaxed),
    });
  }

 private:
  enum class BlockState : uint8_t { kFresh, kLive, kFreed };

  static constexpr bool kFills = kFilledBytes<Policy> != 0;

  // A control of the model checker goes without the second round.
  static constexpr bool kLooksAgain = !requires { Sync::kLooksOnce; };

  // Whose fields but the first are its owner's.
  struct alignas(kFalseSharingBytes) Record {
    Atomic<uint64_t> owner{kNoThread};
    // Indices of magazines. Others look at them for blocks without an owner.
    Atomic<uint32_t> loaded{0};
    Atomic<uint32_t> previous{0};
    // How often the loaded magazine has given its last block.
    uint32_t last_taken = 0;
  };

  static constexpr uint32_t kManyLastTaken = 8;
  static constexpr uint64_t kNoThread = 0;
  static constexpr uint64_t kNoPool = ~uint64_t{0};  // matches no entry
  static constexpr uint32_t kNone = TaggedIndex::kNull;
  // What a magazine's link says of it after a fork.
  static constexpr uint32_t kUnnamed = 0;
  static constexpr uint32_t kNamed = 1;
  static constexpr size_t kMetadataAlignment = kFalseSharingBytes;

  // What the options come to: sizes in bytes, offsets into the bookkeeping.
  struct Layout {
    explicit Layout(const Options& options) : capacity(options.capacity) {
      MMSB_CHECK(options.block_size != 0, "LockFreePool: block_size is 0");
      MMSB_CHECK(
          options.alignment == 0 || Alignment::IsValid(options.alignment),
          "LockFreePool: alignment of %zu bytes is not a power of two",
          options.alignment);
      MMSB_CHECK(options.magazine_blocks == 0 ||
                     std::has_single_bit(options.magazine_blocks),
                 "LockFreePool: magazine_blocks of %zu is not a power of two",
                 options.magazine_blocks);
      MMSB_CHECK(capacity < kNone, "LockFreePool: capacity %zu is above %u",
                 capacity, kNone - 1);
      const size_t natural = size_t{1} << std::countr_zero(options.block_size);
      alignment = Alignment::FromBytes(
          options.alignment != 0
              ? options.alignment
              : std::min(natural, alignof(std::max_align_t)));
      magazine_blocks = options.magazine_blocks != 0
                            ? options.magazine_blocks
                            : std::max(std::clamp(std::bit_floor(capacity / 16),
                                                  size_t{2}, size_t{64}),
                                       std::bit_floor(capacity / 4096));
      records = options.max_threads != 0
                    ? options.max_threads
                    : std::clamp(capacity / 8, size_t{1}, size_t{64});
      depot = capacity / magazine_blocks + (capacity % magazine_blocks != 0);
      fits = Measure(options.block_size);
    }

    // False when something overflows.
    bool Measure(size_t block_size) {
      // Under AddressSanitizer blocks of two threads share none of its states.
      const Alignment step = Alignment::FromBytes(
          std::max(alignment.bytes(), kPoisonGranuleBytes));
      return CheckedAlignUp(block_size, step, &stride) &&
             CheckedMultiply(stride, capacity, &blocks_bytes) &&
             CheckedMultiply(records, 2, &magazines) &&
             CheckedAdd(magazines, depot, &magazines) && magazines < kNone &&
             magazine_blocks < kNone &&
             CheckedAlignUp(Magazine::Bytes(magazine_blocks),
                            Alignment::FromBytes(kFalseSharingBytes),
                            &magazine_stride) &&
             Place(magazines, magazine_stride, nullptr) &&
             Place(records, sizeof(Record), &records_offset) &&
             Place(capacity, sizeof(Atomic<uint32_t>), &links_offset) &&
             Place(Policy::kChecked ? capacity : 0, sizeof(Atomic<BlockState>),
                   &states_offset);
    }

    // Appends an array to the bookkeeping.
    bool Place(size_t count, size_t bytes, size_t* offset) {
      size_t array_bytes = 0;
      if (!CheckedAlignUp(metadata_bytes,
                          Alignment::FromBytes(kFalseSharingBytes),
                          &metadata_bytes)) {
        return false;
      }
      if (offset != nullptr) *offset = metadata_bytes;
      return CheckedMultiply(count, bytes, &array_bytes) &&
             CheckedAdd(metadata_bytes, array_bytes, &metadata_bytes);
    }

    size_t capacity;
    Alignment alignment;
    size_t magazine_blocks;
    size_t records;
    size_t depot;  // magazines that all blocks together fill
    bool fits;
    size_t stride = 0;
    size_t blocks_bytes = 0;
    size_t magazines = 0;
    size_t magazine_stride = 0;
    size_t records_offset = 0;
    size_t links_offset = 0;
    size_t states_offset = 0;
    size_t metadata_bytes = 0;
  };

  BasicLockFreePool(const Options& options, Upstream&& upstream,
                    const Layout& layout)
      : stride_(layout.stride),
        block_size_(options.block_size),
        alignment_(layout.alignment),
        asymmetric_(Sync::HasAsymmetricFence()),
        upstream_(std::move(upstream)) {
    AnnotatePoolCreated(this);
    if (!layout.fits || layout.capacity == 0 || !TakeMemory(layout)) return;
    capacity_ = layout.capacity;
    Construct(layout);
    member_.object = this;
    member_.thread_ended = &ThreadEnded;
    member_.forked = &Forked;
    // Without it no thread has a record, and all share the list.
    if (!thread_cache_registry::Add(&member_)) return;
    id_ = member_.id;
    if (asymmetric_) fast_id_ = id_;
  }

  // Blocks start at a line of their own, so that a small pool shares none with
  // what is not its own.
  [[nodiscard]] size_t BlocksAlignment() const {
    return std::max(alignment_.bytes(), kCacheLineBytes);
  }

  // Both pieces of memory, or neither.
  bool TakeMemory(const Layout& layout) {
    void* const blocks =
        upstream_.Allocate(layout.blocks_bytes, BlocksAlignment());
    if (blocks == nullptr) return false;
    void* const metadata =
        upstream_.Allocate(layout.metadata_bytes, kMetadataAlignment);
    if (metadata == nullptr) {
      upstream_.Deallocate(blocks, layout.blocks_bytes, BlocksAlignment());
      return false;
    }
    blocks_ = static_cast<std::byte*>(blocks);
    metadata_ = static_cast<std::byte*>(metadata);
    metadata_bytes_ = layout.metadata_bytes;
    return true;
  }

  // Builds the bookkeeping in its memory, with all blocks in full_, those of
  // low addresses on top.
  void Construct(const Layout& layout) {
    magazine_stride_ = layout.magazine_stride;
    magazine_count_ = static_cast<uint32_t>(layout.magazines);
    record_count_ = static_cast<uint32_t>(layout.records);
    records_ = reinterpret_cast<Record*>(metadata_ + layout.records_offset);
    links_ =
        reinterpret_cast<Atomic<uint32_t>*>(metadata_ + layout.links_offset);
    states_ =
        reinterpret_cast<Atomic<BlockState>*>(metadata_ + layout.states_offset);
    for (uint32_t i = 0; i < magazine_count_; ++i) {
      ::new (metadata_ + i * magazine_stride_)
          Magazine(layout.magazine_blocks, asymmetric_);
    }
    for (size_t i = 0; i < capacity_; ++i) {
      ::new (links_ + i) Atomic<uint32_t>(kNone);
      if constexpr (Policy::kChecked) {
        ::new (states_ + i) Atomic<BlockState>(BlockState::kFresh);
      }
    }
    for (uint32_t i = 0; i < record_count_; ++i) {
      auto* const record = ::new (records_ + i) Record();
      const auto first = static_cast<uint32_t>(layout.depot) + 2 * i;
      // relaxed, both: no other thread knows the pool.
      record->loaded.store(first, std::memory_order_relaxed);
      record->previous.store(first + 1, std::memory_order_relaxed);
      // What will be put into them was given back.
      Loaded(*record).Touch();
      Previous(*record).Touch();
    }
    for (size_t i = layout.depot; i-- > 0;) {
      const size_t begin = i * layout.magazine_blocks;
      const size_t end = std::min(begin + layout.magazine_blocks, capacity_);
      MagazineAt(static_cast<uint32_t>(i))
          .Fill(blocks_ + begin * stride_, stride_, end - begin);
      full_.Push(MagazineLink(), static_cast<uint32_t>(i));
    }
    PoisonFreed(blocks_, capacity_ * stride_);
  }

  [[nodiscard]] bool Fits(size_t bytes, size_t alignment) const {
    return bytes <= block_size_ && Alignment::IsValid(alignment) &&
           alignment <= alignment_.bytes();
  }

  [[nodiscard]] Magazine& MagazineAt(uint32_t i) const {
    return *std::launder(
        reinterpret_cast<Magazine*>(metadata_ + i * magazine_stride_));
  }

  // Where the stacks keep their links: in the magazines, and outside the
  // blocks.
  [[nodiscard]] auto MagazineLink() const {
    return [this](uint32_t i) -> auto& { return MagazineAt(i).link(); };
  }
  [[nodiscard]] auto BlockLink() const {
    return [this](uint32_t i) -> auto& { return links_[i]; };
  }

  [[nodiscard]] size_t IndexOf(const void* p) const {
    return static_cast<size_t>(static_cast<const std::byte*>(p) - blocks_) /
           stride_;
  }

  // A free block, on its way out; or null.
  [[nodiscard]] std::byte* Take() noexcept {
    const thread_cache_registry::Entry& entry =
        thread_cache_registry::EntryOf(fast_id_);
    if (entry.id == fast_id_) [[likely]] {
      std::byte* block;
      if (static_cast<Magazine*>(entry.first)->TakeUnlessLast(&block))
          [[likely]] {
        return block;
      }
    }
    return TakeSlow();
  }

  // The last step of every Allocate: it is a block of `bytes` bytes now, and
  // the rest of it is poisoned.
  [[nodiscard]] void* HandOut(std::byte* block, size_t bytes) {
    if constexpr (Policy::kChecked) {
      if (block == nullptr) return nullptr;
      // relaxed: who frees the block got it from here, and who freed it before
      // was here before.
      Atomic<BlockState>& state = states_[IndexOf(block)];
      if (kFills &&
          state.load(std::memory_order_relaxed) == BlockState::kFreed) {
        CheckUntouched(block);
        PoisonFreed(block + bytes, block_size_ - bytes);
      }
      state.store(BlockState::kLive, std::memory_order_relaxed);
    }
    if (block != nullptr) AnnotatePoolAllocated(this, block, bytes);
    return block;
  }

  // How much of a free block is filled.
  [[nodiscard]] size_t FilledBytes() const {
    return std::min(block_size_, kFilledBytes<Policy>);
  }

  // Checked: ends the process when the free block was written to.
  void CheckUntouched(const std::byte* block) const {
    if (freed_fill::IsIntact(block, FilledBytes())) [[likely]]
      return;
    Die("LockFreePool::Allocate(): the free block %p was written to (write "
        "after free)",
        static_cast<const void*>(block));
  }

  // Checked: marks the live block at `block` as freed; ends the process when
  // there is none.
  void CheckLive(std::byte* block) {
    const size_t index = CheckAddress(block, "Deallocate");
    // relaxed: of two threads that free one block, one reads what the other
    // wrote, in any order; nothing else is published by it.
    DieUnlessLive(
        block, "Deallocate",
        states_[index].exchange(BlockState::kFreed, std::memory_order_relaxed));
  }

  // The index of the block that starts at `block`; `call` is told to who reads
  // why the process ended.
  [[nodiscard]] size_t CheckAddress(std::byte* block, const char* call) const {
    if (!Owns(block)) {
      Die("LockFreePool::%s(%p): foreign pointer, not of this pool", call,
          static_cast<void*>(block));
    }
    const size_t index = IndexOf(block);
    const size_t offset =
        static_cast<size_t>(block - blocks_) - index * stride_;
    if (offset != 0) {
      Die("LockFreePool::%s(%p): interior pointer, %zu bytes behind the start "
          "of a block",
          call, static_cast<void*>(block), offset);
    }
    return index;
  }

  static void DieUnlessLive(std::byte* block, const char* call,
                            BlockState state) {
    switch (state) {
      case BlockState::kLive:
        return;
      case BlockState::kFreed:
        Die("LockFreePool::%s(%p): double free", call,
            static_cast<void*>(block));
      case BlockState::kFresh:
        Die("LockFreePool::%s(%p): the block was never allocated", call,
            static_cast<void*>(block));
    }
  }

  void CountFailure() {
    // relaxed: a count.
    failures_.fetch_add(1, std::memory_order_relaxed);
  }

  [[gnu::noinline]] std::byte* TakeSlow() noexcept {
    std::byte* block = nullptr;
    if (capacity_ != 0) {
      Record* const record = ThisRecord();
      block = record != nullptr ? TakeFromRecord(*record) : TakeFromShared();
      if (block == nullptr) block = TakeFromAnywhere();
    }
    if (block == nullptr) CountFailure();
    return block;
  }

  [[gnu::noinline]] void DeallocateSlow(std::byte* block) noexcept {
    Record* const record = ThisRecord();
    if (record != nullptr && PutIntoRecord(*record, block)) return;
    list_.Push(BlockLink(), static_cast<uint32_t>(IndexOf(block)));
    // relaxed: a count.
    list_pushes_.fetch_add(1, std::memory_order_relaxed);
  }

  // The calling thread's record; null when it has none and can have none.
  [[nodiscard]] Record* ThisRecord() {
    if (id_ == kNoPool) return nullptr;
    thread_cache_registry::Entry& entry = thread_cache_registry::EntryOf(id_);
    if (entry.id == id_) return static_cast<Record*>(entry.second);
    const uint64_t thread = thread_cache_registry::ThisThread();
    Record* record = FindRecord(thread);
    if (record == nullptr) record = ClaimRecord(thread);
    if (record != nullptr) Remember(*record);
    return record;
  }

  [[nodiscard]] Record* FindRecord(uint64_t thread) const {
    if (thread == kNoThread) return nullptr;
    for (uint32_t i = 0; i < record_count_; ++i) {
      // relaxed: the thread looks for what it wrote itself.
      if (records_[i].owner.load(std::memory_order_relaxed) == thread) {
        return records_ + i;
      }
    }
    return nullptr;
  }

  [[nodiscard]] Record* ClaimRecord(uint64_t thread) {
    if (thread == kNoThread) return nullptr;
    for (uint32_t i = 0; i < record_count_; ++i) {
      if (Claim(records_[i], thread)) return records_ + i;
    }
    return nullptr;
  }

  static bool Claim(Record& record, uint64_t thread) {
    uint64_t expected = kNoThread;
    // relaxed: a look. acquire: pairs with the release in Release; what the
    // last owner did to the record and its magazines is visible.
    return record.owner.load(std::memory_order_relaxed) == kNoThread &&
           record.owner.compare_exchange_strong(expected, thread,
                                                std::memory_order_acquire,
                                                std::memory_order_relaxed);
  }

  static void Release(Record& record) {
    // release: pairs with the acquire in Claim.
    record.owner.store(kNoThread, std::memory_order_release);
  }

  // Notes in the thread's table where the fast path finds its magazine.
  void Remember(Record& record) {
    thread_cache_registry::EntryOf(id_) = {id_, &Loaded(record), &record};
  }

  // relaxed, in these: written by the owner, who calls them.
  [[nodiscard]] Magazine& Loaded(const Record& record) const {
    return MagazineAt(record.loaded.load(std::memory_order_relaxed));
  }
  [[nodiscard]] Magazine& Previous(const Record& record) const {
    return MagazineAt(record.previous.load(std::memory_order_relaxed));
  }
  void Swap(Record& record) {
    const uint32_t loaded = record.loaded.load(std::memory_order_relaxed);
    record.loaded.store(record.previous.load(std::memory_order_relaxed),
                        std::memory_order_relaxed);
    record.previous.store(loaded, std::memory_order_relaxed);
    Remember(record);
  }

  // Makes `magazine` the loaded one, the loaded one the previous one, and
  // returns what was previous. A magazine may be in two fields of records for a
  // moment; the caller owns both.
  [[nodiscard]] uint32_t Load(Record& record, uint32_t magazine) {
    const uint32_t loaded = record.loaded.load(std::memory_order_relaxed);
    const uint32_t previous = record.previous.load(std::memory_order_relaxed);
    record.loaded.store(magazine, std::memory_order_relaxed);
    record.previous.store(loaded, std::memory_order_relaxed);
    record.last_taken = 0;
    Remember(record);
    return previous;
  }

  // A block out of a magazine of the record, which exchanges an empty one for
  // one with blocks if need be. A magazine is emptied before another is loaded,
  // so that few blocks lie idle; but a thread that allocates and frees in turn,
  // and would come here for the last block every time, is given a full one.
  [[nodiscard]] std::byte* TakeFromRecord(Record& record) {
    for (;;) {
      if (Loaded(record).size() < 2) {
        if (Previous(record).size() >= 2) {
          Swap(record);
        } else if (record.last_taken >= kManyLastTaken && LoadFull(record)) {
          // Its newest is taken below.
        } else if (std::byte* const block = Previous(record).TakeNewest()) {
          return block;
        }
      }
      if (std::byte* const block = Loaded(record).TakeNewest()) {
        if (Loaded(record).size() == 0) ++record.last_taken;
        return block;
      }
      if (Previous(record).size() == 0 && !LoadFull(record) &&
          !AdoptBlocks(record)) {
        return nullptr;
      }
    }
  }

  // For a thread without a record: a block out of the list, or out of the
  // newest full magazine, which is the thread's own while it is in no stack.
  [[nodiscard]] std::byte* TakeFromShared() {
    const uint32_t listed = list_.Pop(BlockLink());
    if (listed != kNone) return blocks_ + listed * stride_;
    for (;;) {
      const uint32_t i = full_.Pop(MagazineLink());
      if (i == kNone) return nullptr;
      Magazine& magazine = MagazineAt(i);
      magazine.Touch();
      std::byte* const block = magazine.TakeNewest();
      (magazine.size() == 0 ? empty_ : full_).Push(MagazineLink(), i);
      if (block != nullptr) return block;
    }
  }

  // Exchanges an empty magazine of the record for one with blocks, and loads
  // it. False when there are not both.
  [[nodiscard]] bool LoadFull(Record& record) {
    if (Previous(record).size() != 0) {
      if (Loaded(record).size() != 0) return false;
      Swap(record);
    }
    for (;;) {
      const uint32_t i = full_.Pop(MagazineLink());
      if (i == kNone) return false;
      MagazineAt(i).Touch();
      if (MagazineAt(i).size() != 0) {
        empty_.Push(MagazineLink(), Load(record, i));
        return true;
      }
      empty_.Push(MagazineLink(), i);  // Thieves were here.
    }
  }

  // Exchanges the previous magazine, which is empty, for one with blocks of a
  // record without an owner, and loads it. False when there is none.
  [[nodiscard]] bool AdoptBlocks(Record& record) {
    for (uint32_t i = 0; i < record_count_; ++i) {
      Record& other = records_[i];
      // relaxed: looks, of which the second is repeated by an owner.
      if (other.owner.load(std::memory_order_relaxed) != kNoThread ||
          (Loaded(other).size() == 0 && Previous(other).size() == 0) ||
          !Claim(other, record.owner.load(std::memory_order_relaxed))) {
        continue;
      }
      Atomic<uint32_t>& field =
          Loaded(other).size() != 0 ? other.loaded : other.previous;
      const uint32_t adopted = field.load(std::memory_order_relaxed);
      const bool useful = MagazineAt(adopted).size() != 0;
      if (useful) {
        field.store(Load(record, adopted), std::memory_order_relaxed);
      }
      Release(other);
      if (useful) return true;
    }
    return false;
  }

  // Puts a block into a magazine of the record, which exchanges a full one for
  // an empty one if need be. False when there is none.
  [[nodiscard]] bool PutIntoRecord(Record& record, std::byte* block) {
    if (Loaded(record).Push(block)) return true;
    if (Previous(record).full()) {
      const uint32_t i = empty_.Pop(MagazineLink());
      if (i == kNone) return false;
      full_.Push(MagazineLink(), Load(record, i));
    } else {
      Swap(record);
    }
    return Loaded(record).Push(block);
  }

  // A single block, wherever it is; null when none is free. See the argument
  // above.
  [[nodiscard]] std::byte* TakeFromAnywhere() {
    for (;;) {
      const uint32_t i = list_.Pop(BlockLink());
      if (i != kNone) return blocks_ + i * stride_;
      const TaggedIndex list = list_.Look();
      uint64_t pushes = 0;
      uint64_t tops = 0;
      bool empty = list.is_null();
      for (uint32_t m = 0; m < magazine_count_; ++m) {
        Magazine& magazine = MagazineAt(m);
        const typename Magazine::Sight sight = magazine.Look();
        pushes += sight.pushes;
        tops += sight.top;
        if (sight.empty) continue;
        magazine.Touch();
        std::byte* block = nullptr;
        const auto theft = magazine.Steal(&block);
        if (theft == Magazine::Theft::kTaken) return block;
        if (theft == Magazine::Theft::kRefused) return nullptr;
        empty = false;
      }
      if (!kLooksAgain && empty) return nullptr;
      for (uint32_t m = 0; m < magazine_count_ && empty; ++m) {
        const typename Magazine::Sight sight = MagazineAt(m).LookAgain();
        pushes -= sight.pushes;
        tops -= sight.top;
        empty = sight.empty;
      }
      if (empty && pushes == 0 && tops == 0 && list == list_.Look()) {
        return nullptr;
      }
    }
  }

  void ReleaseRecord(uint64_t thread) {
    if (Record* const record = FindRecord(thread)) Release(*record);
  }

  static void ThreadEnded(void* pool, uint64_t thread) {
    static_cast<BasicLockFreePool*>(pool)->ReleaseRecord(thread);
  }

  static void Forked(void* pool, uint64_t thread) {
    static_cast<BasicLockFreePool*>(pool)->AdoptAfterFork(thread);
  }

  // In a forked child: every record but this thread's is nobody's, and
  // magazines that were in the hands of other threads are put back. Everything
  // is relaxed: there is one thread.
  void AdoptAfterFork(uint64_t thread) {
    full_.Clear();
    empty_.Clear();
    for (uint32_t i = 0; i < magazine_count_; ++i) {
      MagazineAt(i).Repair();
      MagazineAt(i).link().store(kUnnamed, std::memory_order_relaxed);
    }
    // This thread's record is whole. In another one's an exchange may have been
    // under way, so that a magazine is named twice, which leaves one unnamed.
    Record* const mine = FindRecord(thread);
    if (mine != nullptr) NameMagazines(*mine);
    for (uint32_t i = 0; i < record_count_; ++i) {
      Record& record = records_[i];
      if (&record == mine) continue;
      NameMagazines(record);
      record.owner.store(kNoThread, std::memory_order_relaxed);
    }
    uint32_t unnamed = 0;
    for (uint32_t i = 0; i < record_count_; ++i) {
      unnamed = ReplaceMissing(records_[i].loaded, unnamed);
      unnamed = ReplaceMissing(records_[i].previous, unnamed);
    }
    for (uint32_t i = 0; i < magazine_count_; ++i) {
      Magazine& magazine = MagazineAt(i);
      if (magazine.link().load(std::memory_order_relaxed) != kUnnamed) continue;
      (magazine.size() == 0 ? empty_ : full_).Push(MagazineLink(), i);
    }
  }

  void NameMagazines(Record& record) {
    for (Atomic<uint32_t>* field : {&record.loaded, &record.previous}) {
      Atomic<uint32_t>& link =
          MagazineAt(field->load(std::memory_order_relaxed)).link();
      if (link.load(std::memory_order_relaxed) == kUnnamed) {
        link.store(kNamed, std::memory_order_relaxed);
      } else {
        field->store(kNone, std::memory_order_relaxed);
      }
    }
  }

  // Gives `field` an unnamed magazine when it has none; they are looked for
  // from number `from`. Returns where the next one is looked for.
  uint32_t ReplaceMissing(Atomic<uint32_t>& field, uint32_t from) {
    if (field.load(std::memory_order_relaxed) != kNone) return from;
    while (MagazineAt(from).link().load(std::memory_order_relaxed) !=
           kUnnamed) {
      ++from;
    }
    MagazineAt(from).link().store(kNamed, std::memory_order_relaxed);
    MagazineAt(from).Touch();
    field.store(from, std::memory_order_relaxed);
    return from;
  }

  // Read by every call, written by none.
  uint64_t fast_id_ = kNoPool;  // id_, if the fast path may be taken
  std::byte* blocks_ = nullptr;
  size_t stride_;        // bytes from one block to the next
  size_t block_size_;    // bytes
  size_t capacity_ = 0;  // blocks
  Atomic<BlockState>* states_ = nullptr;

  uint64_t id_ = kNoPool;  // in thread_cache_registry
  Alignment alignment_;
  bool asymmetric_;
  uint32_t magazine_count_ = 0;
  uint32_t record_count_ = 0;
  size_t magazine_stride_ = 0;     // bytes
  std::byte* metadata_ = nullptr;  // magazines first
  size_t metadata_bytes_ = 0;
  Record* records_ = nullptr;
  Atomic<uint32_t>* links_ = nullptr;  // of the list, one a block
  thread_cache_registry::Member member_;
  [[no_unique_address]] Upstream upstream_;

  IndexStack<Sync> full_;
  IndexStack<Sync> empty_;
  IndexStack<Sync> list_;
  Atomic<uint64_t> list_pushes_{0};
  Atomic<uint64_t> failures_{0};
};

using LockFreePool = BasicLockFreePool<>;

static_assert(OwningAllocator<LockFreePool>);
static_assert(CountingAllocator<LockFreePool>);
static_assert(RoundingAllocator<LockFreePool>);
static_assert(ReallocatingAllocator<LockFreePool>);
static_assert(RawAllocator<BasicLockFreePool<SystemSource, Checked>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_LOCKFREE_POOL_H_
