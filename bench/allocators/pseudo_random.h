#ifndef MMSB_BENCH_ALLOCATORS_PSEUDO_RANDOM_H_
#define MMSB_BENCH_ALLOCATORS_PSEUDO_RANDOM_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace mmsb {

// A linear congruential generator (Knuth's MMIX constants), a few instructions
// a number, so that it weighs little beside what is measured.
class PseudoRandom {
 public:
  explicit PseudoRandom(uint64_t seed) : state_(seed) { Next(); }

  // 32 bits, the better half of the state.
  uint32_t Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }

 private:
  uint64_t state_;
};

// Sizes in bytes between `least` and `most`, whose logarithm is uniform.
class LogUniformSizes {
 public:
  LogUniformSizes(double least, double most) {
    std::mt19937 random(1);
    for (size_t i = 0; i < sizes_.size(); ++i) {
      const double part =
          static_cast<double>(i) / static_cast<double>(sizes_.size() - 1);
      sizes_[i] = static_cast<uint16_t>(
          std::lround(least * std::pow(most / least, part)));
    }
    std::shuffle(sizes_.begin(), sizes_.end(), random);
  }

  size_t operator()(uint32_t random) const {
    return sizes_[random % sizes_.size()];
  }

 private:
  std::array<uint16_t, 4096> sizes_;
};

// A few different orders of 0 .. count - 1, so that no predictor learns one.
inline std::vector<std::vector<uint32_t>> RandomOrders(size_t count) {
  constexpr size_t kOrders = 16;
  std::mt19937 random(1);
  std::vector<std::vector<uint32_t>> orders(kOrders);
  for (auto& order : orders) {
    for (size_t i = 0; i < count; ++i) {
      order.push_back(static_cast<uint32_t>(i));
    }
    std::shuffle(order.begin(), order.end(), random);
  }
  return orders;
}

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_PSEUDO_RANDOM_H_
