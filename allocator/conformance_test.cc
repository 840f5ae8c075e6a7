// Every allocator of this layer, and some compositions, under the contract of
// raw_allocator.h.

#include "allocator/testing/conformance.h"

#include <cstddef>
#include <cstdint>

#include "allocator/allocator_ref.h"
#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/lockfree_sync.h"
#include "allocator/memory_pool.h"
#include "allocator/slab.h"
#include "allocator/system_source.h"
#include "allocator/testing/failing_upstream.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

struct SystemSourceSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  SystemSource& allocator() { return source; }
  SystemSource source;
};

template <class Policy>
struct ArenaSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return arena; }
  Arena<SystemSource, Policy> arena{
      {.first_chunk_bytes = 1024, .max_chunk_bytes = 16384}};
};

struct Uncounted : Unchecked {
  static constexpr bool kCountsCalls = false;
};
struct Unfilled : Checked {
  static constexpr size_t kFilledBytes = 0;
};

template <class Policy>
struct PoolSubject {
  static constexpr size_t kMaxBytes = 100;
  static constexpr size_t kMaxAlignment = 4;
  auto& allocator() { return pool; }
  MemoryPool<SystemSource, Policy> pool{{.block_size = 100}};
};

struct StrictPoolSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return pool; }
  MemoryPool<SystemSource, Checked> pool{
      {.block_size = 64, .alignment = size_t{1} << 21, .blocks_per_chunk = 2}};
};

template <class Policy, class Sync>
struct LockFreePoolSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 4096;
  static constexpr size_t kMinBlocks = 300;
  static constexpr size_t kTooManyBlocks = 301;
  auto& allocator() { return pool; }
  BasicLockFreePool<SystemSource, Policy, Sync> pool{
      {.block_size = 64, .capacity = 300, .alignment = 4096}};
};

struct RefSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 16;
  auto& allocator() { return ref; }
  MemoryPool<> pool{{.block_size = 64}};
  AllocatorRef<MemoryPool<>> ref{pool};
};

// An arena whose chunks are the blocks of a pool.
struct ArenaOverPoolSubject {
  static constexpr size_t kMaxBytes = 4096 - 64;
  static constexpr size_t kMaxAlignment = 64;
  auto& allocator() { return arena; }
  MemoryPool<> pool{{.block_size = 4096, .alignment = 64}};
  Arena<AllocatorRef<MemoryPool<>>, Checked> arena{
      {.first_chunk_bytes = 4096, .max_chunk_bytes = 4096}, AllocatorRef(pool)};
};

template <class Policy>
struct SlabSubject {
  static constexpr size_t kMaxBytes = 131072;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return slab; }
  BasicSlabAllocator<Policy> slab;
};

using Subjects = ::testing::Types<
    SystemSourceSubject, ArenaSubject<Unchecked>, ArenaSubject<Checked>,
    PoolSubject<Unchecked>, PoolSubject<Checked>, PoolSubject<Uncounted>,
    PoolSubject<Unfilled>, StrictPoolSubject, RefSubject, ArenaOverPoolSubject,
    SlabSubject<Unchecked>, SlabSubject<Checked>, SlabSubject<Uncounted>>;
INSTANTIATE_TYPED_TEST_SUITE_P(All, AllocatorConformanceTest, Subjects);

template <class Policy>
struct RegionPoolSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 32;
  static constexpr size_t kMinBlocks = 200;
  static constexpr size_t kTooManyBlocks = 257;
  auto& allocator() { return pool; }
  alignas(8) std::byte region[256 * 64];
  MemoryPool<SystemSource, Policy> pool{
      region + 1, sizeof(region) - 1, {.block_size = 64, .alignment = 32}};
};

struct CountedPoolSubject {
  static constexpr size_t kMaxBytes = 32;
  static constexpr size_t kMaxAlignment = 16;
  static constexpr size_t kMinBlocks = 777;
  static constexpr size_t kTooManyBlocks = 778;
  auto& allocator() { return pool; }
  MemoryPool<SystemSource, Checked> pool{{.block_size = 32, .max_blocks = 777}};
};

template <class Policy>
struct LimitedArenaSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 4096;
  static constexpr size_t kMinBlocks = 800;
  static constexpr size_t kTooManyBlocks = 1024;
  auto& allocator() { return arena; }
  Arena<SystemSource, Policy> arena{
      {.first_chunk_bytes = 512, .max_chunk_bytes = 8192, .max_bytes = 65536}};
};

// Blocks of a lock-free pool out of an arena.
struct LockFreePoolOverArenaSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 16;
  static constexpr size_t kMinBlocks = 50;
  static constexpr size_t kTooManyBlocks = 51;
  auto& allocator() { return pool; }
  Arena<> arena;
  BasicLockFreePool<AllocatorRef<Arena<>>, Checked> pool{
      {.block_size = 64, .capacity = 50}, AllocatorRef(arena)};
};

struct PoorPoolSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 16;
  static constexpr size_t kMinBlocks = 500;
  static constexpr size_t kTooManyBlocks = 1024;
  auto& allocator() { return pool; }
  FailingUpstream upstream{{.max_bytes = 65536}};
  MemoryPool<AllocatorRef<FailingUpstream>> pool{{.block_size = 64},
                                                 AllocatorRef(upstream)};
};

struct PoorArenaSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 64;
  static constexpr size_t kMinBlocks = 800;
  static constexpr size_t kTooManyBlocks = 1024;
  auto& allocator() { return arena; }
  FailingUpstream upstream{{.max_bytes = 65536}};
  Arena<AllocatorRef<FailingUpstream>> arena{{}, AllocatorRef(upstream)};
};

using BoundedSubjects = ::testing::Types<
    RegionPoolSubject<Unchecked>, RegionPoolSubject<Checked>,
    CountedPoolSubject, LockFreePoolSubject<Unchecked, SystemSync>,
    LockFreePoolSubject<Checked, SystemSync>,
    LockFreePoolSubject<Unfilled, SystemSync>,
    LockFreePoolSubject<Unchecked, SymmetricSync>, LockFreePoolOverArenaSubject,
    LimitedArenaSubject<Unchecked>, LimitedArenaSubject<Checked>,
    PoorPoolSubject, PoorArenaSubject>;
INSTANTIATE_TYPED_TEST_SUITE_P(Bounded, AllocatorConformanceTest,
                               BoundedSubjects);
INSTANTIATE_TYPED_TEST_SUITE_P(Bounded, BoundedAllocatorConformanceTest,
                               BoundedSubjects);

}  // namespace
}  // namespace mmsb
