#include "device/simd/mask_runs.h"

#include <span>
#include <vector>

#include "device/simd/mask_algebra.h"
#include "device/simd/mask_view.h"

namespace mmsb {

void AppendRuns(MaskView mask, std::vector<MaskRun>& runs) {
  ForEachRun(mask, [&runs](MaskRun run) { runs.push_back(run); });
}

void MaskFromRuns(std::span<const MaskRun> runs, MaskSpan out) {
  FillMask(out, false);
  for (const MaskRun run : runs) FillMask(out.Sub(run.first, run.bits), true);
}

}  // namespace mmsb
