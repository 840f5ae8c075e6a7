#ifndef MMSB_DEVICE_SIMD_SIMD_TARGET_H_
#define MMSB_DEVICE_SIMD_SIMD_TARGET_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace mmsb {

// Which instruction set the kernels of this layer run on. A target is named as
// Highway names it: "AVX3_ZEN4", "AVX2", "NEON"; "EMU128" uses no vector
// instructions and is always there. All targets give the same results, bit for
// bit.
//
// The first kernel that is called chooses the best target of the machine.

// The target in use. Thread-safe.
std::string_view ActiveSimdTarget();

// The targets that this program holds and this machine supports, the best one
// first. Thread-safe.
std::vector<std::string_view> SimdTargets();

// Makes all kernels run on the target `name`, of SimdTargets(); any other is an
// InvalidArgument that lists them, and changes nothing. An empty name goes back
// to the best. Not while a kernel runs on another thread.
//
//   if (const char* name = std::getenv("MMSB_SIMD_TARGET")) {
//     if (absl::Status status = ForceSimdTarget(name); !status.ok()) ...
absl::Status ForceSimdTarget(std::string_view name);

}  // namespace mmsb

#endif  // MMSB_DEVICE_SIMD_SIMD_TARGET_H_
