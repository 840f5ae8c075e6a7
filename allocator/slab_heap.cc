#include "allocator/slab_heap.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

#include "allocator/allocator_stats.h"
#include "allocator/size_histogram.h"
#include "allocator/slab_chunk.h"
#include "allocator/slab_depot.h"
#include "allocator/slab_large_blocks.h"
#include "allocator/slab_size_classes.h"
#include "allocator/slab_thread_cache.h"
#include "primitives/alignment.h"
#include "primitives/check.h"
#include "primitives/os_background_thread.h"
#include "primitives/os_mutex.h"
#include "primitives/thread_annotations.h"

namespace mmsb::slab_internal {
namespace {

// Never given to two heaps, so that what a thread remembers of a heap that is
// gone is not taken for another's.
std::atomic<uint64_t> next_heap_id = 1;

// A stack's limit starts at an eighth of the class's capacity: a thread that
// uses a class little keeps little of it.
constexpr size_t kLeastLimit = 4;

// Counts read while others count may be behind each other.
size_t Difference(uint64_t more, uint64_t less) {
  return more > less ? static_cast<size_t>(more - less) : 0;
}

// Adds to a number that only the calling thread writes.
void Add(std::atomic<uint64_t>& number, uint64_t n) {
  // relaxed: a count.
  number.store(number.load(std::memory_order_relaxed) + n,
               std::memory_order_relaxed);
}

[[noreturn]] void DieOf(const BlockCall& call, const char* what) {
  void* const p = const_cast<void*>(call.p);
  if (!call.sized) Die("SlabAllocator::%s(%p): %s", call.function, p, what);
  Die("SlabAllocator::%s(%p, %zu, %zu): %s", call.function, p, call.bytes,
      call.alignment, what);
}

// Of an address in a chunk at which no live block begins.
[[noreturn]] void DieOfDeadBlock(const BlockCall& call) {
  const Slab* const slab = Chunk::SlabOf(call.p);
  const auto* const p = static_cast<const std::byte*>(call.p);
  if (slab->blocks == nullptr || p < slab->blocks) {
    DieOf(call, "foreign pointer, the block was never allocated");
  }
  const auto offset = static_cast<size_t>(p - slab->blocks);
  DieOf(call, offset % slab->shape().bytes == 0
                  ? "double free, or otherwise not live"
                  : "interior pointer, behind the start of a block");
}

}  // namespace

Heap::Heap(const SlabOptions& options, bool live_bits, bool counts_calls)
    // relaxed: only the number counts.
    : id_(next_heap_id.fetch_add(1, std::memory_order_relaxed)),
      decay_ns_(options.decay_ns),
      counts_calls_(counts_calls),
      clock_(*options.clock),
      memory_(*options.mapper),
      metadata_(memory_),
      units_(memory_, metadata_, live_bits),
      large_(memory_),
      ready_(CacheList::Prepare()) {
  MMSB_CHECK(decay_ns_ >= 0, "SlabAllocator: decay_ns is %lld",
             static_cast<long long>(decay_ns_));
  for (size_t i = 0; i < kSlabClasses; ++i) {
    depots_[i].Start(i, depot_locks_[i % kDepotLocks].mutex, units_, metadata_,
                     clock_);
  }
  ready_ = ready_ && fork_hook_
                         .Register({.before = &Heap::LockAll,
                                    .parent = &Heap::UnlockAll,
                                    .child = &Heap::UnlockInChild},
                                   this)
                         .ok();
}

Heap::~Heap() {
  fork_hook_.Unregister();
  const MutexLock lock(decay_mutex_);
  decay_thread_.Stop();
}

void* Heap::PopSlowly(size_t slab_class) {
  ThreadCache* const cache = FindOrMakeCache();
  void* block = nullptr;
  for (int attempt = 0; attempt < 3 && block == nullptr; ++attempt) {
    // Whatever lies idle may make a slab for this class; if not as it lies,
    // then by way of the system.
    if (attempt == 1) {
      if (cache != nullptr) FlushAll(*cache);
      const MutexLock lock(drain_mutex_);
      DrainOrphans();
      DrainDepots();
    } else if (attempt == 2 && ReleaseIdle() == 0) {
      break;
    }
    if (cache != nullptr) {
      block = Refill(*cache, slab_class);
    } else if (ready_ && depots_[slab_class].Take(&block, 1) == 1) {
      // relaxed: a count.
      bypasses_[slab_class].taken.fetch_add(1, std::memory_order_relaxed);
      NotePeak(kClassShapes[slab_class].bytes);
    }
  }
  if (block != nullptr) {
    StartDecayThread();
  } else {
    // relaxed: a count.
    failures_.fetch_add(1, std::memory_order_relaxed);
  }
  return block;
}

void Heap::PushSlowly(size_t slab_class, void* block) {
  ThreadCache* const cache = FindOrMakeCache();
  if (cache == nullptr) {
    // relaxed: counts.
    bypasses_[slab_class].given.fetch_add(1, std::memory_order_relaxed);
    out_bytes_.fetch_sub(kClassShapes[slab_class].bytes,
                         std::memory_order_relaxed);
    depots_[slab_class].Give(&block, 1);
    StartDecayThread();
    return;
  }
  Stack& stack = cache->stacks[slab_class];
  const auto limit = static_cast<size_t>(stack.limit - stack.bottom);
  if (stack.count() == limit) {
    const size_t capacity = kClassShapes[slab_class].cache_capacity;
    if (limit < capacity) {
      stack.limit = stack.bottom + std::min(2 * limit, capacity);
    } else {
      Flush(*cache, slab_class, limit / 2);
      StartDecayThread();
    }
  }
  // relaxed: only this thread writes it.
  void** const top = stack.top.load(std::memory_order_relaxed);
  *top = block;
  // release: pairs with the acquire in Stack::count; see Stack.
  stack.top.store(top + 1, std::memory_order_release);
}

ThreadCache* Heap::FindOrMakeCache() {
  ThreadCache* cache = thread_caches.Find(id_);
  if (cache != nullptr || !ready_) return cache;
  bool may_add = false;
  cache = caches_.FindOrAdopt(id_, &may_add);
  if (!may_add) return cache;
  void* const p =
      metadata_.Take(sizeof(ThreadCache), Alignment::Of<ThreadCache>());
  if (p == nullptr) return nullptr;
  cache = ::new (p) ThreadCache{};
  void** slots = cache->slots.data();
  for (size_t i = 0; i < kSlabClasses; ++i) {
    const size_t capacity = kClassShapes[i].cache_capacity;
    Stack& stack = cache->stacks[i];
    stack.bottom = slots;
    stack.limit = slots + std::max(capacity / 8, kLeastLimit);
    // release: pairs with the acquire in Stack::count.
    stack.top.store(slots, std::memory_order_release);
    slots += capacity;
  }
  caches_.Add(cache, id_);
  return cache;
}

void* Heap::Refill(ThreadCache& cache, size_t slab_class) {
  Stack& stack = cache.stacks[slab_class];
  // relaxed: only this thread writes it; so below.
  void** top = stack.top.load(std::memory_order_relaxed);
  if (top == stack.bottom) {
    const size_t capacity = kClassShapes[slab_class].cache_capacity;
    const auto limit = static_cast<size_t>(stack.limit - stack.bottom);
    stack.limit = stack.bottom + std::min(2 * limit, capacity);
    // The stack is empty: nobody looks at its slots before `top` moves.
    const size_t count = depots_[slab_class].Take(
        stack.bottom, static_cast<size_t>(stack.limit - stack.bottom) / 2);
    if (count == 0) return nullptr;
    Add(cache.flows[slab_class].in, count);
    NotePeak(count * kClassShapes[slab_class].bytes);
    top = stack.bottom + count;
  }
  void* const block = top[-1];
  // release: pairs with the acquire in Stack::count; see Stack.
  stack.top.store(top - 1, std::memory_order_release);
  Add(stack.pops, 1);
  return block;
}

void Heap::Flush(ThreadCache& cache, size_t slab_class, size_t count) {
  if (count == 0) return;
  Stack& stack = cache.stacks[slab_class];
  std::array<void*, kMaxCacheCapacity> batch;
  std::copy_n(stack.bottom, count, batch.begin());
  void** const top = stack.top.load(std::memory_order_relaxed);
  // Empty while blocks move: see Stack. release: pairs with the acquire in
  // Stack::count.
  stack.top.store(stack.bottom, std::memory_order_release);
  // release: no slot may be seen moved before the stack is seen empty.
  std::atomic_thread_fence(std::memory_order_release);
  std::copy(stack.bottom + count, top, stack.bottom);
  // release: as above.
  stack.top.store(top - count, std::memory_order_release);
  Add(cache.flows[slab_class].out, count);
  // relaxed: a count.
  out_bytes_.fetch_sub(count * kClassShapes[slab_class].bytes,
                       std::memory_order_relaxed);
  depots_[slab_class].Give(batch.data(), count);
}

void Heap::FlushAll(ThreadCache& cache) {
  for (size_t i = 0; i < kSlabClasses; ++i) {
    Flush(cache, i, cache.stacks[i].count());
  }
}

void Heap::DrainOrphans() {
  ThreadCache* drained = nullptr;
  while (ThreadCache* const orphan = caches_.TakeOrphan()) {
    FlushAll(*orphan);
    orphan->next_orphan = drained;
    drained = orphan;
  }
  while (drained != nullptr) {
    ThreadCache* const orphan = drained;
    drained = orphan->next_orphan;
    caches_.GiveOrphan(orphan);
  }
}

void Heap::DrainDepots() {
  for (Depot& depot : depots_) depot.Drain();
}

void Heap::NotePeak(size_t more) {
  // relaxed: a count; so below.
  const size_t now =
      out_bytes_.fetch_add(more, std::memory_order_relaxed) + more;
  size_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak &&
         !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed,
                                      std::memory_order_relaxed)) {
  }
}

void Heap::StartDecayThread() {
  // relaxed: a hint, as the lock decides; so below.
  if (decay_ns_ == 0 || decay_started_.load(std::memory_order_relaxed)) return;
  // Whoever has the lock does it, or the next who comes by.
  if (!decay_mutex_.TryLock()) return;
  if (!decay_thread_.running()) {
    // Without a thread memory stays until Purge() or the next attempt.
    decay_started_.store(
        decay_thread_
            .Start([](void* heap) { static_cast<Heap*>(heap)->Decay(); }, this,
                   {.name = "mmsb-slab",
                    .period_ns = std::max<int64_t>(1, decay_ns_ / 4),
                    .clock = &clock_})
            .ok(),
        std::memory_order_relaxed);
  }
  decay_mutex_.Unlock();
}

void* Heap::AllocateLarge(size_t bytes, size_t alignment, size_t* block_bytes) {
  void* p = nullptr;
  if (ready_ && Alignment::IsValid(alignment) &&
      large_.BlockBytes(bytes, block_bytes)) {
    p = large_.Allocate(bytes, alignment);
    // What lies idle may be what the system is short of.
    if (p == nullptr && Purge() != 0) p = large_.Allocate(bytes, alignment);
  }
  if (p != nullptr) {
    NotePeak(*block_bytes);
  } else {
    // relaxed: a count.
    failures_.fetch_add(1, std::memory_order_relaxed);
  }
  return p;
}

bool Heap::DeallocateLarge(void* p, size_t block_bytes) {
  if (!large_.Deallocate(p)) return false;
  // relaxed: a count.
  out_bytes_.fetch_sub(block_bytes, std::memory_order_relaxed);
  return true;
}

void* Heap::ResizeLarge(void* p, size_t bytes, size_t alignment,
                        size_t* block_bytes) {
  size_t before = 0;
  if (large_.Find(p, &before) != p || !large_.BlockBytes(bytes, block_bytes)) {
    return nullptr;
  }
  if (*block_bytes > before) {
    void* const grown = large_.Grow(p, bytes, alignment);
    if (grown != nullptr) NotePeak(*block_bytes - before);
    return grown;
  }
  if (!large_.Shrink(p, bytes)) return nullptr;
  // relaxed: a count.
  out_bytes_.fetch_sub(before - *block_bytes, std::memory_order_relaxed);
  return p;
}

size_t Heap::BlockBytes(const void* p) {
  if (chunks().Contains(p)) return Chunk::SlabOf(p)->shape().bytes;
  size_t bytes = 0;
  return large_.Find(p, &bytes) == p ? bytes : 0;
}

void Heap::MarkLive(const void* p) {
  // relaxed: the bit speaks for itself alone, and each has one owner.
  Chunk::LiveWord(p).fetch_or(Chunk::LiveBit(p), std::memory_order_relaxed);
}

void Heap::CheckLive(const BlockCall& call) {
  if (call.sized && !Alignment::IsValid(call.alignment)) {
    DieOf(call, "the alignment is no power of two");
  }
  if (chunks().Contains(call.p)) {
    CheckLiveBit(call);
    if (call.sized && (!IsSlabRequest(call.bytes, call.alignment) ||
                       SlabClassOf(call.bytes, call.alignment) !=
                           Chunk::SlabOf(call.p)->slab_class)) {
      DieOf(call, "wrong size or alignment");
    }
    return;
  }
  size_t block_bytes = 0;
  const void* const begin = large_.Find(call.p, &block_bytes);
  if (begin == nullptr) {
    DieOf(call, "foreign pointer, not in a live block of this allocator");
  }
  if (begin != call.p) {
    DieOf(call, "interior pointer, behind the start of a block");
  }
  size_t its_bytes = 0;
  if (call.sized && (IsSlabRequest(call.bytes, call.alignment) ||
                     !large_.BlockBytes(call.bytes, &its_bytes) ||
                     its_bytes != block_bytes)) {
    DieOf(call, "wrong size or alignment");
  }
}

void Heap::CheckLiveBit(const BlockCall& call) {
  // relaxed: as in MarkLive.
  if (!IsAligned(call.p, Alignment::FromBytes(8)) ||
      (Chunk::LiveWord(call.p).load(std::memory_order_relaxed) &
       Chunk::LiveBit(call.p)) == 0) {
    DieOfDeadBlock(call);
  }
}

void Heap::MarkFreed(const BlockCall& call) {
  CheckLive(call);
  // relaxed: as in MarkLive. Another thread may have been first.
  if (chunks().Contains(call.p) &&
      (Chunk::LiveWord(call.p).fetch_and(~Chunk::LiveBit(call.p),
                                         std::memory_order_relaxed) &
       Chunk::LiveBit(call.p)) == 0) {
    DieOfDeadBlock(call);
  }
}

size_t Heap::ReleaseIdle() {
  return units_.ReleaseOlder(std::numeric_limits<int64_t>::max()) +
         large_.Purge();
}

size_t Heap::Purge() {
  ThreadCache* const cache = CacheList::FindMine(id_);
  if (cache != nullptr) FlushAll(*cache);
  {
    const MutexLock lock(drain_mutex_);
    DrainOrphans();
    DrainDepots();
  }
  const size_t released = ReleaseIdle();
  const int64_t now = clock_.Now();
  for (Depot& depot : depots_) depot.DiscardIdle(memory_, now, now);
  return released;
}

void Heap::Decay() {
  const MutexLock lock(drain_mutex_);
  DrainOrphans();
  for (Depot& depot : depots_) depot.DrainIdle();
  const int64_t now = clock_.Now();
  units_.ReleaseOlder(now - decay_ns_);
  for (Depot& depot : depots_) {
    depot.DiscardIdle(memory_, now, now - decay_ns_);
  }
  large_.Purge();
}

Heap::ClassCounts Heap::CountClasses() {
  ClassCounts counts{};
  for (ThreadCache* cache = caches_.First(); cache != nullptr;
       cache = cache->next_of_heap) {
    for (size_t i = 0; i < kSlabClasses; ++i) {
      const size_t on_stack = cache->stacks[i].count();
      // relaxed: counts, exact when nobody counts; so below.
      const uint64_t pops =
          cache->stacks[i].pops.load(std::memory_order_relaxed);
      const uint64_t in = cache->flows[i].in.load(std::memory_order_relaxed);
      const uint64_t out = cache->flows[i].out.load(std::memory_order_relaxed);
      counts[i].on_stacks += on_stack;
      if (!counts_calls_) continue;
      counts[i].allocations += pops;
      counts[i].deallocations += Difference(on_stack + pops + out, in);
    }
  }
  for (size_t i = 0; i < kSlabClasses && counts_calls_; ++i) {
    counts[i].allocations += bypasses_[i].taken.load(std::memory_order_relaxed);
    counts[i].deallocations +=
        bypasses_[i].given.load(std::memory_order_relaxed);
  }
  return counts;
}

SizeHistogram Heap::Histogram() {
  const MutexLock lock(drain_mutex_);
  if (!counts_calls_) return {};
  SizeHistogram histogram = large_.Histogram();
  const ClassCounts counts = CountClasses();
  for (size_t i = 0; i < kSlabClasses; ++i) {
    histogram.Add(kClassShapes[i].bytes, counts[i].allocations,
                  counts[i].deallocations);
  }
  return histogram;
}

AllocatorStats Heap::Stats() {
  const MutexLock lock(drain_mutex_);
  AllocatorStats::Values values;
  const ClassCounts counts = CountClasses();
  for (size_t i = 0; i < kSlabClasses; ++i) {
    const ClassShape& shape = kClassShapes[i];
    const Depot::Counts depot = depots_[i].GetCounts();
    const size_t with_threads = Difference(depot.taken, depot.given);
    values.allocations += counts[i].allocations;
    values.deallocations += counts[i].deallocations;
    values.live += Difference(with_threads, counts[i].on_stacks) * shape.bytes;
    values.cached += (counts[i].on_stacks + depot.cached) * shape.bytes;
    const size_t blocks = depot.slabs * shape.blocks;
    values.free += Difference(blocks, depot.out) * shape.bytes;
    values.metadata += depot.slabs * (shape.units * kUnitBytes -
                                      size_t{shape.blocks} * shape.bytes);
  }
  const Units::Sums units = units_.GetSums();
  const LargeBlocks::Counts large = large_.GetCounts();
  values.live += large.live;
  values.cached += large.unreleased;
  values.free += units.dirty;
  values.metadata += units.descriptors + metadata_.bytes() + large.directory;
  values.committed = memory_.committed();
  // relaxed: counts.
  values.peak = std::max(values.live, peak_.load(std::memory_order_relaxed));
  if (counts_calls_) {
    values.allocations += large.allocations;
    values.deallocations += large.deallocations;
  }
  values.failures = failures_.load(std::memory_order_relaxed);
  return AllocatorStats(values);
}

void Heap::ForEachLive(void (*visit)(void* argument, void* p, size_t bytes),
                       void* argument) {
  const MutexLock lock(drain_mutex_);
  for (ThreadCache* cache = caches_.First(); cache != nullptr;
       cache = cache->next_of_heap) {
    FlushAll(*cache);
  }
  DrainDepots();
  units_.ForEachSlab([&](const Slab& slab) {
    slab.ForEachOut([&](void* p, size_t bytes) { visit(argument, p, bytes); });
  });
  large_.ForEach([&](void* p, size_t bytes) { visit(argument, p, bytes); });
}

void Heap::LockAll(void* heap) MMSB_NO_THREAD_SAFETY_ANALYSIS {
  auto* const it = static_cast<Heap*>(heap);
  it->decay_mutex_.Lock();
  it->drain_mutex_.Lock();
  for (DepotLock& lock : it->depot_locks_) lock.mutex.Lock();
  it->units_.mutex().Lock();
  it->large_.mutex().Lock();
  it->metadata_.mutex().Lock();
}

void Heap::UnlockAll(void* heap) MMSB_NO_THREAD_SAFETY_ANALYSIS {
  auto* const it = static_cast<Heap*>(heap);
  it->metadata_.mutex().Unlock();
  it->large_.mutex().Unlock();
  it->units_.mutex().Unlock();
  for (DepotLock& lock : it->depot_locks_) lock.mutex.Unlock();
  it->drain_mutex_.Unlock();
  it->decay_mutex_.Unlock();
}

void Heap::UnlockInChild(void* heap) {
  UnlockAll(heap);
  auto* const it = static_cast<Heap*>(heap);
  // relaxed: the child has one thread.
  it->decay_started_.store(false, std::memory_order_relaxed);
  it->caches_.AdoptAllInChild();
}

}  // namespace mmsb::slab_internal
