#ifndef MMSB_ALLOCATOR_MEMORY_POOL_H_
#define MMSB_ALLOCATOR_MEMORY_POOL_H_

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/poison.h"

namespace mmsb {

struct MemoryPoolOptions {
  // What every block holds, in bytes; at least 1.
  size_t block_size = 0;

  // Of every block, in bytes: a power of two; or 0 for the largest one that
  // divides block_size, up to that of std::max_align_t.
  size_t alignment = 0;

  // How many blocks are taken from the upstream at once; or 0 for chunks of
  // about 4 KiB that double up to about 1 MiB, and halve when the upstream has
  // no more for so large a one.
  size_t blocks_per_chunk = 0;

  // The most blocks that the pool ever has.
  size_t max_blocks = std::numeric_limits<size_t>::max();
};

// Blocks of one size, each taken and given back in a few instructions.
//
// Owns its chunks of blocks: they come from the upstream, which the pool owns
// by value (AllocatorRef lends one), and go back to it in the destructor, with
// or without live blocks in them. Over a caller's region the pool owns nothing,
// never grows and never asks the upstream; the region must outlive it. Neither
// copied nor moved, as other allocators point at it.
//
// Free blocks are a stack of addresses, newest first, beside the blocks and not
// in them: a free block is not touched, so that it stays out of the cache and
// poisoned, and nothing that is written to it can break the pool. A block is
// first handed out in the order of addresses. The stack takes a pointer a block
// from the upstream, or from the region's end, and is counted as metadata.
//
// Not thread-safe.
//
// Null when max_blocks are live, or when the upstream has nothing more. Options
// that make no sense (block_size 0, an alignment that is not a power of two)
// end the process. With Policy = Checked, Deallocate() ends the process when
// the block is not live (double free, never allocated), not of this pool
// (foreign pointer), named by an address inside it (interior pointer), or, in
// the long form, could not have been allocated with that size and alignment.
//
// Allocate and Deallocate are O(1), but for a call in which the pool grows, and
// a search among the C chunks, O(log C), in Owns and in Checked's Deallocate.
//
//   MemoryPool pool({.block_size = 64});
//   void* p = pool.Allocate();
//   pool.Deallocate(p);
template <RawAllocator Upstream = SystemSource, class Policy = Unchecked>
class MemoryPool {
  static_assert(CheckPolicy<Policy>);

 public:
  using Options = MemoryPoolOptions;

  // Takes nothing from the upstream until the first Allocate().
  explicit MemoryPool(const Options& options, Upstream upstream = Upstream())
      : MemoryPool(options, std::move(upstream), Layout(options)) {}

  // Serves blocks out of `bytes` bytes at `region`, bookkeeping included: about
  // bytes / (block_size + sizeof(void*)) of them, or as few as none when the
  // region is too small. blocks_per_chunk is not used.
  MemoryPool(void* region, size_t bytes, const Options& options)
    requires std::default_initializable<Upstream>
      : MemoryPool(options, Upstream(), Layout(options)) {
    MMSB_CHECK(region != nullptr || bytes == 0,
               "MemoryPool: %zu bytes at a null region", bytes);
    AdoptRegion(static_cast<std::byte*>(region), bytes);
  }

  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  ~MemoryPool() {
    AnnotatePoolDestroyed(this);
    for (size_t i = 0; i < chunk_count_; ++i) ReleaseChunk(chunks_[i]);
    if (directory_bytes_ != 0) {
      upstream_.Deallocate(directory_, directory_bytes_, alignof(Slot));
    }
  }

  // A block of block_size() bytes, contents undefined; or null.
  [[nodiscard]] void* Allocate() noexcept {
    std::byte* block = nullptr;
    if (top_ != bottom_) [[likely]] {
      --top_;
      block = BlockOf(*top_);
      if constexpr (Policy::kChecked) *top_->state = BlockState::kLive;
    } else {
      if (fresh_ == fresh_end_ && !Grow()) [[unlikely]] {
        ++failures_;
        return nullptr;
      }
      block = fresh_;
      fresh_ += stride_;
      if constexpr (Policy::kChecked) *checks_.fresh++ = BlockState::kLive;
    }
    ++allocations_;
    AnnotatePoolAllocated(this, block, block_size_);
    return block;
  }

  // Gives back a live block of this pool; null is ignored.
  void Deallocate(void* p) noexcept {
    if (p == nullptr) return;
    auto* const block = static_cast<std::byte*>(p);
    if constexpr (Policy::kChecked) {
      BlockState* const state = FindLive(block);
      *state = BlockState::kFreed;
      *top_++ = Slot{block, state};
    } else {
      *top_++ = block;
    }
    AnnotatePoolFreed(this, block, block_size_);
  }

  // The RawAllocator form serves what fits a block; a larger or stricter
  // request is answered with null.
  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (!Fits(bytes, alignment)) {
      ++failures_;
      return nullptr;
    }
    return Allocate();
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if constexpr (Policy::kChecked) {
      if (p != nullptr && !Fits(bytes, alignment)) {
        Die("MemoryPool::Deallocate(%p, %zu, %zu): wrong size or alignment, "
            "the pool's blocks have %zu bytes at multiples of %zu",
            p, bytes, alignment, block_size_, alignment_.bytes());
      }
    }
    Deallocate(p);
  }

  // As Allocate(bytes, alignment), and says that all of the block is usable.
  [[nodiscard]] SizedBlock AllocateAtLeast(size_t bytes,
                                           size_t alignment) noexcept {
    void* const p = Allocate(bytes, alignment);
    return p == nullptr ? SizedBlock{} : SizedBlock{p, block_size_};
  }

  // True when `p` points into a block of this pool, live or not.
  [[nodiscard]] bool Owns(const void* p) const noexcept {
    const Chunk* const chunk = FindChunk(static_cast<const std::byte*>(p));
    return chunk != nullptr;
  }

  // Bytes of a block that the caller may use.
  [[nodiscard]] size_t block_size() const noexcept { return block_size_; }

  // Bytes: every block starts at a multiple of this.
  [[nodiscard]] size_t alignment() const noexcept { return alignment_.bytes(); }

  [[nodiscard]] AllocatorStats Stats() const noexcept {
    const auto cached = static_cast<size_t>(top_ - bottom_);
    const size_t fresh = static_cast<size_t>(fresh_end_ - fresh_) / stride_;
    const size_t live = blocks_ - cached - fresh;
    return AllocatorStats({
        .live = live * stride_,
        .cached = cached * stride_,
        .free = fresh * stride_,
        .metadata = metadata_,
        .committed = committed_,
        // A fresh block is taken only while all others are live.
        .peak = (blocks_ - fresh) * stride_,
        .allocations = allocations_,
        .deallocations = allocations_ - live,
        .failures = failures_,
    });
  }

 private:
  enum class BlockState : uint8_t { kFresh, kLive, kFreed };

  // A free block. Checked also notes where the block's state is kept, which
  // saves Allocate() the search.
  struct CheckedSlot {
    std::byte* block;
    BlockState* state;
  };
  using Slot = std::conditional_t<Policy::kChecked, CheckedSlot, std::byte*>;

  // Lies behind the blocks of a chunk; under Checked one BlockState a block
  // follows.
  struct Chunk {
    std::byte* begin;    // of the first block
    std::byte* end;      // of the last block
    size_t total_bytes;  // as taken from the upstream, 0 in a region

    BlockState* States() { return reinterpret_cast<BlockState*>(this + 1); }
  };

  struct CheckedFields {
    BlockState* fresh = nullptr;  // state of the block at fresh_
  };
  struct NoFields {};

  // Chunks of this size at first, and at most, when the pool chooses.
  static constexpr size_t kFirstChunkBytes = 4 * kKiB;
  static constexpr size_t kMaxChunkBytes = kMiB;
  static constexpr size_t kFirstChunks = 8;  // room in the first directory
  static constexpr size_t kStateBytes =
      Policy::kChecked ? sizeof(BlockState) : 0;

  // What the options come to.
  struct Layout {
    explicit Layout(const Options& options) {
      MMSB_CHECK(options.block_size != 0, "MemoryPool: block_size is 0");
      MMSB_CHECK(
          options.alignment == 0 || Alignment::IsValid(options.alignment),
          "MemoryPool: alignment of %zu bytes is not a power of two",
          options.alignment);
      const size_t natural = size_t{1} << std::countr_zero(options.block_size);
      alignment = Alignment::FromBytes(
          options.alignment != 0
              ? options.alignment
              : std::min(natural, alignof(std::max_align_t)));
      // A block that does not fit the address space is never allocated.
      if (!CheckedAlignUp(options.block_size, alignment, &stride)) {
        stride = alignment.bytes();
        max_blocks = 0;
      } else {
        max_blocks = options.max_blocks;
      }
      max_chunk_blocks = options.blocks_per_chunk != 0
                             ? options.blocks_per_chunk
                             : std::max<size_t>(1, kMaxChunkBytes / stride);
      chunk_blocks = options.blocks_per_chunk != 0
                         ? options.blocks_per_chunk
                         : std::max<size_t>(1, kFirstChunkBytes / stride);
    }

    Alignment alignment;
    size_t stride;
    size_t max_blocks;
    size_t chunk_blocks;
    size_t max_chunk_blocks;
  };

  MemoryPool(const Options& options, Upstream&& upstream, const Layout& layout)
      : stride_(layout.stride),
        block_size_(options.block_size),
        alignment_(layout.alignment),
        halves_(options.blocks_per_chunk == 0),
        max_blocks_(layout.max_blocks),
        chunk_blocks_(layout.chunk_blocks),
        max_chunk_blocks_(layout.max_chunk_blocks),
        upstream_(std::move(upstream)) {
    AnnotatePoolCreated(this);
  }

  static std::byte* BlockOf(const Slot& slot) {
    if constexpr (Policy::kChecked) {
      return slot.block;
    } else {
      return slot;
    }
  }

  [[nodiscard]] bool Fits(size_t bytes, size_t alignment) const {
    return bytes <= block_size_ && Alignment::IsValid(alignment) &&
           alignment <= alignment_.bytes();
  }

  [[nodiscard]] size_t ChunkAlignment() const {
    return std::max(alignment_.bytes(), alignof(Chunk));
  }

  // The chunk that `p` points into, or null.
  [[nodiscard]] Chunk* FindChunk(const std::byte* p) const {
    // Addresses of different chunks are compared as numbers.
    const auto address = reinterpret_cast<uintptr_t>(p);
    Chunk* const* const after =
        std::upper_bound(chunks_, chunks_ + chunk_count_, address,
                         [](uintptr_t a, const Chunk* chunk) {
                           return a < reinterpret_cast<uintptr_t>(chunk->begin);
                         });
    if (after == chunks_) return nullptr;
    Chunk* const chunk = after[-1];
    return address < reinterpret_cast<uintptr_t>(chunk->end) ? chunk : nullptr;
  }

  // Checked: the state of the live block at `block`; ends the process when
  // there is none.
  [[nodiscard]] BlockState* FindLive(std::byte* block) const {
    Chunk* const chunk = FindChunk(block);
    if (chunk == nullptr) {
      Die("MemoryPool::Deallocate(%p): foreign pointer, not of this pool",
          static_cast<void*>(block));
    }
    const auto offset = static_cast<size_t>(block - chunk->begin);
    if (offset % stride_ != 0) {
      Die("MemoryPool::Deallocate(%p): interior pointer, %zu bytes behind the "
          "start of a block",
          static_cast<void*>(block), offset % stride_);
    }
    BlockState* const state = chunk->States() + offset / stride_;
    if (*state != BlockState::kLive) {
      Die("MemoryPool::Deallocate(%p): %s", static_cast<void*>(block),
          *state == BlockState::kFreed ? "double free"
                                       : "the block was never allocated");
    }
    return state;
  }

  // Where the parts of a chunk of `blocks` blocks lie: offset of the Chunk, and
  // size of everything. False when that overflows.
  [[nodiscard]] bool MeasureChunk(size_t blocks, size_t* chunk_offset,
                                  size_t* total) const {
    size_t offset = 0;
    size_t state_bytes = 0;
    if (!CheckedMultiply(blocks, stride_, &offset) ||
        !CheckedAlignUp(offset, Alignment::Of<Chunk>(), &offset) ||
        !CheckedMultiply(blocks, kStateBytes, &state_bytes) ||
        !CheckedAdd(state_bytes, sizeof(Chunk), &state_bytes) ||
        !CheckedAdd(offset, state_bytes, total)) {
      return false;
    }
    *chunk_offset = offset;
    return true;
  }

  // Makes a chunk of the memory at `begin`, which MeasureChunk() measured.
  Chunk* PlaceChunk(std::byte* begin, size_t blocks, size_t chunk_offset,
                    size_t total_bytes) {
    auto* const chunk = ::new (begin + chunk_offset)
        Chunk{begin, begin + blocks * stride_, total_bytes};
    if constexpr (Policy::kChecked) {
      std::uninitialized_fill_n(chunk->States(), blocks, BlockState::kFresh);
    }
    PoisonFreed(begin, blocks * stride_);
    return chunk;
  }

  // Lets `chunk`, which is in chunks_, serve the next blocks.
  void StartChunk(Chunk* chunk) {
    fresh_ = chunk->begin;
    fresh_end_ = chunk->end;
    if constexpr (Policy::kChecked) checks_.fresh = chunk->States();
    blocks_ += static_cast<size_t>(chunk->end - chunk->begin) / stride_;
  }

  void ReleaseChunk(Chunk* chunk) {
    std::byte* const begin = chunk->begin;
    const size_t total_bytes = chunk->total_bytes;
    UnpoisonFresh(begin, static_cast<size_t>(chunk->end - begin));
    if (total_bytes != 0) {
      upstream_.Deallocate(begin, total_bytes, ChunkAlignment());
    }
  }

  // Adds a chunk. Called when every block is live, so the stack is empty and
  // may be replaced without a copy. False, and nothing changed, when there is
  // no more to be had.
  [[gnu::noinline]] bool Grow() {
    size_t blocks = std::min(chunk_blocks_, max_blocks_ - blocks_);
    if (blocks == 0) return false;
    Chunk* chunk = TakeListedChunk(blocks);
    while (chunk == nullptr && halves_ && blocks > 1) {
      blocks /= 2;
      chunk = TakeListedChunk(blocks);
    }
    if (chunk == nullptr) return false;
    const auto begin = reinterpret_cast<uintptr_t>(chunk->begin);
    Chunk** const end = chunks_ + chunk_count_;
    Chunk** const place =
        std::partition_point(chunks_, end, [begin](const Chunk* other) {
          return reinterpret_cast<uintptr_t>(other->begin) < begin;
        });
    std::move_backward(place, end, end + 1);
    *place = chunk;
    ++chunk_count_;
    committed_ += chunk->total_bytes;
    metadata_ += chunk->total_bytes - blocks * stride_;
    if (halves_) chunk_blocks_ = std::min(blocks * 2, max_chunk_blocks_);
    StartChunk(chunk);
    return true;
  }

  // A chunk, and room for it in the directory; or neither.
  [[nodiscard]] Chunk* TakeListedChunk(size_t blocks) {
    Chunk* const chunk = TakeChunk(blocks);
    if (chunk == nullptr || ReserveDirectory(blocks_ + blocks)) return chunk;
    ReleaseChunk(chunk);
    return nullptr;
  }

  [[nodiscard]] Chunk* TakeChunk(size_t blocks) {
    size_t chunk_offset = 0;
    size_t total = 0;
    if (!MeasureChunk(blocks, &chunk_offset, &total)) return nullptr;
    void* const memory = upstream_.Allocate(total, ChunkAlignment());
    if (memory == nullptr) return nullptr;
    return PlaceChunk(static_cast<std::byte*>(memory), blocks, chunk_offset,
                      total);
  }

  // Makes room for `blocks` free blocks and one more chunk, with some in
  // reserve if the upstream has it. False, and nothing changed, otherwise.
  [[nodiscard]] bool ReserveDirectory(size_t blocks) {
    if (blocks <= slot_capacity_ && chunk_count_ < chunk_capacity_) return true;
    // Twice a capacity that is in memory does not overflow.
    const size_t most_slots =
        std::max(blocks, std::min(max_blocks_, 2 * slot_capacity_));
    const size_t most_chunks = std::max(kFirstChunks, 2 * chunk_capacity_);
    return ReplaceDirectory(most_slots, most_chunks) ||
           ReplaceDirectory(blocks, chunk_count_ + 1);
  }

  // The directory is one block of the upstream: the stack, then the chunks in
  // the order of their addresses.
  [[nodiscard]] bool ReplaceDirectory(size_t slots, size_t chunks) {
    size_t slot_bytes = 0;
    size_t total = 0;
    if (!CheckedMultiply(slots, sizeof(Slot), &slot_bytes) ||
        !CheckedMultiply(chunks, sizeof(Chunk*), &total) ||
        !CheckedAdd(total, slot_bytes, &total)) {
      return false;
    }
    void* const memory = upstream_.Allocate(total, alignof(Slot));
    if (memory == nullptr) return false;
    auto* const moved =
        reinterpret_cast<Chunk**>(static_cast<std::byte*>(memory) + slot_bytes);
    std::uninitialized_copy_n(chunks_, chunk_count_, moved);
    if (directory_bytes_ != 0) {
      upstream_.Deallocate(directory_, directory_bytes_, alignof(Slot));
      committed_ -= directory_bytes_;
      metadata_ -= directory_bytes_;
    }
    directory_ = memory;
    directory_bytes_ = total;
    bottom_ = top_ = static_cast<Slot*>(memory);
    slot_capacity_ = slots;
    chunks_ = moved;
    chunk_capacity_ = chunks;
    committed_ += total;
    metadata_ += total;
    return true;
  }

  // Lays one chunk and its directory into the region: padding, the blocks, the
  // Chunk, the stack, one entry of chunks_.
  void AdoptRegion(std::byte* region, size_t bytes) {
    committed_ = bytes;
    metadata_ = bytes;
    const size_t limit = std::exchange(max_blocks_, 0);
    const auto address = reinterpret_cast<uintptr_t>(region);
    size_t aligned = 0;
    size_t overhead = 0;
    size_t block_total = 0;
    // The parts are aligned to at most a Chunk's alignment behind the blocks
    // and a Slot's behind the states.
    if (!CheckedAlignUp(address, Alignment::FromBytes(ChunkAlignment()),
                        &aligned) ||
        !CheckedAdd(
            aligned - address,
            sizeof(Chunk) + alignof(Chunk) + alignof(Slot) + sizeof(Chunk*),
            &overhead) ||
        overhead > bytes ||
        !CheckedAdd(stride_, sizeof(Slot) + kStateBytes, &block_total)) {
      return;
    }
    const size_t blocks = std::min(limit, (bytes - overhead) / block_total);
    size_t chunk_offset = 0;
    size_t slots_offset = 0;
    if (blocks == 0 || !MeasureChunk(blocks, &chunk_offset, &slots_offset) ||
        !CheckedAlignUp(slots_offset, Alignment::Of<Slot>(), &slots_offset)) {
      return;
    }
    std::byte* const begin = region + (aligned - address);
    Chunk* const chunk =
        PlaceChunk(begin, blocks, chunk_offset, /*total_bytes=*/0);
    bottom_ = top_ = reinterpret_cast<Slot*>(begin + slots_offset);
    slot_capacity_ = blocks;
    chunks_ = ::new (bottom_ + blocks) Chunk*(chunk);
    chunk_count_ = chunk_capacity_ = 1;
    metadata_ -= blocks * stride_;
    StartChunk(chunk);
    max_blocks_ = blocks_;  // so that it never grows
  }

  // What Allocate() and Deallocate() touch comes first, in one cache line.
  Slot* top_ = nullptr;             // behind the newest free block of the stack
  Slot* bottom_ = nullptr;          // the stack's oldest
  std::byte* fresh_ = nullptr;      // next block that was never handed out
  std::byte* fresh_end_ = nullptr;  // end of its chunk
  size_t stride_;                   // bytes from one block to the next
  uint64_t allocations_ = 0;
  size_t block_size_;
  [[no_unique_address]] std::conditional_t<Policy::kChecked, CheckedFields,
                                           NoFields> checks_;

  Alignment alignment_;
  bool halves_;        // the pool chooses the size of chunks
  size_t blocks_ = 0;  // in all chunks
  size_t max_blocks_;
  size_t chunk_blocks_;  // in the next chunk
  size_t max_chunk_blocks_;
  Chunk** chunks_ = nullptr;  // in the order of addresses
  size_t chunk_count_ = 0;
  size_t chunk_capacity_ = 0;
  size_t slot_capacity_ = 0;
  void* directory_ = nullptr;
  size_t directory_bytes_ = 0;  // 0 in a region
  size_t metadata_ = 0;         // bytes
  size_t committed_ = 0;        // bytes
  uint64_t failures_ = 0;
  [[no_unique_address]] Upstream upstream_;
};

MemoryPool(MemoryPoolOptions) -> MemoryPool<>;
MemoryPool(void*, size_t, MemoryPoolOptions) -> MemoryPool<>;
template <RawAllocator Upstream>
MemoryPool(MemoryPoolOptions, Upstream) -> MemoryPool<Upstream>;

static_assert(OwningAllocator<MemoryPool<>>);
static_assert(CountingAllocator<MemoryPool<>>);
static_assert(RoundingAllocator<MemoryPool<>>);
static_assert(RawAllocator<MemoryPool<SystemSource, Checked>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_MEMORY_POOL_H_
