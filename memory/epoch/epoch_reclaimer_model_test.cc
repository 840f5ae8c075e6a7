// The reclaimer in every way that a reader and a writer can meet, and without
// its fences or with weaker orders, which must be caught.

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "allocator/testing/model_atomic.h"
#include "allocator/testing/model_checker.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch_reclaimer.h"

namespace mmsb {
namespace {

// A pointer to one of two objects. A reader looks at what it points to; a
// writer changes it, retires the old object, and collects until it is freed or
// kept.
template <class Sync>
ModelResult ExploreSwap(int pins) {
  using Reclaimer = BasicEpochReclaimer<Sync>;
  struct State {
    // Ends first.
    std::array<ModelCell, 2> objects;
    ModelAtomic<size_t> current{0};
    Reclaimer reclaimer{{.max_readers = 1}};
    std::optional<typename Reclaimer::Reader> reader;
  };
  return ExploreModel([=](ModelProgram& program) {
    auto state = std::make_shared<State>();
    state->reader.emplace(*state->reclaimer.AddReader("reader"));
    program.Thread([=] {
      for (int i = 0; i < pins; ++i) {
        const auto pin = state->reader->Pin();
        // acquire: pairs with the release in the writer.
        state->objects[state->current.load(std::memory_order_acquire)].Touch();
      }
    });
    program.Thread([=] {
      state->current.store(1, std::memory_order_release);
      ModelExpect(state->reclaimer
                      .Retire(&state->objects[0],
                              [](void* object) {
                                static_cast<ModelCell*>(object)->Touch();
                              })
                      .ok(),
                  "retired");
      state->reclaimer.Collect();
    });
    program.Finally([=] { state->reader.reset(); });
  });
}

TEST(EpochReclaimerModelTest, FreesNothingThatAReaderLooksAt) {
  for (const int pins : {1, 2}) {
    const ModelResult asymmetric = ExploreSwap<ModelSync<true>>(pins);
    EXPECT_TRUE(asymmetric.passed()) << asymmetric.error;
    const ModelResult symmetric = ExploreSwap<ModelSync<false>>(pins);
    EXPECT_TRUE(symmetric.passed()) << symmetric.error;
    EXPECT_GT(asymmetric.executions, 10u);
  }
}

TEST(EpochReclaimerModelTest, WithoutFencesIsCaught) {
  using WithoutFences = ModelSync<true, ModelOrders::kAsGiven, false>;
  EXPECT_THAT(ExploreSwap<WithoutFences>(1).error,
              testing::HasSubstr("is used by two threads at once"));
}

TEST(EpochReclaimerModelTest, WeakerOrdersAreCaught) {
  using RelaxedOrders = ModelSync<true, ModelOrders::kRelaxed>;
  EXPECT_THAT(ExploreSwap<RelaxedOrders>(1).error,
              testing::HasSubstr("is used by two threads at once"));
}

}  // namespace
}  // namespace mmsb
