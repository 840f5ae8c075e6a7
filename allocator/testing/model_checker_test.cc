// The checker itself, by programs whose outcomes the language standard tells:
// it must reach every outcome that is allowed, and none that is not.

#include "allocator/testing/model_checker.h"

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "allocator/testing/model_atomic.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kSeqCst = std::memory_order_seq_cst;

using Outcomes = std::set<std::pair<int, int>>;

struct State {
  ModelAtomic<int> x{0};
  ModelAtomic<int> y{0};
  int first = 0;
  int second = 0;
};

// All pairs (first, second) with which the two threads may end.
Outcomes OutcomesOf(const std::function<void(State&)>& one,
                    const std::function<void(State&)>& other) {
  Outcomes outcomes;
  const ModelResult result = ExploreModel([&](ModelProgram& program) {
    auto state = std::make_shared<State>();
    program.Thread([=] { one(*state); });
    program.Thread([=] { other(*state); });
    program.Finally(
        [=, &outcomes] { outcomes.insert({state->first, state->second}); });
  });
  EXPECT_TRUE(result.passed()) << result.error;
  return outcomes;
}

Outcomes StoreBuffering(std::memory_order store, std::memory_order load) {
  return OutcomesOf(
      [=](State& s) {
        s.x.store(1, store);
        s.first = s.y.load(load);
      },
      [=](State& s) {
        s.y.store(1, store);
        s.second = s.x.load(load);
      });
}

TEST(ModelCheckerTest, StoreBuffering) {
  const Outcomes all = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
  const Outcomes ordered = {{0, 1}, {1, 0}, {1, 1}};
  EXPECT_EQ(StoreBuffering(kRelaxed, kRelaxed), all);
  EXPECT_EQ(StoreBuffering(kRelease, kAcquire), all);
  EXPECT_EQ(StoreBuffering(kSeqCst, kAcquire), all);
  EXPECT_EQ(StoreBuffering(kSeqCst, kSeqCst), ordered);
}

TEST(ModelCheckerTest, StoreBufferingWithAnAsymmetricFence) {
  const Outcomes ordered = {{0, 1}, {1, 0}, {1, 1}};
  EXPECT_EQ(OutcomesOf(
                [](State& s) {
                  s.x.store(1, kRelaxed);
                  s.first = s.y.load(kRelaxed);
                },
                [](State& s) {
                  s.y.store(1, kRelaxed);
                  model_memory::HeavyFence();
                  s.second = s.x.load(kRelaxed);
                }),
            ordered);
}

// What the fence's caller learns of one thread it does not hand on to another:
// the third may see that the second is behind its fence, and not what that saw
// of the first.
TEST(ModelCheckerTest, AnAsymmetricFenceHandsNothingOn) {
  bool third_may_not_see = false;
  bool withheld = false;
  const ModelResult result = ExploreModel([&](ModelProgram& program) {
    auto s = std::make_shared<State>();
    auto z = std::make_shared<ModelAtomic<int>>(0);
    program.Thread([=] {
      s->x.store(1, kRelaxed);
      s->y.store(1, kRelaxed);
    });
    program.Thread([=, &withheld] {
      if (s->y.load(kRelaxed) == 0) return;
      model_memory::HeavyFence();
      z->store(1, kRelaxed);
      withheld = withheld || s->x.load(kRelaxed) == 0;
    });
    program.Thread([=] {
      s->first = z->load(kRelaxed);
      s->second = s->x.load(kRelaxed);
    });
    program.Finally([=, &third_may_not_see] {
      third_may_not_see =
          third_may_not_see || (s->first == 1 && s->second == 0);
    });
  });
  EXPECT_TRUE(result.passed()) << result.error;
  EXPECT_TRUE(third_may_not_see);
  EXPECT_FALSE(withheld);
}

Outcomes MessagePassing(std::memory_order store, std::memory_order load) {
  return OutcomesOf(
      [=](State& s) {
        s.x.store(1, kRelaxed);
        s.y.store(1, store);
      },
      [=](State& s) {
        s.first = s.y.load(load);
        s.second = s.x.load(kRelaxed);
      });
}

TEST(ModelCheckerTest, MessagePassing) {
  const Outcomes all = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
  const Outcomes passed = {{0, 0}, {0, 1}, {1, 1}};
  EXPECT_EQ(MessagePassing(kRelaxed, kRelaxed), all);
  EXPECT_EQ(MessagePassing(kRelease, kRelaxed), all);
  EXPECT_EQ(MessagePassing(kRelaxed, kAcquire), all);
  EXPECT_EQ(MessagePassing(kRelease, kAcquire), passed);
}

// A read-modify-write in between hands on what was released; a plain store of
// the same thread does not.
TEST(ModelCheckerTest, ReleaseSequence) {
  const auto outcomes = [](bool update) {
    Outcomes seen;
    const ModelResult result = ExploreModel([&](ModelProgram& program) {
      auto s = std::make_shared<State>();
      program.Thread([=] {
        s->x.store(1, kRelaxed);
        s->y.store(1, kRelease);
        if (!update) s->y.store(2, kRelaxed);
      });
      if (update) {
        program.Thread([=] {
          int one = 1;
          s->y.compare_exchange_strong(one, 2, kRelaxed, kRelaxed);
        });
      }
      program.Thread([=] {
        s->first = s->y.load(kAcquire);
        s->second = s->x.load(kRelaxed);
      });
      program.Finally([=, &seen] { seen.insert({s->first, s->second}); });
    });
    EXPECT_TRUE(result.passed()) << result.error;
    return seen;
  };
  EXPECT_FALSE(outcomes(true).contains({2, 0}));
  EXPECT_TRUE(outcomes(true).contains({2, 1}));
  EXPECT_TRUE(outcomes(false).contains({2, 0}));
}

// Two reads of one location by one thread never go back in time.
TEST(ModelCheckerTest, CoherenceOfReads) {
  const Outcomes forward = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}};
  EXPECT_EQ(OutcomesOf(
                [](State& s) {
                  s.x.store(1, kRelaxed);
                  s.x.store(2, kRelaxed);
                },
                [](State& s) {
                  s.first = s.x.load(kRelaxed);
                  s.second = s.x.load(kRelaxed);
                }),
            forward);
}

// What happened before, through another thread, is seen (WRC).
TEST(ModelCheckerTest, CausalityThroughAThirdThread) {
  for (const auto order : {kRelaxed, kAcquire}) {
    bool broken = false;
    const ModelResult result = ExploreModel([&](ModelProgram& program) {
      auto s = std::make_shared<State>();
      program.Thread([=] { s->x.store(1, kRelease); });
      program.Thread([=] {
        if (s->x.load(order) == 1) s->y.store(1, kRelease);
      });
      program.Thread([=] {
        s->first = s->y.load(kAcquire);
        s->second = s->x.load(kRelaxed);
      });
      program.Finally([=, &broken] {
        broken = broken || (s->first == 1 && s->second == 0);
      });
    });
    EXPECT_TRUE(result.passed()) << result.error;
    EXPECT_FALSE(broken);
  }
}

TEST(ModelCheckerTest, ReadModifyWritesAreAtomic) {
  const ModelResult result = ExploreModel([](ModelProgram& program) {
    auto x = std::make_shared<ModelAtomic<int>>(0);
    for (int t = 0; t < 3; ++t) {
      program.Thread([=] {
        x->fetch_add(1, kRelaxed);
        x->fetch_add(1, kRelaxed);
      });
    }
    program.Finally([=] { ModelExpect(x->load(kRelaxed) == 6, "six"); });
  });
  EXPECT_TRUE(result.passed()) << result.error;
  // As many as there are orders of 3 times 2 operations on one location.
  EXPECT_GE(result.executions, 90u);
}

TEST(ModelCheckerTest, FindsALostUpdate) {
  const ModelResult result = ExploreModel([](ModelProgram& program) {
    auto x = std::make_shared<ModelAtomic<int>>(0);
    for (int t = 0; t < 2; ++t) {
      program.Thread([=] { x->store(x->load(kSeqCst) + 1, kSeqCst); });
    }
    program.Finally([=] { ModelExpect(x->load(kRelaxed) == 2, "a lost one"); });
  });
  EXPECT_TRUE(result.error.starts_with("a lost one\n  thread 0: load"))
      << result.error;
  EXPECT_FALSE(result.passed());
}

TEST(ModelCheckerTest, FindsADataRace) {
  for (const auto order : {kRelaxed, kRelease}) {
    const ModelResult result = ExploreModel([&](ModelProgram& program) {
      auto cell = std::make_shared<ModelCell>();
      auto ready = std::make_shared<ModelAtomic<int>>(0);
      program.Thread([=] {
        cell->Touch();
        ready->store(1, order);
      });
      program.Thread([=] {
        if (ready->load(kAcquire) == 1) cell->Touch();
      });
    });
    EXPECT_EQ(result.passed(), order == kRelease) << result.error;
  }
}

// The fence orders what came before it, and not a use that is still to come.
TEST(ModelCheckerTest, FindsAUseAfterAnotherThreadsFence) {
  for (const auto order : {kRelaxed, kRelease}) {
    const ModelResult result = ExploreModel([&](ModelProgram& program) {
      auto cell = std::make_shared<ModelCell>();
      auto used = std::make_shared<ModelAtomic<int>>(0);
      auto gone = std::make_shared<ModelAtomic<int>>(0);
      program.Thread([=] {
        used->store(1, kRelaxed);
        if (gone->load(kRelaxed) == 0) cell->Touch();
        used->store(0, order);
      });
      program.Thread([=] {
        gone->store(1, kRelaxed);
        model_memory::HeavyFence();
        if (used->load(kAcquire) == 0) cell->Touch();
      });
    });
    EXPECT_EQ(result.passed(), order == kRelease) << result.error;
  }
}

// Operations that do not affect each other are not tried in every order.
TEST(ModelCheckerTest, LeavesOutOrdersThatDoNotMatter) {
  const ModelResult result = ExploreModel([](ModelProgram& program) {
    for (int t = 0; t < 3; ++t) {
      auto x = std::make_shared<ModelAtomic<int>>(0);
      program.Thread([=] {
        for (int i = 0; i < 5; ++i) x->store(i, kRelaxed);
      });
    }
  });
  EXPECT_TRUE(result.passed());
  EXPECT_LT(result.executions, 100u);
}

TEST(ModelCheckerTest, DoesNotPassWhatItDidNotFinish) {
  const auto program = [](ModelProgram& program) {
    auto x = std::make_shared<ModelAtomic<int>>(0);
    for (int t = 0; t < 3; ++t) {
      program.Thread([=] {
        for (int i = 0; i < 3; ++i) x->fetch_add(1, kRelaxed);
      });
    }
  };
  EXPECT_FALSE(ExploreModel(program, {.max_executions = 5}).passed());
  EXPECT_FALSE(ExploreModel(program, {.max_steps = 5}).passed());
  EXPECT_TRUE(ExploreModel(program).passed());
}

TEST(ModelCheckerTest, BoundsPreemptions) {
  const auto run = [](uint64_t preemptions) {
    return ExploreModel(
        [](ModelProgram& program) {
          auto x = std::make_shared<ModelAtomic<int>>(0);
          for (int t = 0; t < 2; ++t) {
            program.Thread([=] { x->store(x->load(kSeqCst) + 1, kSeqCst); });
          }
          program.Finally(
              [=] { ModelExpect(x->load(kRelaxed) == 2, "a lost one"); });
        },
        {.max_preemptions = preemptions});
  };
  EXPECT_TRUE(run(0).passed());
  EXPECT_FALSE(run(1).passed());
}

// Which thread comes first is no preemption of one that has done nothing yet.
TEST(ModelCheckerTest, AnyThreadMayBeTheFirst) {
  std::set<int> seen;
  const ModelResult result = ExploreModel(
      [&](ModelProgram& program) {
        auto s = std::make_shared<State>();
        program.Thread([=] { s->x.store(1, kSeqCst); });
        program.Thread([=] { s->first = s->x.load(kSeqCst); });
        program.Finally([=, &seen] { seen.insert(s->first); });
      },
      {.max_preemptions = 0});
  EXPECT_TRUE(result.passed()) << result.error;
  EXPECT_EQ(seen, (std::set<int>{0, 1}));
}

}  // namespace
}  // namespace mmsb
