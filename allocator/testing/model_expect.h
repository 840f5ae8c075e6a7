#ifndef MMSB_ALLOCATOR_TESTING_MODEL_EXPECT_H_
#define MMSB_ALLOCATOR_TESTING_MODEL_EXPECT_H_

#include <atomic>
#include <string>

#include "allocator/testing/model_atomic.h"
#include "allocator/testing/model_checker.h"
#include "gtest/gtest.h"

namespace mmsb {

// What tests say of an exploration, and the ingredients that they take in place
// of SystemSync: as they are, and weakened, for negative controls.

using Asymmetric = ModelSync<true>;
using Symmetric = ModelSync<false>;
using RelaxedOrders = ModelSync<true, ModelOrders::kRelaxed>;
using WithoutFences = ModelSync<true, ModelOrders::kAsGiven, false>;

// An atomic whose compare-exchange is two steps, a comparison and a store.
template <class T>
class SplitAtomic : public ModelAtomic<T> {
 public:
  using ModelAtomic<T>::ModelAtomic;

  bool compare_exchange_strong(T& expected, T desired, std::memory_order,
                               std::memory_order) {
    const T now = this->load(std::memory_order_acquire);
    if (now != expected) {
      expected = now;
      return false;
    }
    this->store(desired, std::memory_order_release);
    return true;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure) {
    return compare_exchange_strong(expected, desired, success, failure);
  }
};
struct SplitExchanges : Asymmetric {
  template <class T>
  using Atomic = SplitAtomic<T>;
};

inline void ExpectPassed(const ModelResult& result) {
  EXPECT_TRUE(result.complete) << "ended after " << result.executions;
  EXPECT_EQ(result.error, "");
  ::testing::Test::RecordProperty("executions",
                                  std::to_string(result.executions));
}

// Of a negative control: that the exploration stopped at an error that ends
// like this.
inline void ExpectCaught(const ModelResult& result, const std::string& error) {
  EXPECT_TRUE(result.error.substr(0, result.error.find('\n')).ends_with(error))
      << "stopped at: " << result.error;
}

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_TESTING_MODEL_EXPECT_H_
