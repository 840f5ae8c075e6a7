#ifndef MMSB_ALLOCATOR_TESTING_MODEL_MEMORY_H_
#define MMSB_ALLOCATOR_TESTING_MODEL_MEMORY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

// What ModelAtomic asks of the exploration that is running: operations on
// locations, which hold 64 bits each. See model_checker.h for their meaning.
namespace mmsb::model_memory {

uint32_t NewLocation(uint64_t value);

uint64_t Load(uint32_t location, std::memory_order order);
void Store(uint32_t location, uint64_t value, std::memory_order order);

// Replaces the newest value by `*change(value)` unless `change` says no by
// returning false; returns what was read.
uint64_t Update(uint32_t location, std::memory_order success,
                std::memory_order failure,
                const std::function<bool(uint64_t, uint64_t*)>& change);

// A fence between the calling thread and each other one, at any moment of the
// latter: the heavy half of an asymmetric pair.
void HeavyFence();

// Use of something that is not atomic: an error when it does not happen after
// every earlier use.
void Touch(uint32_t location);

}  // namespace mmsb::model_memory

#endif  // MMSB_ALLOCATOR_TESTING_MODEL_MEMORY_H_
