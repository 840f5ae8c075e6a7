#ifndef MMSB_ALLOCATOR_TESTING_MODEL_ATOMIC_H_
#define MMSB_ALLOCATOR_TESTING_MODEL_ATOMIC_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "allocator/testing/model_memory.h"

namespace mmsb {

// How a ModelAtomic takes the orders it is given.
enum class ModelOrders {
  kAsGiven,
  // Weaker than asked for: what a negative control is made of.
  kRelaxed,
  kAcqRelAsAcquire,
};

// Stands in for std::atomic<T> in a program under ExploreModel(): as much of
// its interface as is used, every order named.
template <class T, ModelOrders kOrders = ModelOrders::kAsGiven>
class ModelAtomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);

 public:
  ModelAtomic() : ModelAtomic(T()) {}
  explicit ModelAtomic(T value)
      : location_(model_memory::NewLocation(Word(value))) {}
  ModelAtomic(const ModelAtomic&) = delete;
  ModelAtomic& operator=(const ModelAtomic&) = delete;

  T load(std::memory_order order) const {
    return Value(model_memory::Load(location_, Order(order)));
  }

  void store(T value, std::memory_order order) {
    model_memory::Store(location_, Word(value), Order(order));
  }

  T exchange(T value, std::memory_order order) {
    return Update(order, order, [&](uint64_t, uint64_t* next) {
      *next = Word(value);
      return true;
    });
  }

  T fetch_add(T value, std::memory_order order) {
    return Update(order, order, [&](uint64_t now, uint64_t* next) {
      *next = Word(static_cast<T>(Value(now) + value));
      return true;
    });
  }

  T fetch_sub(T value, std::memory_order order) {
    return Update(order, order, [&](uint64_t now, uint64_t* next) {
      *next = Word(static_cast<T>(Value(now) - value));
      return true;
    });
  }

  T fetch_or(T value, std::memory_order order) {
    return Update(order, order, [&](uint64_t now, uint64_t* next) {
      *next = Word(static_cast<T>(Value(now) | value));
      return true;
    });
  }

  T fetch_and(T value, std::memory_order order) {
    return Update(order, order, [&](uint64_t now, uint64_t* next) {
      *next = Word(static_cast<T>(Value(now) & value));
      return true;
    });
  }

  bool compare_exchange_strong(T& expected, T desired,
                               std::memory_order success,
                               std::memory_order failure) {
    const uint64_t wanted = Word(expected);
    const T read = Update(success, failure, [&](uint64_t now, uint64_t* next) {
      *next = Word(desired);
      return now == wanted;
    });
    if (Word(read) == wanted) return true;
    expected = read;
    return false;
  }

  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure) {
    return compare_exchange_strong(expected, desired, success, failure);
  }

 private:
  static std::memory_order Order(std::memory_order order) {
    if (kOrders == ModelOrders::kRelaxed) return std::memory_order_relaxed;
    return kOrders == ModelOrders::kAcqRelAsAcquire &&
                   order == std::memory_order_acq_rel
               ? std::memory_order_acquire
               : order;
  }
  using Bytes = std::array<std::byte, sizeof(T)>;
  static uint64_t Word(const T& value) {
    const auto bytes = std::bit_cast<Bytes>(value);
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), bytes.size());
    return word;
  }
  static T Value(uint64_t word) {
    Bytes bytes;
    std::memcpy(bytes.data(), &word, bytes.size());
    return std::bit_cast<T>(bytes);
  }

  template <class Change>
  T Update(std::memory_order success, std::memory_order failure,
           Change change) {
    return Value(model_memory::Update(location_, Order(success), Order(failure),
                                      change));
  }

  uint32_t location_;
};

// Something that is not atomic, and that one thread at a time may use.
class ModelCell {
 public:
  ModelCell() : location_(model_memory::NewLocation(0)) {}
  ModelCell(const ModelCell&) = delete;
  ModelCell& operator=(const ModelCell&) = delete;

  void Touch() { model_memory::Touch(location_); }

 private:
  uint32_t location_;
};

// What the lock-free structures take in place of SystemSync, with or without
// the asymmetric pair of fences.
template <bool kAsymmetric, ModelOrders kOrders = ModelOrders::kAsGiven,
          bool kFencesWork = true>
struct ModelSync {
  template <class T>
  using Atomic = ModelAtomic<T, kOrders>;

  static bool HasAsymmetricFence() noexcept { return kAsymmetric; }
  static void LightFence() noexcept {}
  static bool HeavyFence() noexcept {
    if (kFencesWork) model_memory::HeavyFence();
    return true;
  }
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_TESTING_MODEL_ATOMIC_H_
