// The lock-free structures in every way that small programs of them can go,
// and weakened copies of their ingredients (no tag, weaker orders, no fence),
// which must be caught.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "allocator/block_magazine.h"
#include "allocator/check_policy.h"
#include "allocator/index_stack.h"
#include "allocator/lockfree_pool.h"
#include "allocator/system_source.h"
#include "allocator/testing/model_atomic.h"
#include "allocator/testing/model_checker.h"
#include "allocator/testing/model_expect.h"
#include "gtest/gtest.h"
#include "primitives/tagged_index.h"

namespace mmsb {
namespace {

struct SingleLook : Asymmetric {
  static constexpr bool kLooksOnce = true;
};

// An index without a tag in the place of TaggedIndex.
class BareIndex {
 public:
  static constexpr uint32_t kNull = TaggedIndex::kNull;
  constexpr BareIndex() = default;
  [[nodiscard]] uint32_t index() const { return index_; }
  [[nodiscard]] bool is_null() const { return index_ == kNull; }
  [[nodiscard]] BareIndex WithNextTag(uint32_t index) const {
    BareIndex next;
    next.index_ = index;
    return next;
  }

 private:
  uint32_t index_ = kNull;
};

// A stack of three numbers, and a thing for each that only its holder uses.
template <class Sync, class Head>
struct StackState {
  StackState() {
    for (const uint32_t i : {2u, 1u, 0u}) stack.Push(Link(), i);
  }
  auto Link() {
    return [this](uint32_t i) -> auto& { return links[i]; };
  }
  uint32_t Take() {
    const uint32_t i = stack.Pop(Link());
    if (i != TaggedIndex::kNull) things[i].Touch();
    return i;
  }
  void Give(uint32_t i) {
    if (i == TaggedIndex::kNull) return;
    things[i].Touch();
    stack.Push(Link(), i);
  }

  std::array<ModelAtomic<uint32_t>, 3> links;
  std::array<ModelCell, 3> things;
  IndexStack<Sync, Head> stack;
};

// One thread takes and keeps; the other takes two and gives the first back.
template <class Sync, class Head = TaggedIndex>
ModelResult ExploreStack() {
  return ExploreModel([](ModelProgram& program) {
    auto state = std::make_shared<StackState<Sync, Head>>();
    auto kept = std::make_shared<std::array<uint32_t, 2>>();
    program.Thread([=] { (*kept)[0] = state->Take(); });
    program.Thread([=] {
      const uint32_t first = state->Take();
      (*kept)[1] = state->Take();
      state->Give(first);
    });
    program.Finally([=] {
      std::array<int, 3> seen = {};
      for (const uint32_t i : *kept) ++seen[i];
      for (uint32_t i = 0; (i = state->Take()) != TaggedIndex::kNull;) {
        ModelExpect(++seen[i] == 1, "a number twice");
      }
      ModelExpect(seen == std::array<int, 3>{1, 1, 1}, "each number once");
    });
  });
}

TEST(IndexStackModelTest, HandsOutEachNumberOnce) {
  ExpectPassed(ExploreStack<Asymmetric>());
}

TEST(IndexStackModelTest, WithoutTagsIsCaught) {
  ExpectCaught(ExploreStack<Asymmetric, BareIndex>(), "a number twice");
}

TEST(IndexStackModelTest, WithWeakerOrdersIsCaught) {
  ExpectCaught(ExploreStack<RelaxedOrders>(), "is used by two threads at once");
}

// A magazine of two slots, and blocks that only their holder uses.
template <class Sync>
struct MagazineState {
  static constexpr size_t kBlocks = 4;

  explicit MagazineState(size_t filled)
      : memory(std::make_unique<Memory>()),
        magazine(::new (memory->bytes)
                     BlockMagazine<Sync>(2, Sync::HasAsymmetricFence())) {
    magazine->Fill(blocks, 1, filled);
  }
  ~MagazineState() { magazine->~BlockMagazine<Sync>(); }

  bool Hold(std::byte* block) {
    if (block == nullptr) return false;
    things[block - blocks].Touch();
    ++held[block - blocks];
    return true;
  }
  bool Take() { return Hold(magazine->TakeNewest()); }
  bool Steal() {
    std::byte* block = nullptr;
    return magazine->Steal(&block) == BlockMagazine<Sync>::Theft::kTaken &&
           Hold(block);
  }
  void Give(size_t i) {
    things[i].Touch();
    --held[i];
    ModelExpect(magazine->Push(blocks + i), "there is room");
  }
  // What was held by nobody is still there, once.
  void CheckAll(size_t count) {
    while (Take()) {
    }
    for (size_t i = 0; i < kBlocks; ++i) {
      ModelExpect(held[i] == (i < count ? 1 : 0), "each block once");
    }
  }

  struct alignas(128) Memory {
    std::byte bytes[BlockMagazine<Sync>::Bytes(2)];
  };
  std::unique_ptr<Memory> memory;
  BlockMagazine<Sync>* magazine;
  std::byte blocks[kBlocks];
  std::array<ModelCell, kBlocks> things;
  std::array<int, kBlocks> held = {};
};

// What the owner does, and what thieves do, of a magazine with two blocks; the
// owner holds a third one.
template <class Sync>
ModelResult ExploreMagazine(
    const std::function<void(MagazineState<Sync>&)>& owner,
    const std::vector<int>& thefts, const ModelOptions& options = {}) {
  return ExploreModel(
      [&](ModelProgram& program) {
        auto state = std::make_shared<MagazineState<Sync>>(2);
        state->held[2] = 1;
        program.Thread([=] { owner(*state); });
        for (const int count : thefts) {
          program.Thread([=] {
            for (int i = 0; i < count; ++i) state->Steal();
          });
        }
        program.Finally([=] { state->CheckAll(3); });
      },
      options);
}

template <class Sync>
void TakeTwo(MagazineState<Sync>& state) {
  state.Take();
  state.Take();
}

template <class Sync>
void TakeGiveAndTake(MagazineState<Sync>& state) {
  state.Take();
  state.Give(2);
  state.Take();
}

template <class Sync>
class MagazineModelTest : public ::testing::Test {};
using Syncs = ::testing::Types<Asymmetric, Symmetric>;
TYPED_TEST_SUITE(MagazineModelTest, Syncs);

TYPED_TEST(MagazineModelTest, OwnerAndThiefTakeTwoEach) {
  ExpectPassed(ExploreMagazine<TypeParam>(&TakeTwo<TypeParam>, {2}));
}

TYPED_TEST(MagazineModelTest, OwnerGivesBetweenTwoTakings) {
  ExpectPassed(ExploreMagazine<TypeParam>(&TakeGiveAndTake<TypeParam>, {1}));
}

TYPED_TEST(MagazineModelTest, TwoThieves) {
  ExpectPassed(ExploreMagazine<TypeParam>(&TakeTwo<TypeParam>, {1, 1},
                                          {.max_preemptions = 2}));
}

TEST(MagazineControlTest, WithoutTheHeavyFenceIsCaught) {
  ExpectCaught(ExploreMagazine<WithoutFences>(&TakeTwo<WithoutFences>, {2}),
               "is used by two threads at once");
}

// Where there is a heavy fence it does what the orders would; here it is they.
TEST(MagazineControlTest, WithWeakerOrdersIsCaught) {
  using Relaxed = ModelSync<false, ModelOrders::kRelaxed>;
  ExpectCaught(ExploreMagazine<Relaxed>(&TakeTwo<Relaxed>, {2}),
               "is used by two threads at once");
}

// The whole pool: as many blocks as threads, each of which takes one at a time
// and gives it back. None may ever be refused, and none may have another's.
template <class Sync>
struct PoolState {
  explicit PoolState(size_t capacity, size_t threads)
      : pool({.block_size = 1,
              .capacity = capacity,
              .magazine_blocks = 2,
              .max_threads = threads}) {}

  void Use() {
    const BlockId id = pool.AllocateId();
    ModelExpect(id.valid(), "null while a block is free");
    if (!id.valid()) return;
    things[id.value()].Touch();
    pool.Deallocate(id);
  }
  void CheckAll() {
    size_t count = 0;
    for (; pool.AllocateId().valid(); ++count) {
    }
    ModelExpect(count == pool.capacity(), "every block once");
  }

  std::array<ModelCell, 4> things;
  BasicLockFreePool<SystemSource, Unchecked, Sync> pool;
};

template <class Sync>
ModelResult ExplorePool(size_t blocks, size_t records, size_t threads,
                        int times, const ModelOptions& options) {
  return ExploreModel(
      [=](ModelProgram& program) {
        auto state = std::make_shared<PoolState<Sync>>(blocks, records);
        for (size_t t = 0; t < threads; ++t) {
          program.Thread([=] {
            for (int i = 0; i < times; ++i) state->Use();
            state->pool.DetachThread();
          });
        }
        program.Finally([=] { state->CheckAll(); });
      },
      options);
}

constexpr ModelOptions kBounds = {.max_preemptions = 2, .max_stale_reads = 1};

TEST(PoolModelTest, AsManyBlocksAsThreadsIsEnough) {
  ExpectPassed(ExplorePool<Asymmetric>(2, 2, 2, 1, kBounds));
  ExpectPassed(ExplorePool<Asymmetric>(
      2, 2, 2, 2, {.max_preemptions = 1, .max_stale_reads = 1}));
}

TEST(PoolModelTest, SoItIsWithSymmetricFences) {
  ExpectPassed(ExplorePool<Symmetric>(2, 2, 2, 1, kBounds));
}

TEST(PoolModelTest, ThreadsWithAndWithoutARecord) {
  ExpectPassed(ExplorePool<Asymmetric>(2, 1, 2, 1, kBounds));
}

// A free block is where others look for it last, and its holder takes it once
// it has heard that another one, of which they may know nothing, was given
// back. So one block is free at every moment, and who looks for one finds it.
//
// `giver` tells what it gives back by an atomic that the looker does not read.
// In the list: x lies in the list, and y goes into the giver's magazine. In a
// magazine: x lies in the taker's magazine, and y goes into the giver's, before
// it in the array, or, if the giver has none, into the list.
enum class Place { kList, kMagazine };

template <class Sync>
ModelResult ExploreMovingBlocks(Place x_in, Place y_to,
                                const ModelOptions& options) {
  struct State {
    explicit State(size_t records)
        : pool({.block_size = 1,
                .capacity = 2,
                .magazine_blocks = 1,
                .max_threads = records}) {}
    BasicLockFreePool<SystemSource, Unchecked, Sync> pool;
    ModelAtomic<int> given{0};
    void* x = nullptr;
    void* y = nullptr;
  };
  const bool x_in_magazine = x_in == Place::kMagazine;
  const bool y_to_magazine = y_to == Place::kMagazine;
  return ExploreModel(
      [=](ModelProgram& program) {
        auto state = std::make_shared<State>((x_in_magazine ? 1u : 0u) +
                                             (y_to_magazine ? 1u : 0u));
        const auto giver = [=] {
          state->pool.Deallocate(state->y);
          state->given.store(1, std::memory_order_release);
        };
        const auto taker = [=] {
          if (state->given.load(std::memory_order_acquire) == 0) return;
          ModelExpect(state->pool.Allocate() != nullptr, "none for the taker");
        };
        // Who calls first has the first record.
        const auto hold_y = [=] { state->y = state->pool.Allocate(); };
        const auto leave_x = [=] {
          state->x = state->pool.Allocate();
          state->pool.Deallocate(state->x);
        };
        if (y_to_magazine) {
          program.Thread(giver, hold_y);
          program.Thread(taker, leave_x);
        } else {
          program.Thread(taker, leave_x);
          program.Thread(giver, hold_y);
        }
        program.Thread([=] {
          ModelExpect(state->pool.Allocate() != nullptr, "null, one is free");
        });
      },
      options);
}

constexpr ModelOptions kStale = {.max_preemptions = 1, .max_stale_reads = 4};
constexpr ModelOptions kMoves = {.max_preemptions = 2, .max_stale_reads = 1};

TEST(PoolModelTest, WhoFindsAnEmptyListSeesWhatTheTakerSaw) {
  ExpectPassed(
      ExploreMovingBlocks<Asymmetric>(Place::kList, Place::kMagazine, kStale));
}

TEST(PoolModelTest, TakingThatReleasesNothingIsCaught) {
  using Sync = ModelSync<true, ModelOrders::kAcqRelAsAcquire>;
  ExpectCaught(
      ExploreMovingBlocks<Sync>(Place::kList, Place::kMagazine, kStale),
      "null, one is free");
}

TEST(PoolModelTest, BlocksThatMovePastALookerAreFound) {
  ExpectPassed(ExploreMovingBlocks<Asymmetric>(Place::kMagazine,
                                               Place::kMagazine, kMoves));
  ExpectPassed(
      ExploreMovingBlocks<Asymmetric>(Place::kMagazine, Place::kList, kMoves));
}

TEST(PoolModelTest, ASingleLookIsCaught) {
  for (const Place y_to : {Place::kMagazine, Place::kList}) {
    ExpectCaught(
        ExploreMovingBlocks<SingleLook>(Place::kMagazine, y_to, kMoves),
        "null, one is free");
  }
}

TEST(PoolModelTest, WithWeakerOrdersIsCaught) {
  ExpectCaught(ExplorePool<RelaxedOrders>(2, 2, 2, 1, kBounds),
               "is used by two threads at once");
}

}  // namespace
}  // namespace mmsb
