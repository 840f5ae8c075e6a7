#include "device/simd/simd_target.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

// Highway includes this file once for each target, through the name given here.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/simd/simd_target.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h, which it needs.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mmsb {
namespace HWY_NAMESPACE {
namespace {

const char* TargetNameKernel() { return hwy::TargetName(HWY_TARGET); }

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace mmsb
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mmsb {
namespace {

HWY_EXPORT(TargetNameKernel);

struct Target {
  int64_t bit;  // among Highway's targets; a better one is a lower bit
  std::string_view name;
};

// As they are at the first call, which is before any is forced.
const std::vector<Target>& Targets() {
  static const std::vector<Target>* const targets = [] {
    auto* const found = new std::vector<Target>;
    for (const int64_t bit : hwy::SupportedAndGeneratedTargets()) {
      found->push_back({bit, hwy::TargetName(bit)});
    }
    return found;
  }();
  return *targets;
}

}  // namespace

std::string_view ActiveSimdTarget() {
  return HWY_DYNAMIC_DISPATCH(TargetNameKernel)();
}

std::vector<std::string_view> SimdTargets() {
  std::vector<std::string_view> names;
  for (const Target& target : Targets()) names.push_back(target.name);
  return names;
}

absl::Status ForceSimdTarget(std::string_view name) {
  const std::vector<Target>& targets = Targets();
  if (name.empty()) {
    hwy::SetSupportedTargetsForTest(0);
    return absl::OkStatus();
  }
  const auto found = std::ranges::find(targets, name, &Target::name);
  if (found == targets.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there is no SIMD target '", name,
        "' on this machine; there is: ", absl::StrJoin(SimdTargets(), ", ")));
  }
  // Not DisableTargets(), after which Highway asks the processor anew what it
  // has: under a hypervisor that takes longer than many a kernel.
  hwy::SetSupportedTargetsForTest(found->bit);
  return absl::OkStatus();
}

}  // namespace mmsb
#endif  // HWY_ONCE
