#ifndef MMSB_ALLOCATOR_MEMORY_POOL_H_
#define MMSB_ALLOCATOR_MEMORY_POOL_H_

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/freed_fill.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/hidden_value.h"
#include "primitives/poison.h"

namespace mmsb {

struct MemoryPoolOptions {
  // What every block holds, in bytes; at least 1.
  size_t block_size = 0;

  // Of every block, in bytes: a power of two; or 0 for the largest one that
  // divides block_size, up to that of std::max_align_t.
  size_t alignment = 0;

  // How many blocks are taken from the upstream at once; or 0 for chunks of
  // about 4 KiB (64 KiB under Checked, which searches among them) that double
  // up to about 1 MiB, and halve when the upstream has no more for so large a
  // one.
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
// the long form, could not have been allocated with that size and alignment;
// and Allocate() when the free block that it would hand out was written to
// since, anywhere in its first 4 KiB: they are filled when it is freed. That
// costs a byte of state a block, a stack twice as large, and several times the
// time of a call; an Unchecked pool pays none of it. Heeds kFilledBytes and
// kCountsCalls of the policy.
//
// Poisoned are free blocks, and what is behind the bytes that were asked for.
// AddressSanitizer has one state for 8 bytes: in a program built for it blocks
// lie a multiple of 8 bytes apart, so that no two of them share one.
//
// Allocate and Deallocate are O(1), but for a call in which the pool grows, and
// a search among the C chunks, O(log C), in Owns and in Checked's Deallocate.
// The batches are O(blocks in them). Release is O(cached blocks * log C).
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

  // Serves blocks out of `bytes` bytes at `region`, bookkeeping included: 8
  // bytes a block, 17 under Checked. There are as few as none when the region
  // is too small. blocks_per_chunk is not used.
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
    ReleaseDirectory();
  }

  // A block of block_size() bytes, contents undefined; or null.
  [[nodiscard]] void* Allocate() noexcept {
    return Annotated(Take(), block_size_);
  }

  // Gives back a live block of this pool; null is ignored. Inline under Checked
  // too, where loads are what time goes to: a call adds three.
  [[gnu::always_inline]] void Deallocate(void* p) noexcept {
    auto* const block = static_cast<std::byte*>(p);
    if constexpr (Policy::kChecked) {
      BlockState* const state = FindLive(block);
      if (state == nullptr || FillsLong()) [[unlikely]] {
        return DeallocateSlowly(block);
      }
      if constexpr (kFills) {
        checks_.short_way.Fill(block);
      }
      *state = BlockState::kFreed;
      *top_++ = Slot{block, state};
    } else {
      if (block == nullptr) return;
      *top_++ = block;
    }
    TakeBack(block);
  }

  // The RawAllocator form serves what fits a block; a larger or stricter
  // request is answered with null.
  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (!Fits(bytes, alignment)) {
      ++failures_;
      return nullptr;
    }
    return Annotated(Take(), bytes);
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

  // Fills `blocks` with blocks from its beginning, as Allocate() would, and
  // returns how many there are: fewer than blocks.size() where Allocate() would
  // have returned null.
  [[nodiscard]] size_t AllocateBatch(std::span<void*> blocks) noexcept {
    for (size_t i = 0; i < blocks.size(); ++i) {
      blocks[i] = Allocate();
      if (blocks[i] == nullptr) return i;
    }
    return blocks.size();
  }

  // Gives back every block of `blocks`; nulls in it are ignored.
  void DeallocateBatch(std::span<void* const> blocks) noexcept {
    for (void* const block : blocks) Deallocate(block);
  }

  // Makes sure that the next `blocks` blocks come without a call of the
  // upstream, by one chunk, or by as many of blocks_per_chunk as it takes.
  // False when max_blocks or the upstream do not allow it; whole chunks of
  // blocks_per_chunk that it did have are then kept for later.
  bool Reserve(size_t blocks) noexcept {
    while (Available() < blocks) {
      const size_t missing = blocks - Available();
      size_t bytes = 0;
      if (missing > max_blocks_ - blocks_ ||
          !CheckedMultiply(missing, stride_, &bytes)) {
        return false;
      }
      const bool added = halves_ ? AddChunk(std::max(missing, chunk_blocks_)) ||
                                       AddChunk(missing)
                                 : AddChunk(chunk_blocks_);
      if (!added) return false;
    }
    return true;
  }

  // Gives chunks without a live block back to the upstream, and returns how
  // many bytes that was. Over a region there is nothing to give back.
  size_t Release() noexcept {
    const size_t before = committed_;
    if (directory_bytes_ == 0) return 0;  // no chunks, or over a region
    peak_blocks_ = std::max(peak_blocks_, TouchedBlocks());
    CountFreeBlocks();
    top_ = std::remove_if(bottom_, top_, [this](const Slot& slot) {
      return NearestChunk(BlockOf(slot))->IsFree();
    });
    if (fresh_ != fresh_end_ && NearestChunk(fresh_)->IsFree()) {
      fresh_ = fresh_end_ = nullptr;
    }
    Chunk* kept = chunks_;
    for (size_t i = 0; i < chunk_count_; ++i) {
      const Chunk chunk = chunks_[i];
      if (chunk.IsFree()) {
        blocks_ -= chunk.blocks;
        committed_ -= ChunkBytes(chunk);
        metadata_ -= ChunkBytes(chunk) - chunk.blocks * stride_;
        ReleaseChunk(chunk);
      } else {
        *kept = chunk;
        kept->free = 0;
        ++kept;
      }
    }
    std::fill(kept, chunks_ + chunk_count_, NoChunk());
    chunk_count_ = static_cast<size_t>(kept - chunks_);
    reserved_blocks_ = 0;
    if (chunk_count_ == 0) {
      ReleaseDirectory();
      if (halves_) chunk_blocks_ = FirstChunkBlocks(stride_);
    }
    return before - committed_;
  }

  // A block that holds new_bytes is the block itself; null when none does.
  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept {
    if constexpr (Policy::kChecked) {
      if (!Fits(old_bytes, alignment)) {
        Die("MemoryPool::Reallocate(%p, %zu, %zu, %zu): wrong size or "
            "alignment, the pool's blocks have %zu bytes at multiples of %zu",
            p, old_bytes, new_bytes, alignment, block_size_,
            alignment_.bytes());
      }
      auto* const block = static_cast<std::byte*>(p);
      if (FindLive(block) == nullptr) DieNotLive(block, "Reallocate");
    }
    if (!Fits(new_bytes, alignment)) return nullptr;
    AnnotateResized(p, old_bytes, new_bytes);
    return p;
  }

  // As Allocate(bytes, alignment), and says that all of the block is usable.
  [[nodiscard]] SizedBlock AllocateAtLeast(size_t bytes,
                                           size_t alignment) noexcept {
    if (!Fits(bytes, alignment)) {
      ++failures_;
      return {};
    }
    void* const p = Allocate();
    return p == nullptr ? SizedBlock{} : SizedBlock{p, block_size_};
  }

  // True when `p` points into a block of this pool, live or not.
  [[nodiscard]] bool Owns(const void* p) const noexcept {
    if (chunk_count_ == 0) return false;
    const auto* const byte = static_cast<const std::byte*>(p);
    const Chunk& chunk = *NearestChunk(byte);
    // Below the chunk, the difference wraps to a large number.
    return reinterpret_cast<uintptr_t>(byte) -
               reinterpret_cast<uintptr_t>(chunk.begin) <
           chunk.blocks * stride_;
  }

  // Bytes of a block that the caller may use.
  [[nodiscard]] size_t block_size() const noexcept { return block_size_; }

  // Bytes: every block starts at a multiple of this.
  [[nodiscard]] size_t alignment() const noexcept { return alignment_.bytes(); }

  [[nodiscard]] AllocatorStats Stats() const noexcept {
    const auto cached = static_cast<size_t>(top_ - bottom_);
    const size_t touched = TouchedBlocks();
    const size_t live = touched - cached;
    return AllocatorStats({
        .live = live * stride_,
        .cached = cached * stride_,
        .free = (blocks_ - touched) * stride_,
        .metadata = metadata_,
        .committed = committed_,
        // A block is first handed out while all that were before are live.
        .peak = std::max(peak_blocks_, touched) * stride_,
        .allocations = kCountsCalls<Policy> ? deallocations_ + live : 0,
        .deallocations = deallocations_,
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

  // An entry of the directory. Under Checked one BlockState a block lies behind
  // a chunk's blocks.
  struct Chunk {
    std::byte* begin;  // of the first block
    size_t blocks;
    BlockState* states;  // null when there are none
    size_t free;         // all blocks when it is reserved; else for Release()

    [[nodiscard]] bool IsFree() const { return free == blocks; }
    [[nodiscard]] uintptr_t Address() const {
      return reinterpret_cast<uintptr_t>(begin);
    }
  };

  // Behind all chunks.
  static Chunk NoChunk() {
    return {.begin = reinterpret_cast<std::byte*>(UINTPTR_MAX),
            .blocks = 0,
            .states = nullptr,
            .free = 0};
  }

  struct CheckedFields {
    BlockState* fresh = nullptr;  // state of the block at fresh_
    freed_fill::ShortWay short_way;

    // Exact division by the stride, 2^shift times an odd number: an offset
    // times the inverse of that number modulo 2^64, rotated right by `shift`,
    // is the quotient when the stride divides it, and more than any quotient
    // otherwise (Granlund and Montgomery, "Division by invariant integers using
    // multiplication", 1994).
    int shift = 0;
    uint64_t inverse = 1;

    void SetStride(size_t stride) {
      shift = std::countr_zero(stride);
      const uint64_t odd = uint64_t{stride} >> shift;
      // Newton's iteration: `odd` is its own inverse in three bits, and each
      // step doubles them.
      inverse = odd;
      for (int bits = 3; bits < 64; bits *= 2) inverse *= 2 - odd * inverse;
    }
    [[nodiscard]] uint64_t Quotient(uint64_t offset) const {
      return std::rotr(offset * inverse, shift);
    }
  };
  struct NoFields {};

  // Chunks of this size at first, and at most, when the pool chooses.
  static constexpr size_t kFirstChunkBytes =
      Policy::kChecked ? 64 * kKiB : 4 * kKiB;
  static constexpr size_t kMaxChunkBytes = kMiB;
  static constexpr size_t kFirstChunks = 8;  // room in the first directory
  // Among so many chunks the search compares with each.
  static constexpr size_t kLastStep = 4;
  static constexpr size_t kDirectoryAlignment =
      std::max(alignof(Slot), alignof(Chunk));
  static constexpr size_t kStateBytes =
      Policy::kChecked ? sizeof(BlockState) : 0;
  static constexpr bool kFills = kFilledBytes<Policy> != 0;

  // What blocks begin at multiples of, and lie a multiple of apart: no two may
  // share a state that a tool keeps.
  static Alignment StepOf(Alignment alignment) {
    return std::max(alignment, Alignment::FromBytes(kPoisonGranuleBytes));
  }

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
      const Alignment step = StepOf(alignment);
      // A block that does not fit the address space is never allocated.
      if (!CheckedAlignUp(options.block_size, step, &stride)) {
        stride = step.bytes();
        max_blocks = 0;
      } else {
        max_blocks = options.max_blocks;
      }
      max_chunk_blocks = options.blocks_per_chunk != 0
                             ? options.blocks_per_chunk
                             : std::max<size_t>(1, kMaxChunkBytes / stride);
      chunk_blocks = options.blocks_per_chunk != 0 ? options.blocks_per_chunk
                                                   : FirstChunkBlocks(stride);
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
    if constexpr (Policy::kChecked) {
      checks_.short_way = freed_fill::ShortWay(FilledBytes());
      checks_.SetStride(stride_);
    }
    AnnotatePoolCreated(this);
  }

  static size_t FirstChunkBlocks(size_t stride) {
    return std::max<size_t>(1, kFirstChunkBytes / stride);
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

  // The caller's: its chunk is not given back.
  [[nodiscard]] bool InRegion() const {
    return chunk_count_ != 0 && directory_bytes_ == 0;
  }

  [[nodiscard]] size_t ChunkAlignment() const {
    return std::max(alignment_.bytes(), alignof(std::max_align_t));
  }

  // Blocks that were handed out at least once.
  [[nodiscard]] size_t TouchedBlocks() const {
    return blocks_ - reserved_blocks_ -
           static_cast<size_t>(fresh_end_ - fresh_) / stride_;
  }

  // Blocks that can be handed out without a call of the upstream.
  [[nodiscard]] size_t Available() const {
    return blocks_ - TouchedBlocks() + static_cast<size_t>(top_ - bottom_);
  }

  // The last chunk that begins at `p` or before, or else the first one: that
  // which `p` points into if any does. There must be one. Without branches that
  // depend on `p`, as they would be mispredicted.
  [[nodiscard, gnu::always_inline]] Chunk* NearestChunk(
      const std::byte* p) const {
    // A region has one chunk, and nothing behind it.
    if (chunk_count_ == 1) return chunks_;
    // Addresses of different chunks are compared as numbers, which differ by
    // less than 2^63.
    static_assert(sizeof(uintptr_t) == 8);
    const auto address = reinterpret_cast<uintptr_t>(p);
    Chunk* nearest = chunks_;
    for (size_t count = chunk_count_; count > kLastStep;) {
      const size_t half = count / 2;
      // The sign of the difference, 1 when `p` lies below.
      const uintptr_t below =
          (address - nearest[half].Address()) >> (8 * sizeof(address) - 1);
      nearest += half & (HiddenValue(below) - 1);
      count -= half;
    }
    // What follows the last chunk is NoChunk().
    size_t steps = kLastStep - 1;
    for (size_t i = 1; i < kLastStep; ++i) {
      // One comparison and a subtraction of its carry.
      steps -= address < nearest[i].Address() ? 1 : 0;
    }
    return nearest + HiddenValue(steps);
  }

  // Tells the tools of a block of `bytes` bytes; the rest of it is poisoned.
  [[nodiscard]] void* Annotated(void* p, size_t bytes) {
    if (p == nullptr) return nullptr;
    AnnotatePoolAllocated(this, p, bytes);
    // The look for writes after free has unpoisoned it.
    if constexpr (kFills) {
      PoisonFreed(static_cast<std::byte*>(p) + bytes, block_size_ - bytes);
    }
    return p;
  }

  // A free block, of which the tools do not know yet; or null.
  [[nodiscard]] void* Take() {
    if constexpr (Policy::kChecked) {
      if (!HasUntouched()) [[unlikely]]
        return TakeSlowly();
    } else {
      if (top_ == bottom_) [[unlikely]]
        return TakeFresh();
    }
    return Pop();
  }

  // One that was never handed out.
  [[nodiscard]] void* TakeFresh() {
    if (fresh_ == fresh_end_ && !Grow()) [[unlikely]] {
      ++failures_;
      return nullptr;
    }
    std::byte* const block = fresh_;
    fresh_ += stride_;
    if constexpr (Policy::kChecked) *checks_.fresh++ = BlockState::kLive;
    return block;
  }

  void TakeBack(std::byte* block) {
    // Counted here and not where blocks are handed out: there the caller is
    // about to store into the block, and stores are what time goes to.
    if constexpr (kCountsCalls<Policy>) ++deallocations_;
    AnnotatePoolFreed(this, block, block_size_);
  }

  // The newest of the free blocks that were.
  [[nodiscard]] void* Pop() {
    --top_;
    if constexpr (Policy::kChecked) *top_->state = BlockState::kLive;
    return BlockOf(*top_);
  }

  // Lets the tools see a live block of another size in place.
  void AnnotateResized(void* p, size_t old_bytes, size_t new_bytes) {
    auto* const block = static_cast<std::byte*>(p);
    if (new_bytes > old_bytes) {
      UnpoisonFresh(block + old_bytes, new_bytes - old_bytes);
    } else {
      PoisonFreed(block + new_bytes, old_bytes - new_bytes);
    }
    AnnotatePoolResized(this, p, p, new_bytes);
  }

  // Checked calls these where the short way does not do: apart from it, because
  // a function that calls others saves registers for them.
  [[nodiscard, gnu::noinline]] void* TakeSlowly() noexcept {
    if (top_ == bottom_) return TakeFresh();
    if constexpr (kFills) {
      const std::byte* const block = BlockOf(top_[-1]);
      if (!freed_fill::IsIntact(block, FilledBytes())) DieWrittenTo(block);
    }
    return Pop();
  }
  [[gnu::noinline]] void DeallocateSlowly(std::byte* block) noexcept {
    if (block == nullptr) return;
    BlockState* const state = FindLive(block);
    if (state == nullptr) DieNotLive(block, "Deallocate");
    if constexpr (kFills) freed_fill::Fill(block, FilledBytes());
    *state = BlockState::kFreed;
    *top_++ = Slot{block, state};
    TakeBack(block);
  }

  // Checked: the state of the live block at `block`; null when there is none.
  [[nodiscard, gnu::always_inline]] BlockState* FindLive(
      const std::byte* block) const {
    if (chunk_count_ == 0) [[unlikely]]
      return nullptr;
    const Chunk& chunk = *NearestChunk(block);
    const uint64_t index = IndexIn(chunk, block);
    if (index >= chunk.blocks) [[unlikely]]
      return nullptr;
    BlockState* const state = chunk.states + index;
    return *state == BlockState::kLive ? state : nullptr;
  }

  // Ends the process, as there is no live block at `block`.
  [[noreturn, gnu::cold, gnu::noinline]] void DieNotLive(
      const std::byte* block, const char* call) const {
    const auto* const p = static_cast<const void*>(block);
    if (!Owns(p)) {
      Die("MemoryPool::%s(%p): foreign pointer, not of this pool", call, p);
    }
    const Chunk& chunk = *NearestChunk(block);
    const auto offset = static_cast<size_t>(block - chunk.begin);
    if (offset % stride_ != 0) {
      Die("MemoryPool::%s(%p): interior pointer, %zu bytes behind the start of "
          "a block",
          call, p, offset % stride_);
    }
    Die("MemoryPool::%s(%p): %s", call, p,
        chunk.states[offset / stride_] == BlockState::kFreed
            ? "double free"
            : "the block was never allocated");
  }

  // Which of the chunk's blocks begins at `block`; at least chunk.blocks when
  // none does.
  [[nodiscard]] uint64_t IndexIn(const Chunk& chunk,
                                 const std::byte* block) const {
    return checks_.Quotient(reinterpret_cast<uintptr_t>(block) -
                            reinterpret_cast<uintptr_t>(chunk.begin));
  }

  // How much of a free block is filled.
  [[nodiscard]] size_t FilledBytes() const {
    return std::min(block_size_, kFilledBytes<Policy>);
  }
  [[nodiscard]] bool FillsLong() const {
    return kFills && !checks_.short_way.exists();
  }

  // Checked: true when there is a free block that was handed out before, and it
  // was not written to since; of blocks without a short way it does not know.
  [[nodiscard]] bool HasUntouched() const {
    if (top_ == bottom_) return false;
    if constexpr (!kFills) return true;
    return !FillsLong() && checks_.short_way.IsIntact(BlockOf(top_[-1]));
  }

  [[noreturn, gnu::cold, gnu::noinline]] static void DieWrittenTo(
      const std::byte* block) {
    Die("MemoryPool::Allocate(): the free block %p was written to (write after "
        "free)",
        static_cast<const void*>(block));
  }

  // The size of a chunk of `blocks` blocks with what lies behind them. False
  // when that overflows.
  [[nodiscard]] bool MeasureChunk(size_t blocks, size_t* total) const {
    size_t state_bytes = 0;
    return CheckedMultiply(blocks, stride_, total) &&
           CheckedMultiply(blocks, kStateBytes, &state_bytes) &&
           CheckedAdd(*total, state_bytes, total);
  }

  // Makes a chunk of the memory at `begin`, which MeasureChunk() measured.
  Chunk PlaceChunk(std::byte* begin, size_t blocks) {
    BlockState* states = nullptr;
    if constexpr (Policy::kChecked) {
      states = reinterpret_cast<BlockState*>(begin + blocks * stride_);
      std::uninitialized_fill_n(states, blocks, BlockState::kFresh);
    }
    PoisonFreed(begin, blocks * stride_);
    return {.begin = begin, .blocks = blocks, .states = states, .free = blocks};
  }

  // As MeasureChunk() said.
  [[nodiscard]] size_t ChunkBytes(const Chunk& chunk) const {
    return chunk.blocks * (stride_ + kStateBytes);
  }

  // Lets a reserved chunk serve the next blocks.
  void StartChunk(Chunk* chunk) {
    chunk->free = 0;
    reserved_blocks_ -= chunk->blocks;
    fresh_ = chunk->begin;
    fresh_end_ = chunk->begin + chunk->blocks * stride_;
    if constexpr (Policy::kChecked) checks_.fresh = chunk->states;
  }

  void ReleaseChunk(const Chunk& chunk) {
    UnpoisonFresh(chunk.begin, chunk.blocks * stride_);
    if (!InRegion()) {
      upstream_.Deallocate(chunk.begin, ChunkBytes(chunk), ChunkAlignment());
    }
  }

  // Lets every chunk know how many of its blocks are free.
  void CountFreeBlocks() {
    if (fresh_ != fresh_end_) {
      NearestChunk(fresh_)->free =
          static_cast<size_t>(fresh_end_ - fresh_) / stride_;
    }
    for (const Slot* slot = bottom_; slot != top_; ++slot) {
      ++NearestChunk(BlockOf(*slot))->free;
    }
  }

  // Lets the next chunk serve, a reserved one or else a new one. Called when
  // every other block is live. False when there is no more to be had; the
  // directory may have grown then.
  [[gnu::noinline]] bool Grow() {
    if (reserved_blocks_ == 0) {
      size_t blocks = std::min(chunk_blocks_, max_blocks_ - blocks_);
      while (!AddChunk(blocks)) {
        if (!halves_ || blocks <= 1) return false;
        blocks /= 2;
      }
    }
    StartChunk(std::find_if(chunks_, chunks_ + chunk_count_,
                            [](const Chunk& chunk) { return chunk.IsFree(); }));
    return true;
  }

  // Reserves a chunk of `blocks` blocks, or of as many as max_blocks allows.
  // False when there is none; the directory may have grown then.
  [[nodiscard]] bool AddChunk(size_t blocks) {
    blocks = std::min(blocks, max_blocks_ - blocks_);
    Chunk chunk = {};
    if (blocks == 0 || !TakeChunk(blocks, &chunk)) return false;
    Chunk* const end = chunks_ + chunk_count_;
    Chunk* const place = std::find_if(
        chunks_, end,
        [begin = reinterpret_cast<uintptr_t>(chunk.begin)](const Chunk& other) {
          return reinterpret_cast<uintptr_t>(other.begin) > begin;
        });
    std::move_backward(place, end, end + 1);
    *place = chunk;
    ++chunk_count_;
    blocks_ += blocks;
    reserved_blocks_ += blocks;
    committed_ += ChunkBytes(chunk);
    metadata_ += ChunkBytes(chunk) - blocks * stride_;
    if (halves_) chunk_blocks_ = std::min(blocks * 2, max_chunk_blocks_);
    return true;
  }

  // A chunk, and room for it in the directory. The room comes first: an
  // upstream that does not take back what is not its newest block has then lost
  // nothing when a smaller chunk is asked for next.
  [[nodiscard]] bool TakeChunk(size_t blocks, Chunk* chunk) {
    size_t total = 0;
    if (!MeasureChunk(blocks, &total) || !ReserveDirectory(blocks_ + blocks)) {
      return false;
    }
    void* const memory = upstream_.Allocate(total, ChunkAlignment());
    if (memory == nullptr) return false;
    *chunk = PlaceChunk(static_cast<std::byte*>(memory), blocks);
    return true;
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
  // the order of their addresses, then at least kLastStep - 1 times NoChunk().
  [[nodiscard]] bool ReplaceDirectory(size_t slots, size_t chunks) {
    size_t slot_bytes = 0;
    size_t total = 0;
    size_t entries = 0;
    if (!CheckedMultiply(slots, sizeof(Slot), &slot_bytes) ||
        !CheckedAdd(chunks, kLastStep - 1, &entries) ||
        !CheckedMultiply(entries, sizeof(Chunk), &total) ||
        !CheckedAdd(total, slot_bytes, &total)) {
      return false;
    }
    void* const memory = upstream_.Allocate(total, kDirectoryAlignment);
    if (memory == nullptr) return false;
    auto* const moved_slots = static_cast<Slot*>(memory);
    auto* const moved_chunks =
        reinterpret_cast<Chunk*>(static_cast<std::byte*>(memory) + slot_bytes);
    Slot* const moved_top = std::uninitialized_copy(bottom_, top_, moved_slots);
    Chunk* const moved_end =
        std::uninitialized_copy_n(chunks_, chunk_count_, moved_chunks);
    std::uninitialized_fill(moved_end, moved_chunks + entries, NoChunk());
    ReleaseDirectory();
    directory_bytes_ = total;
    bottom_ = moved_slots;
    top_ = moved_top;
    slot_capacity_ = slots;
    chunks_ = moved_chunks;
    chunk_capacity_ = chunks;
    committed_ += total;
    metadata_ += total;
    return true;
  }

  // The directory begins with the stack. Over a region there is none to give
  // back.
  void ReleaseDirectory() {
    if (directory_bytes_ == 0) return;
    upstream_.Deallocate(static_cast<void*>(bottom_), directory_bytes_,
                         kDirectoryAlignment);
    committed_ -= directory_bytes_;
    metadata_ -= directory_bytes_;
    directory_bytes_ = 0;
    top_ = bottom_ = nullptr;
    slot_capacity_ = 0;
    chunks_ = nullptr;
    chunk_capacity_ = 0;
  }

  // Lays one chunk and its directory into the region: padding, the blocks,
  // their states, the stack, one entry of chunks_.
  void AdoptRegion(std::byte* region, size_t bytes) {
    committed_ = bytes;
    metadata_ = bytes;
    const size_t limit = std::exchange(max_blocks_, 0);
    const auto address = reinterpret_cast<uintptr_t>(region);
    size_t aligned = 0;
    size_t overhead = 0;
    size_t block_total = 0;
    if (!CheckedAlignUp(address, StepOf(alignment_), &aligned) ||
        !CheckedAdd(aligned - address, kDirectoryAlignment + sizeof(Chunk),
                    &overhead) ||
        overhead > bytes ||
        !CheckedAdd(stride_, sizeof(Slot) + kStateBytes, &block_total)) {
      return;
    }
    const size_t blocks = std::min(limit, (bytes - overhead) / block_total);
    size_t total = 0;
    if (blocks == 0 || !MeasureChunk(blocks, &total)) return;
    const size_t slots = AlignDown(aligned + total + kDirectoryAlignment - 1,
                                   Alignment::FromBytes(kDirectoryAlignment));
    std::byte* const begin = region + (aligned - address);
    bottom_ = top_ = reinterpret_cast<Slot*>(region + (slots - address));
    slot_capacity_ = blocks;
    chunks_ = ::new (static_cast<void*>(bottom_ + blocks))
        Chunk(PlaceChunk(begin, blocks));
    chunk_count_ = chunk_capacity_ = 1;
    metadata_ -= blocks * stride_;
    max_blocks_ = blocks_ = reserved_blocks_ = blocks;  // it never grows
    StartChunk(chunks_);
  }

  // What Allocate() and Deallocate() touch comes first, in one cache line.
  Slot* top_ = nullptr;             // behind the newest free block of the stack
  Slot* bottom_ = nullptr;          // the stack's oldest
  std::byte* fresh_ = nullptr;      // next block that was never handed out
  std::byte* fresh_end_ = nullptr;  // end of its chunk
  size_t stride_;                   // bytes from one block to the next
  uint64_t deallocations_ = 0;
  size_t block_size_;
  [[no_unique_address]] std::conditional_t<Policy::kChecked, CheckedFields,
                                           NoFields> checks_;

  Alignment alignment_;
  bool halves_;                 // the pool chooses the size of chunks
  size_t blocks_ = 0;           // in all chunks
  size_t reserved_blocks_ = 0;  // in those not started
  size_t peak_blocks_ = 0;      // that were live at once before Release()
  size_t max_blocks_;
  size_t chunk_blocks_;  // in the next chunk
  size_t max_chunk_blocks_;
  Chunk* chunks_ = nullptr;  // in the order of addresses
  size_t chunk_count_ = 0;
  size_t chunk_capacity_ = 0;
  size_t slot_capacity_ = 0;
  size_t directory_bytes_ = 0;  // 0 when there is none, and in a region
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
static_assert(ReallocatingAllocator<MemoryPool<>>);
static_assert(RawAllocator<MemoryPool<SystemSource, Checked>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_MEMORY_POOL_H_
