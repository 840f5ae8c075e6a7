#ifndef MMSB_ALLOCATOR_ARENA_H_
#define MMSB_ALLOCATOR_ARENA_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/raw_allocator.h"
#include "allocator/retreat_log.h"
#include "allocator/system_source.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/cache_line.h"
#include "primitives/check.h"
#include "primitives/poison.h"

namespace mmsb {

// Sizes are in bytes, as asked of the upstream: an arena's bookkeeping, 64
// bytes a chunk, is inside them.
struct ArenaOptions {
  // The first chunk; each further one is twice as large as the last.
  size_t first_chunk_bytes = 4 * kKiB;

  // The largest chunk. A request that does not fit one gets a block of its own
  // from the upstream.
  size_t max_chunk_bytes = kMiB;

  // The most that the arena ever holds.
  size_t max_bytes = std::numeric_limits<size_t>::max();
};

// Blocks of any size that are given back together.
//
// Owns its chunks: they come from the upstream, which the arena owns by value
// (AllocatorRef lends one), and go back to it in the destructor. An address
// moves down through a chunk as blocks are allocated, so that an allocation is
// a compare and a subtraction. No constructor or destructor of what is put into
// the blocks is ever run. Neither copied nor moved, as other allocators point
// at it.
//
// Blocks are given back by Rewind(), all since a Mark(), or by Reset(), all of
// them; Deallocate() gives back the newest block and forgets any other until
// then. One chunk that becomes empty, the largest, is kept for the next growth.
// Where the next block would start after them, bytes lost to alignment return
// only by Rewind() and Reset().
//
// Not thread-safe.
//
// Null when max_bytes would be passed, the upstream has nothing more, or the
// request overflows. With Policy = Checked, Rewind() ends the process when the
// position is of another arena or has ended, and Deallocate() when the block is
// not live or not of this arena; that an older block is deallocated twice is
// not noticed. Reallocate() checks as Deallocate() does. To know which
// positions have ended takes 32 bytes of the upstream for each place that the
// arena went back to and did not go back past since, at most one a Mark(), in
// an array that doubles from 16 and is kept, within max_bytes. Where there is
// no memory for it, it forgets, and a position that has ended may be returned
// to unnoticed.
//
// Allocate is O(1) but for a call in which the arena grows, Mark is O(1),
// Rewind and Reset are O(chunks given back), Owns O(chunks); under Checked
// Rewind also takes the logarithm of the number of those places.
//
//   Arena arena;
//   auto position = arena.Mark();
//   void* p = arena.Allocate(100, 8);
//   arena.Rewind(position);  // p is gone
template <RawAllocator Upstream = SystemSource, class Policy = Unchecked>
class Arena {
  static_assert(CheckPolicy<Policy>);

 public:
  using Options = ArenaOptions;

  // A moment of an arena, to return to: three words, seven under Checked,
  // copied freely. It ends with the arena, when the arena is rewound to an
  // earlier one or reset, and when a block older than it is deallocated or
  // grows; but a block older than it that is larger than a chunk may do so and
  // does no harm.
  class Position {
   private:
    friend class Arena;
    Position(const Arena* arena, std::byte* cursor, uint64_t serial)
        : arena_(arena), cursor_(cursor), serial_(serial) {}

    struct NoMoment {};

    const Arena* arena_;
    std::byte* cursor_;
    uint64_t serial_;  // of the newest chunk
    [[no_unique_address]]
    std::conditional_t<Policy::kChecked, RetreatLog::Moment, NoMoment> moment_;
  };

  Arena()
    requires std::default_initializable<Upstream>
      : Arena(Options{}) {}

  // Takes nothing from the upstream until the first Allocate().
  explicit Arena(const Options& options, Upstream upstream = Upstream())
      : max_chunk_bytes_(ChunkSize(options.max_chunk_bytes)),
        next_chunk_bytes_(
            std::min(ChunkSize(options.first_chunk_bytes), max_chunk_bytes_)),
        max_bytes_(options.max_bytes),
        upstream_(std::move(upstream)) {}

  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  ~Arena() {
    PopAll();
    if (spare_ != nullptr) ReleaseSpare();
    if constexpr (Policy::kChecked) MoveLog(nullptr, 0);
  }

  // A block of `bytes` bytes at a multiple of `alignment`, contents undefined;
  // or null.
  [[nodiscard]] void* Allocate(
      size_t bytes, size_t alignment = alignof(std::max_align_t)) noexcept {
    // A chunk starts at a multiple of kChunkAlignment, so that what is aligned
    // in it is aligned in memory. Zero wraps in both comparisons, and so takes
    // the other way.
    if (alignment - 1 < kChunkAlignment && Alignment::IsValid(alignment) &&
        bytes - 1 < room_) [[likely]] {
      room_ = (room_ - bytes) & ~(alignment - 1);
      UnpoisonFresh(begin_ + room_, bytes);
      return begin_ + room_;
    }
    return AllocateSlow(bytes, alignment);
  }

  // Room for `count` objects of type T, none of them constructed; null also
  // when their size overflows.
  template <class T>
  [[nodiscard]] T* AllocateArray(size_t count) noexcept {
    size_t bytes = 0;
    if (!CheckedMultiply(count, sizeof(T), &bytes)) {
      ++failures_;
      return nullptr;
    }
    return static_cast<T*>(Allocate(bytes, alignof(T)));
  }

  // Gives the newest block back; another live block stays until Rewind() or
  // Reset(). Null is ignored.
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if (p == nullptr) return;
    auto* const block = static_cast<std::byte*>(p);
    if constexpr (Policy::kChecked) {
      CheckLive(block, bytes, alignment, "Deallocate");
    }
    GoBack([&] {
      if (block == Cursor()) {
        peak_ = std::max(peak_, Live());
        bytes = std::max<size_t>(bytes, 1);
        PoisonFreed(block, bytes);
        room_ += bytes;
        if (Cursor() == End(top_)) PopChunk();
      } else if (large_ != nullptr && block == large_->begin) {
        peak_ = std::max(peak_, Live());
        PopLarge();
      }
    });
  }

  // Any block shrinks where it is. The newest grows without taking more than
  // the difference; as blocks are laid downwards it moves down to do so. Null
  // where neither is possible.
  [[nodiscard]] void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                                 size_t alignment) noexcept {
    auto* const block = static_cast<std::byte*>(p);
    if constexpr (Policy::kChecked) {
      CheckLive(block, old_bytes, alignment, "Reallocate");
    }
    old_bytes = std::max<size_t>(old_bytes, 1);
    new_bytes = std::max<size_t>(new_bytes, 1);
    if (new_bytes <= old_bytes) {
      PoisonFreed(block + new_bytes, old_bytes - new_bytes);
      return p;
    }
    if (large_ != nullptr && block == large_->begin) {
      if (new_bytes > Capacity(large_)) return nullptr;
      UnpoisonFresh(block + old_bytes, new_bytes - old_bytes);
      return p;
    }
    if (block != Cursor() || new_bytes - old_bytes > room_) return nullptr;
    const size_t room = room_ - (new_bytes - old_bytes);
    const size_t lost =
        reinterpret_cast<uintptr_t>(begin_ + room) & (alignment - 1);
    if (lost > room) return nullptr;
    if constexpr (Policy::kChecked) {
      // As if the block went, and a larger one came.
      RetreatLog::Place without = Here();
      without.used -= old_bytes;
      NoteRetreat(without);
    }
    room_ = room - lost;
    UnpoisonFresh(Cursor(), static_cast<size_t>(block - Cursor()));
    std::memmove(Cursor(), block, old_bytes);
    UnpoisonFresh(Cursor() + old_bytes, new_bytes - old_bytes);
    PoisonFreed(Cursor() + new_bytes, lost);
    return Cursor();
  }

  // The present, for Rewind().
  [[nodiscard]] Position Mark() const noexcept {
    Position position(this, Cursor(), serial_);
    if constexpr (Policy::kChecked) position.moment_ = log_.Take(Here());
    return position;
  }

  // Gives back every block allocated since `position` was taken from Mark().
  // The same position may be returned to again, but not once it has ended
  // (Checked finds that).
  void Rewind(const Position& position) noexcept {
    if constexpr (Policy::kChecked) CheckPosition(position);
    GoBack([&] {
      peak_ = std::max(peak_, Live());
      while (large_ != nullptr && large_->serial > position.serial_) PopLarge();
      while (top_ != nullptr && top_->serial > position.serial_) PopChunk();
      if (Cursor() != position.cursor_) {
        const auto bytes = static_cast<size_t>(position.cursor_ - Cursor());
        PoisonFreed(Cursor(), bytes);
        room_ += bytes;
      }
    });
  }

  // Gives back every block.
  void Reset() noexcept {
    GoBack([&] { PopAll(); });
  }

  // True when `p` points into a live block, or between two.
  [[nodiscard]] bool Owns(const void* p) const noexcept {
    const auto* const byte = static_cast<const std::byte*>(p);
    if (top_ != nullptr && Within(byte, Cursor(), End(top_))) return true;
    for (const Chunk* chunk = top_; chunk != nullptr; chunk = chunk->previous) {
      if (chunk != top_ && Within(byte, chunk->cursor, End(chunk))) return true;
    }
    for (const Chunk* chunk = large_; chunk != nullptr;
         chunk = chunk->previous) {
      if (Within(byte, chunk->begin, End(chunk))) return true;
    }
    return false;
  }

  // Live is every byte that the cursor moved over; free is what is left in the
  // chunks in use; cached is the spare chunk. Allocations and deallocations are
  // not counted, which would take the fast path a quarter more time.
  [[nodiscard]] AllocatorStats Stats() const noexcept {
    return AllocatorStats({
        .live = Live(),
        .cached = spare_ == nullptr ? 0 : Capacity(spare_),
        .free = retired_free_ + room_,
        .metadata = chunk_count_ * sizeof(Chunk) + LogBytes(),
        .committed = committed_,
        .peak = std::max(peak_, Live()),
        .failures = failures_,
    });
  }

 private:
  // Lies at the end of a chunk, behind its blocks.
  struct alignas(kCacheLineBytes) Chunk {
    Chunk* previous;     // older
    std::byte* begin;    // of the memory taken from the upstream
    size_t total_bytes;  // of that memory, this Chunk included
    size_t alignment;    // that it was asked for with
    std::byte* cursor;   // of the arena when a newer chunk took over
    uint64_t serial;     // chunks are numbered as they are put to use
  };

  static constexpr size_t kChunkAlignment = alignof(Chunk);
  static constexpr size_t kMinChunkBytes = 2 * kChunkAlignment;

  // `bytes` of an option, as a chunk can be: a multiple of kChunkAlignment with
  // room for a Chunk and something else.
  static size_t ChunkSize(size_t bytes) {
    return std::max(AlignDown(bytes, Alignment::FromBytes(kChunkAlignment)),
                    kMinChunkBytes);
  }

  static std::byte* End(Chunk* chunk) {
    return reinterpret_cast<std::byte*>(chunk);
  }
  static const std::byte* End(const Chunk* chunk) {
    return reinterpret_cast<const std::byte*>(chunk);
  }
  static size_t Capacity(const Chunk* chunk) {
    return chunk->total_bytes - sizeof(Chunk);
  }

  // Pointers of different chunks are compared as numbers.
  static bool Within(const std::byte* p, const std::byte* begin,
                     const std::byte* end) {
    return reinterpret_cast<uintptr_t>(p) >=
               reinterpret_cast<uintptr_t>(begin) &&
           reinterpret_cast<uintptr_t>(p) < reinterpret_cast<uintptr_t>(end);
  }

  // Of the newest block; the next is below. Null without a chunk.
  [[nodiscard]] std::byte* Cursor() const { return begin_ + room_; }

  [[nodiscard]] size_t Live() const {
    const size_t used =
        top_ == nullptr ? 0 : static_cast<size_t>(End(top_) - Cursor());
    return retired_live_ + large_live_ + used;
  }

  [[nodiscard]] RetreatLog::Place Here() const {
    return {
        .chunk = top_ == nullptr ? 0 : top_->serial,
        .used = top_ == nullptr ? 0 : static_cast<size_t>(End(top_) - Cursor()),
        .large = large_ == nullptr ? 0 : large_->serial,
    };
  }

  // Does what may give blocks back.
  template <class Body>
  void GoBack(Body body) {
    if constexpr (Policy::kChecked) {
      const RetreatLog::Place before = Here();
      body();
      if (const RetreatLog::Place now = Here(); now < before) NoteRetreat(now);
    } else {
      body();
    }
  }

  [[gnu::noinline]] void* AllocateSlow(size_t bytes, size_t alignment) {
    void* const p = Alignment::IsValid(alignment)
                        ? AllocateRare(std::max<size_t>(bytes, 1), alignment)
                        : nullptr;
    if (p == nullptr) ++failures_;
    return p;
  }

  // What the fast path does not serve: the first block of a chunk, one that is
  // aligned more strictly than chunks are, or one larger than a chunk.
  [[nodiscard]] void* AllocateRare(size_t bytes, size_t alignment) {
    void* const p = AllocateFromTop(bytes, alignment);
    if (p != nullptr) return p;
    size_t total = 0;
    if (!CheckedAlignUp(bytes, Alignment::Of<Chunk>(), &total) ||
        !CheckedAdd(total, sizeof(Chunk), &total)) {
      return nullptr;
    }
    // At most this is lost to the alignment, wherever the chunk begins.
    const size_t lost =
        alignment > kChunkAlignment ? alignment - kChunkAlignment : 0;
    size_t in_chunk = 0;
    if (CheckedAdd(total, lost, &in_chunk) && in_chunk <= max_chunk_bytes_) {
      if (PushChunk(in_chunk)) return AllocateFromTop(bytes, alignment);
      // One of its own may still fit, as it loses nothing.
      if (lost == 0) return nullptr;
    }
    return AllocateLarge(bytes, total, alignment);
  }

  // Null when the block does not fit the chunk in use.
  [[nodiscard]] void* AllocateFromTop(size_t bytes, size_t alignment) {
    if (bytes > room_) return nullptr;
    const size_t room = room_ - bytes;
    const size_t lost =
        reinterpret_cast<uintptr_t>(begin_ + room) & (alignment - 1);
    if (lost > room) return nullptr;
    room_ = room - lost;
    UnpoisonFresh(Cursor(), bytes);
    return Cursor();
  }

  // A chunk for one block. The chunk in use stays in use.
  [[nodiscard]] void* AllocateLarge(size_t bytes, size_t total,
                                    size_t alignment) {
    alignment = std::max(alignment, kChunkAlignment);
    Chunk* chunk = TakeChunk(total, alignment);
    if (chunk == nullptr && spare_ != nullptr) {
      ReleaseSpare();
      chunk = TakeChunk(total, alignment);
    }
    if (chunk == nullptr) return nullptr;
    chunk->previous = std::exchange(large_, chunk);
    chunk->serial = ++serial_;
    large_live_ += Capacity(chunk);
    UnpoisonFresh(chunk->begin, bytes);
    return chunk->begin;
  }

  // Puts a chunk of at least `total` bytes to use, the spare one or a new one.
  // False, and nothing changed but the spare chunk, when there is none.
  [[nodiscard]] bool PushChunk(size_t total) {
    Chunk* chunk = nullptr;
    if (spare_ != nullptr && spare_->total_bytes >= total) {
      chunk = std::exchange(spare_, nullptr);
    } else {
      chunk = TakeNextChunk(total);
      if (chunk == nullptr && spare_ != nullptr) {
        ReleaseSpare();
        chunk = TakeNextChunk(total);
      }
    }
    if (chunk == nullptr) return false;
    if (top_ != nullptr) {
      top_->cursor = Cursor();
      retired_free_ += room_;
      retired_live_ += static_cast<size_t>(End(top_) - Cursor());
    }
    chunk->previous = std::exchange(top_, chunk);
    chunk->serial = ++serial_;
    begin_ = chunk->begin;
    room_ = Capacity(chunk);
    return true;
  }

  // A new chunk of the size that is next, or of as much as the limit and the
  // upstream allow, at least `total` bytes (and `total` is at most
  // max_chunk_bytes_).
  [[nodiscard]] Chunk* TakeNextChunk(size_t total) {
    size_t size = next_chunk_bytes_;
    while (size < total) size = std::min(Doubled(size), max_chunk_bytes_);
    Chunk* chunk = TakeChunk(size, kChunkAlignment);
    while (chunk == nullptr && size > total) {
      size = std::max(total, ChunkSize(size / 2));
      chunk = TakeChunk(size, kChunkAlignment);
    }
    if (chunk != nullptr) {
      next_chunk_bytes_ = std::min(Doubled(size), max_chunk_bytes_);
    }
    return chunk;
  }

  static size_t Doubled(size_t bytes) {
    size_t doubled = 0;
    return CheckedMultiply(bytes, 2, &doubled)
               ? doubled
               : AlignDown(std::numeric_limits<size_t>::max(),
                           Alignment::Of<Chunk>());
  }

  [[nodiscard]] Chunk* TakeChunk(size_t total, size_t alignment) {
    if (total > max_bytes_ - committed_) return nullptr;
    void* const memory = upstream_.Allocate(total, alignment);
    if (memory == nullptr) return nullptr;
    committed_ += total;
    ++chunk_count_;
    auto* const begin = static_cast<std::byte*>(memory);
    auto* const chunk = ::new (begin + (total - sizeof(Chunk)))
        Chunk{nullptr, begin, total, alignment, nullptr, 0};
    PoisonFreed(begin, Capacity(chunk));
    return chunk;
  }

  void ReleaseChunk(Chunk* chunk) {
    std::byte* const begin = chunk->begin;
    const size_t total_bytes = chunk->total_bytes;
    const size_t alignment = chunk->alignment;
    UnpoisonFresh(begin, Capacity(chunk));
    committed_ -= total_bytes;
    --chunk_count_;
    upstream_.Deallocate(begin, total_bytes, alignment);
  }

  void ReleaseSpare() { ReleaseChunk(std::exchange(spare_, nullptr)); }

  void PopAll() {
    peak_ = std::max(peak_, Live());
    while (large_ != nullptr) PopLarge();
    while (top_ != nullptr) PopChunk();
  }

  void PopLarge() {
    Chunk* const chunk = large_;
    large_ = chunk->previous;
    large_live_ -= Capacity(chunk);
    ReleaseChunk(chunk);
  }

  // Takes the newest chunk out of use: it becomes the spare one, or goes back
  // to the upstream if that one is larger.
  void PopChunk() {
    Chunk* const chunk = top_;
    PoisonFreed(Cursor(), static_cast<size_t>(End(chunk) - Cursor()));
    top_ = chunk->previous;
    if (top_ == nullptr) {
      begin_ = nullptr;
      room_ = 0;
    } else {
      begin_ = top_->begin;
      room_ = static_cast<size_t>(top_->cursor - begin_);
      retired_free_ -= room_;
      retired_live_ -= static_cast<size_t>(End(top_) - Cursor());
    }
    if (spare_ != nullptr && spare_->total_bytes >= chunk->total_bytes) {
      ReleaseChunk(chunk);
      return;
    }
    if (spare_ != nullptr) ReleaseSpare();
    spare_ = chunk;
  }

  [[nodiscard]] size_t LogBytes() const {
    if constexpr (Policy::kChecked) {
      return log_.capacity() * sizeof(RetreatLog::Retreat);
    } else {
      return 0;
    }
  }

  // Checked: the positions above `to` that were taken until now have ended.
  void NoteRetreat(const RetreatLog::Place& to) {
    if (!log_.Matters(to)) return;
    if (log_.full()) GrowLog();
    log_.Note(to);
  }

  void GrowLog() {
    constexpr size_t kFirst = 16;
    const size_t capacity = std::max(2 * log_.capacity(), kFirst);
    const size_t bytes = capacity * sizeof(RetreatLog::Retreat);
    if (bytes > max_bytes_ - committed_) return;
    void* const memory =
        upstream_.Allocate(bytes, alignof(RetreatLog::Retreat));
    if (memory == nullptr) return;
    committed_ += bytes;
    MoveLog(memory, capacity);
  }

  void MoveLog(void* memory, size_t capacity) {
    const size_t old_bytes = LogBytes();
    void* const old = log_.MoveTo(memory, capacity);
    if (old == nullptr) return;
    committed_ -= old_bytes;
    upstream_.Deallocate(old, old_bytes, alignof(RetreatLog::Retreat));
  }

  // Checked: ends the process when `position` cannot be returned to.
  void CheckPosition(const Position& position) const {
    if (position.arena_ != this) {
      Die("Arena::Rewind(): the position is of another arena, %p, not %p",
          static_cast<const void*>(position.arena_),
          static_cast<const void*>(this));
    }
    const Chunk* chunk = top_;
    while (chunk != nullptr && chunk->serial > position.serial_) {
      chunk = chunk->previous;
    }
    const std::byte* const used =
        chunk == top_ ? Cursor() : (chunk == nullptr ? nullptr : chunk->cursor);
    // A position in an empty arena has no chunk, and one at the end of a chunk
    // does not exist, as the chunk would have been given back.
    const bool reachable = chunk == nullptr
                               ? position.cursor_ == nullptr
                               : Within(position.cursor_, used, End(chunk));
    if (!reachable || log_.IsPast(position.moment_)) {
      Die("Arena::Rewind(%p): the arena was already rewound past the position, "
          "or a block older than it deallocated or grown",
          static_cast<const void*>(position.cursor_));
    }
  }

  // Checked: ends the process when the block is not live here.
  void CheckLive(const std::byte* block, size_t bytes, size_t alignment,
                 const char* call) const {
    if (!Alignment::IsValid(alignment) ||
        (reinterpret_cast<uintptr_t>(block) & (alignment - 1)) != 0) {
      Die("Arena::%s(%p, %zu, %zu): not at a multiple of its alignment", call,
          static_cast<const void*>(block), bytes, alignment);
    }
    if (!Owns(block)) {
      Die("Arena::%s(%p, %zu, %zu): not a live block of this arena "
          "(foreign pointer, double free, or already rewound)",
          call, static_cast<const void*>(block), bytes, alignment);
    }
    const auto address = reinterpret_cast<uintptr_t>(block);
    const uintptr_t last = address + std::max<size_t>(bytes, 1) - 1;
    if (last < address || !Owns(reinterpret_cast<const std::byte*>(last))) {
      Die("Arena::%s(%p, %zu, %zu): wrong size, the block ends before", call,
          static_cast<const void*>(block), bytes, alignment);
    }
  }

  size_t room_ = 0;             // bytes below the newest block
  std::byte* begin_ = nullptr;  // of the chunk in use
  Chunk* top_ = nullptr;        // the chunk in use
  Chunk* large_ = nullptr;      // the newest chunk of one block
  Chunk* spare_ = nullptr;
  uint64_t serial_ = 0;      // of the newest chunk
  size_t retired_live_ = 0;  // bytes, in chunks below top_
  size_t retired_free_ = 0;  // bytes, in chunks below top_
  size_t large_live_ = 0;    // bytes
  size_t committed_ = 0;     // bytes
  size_t chunk_count_ = 0;   // with the spare one
  size_t peak_ = 0;          // bytes, as of the last time live went down
  size_t max_chunk_bytes_;
  size_t next_chunk_bytes_;
  size_t max_bytes_;
  uint64_t failures_ = 0;
  struct NoLog {};
  [[no_unique_address]]
  std::conditional_t<Policy::kChecked, RetreatLog, NoLog> log_;
  [[no_unique_address]] Upstream upstream_;
};

Arena() -> Arena<>;
Arena(ArenaOptions) -> Arena<>;
template <RawAllocator Upstream>
Arena(ArenaOptions, Upstream) -> Arena<Upstream>;

static_assert(sizeof(Arena<>::Position) == 3 * sizeof(void*));
static_assert(OwningAllocator<Arena<>>);
static_assert(CountingAllocator<Arena<>>);
static_assert(ReallocatingAllocator<Arena<>>);
static_assert(RawAllocator<Arena<SystemSource, Checked>>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_ARENA_H_
