// The protocols of frames in every way that small programs of them can go, and
// weakened ones, which must be caught.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "allocator/lockfree_sync.h"
#include "allocator/testing/model_atomic.h"
#include "allocator/testing/model_checker.h"
#include "gtest/gtest.h"
#include "memory/page/frame_bits.h"
#include "memory/page/frame_counts.h"
#include "memory/page/frame_layout.h"
#include "memory/page/frame_tree.h"
#include "memory/page/huge_frame.h"

namespace mmsb {
namespace {

using AsGiven = ModelSync<true>;
using Relaxed = ModelSync<true, ModelOrders::kRelaxed>;

void ExpectPassed(const ModelResult& result) {
  EXPECT_TRUE(result.complete) << "ended after " << result.executions;
  EXPECT_EQ(result.error, "");
  ::testing::Test::RecordProperty("executions",
                                  std::to_string(result.executions));
}

// One huge frame of which the first frames are free, and a thing for each of
// those that only its holder uses.
template <class Sync>
class State {
 public:
  using Word = typename HugeFrame<Sync>::Word;

  // Of the first word the frames at the set bits are free, or all 512 are.
  explicit State(uint64_t free) {
    for (Word& word : words_) word.store(~uint64_t{0}, kRelaxedOrder);
    words_[0].store(~free, kRelaxedOrder);
    counts_.store(
        frame_counts::Of(0, static_cast<uint64_t>(std::popcount(free))),
        kRelaxedOrder);
  }
  State() {
    counts_.store(frame_counts::AllFree(kFramesPerHuge), kRelaxedOrder);
  }

  // True when it got a run. It uses it.
  bool Take(int order) { return Use(huge_.Take(order), order); }

  bool Use(const FrameTaking& taking, int order) {
    if (!taking.taken()) return false;
    Touch(static_cast<size_t>(taking.offset), order);
    return true;
  }

  void TakeAndGive(int order) {
    const FrameTaking taking = huge_.Take(order);
    if (!Use(taking, order)) return;
    Give(static_cast<size_t>(taking.offset), order);
  }

  void Give(size_t offset, int order) {
    Touch(offset, order);
    ModelExpect(huge_.Give(offset, order), "it was allocated");
  }

  // That the counts are those of the bitmap; returns what is free.
  size_t CheckCounts() {
    const uint64_t counts = counts_.load(std::memory_order_acquire);
    for (int w = 0; w < kWordsPerHuge; ++w) {
      const uint64_t bits =
          words_[static_cast<size_t>(w)].load(std::memory_order_acquire);
      ModelExpect(frame_counts::At(counts, w) ==
                      static_cast<size_t>(std::popcount(~bits)),
                  "the counts are those of the bitmap");
    }
    return frame_counts::Total(counts);
  }

  HugeFrame<Sync>& huge() { return huge_; }
  Word* words() { return words_.data(); }
  Word& counts() { return counts_; }

 private:
  static constexpr std::memory_order kRelaxedOrder = std::memory_order_relaxed;

  // What is shared by runs that overlap: of the frames up to 7 one thing each,
  // and one for each word.
  void Touch(size_t offset, int order) {
    if (order >= kWordOrder) {
      for (size_t w = 0; w < size_t{1} << (order - kWordOrder); ++w) {
        if (offset / kFramesPerWord + w == 0) {
          for (ModelCell& thing : things_) thing.Touch();
        } else {
          others_[offset / kFramesPerWord + w].Touch();
        }
      }
      return;
    }
    for (size_t i = offset; i < offset + (size_t{1} << order); ++i) {
      if (i < things_.size()) things_[i].Touch();
    }
  }

  Word counts_;
  std::array<Word, kWordsPerHuge> words_;
  HugeFrame<Sync> huge_{&counts_, words_.data()};
  std::array<ModelCell, 8> things_;
  std::array<ModelCell, kWordsPerHuge> others_;
};

template <class Sync>
using Body = std::function<void(State<Sync>&)>;

// Each body in a thread; `end` when all have ended.
template <class Sync>
ModelResult Explore(const std::function<std::shared_ptr<State<Sync>>()>& make,
                    const std::vector<Body<Sync>>& bodies,
                    const Body<Sync>& end, const ModelOptions& options = {}) {
  return ExploreModel(
      [&](ModelProgram& program) {
        std::shared_ptr<State<Sync>> state = make();
        for (const Body<Sync>& body : bodies) {
          program.Thread([state, &body] { body(*state); });
        }
        program.Finally([state, &end] { end(*state); });
      },
      options);
}

template <class Sync>
std::shared_ptr<State<Sync>> Free(uint64_t free) {
  return std::make_shared<State<Sync>>(free);
}

// Two frames and two threads, which take one, use it and give it back, twice.
template <class Sync>
ModelResult ExploreSingles() {
  const Body<Sync> body = [](State<Sync>& state) {
    for (int i = 0; i < 2; ++i) {
      const FrameTaking taking = state.huge().TakeInWord(0, 0);
      if (state.Use(taking, 0)) {
        state.Give(static_cast<size_t>(taking.offset), 0);
      }
    }
  };
  return Explore<Sync>([] { return Free<Sync>(0b11); }, {body, body},
                       [](State<Sync>& state) {
                         ModelExpect(state.CheckCounts() == 2, "both are back");
                       },
                       {.max_preemptions = 3, .max_stale_reads = 2});
}

TEST(HugeFrameModelTest, SingleFramesGoToOneThreadEach) {
  ExpectPassed(ExploreSingles<AsGiven>());
}

TEST(HugeFrameModelTest, WithWeakerOrdersIsCaught) {
  EXPECT_NE(ExploreSingles<Relaxed>().error, "");
}

// As many frames as threads: a Take that looks never misses.
TEST(HugeFrameModelTest, AFrameForEachThreadIsEnough) {
  const Body<AsGiven> body = [](State<AsGiven>& state) {
    const FrameTaking taking = state.huge().Take(0);
    ModelExpect(state.Use(taking, 0), "there is one for each");
    if (taking.taken()) state.Give(static_cast<size_t>(taking.offset), 0);
  };
  ExpectPassed(Explore<AsGiven>([] { return Free<AsGiven>(0b101); },
                                {body, body},
                                [](State<AsGiven>& state) {
                                  ModelExpect(state.CheckCounts() == 2, "all");
                                }));
}

// Several single frames at once, of few more than a batch leaves: none goes to
// two threads, and as many stay as shall.
template <class Sync>
ModelResult ExploreBatches() {
  const Body<Sync> body = [](State<Sync>& state) {
    const FrameTaking taking = state.huge().TakeInWord(0, 0, 3);
    if (!state.Use(taking, 0)) return;
    const uint64_t mask = taking.more | uint64_t{1} << taking.offset;
    for (uint64_t left = taking.more; left != 0; left &= left - 1) {
      state.Use({.offset = std::countr_zero(left)}, 0);
    }
    ModelExpect(std::popcount(mask) <= 3, "not more than it asked for");
    ModelExpect(state.huge().GiveSingles(0, mask), "they were allocated");
  };
  return Explore<Sync>([] { return Free<Sync>(0xffff'0000'000f); },
                       {body, body},
                       [](State<Sync>& state) {
                         ModelExpect(state.CheckCounts() == 20, "all are back");
                       },
                       {.max_preemptions = 3, .max_stale_reads = 2});
}

TEST(HugeFrameModelTest, BatchesGoToOneThreadEach) {
  ExpectPassed(ExploreBatches<AsGiven>());
}

TEST(HugeFrameModelTest, BatchesWithWeakerOrdersAreCaught) {
  EXPECT_NE(ExploreBatches<Relaxed>().error, "");
}

TEST(HugeFrameModelTest, ABatchLeavesSome) {
  for (const size_t free : {1u, 15u, 16u, 17u, 18u, 40u, 64u}) {
    HugeFrame<SystemSync>::Word counts(frame_counts::Of(0, free));
    std::array<HugeFrame<SystemSync>::Word, kWordsPerHuge> words;
    words[0] = free == 64 ? 0 : ~uint64_t{0} << free;
    const FrameTaking taking =
        HugeFrame<SystemSync>(&counts, words.data()).Take(0, 32);
    ASSERT_TRUE(taking.taken());
    const size_t taken = 1 + static_cast<size_t>(std::popcount(taking.more));
    EXPECT_EQ(taken, free <= 17 ? 1 : std::min(free - 16, size_t{32})) << free;
    EXPECT_EQ(frame_counts::Total(counts), free - taken);
    EXPECT_EQ(static_cast<size_t>(std::popcount(~words[0])), free - taken);
  }
}

// A whole huge frame, or a frame of it: one of the two, and never neither.
template <class Sync>
ModelResult ExploreHugeAndSmall(const Body<Sync>& takes_huge) {
  auto got = std::make_shared<std::array<bool, 2>>();
  return ExploreModel([=](ModelProgram& program) {
    auto state = std::make_shared<State<Sync>>();
    *got = {};
    program.Thread([=] { takes_huge(*state); });
    program.Thread([=] { (*got)[1] = state->Take(0); });
    program.Finally([=] {
      const size_t free = state->CheckCounts();
      ModelExpect(free == 0 || free == 511, "one of the two");
      ModelExpect((*got)[1] == (free == 511), "and the other was refused");
    });
  });
}

TEST(HugeFrameModelTest, HugeOrSmall) {
  ExpectPassed(ExploreHugeAndSmall<AsGiven>(
      [](State<AsGiven>& state) { state.Take(9); }));
}

// Looking at the counts and storing them is not taking.
TEST(HugeFrameModelTest, AHugeTakeByLoadAndStoreIsCaught) {
  const ModelResult result =
      ExploreHugeAndSmall<AsGiven>([](State<AsGiven>& state) {
        if (frame_counts::Total(state.huge().Look()) != kFramesPerHuge) return;
        state.counts().store(0, std::memory_order_release);
        for (int w = 0; w < kWordsPerHuge; ++w) {
          state.words()[w].store(~uint64_t{0}, std::memory_order_relaxed);
        }
        state.Use({.offset = 0}, 9);
      });
  EXPECT_NE(result.error, "");
}

TEST(HugeFrameModelTest, HugeIsTakenAndGivenBesideASmallOne) {
  ExpectPassed(Explore<AsGiven>(
      [] { return std::make_shared<State<AsGiven>>(); },
      {[](State<AsGiven>& state) { state.TakeAndGive(7); },
       [](State<AsGiven>& state) { state.TakeAndGive(9); },
       [](State<AsGiven>& state) { state.TakeAndGive(0); }},
      [](State<AsGiven>& state) {
        ModelExpect(state.CheckCounts() == 512, "all are back");
      },
      {.max_preemptions = 2, .max_stale_reads = 1}));
}

// What was done to a run before it was given back is seen by who has it next.
template <class Sync>
ModelResult ExploreHandOver(int give_order, int take_order) {
  return Explore<Sync>([] { return Free<Sync>(0); },
                       {[=](State<Sync>& state) { state.Give(0, give_order); },
                        [=](State<Sync>& state) { state.Take(take_order); },
                        [=](State<Sync>& state) { state.Take(take_order); }},
                       [](State<Sync>& state) { state.CheckCounts(); },
                       {.max_preemptions = 3});
}

TEST(HugeFrameModelTest, FramesAreHandedOver) {
  ExpectPassed(ExploreHandOver<AsGiven>(0, 0));
  ExpectPassed(ExploreHandOver<AsGiven>(2, 1));
  ExpectPassed(ExploreHandOver<AsGiven>(7, 6));
  ExpectPassed(ExploreHandOver<AsGiven>(9, 9));
}

TEST(HugeFrameModelTest, HandOverWithWeakerOrdersIsCaught) {
  EXPECT_NE(ExploreHandOver<Relaxed>(0, 0).error, "");
  EXPECT_NE(ExploreHandOver<Relaxed>(7, 6).error, "");
}

// A pair and a single frame for a thread that wants a pair and two that want
// one each: somebody may have to undo, and the counts are right after it.
TEST(HugeFrameModelTest, APairThatIsBrokenUpMeanwhile) {
  ExpectPassed(Explore<AsGiven>([] { return Free<AsGiven>(0b1101); },
                                {[](State<AsGiven>& state) { state.Take(1); },
                                 [](State<AsGiven>& state) {
                                   state.Take(0);
                                   state.Take(0);
                                 }},
                                [](State<AsGiven>& state) {
                                  const size_t free = state.CheckCounts();
                                  ModelExpect(free <= 1, "at most one is left");
                                },
                                {.max_preemptions = 4, .max_stale_reads = 2}));
}

// A frame is given back twice by mistake: one of the two is refused, and no
// count goes wrong.
TEST(HugeFrameModelTest, OneOfTwoMistakenGivesIsRefused) {
  for (const int other : {0, 7}) {
    auto given = std::make_shared<std::array<bool, 2>>();
    ExpectPassed(ExploreModel([=](ModelProgram& program) {
      auto state = std::make_shared<State<AsGiven>>(0);
      program.Thread([=] { (*given)[0] = state->huge().Give(0, 7); });
      program.Thread([=] { (*given)[1] = state->huge().Give(64, other); });
      program.Finally([=] {
        // A run of order 7 does not start at 64: only the first of its words
        // is shared.
        const size_t free = state->CheckCounts();
        ModelExpect((*given)[0] || (*given)[1], "one is right");
        ModelExpect(!((*given)[0] && (*given)[1]), "and one is wrong");
        ModelExpect(free == ((*given)[0]  ? 128u
                             : other == 0 ? 1u
                                          : 128u),
                    "what was given is free");
      });
    }));
  }
}

// A Purge hides what a Take wants, and shows it again: one of them has it.
TEST(HugeFrameModelTest, HidingExcludesTaking) {
  ExpectPassed(Explore<AsGiven>(
      [] { return std::make_shared<State<AsGiven>>(); },
      {[](State<AsGiven>& state) {
         constexpr uint64_t kAll = frame_counts::AllFree(kFramesPerHuge);
         if (!state.huge().Hide(kAll)) return;
         state.Use({.offset = 0}, 9);
         state.huge().Add(kAll | frame_counts::kUncommitted);
       },
       [](State<AsGiven>& state) {
         const FrameTaking taking = state.huge().Take(0);
         if (state.Use(taking, 0) && taking.uncommitted) {
           ModelExpect(state.huge().MarkCommitted(), "once");
         }
       },
       [](State<AsGiven>& state) { state.TakeAndGive(6); }},
      [](State<AsGiven>& state) { state.CheckCounts(); },
      {.max_preemptions = 2, .max_stale_reads = 1}));
}

// A tree that two threads want: one at a time has it, and what both did to it
// is counted.
template <class Sync>
ModelResult ExploreTree() {
  struct TreeState {
    FrameTree<Sync> tree{10};
    ModelCell reservation;
    int reserved = 0;
  };
  return ExploreModel([](ModelProgram& program) {
    auto state = std::make_shared<TreeState>();
    for (int t = 0; t < 2; ++t) {
      program.Thread([=] {
        for (int i = 0; i < 2 - t; ++i) {
          if (state->tree.Reserve([](int64_t free) { return free > 0; })) {
            state->reservation.Touch();
            state->tree.Unreserve(-3);
          } else {
            state->tree.Add(-3);
          }
        }
      });
    }
    program.Thread([=] { state->tree.Add(-1); });
    program.Finally([=] {
      const auto sight = state->tree.Look();
      ModelExpect(sight.free == 0, "all changes are counted");
      ModelExpect(!sight.reserved, "and nobody has it");
    });
  });
}

TEST(FrameTreeModelTest, IsReservedByOneAndLosesNoChange) {
  ExpectPassed(ExploreTree<AsGiven>());
}

TEST(FrameTreeModelTest, WithWeakerOrdersIsCaught) {
  EXPECT_NE(ExploreTree<Relaxed>().error, "");
}

}  // namespace
}  // namespace mmsb
