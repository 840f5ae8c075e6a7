// The quota, the map of chunks and the counters that threads share, in every
// way that small programs of them can go, and weakened copies of their
// ingredients, which must be caught.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "allocator/allocator_stats.h"
#include "allocator/limit_allocator.h"
#include "allocator/raw_allocator.h"
#include "allocator/sharded_counters.h"
#include "allocator/slab_chunk.h"
#include "allocator/slab_chunk_map.h"
#include "allocator/slab_memory.h"
#include "allocator/slab_metadata.h"
#include "allocator/testing/model_atomic.h"
#include "allocator/testing/model_checker.h"
#include "allocator/testing/model_expect.h"
#include "gtest/gtest.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

// What lies below a quota: counts what is live by itself, and where the quota
// is one block, that block.
struct QuotaUpstreamState {
  explicit QuotaUpstreamState(size_t quota) : quota(quota) {}

  const size_t quota;
  ModelAtomic<size_t> live{0};
  ModelCell block;
};

struct QuotaUpstream {
  void* Allocate(size_t bytes, size_t) noexcept {
    const size_t before =
        state->live.fetch_add(bytes, std::memory_order_relaxed);
    ModelExpect(before + bytes <= state->quota, "more than the quota");
    if (state->quota == 1) state->block.Touch();
    return state;
  }
  void Deallocate(void*, size_t bytes, size_t) noexcept {
    if (state->quota == 1) state->block.Touch();
    state->live.fetch_sub(bytes, std::memory_order_relaxed);
  }

  QuotaUpstreamState* state;
};
static_assert(RawAllocator<QuotaUpstream>);

template <class Sync>
struct QuotaState {
  explicit QuotaState(size_t quota)
      : upstream(quota),
        limited({.max_bytes = quota}, QuotaUpstream{&upstream}) {}

  // False when the quota refused it.
  bool Use(size_t bytes) {
    void* const p = limited.Allocate(bytes, 1);
    limited.Deallocate(p, bytes, 1);
    return p != nullptr;
  }

  QuotaUpstreamState upstream;
  LimitAllocator<QuotaUpstream, Sync> limited;
};

// Three bytes, for two threads that want two and one that wants one.
template <class Sync>
ModelResult ExploreQuota(bool look_at_the_end = true) {
  return ExploreModel([=](ModelProgram& program) {
    auto state = std::make_shared<QuotaState<Sync>>(3);
    for (int i = 0; i < 2; ++i) program.Thread([=] { state->Use(2); });
    program.Thread([=] { ModelExpect(state->Use(1), "refused what fits"); });
    program.Finally([=] {
      ModelExpect(!look_at_the_end || state->limited.used() == 0,
                  "all is given back");
    });
  });
}

TEST(QuotaModelTest, IsNeverPassedAndRefusesNothingThatFits) {
  ExpectPassed(ExploreQuota<Asymmetric>());
}

TEST(QuotaModelTest, AnExchangeInTwoStepsIsCaught) {
  // It loses what was given back as well.
  ExpectCaught(ExploreQuota<SplitExchanges>(), "all is given back");
  ExpectCaught(ExploreQuota<SplitExchanges>(/*look_at_the_end=*/false),
               "more than the quota");
}

// One byte, which two threads use in turn.
template <class Sync>
ModelResult ExploreRoomOfOne() {
  return ExploreModel([](ModelProgram& program) {
    auto state = std::make_shared<QuotaState<Sync>>(1);
    for (int i = 0; i < 2; ++i) program.Thread([=] { state->Use(1); });
    program.Finally(
        [=] { ModelExpect(state->limited.used() == 0, "all is given back"); });
  });
}

TEST(QuotaModelTest, WhoGetsTheRoomComesBehindWhoLeftIt) {
  ExpectPassed(ExploreRoomOfOne<Asymmetric>());
}

TEST(QuotaModelTest, WithWeakerOrdersIsCaught) {
  ExpectCaught(ExploreRoomOfOne<RelaxedOrders>(),
               "is used by two threads at once");
}

// Chunks that the map's user makes, and then adds.
template <class Sync>
struct ChunkMapState {
  static const void* Address(size_t i) {
    return reinterpret_cast<const void*>((i + 5) * slab_internal::kChunkBytes);
  }
  void Make(size_t i) {
    heads[i].Touch();
    ModelExpect(map.HasRoom(Address(i), metadata), "there is room");
    map.Add(Address(i));
  }
  bool Has(size_t i) const {
    return map.Contains(static_cast<const std::byte*>(Address(i)) + 100);
  }
  // As who frees a block by its address alone.
  void LookUp(size_t i) {
    if (Has(i)) heads[i].Touch();
  }

  slab_internal::Memory memory{SystemMapper()};
  slab_internal::Metadata metadata{memory};
  slab_internal::BasicChunkMap<Sync> map;
  std::array<ModelCell, 3> heads;
  ModelAtomic<int> told{0};
};

template <class Sync>
ModelResult ExploreLookUps() {
  return ExploreModel([](ModelProgram& program) {
    auto state = std::make_shared<ChunkMapState<Sync>>();
    program.Thread([=] {
      state->Make(0);  // with a leaf
      state->Make(1);
    });
    program.Thread([=] {
      state->LookUp(1);
      state->LookUp(0);
    });
    program.Finally([=] {
      ModelExpect(state->Has(0) && state->Has(1) && !state->Has(2),
                  "what was added, and nothing else");
    });
  });
}

TEST(ChunkMapModelTest, WhoFindsAChunkSeesWhatItsMakerDid) {
  ExpectPassed(ExploreLookUps<Asymmetric>());
}

TEST(ChunkMapModelTest, WithWeakerOrdersIsCaught) {
  ExpectCaught(ExploreLookUps<RelaxedOrders>(),
               "is used by two threads at once");
}

// A chunk stays while a neighbour in the same word comes and another goes, and
// who was handed a block of a new chunk finds it.
ModelResult ExploreHandOver(std::memory_order telling) {
  return ExploreModel([=](ModelProgram& program) {
    auto state = std::make_shared<ChunkMapState<Asymmetric>>();
    program.Thread(
        [=] {
          state->map.Remove(state->Address(1));
          state->Make(2);
          state->told.store(1, telling);
        },
        [=] {
          state->Make(0);
          state->Make(1);
        });
    program.Thread([=] {
      if (state->told.load(std::memory_order_acquire) != 0) {
        ModelExpect(state->Has(2), "a chunk is missing");
        ModelExpect(!state->Has(1), "a chunk came back");
      }
      ModelExpect(state->Has(0), "a neighbour is missing");
    });
  });
}

TEST(ChunkMapModelTest, WhoWasHandedABlockFindsItsChunk) {
  ExpectPassed(ExploreHandOver(std::memory_order_release));
}

TEST(ChunkMapModelTest, AHandOverWithoutReleaseIsCaught) {
  ExpectCaught(ExploreHandOver(std::memory_order_relaxed),
               "a chunk is missing");
}

// Threads that all want the one shard, count a block of ten bytes each, and
// leave the shard or keep it.
template <class Sync>
ModelResult ExploreCounting(size_t threads, bool leave) {
  using Counters = BasicShardedCounters<Sync, 1, 1>;
  return ExploreModel([=](ModelProgram& program) {
    auto counters = std::make_shared<Counters>();
    for (size_t i = 0; i < threads; ++i) {
      program.Thread([=] {
        counters->CountAllocation(10);
        if (leave) counters->DetachThread();
        if (i == 0) counters->CountDeallocation(10);
      });
    }
    program.Finally([=] {
      const AllocatorStats stats = counters->Snapshot();
      ModelExpect(stats.IdentityHolds(), "the identity");
      ModelExpect(stats.allocations() == threads &&
                      stats.deallocations() == 1 &&
                      stats.live() == (threads - 1) * 10,
                  "a count is lost");
    });
  });
}

TEST(ShardedCountersModelTest, LoseNothing) {
  ExpectPassed(ExploreCounting<Asymmetric>(2, /*leave=*/false));
}

TEST(ShardedCountersModelTest, AShardThatChangesHandsLosesNothing) {
  ExpectPassed(ExploreCounting<Asymmetric>(2, /*leave=*/true));
}

TEST(ShardedCountersModelTest, AShardOfTwoThreadsIsCaught) {
  ExpectCaught(ExploreCounting<SplitExchanges>(2, /*leave=*/false),
               "a count is lost");
}

TEST(ShardedCountersModelTest, AdoptionWithWeakerOrdersIsCaught) {
  ExpectCaught(ExploreCounting<RelaxedOrders>(2, /*leave=*/true),
               "a count is lost");
}

}  // namespace
}  // namespace mmsb
