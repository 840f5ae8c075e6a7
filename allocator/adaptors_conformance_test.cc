// Every adaptor, and compositions of them, under the contract of
// raw_allocator.h.

#include <cstddef>
#include <memory_resource>

#include "allocator/allocator_ref.h"
#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/fallback_allocator.h"
#include "allocator/guarded_allocator.h"
#include "allocator/limit_allocator.h"
#include "allocator/locked_allocator.h"
#include "allocator/lockfree_pool.h"
#include "allocator/memory_pool.h"
#include "allocator/pmr.h"
#include "allocator/raw_allocator.h"
#include "allocator/sharded_counters.h"
#include "allocator/slab.h"
#include "allocator/stats_allocator.h"
#include "allocator/system_source.h"
#include "allocator/testing/conformance.h"
#include "allocator/tracking_allocator.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

// Over the heap: any size, any alignment.
template <class A>
struct HeapSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  A& allocator() { return adaptor; }
  A adaptor;
};

struct LimitSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return limited; }
  LimitAllocator<> limited{{.max_bytes = size_t{1} << 22}};
};

struct SlabLimitSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return limited; }
  LimitAllocator<SlabAllocator> limited{{.max_bytes = size_t{1} << 22}};
};

struct GuardedSubject {
  static constexpr size_t kMaxBytes = 20000;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return guarded; }
  GuardedAllocator guarded{{.quarantine_blocks = 100}};
};

struct PmrUpstreamSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return upstream; }
  PmrUpstream upstream{std::pmr::new_delete_resource()};
};

// An arena as a resource, and the resource as a RawAllocator again.
struct PmrRoundTripSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return upstream; }
  PmrResource<Arena<SystemSource, Checked>> resource;
  PmrUpstream upstream{&resource};
};

struct LockedTrackingArenaSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return locked; }
  LockedAllocator<TrackingAllocator<Arena<SystemSource, Checked>>> locked{
      TrackingAllocatorOptions{}, ArenaOptions{.first_chunk_bytes = 1024}};
};

struct FallbackSubject {
  static constexpr size_t kMaxBytes = 4096;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return fallback; }
  FallbackAllocator<MemoryPool<SystemSource, Checked>> fallback{
      MemoryPoolOptions{.block_size = 512, .max_blocks = 50}};
};

struct FallbackOfCountersSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return fallback; }
  LimitAllocator<TrackingAllocator<>> first{{.max_bytes = 30000}};
  FallbackAllocator<AllocatorRef<LimitAllocator<TrackingAllocator<>>>,
                    StatsAllocator<>>
      fallback{AllocatorRef(first)};
};

// Both sources serve any thread.
struct SharedFallbackSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return fallback; }
  FallbackAllocator<BasicLockFreePool<SystemSource, Checked>, SlabAllocator>
      fallback{LockFreePoolOptions{.block_size = 512, .capacity = 50}};
};

struct LimitedGuardedSubject {
  static constexpr size_t kMaxBytes = 20000;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return limited; }
  LimitAllocator<GuardedAllocator> limited{{.max_bytes = size_t{1} << 22}};
};

struct ArenaOverGuardedSubject {
  static constexpr size_t kMaxBytes = 5000;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return arena; }
  GuardedAllocator guarded;
  Arena<AllocatorRef<GuardedAllocator>> arena{{}, AllocatorRef(guarded)};
};

struct EverythingSubject {
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  auto& allocator() { return all; }
  LockedAllocator<StatsAllocator<LimitAllocator<TrackingAllocator<>>>> all{
      LimitAllocatorOptions{}};
};

using Subjects = ::testing::Types<
    HeapSubject<StatsAllocator<>>,
    HeapSubject<StatsAllocator<SystemSource, ShardedCounters>>,
    HeapSubject<TrackingAllocator<>>, HeapSubject<LockedAllocator<>>,
    HeapSubject<StatsAllocator<SlabAllocator, ShardedCounters>>,
    HeapSubject<LockedAllocator<TrackingAllocator<SlabAllocator>>>,
    SlabLimitSubject, LimitSubject, GuardedSubject, PmrUpstreamSubject,
    PmrRoundTripSubject, LockedTrackingArenaSubject, FallbackSubject,
    FallbackOfCountersSubject, SharedFallbackSubject, LimitedGuardedSubject,
    ArenaOverGuardedSubject, EverythingSubject>;
INSTANTIATE_TYPED_TEST_SUITE_P(Adaptors, AllocatorConformanceTest, Subjects);

struct StatsLimitPoolSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 16;
  static constexpr size_t kMinBlocks = 500;
  static constexpr size_t kTooManyBlocks = 501;
  auto& allocator() { return counted; }
  StatsAllocator<LimitAllocator<MemoryPool<SystemSource, Checked>>> counted{
      LimitAllocatorOptions{.max_bytes = 500 * 64},
      MemoryPoolOptions{.block_size = 64}};
};

struct StatsLimitLockFreePoolSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 16;
  static constexpr size_t kMinBlocks = 300;
  static constexpr size_t kTooManyBlocks = 301;
  auto& allocator() { return counted; }
  StatsAllocator<LimitAllocator<BasicLockFreePool<SystemSource, Checked>>,
                 ShardedCounters>
      counted{LimitAllocatorOptions{.max_bytes = 300 * 64},
              LockFreePoolOptions{.block_size = 64, .capacity = 400}};
};

struct LimitedTrackingSubject {
  static constexpr size_t kMaxBytes = 128;
  static constexpr size_t kMaxAlignment = size_t{1} << 21;
  static constexpr size_t kMinBlocks = 300;
  static constexpr size_t kTooManyBlocks = 301;
  auto& allocator() { return limited; }
  LimitAllocator<TrackingAllocator<>> limited{{.max_bytes = 300 * 128}};
};

struct LockedFallbackSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 16;
  static constexpr size_t kMinBlocks = 300;
  static constexpr size_t kTooManyBlocks = 301;
  using Pool = MemoryPool<SystemSource, Checked>;
  auto& allocator() { return locked; }
  LockedAllocator<FallbackAllocator<Pool, Pool>> locked{
      MemoryPoolOptions{.block_size = 64, .max_blocks = 100},
      MemoryPoolOptions{.block_size = 64, .max_blocks = 200}};
};

// A quota on what an arena takes in all.
struct ArenaOverLimitSubject {
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kMaxAlignment = 64;
  static constexpr size_t kMinBlocks = 800;
  static constexpr size_t kTooManyBlocks = 1024;
  auto& allocator() { return arena; }
  LimitAllocator<> limited{{.max_bytes = 65536}};
  Arena<AllocatorRef<LimitAllocator<>>, Checked> arena{{},
                                                       AllocatorRef(limited)};
};

using BoundedSubjects =
    ::testing::Types<StatsLimitPoolSubject, StatsLimitLockFreePoolSubject,
                     LimitedTrackingSubject, LockedFallbackSubject,
                     ArenaOverLimitSubject>;
INSTANTIATE_TYPED_TEST_SUITE_P(BoundedAdaptors, AllocatorConformanceTest,
                               BoundedSubjects);
INSTANTIATE_TYPED_TEST_SUITE_P(BoundedAdaptors, BoundedAllocatorConformanceTest,
                               BoundedSubjects);

}  // namespace
}  // namespace mmsb
