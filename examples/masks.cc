// Masks and deltas by vector code: where two buffers differ, what to copy, and
// how to keep a change and apply it again.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "mmsb/delta.h"
#include "mmsb/delta_kernels.h"
#include "mmsb/mask_algebra.h"
#include "mmsb/mask_runs.h"
#include "mmsb/mask_view.h"
#include "mmsb/simd_mask.h"
#include "mmsb/simd_target.h"

int main() {
  std::printf("instructions: %s\n",
              std::string(mmsb::ActiveSimdTarget()).c_str());

  constexpr size_t kBytes = 1 << 20;
  std::vector<std::byte> before(kBytes), after(kBytes);
  std::memset(after.data() + 100, 1, 3);          // within a line
  std::memset(after.data() + 64 * 1000, 2, 200);  // over four of them

  // One bit a byte, and one bit a cache line.
  std::vector<uint8_t> bytes_mask(mmsb::MaskBytes(kBytes));
  std::vector<uint8_t> lines_mask(mmsb::MaskBytes(kBytes / 64));
  const size_t bytes = mmsb::GenerateMask(before, after, bytes_mask);
  const size_t lines =
      mmsb::GenerateBlockMask(before, after, /*block_bytes=*/64, lines_mask);
  std::printf("%zu bytes differ, in %zu lines\n", bytes, lines);

  // Copies what changed, run by run.
  std::vector<std::byte> copy = before;
  size_t copied = 0;
  mmsb::ForEachRun(lines_mask, [&](mmsb::MaskRun run) {
    std::memcpy(copy.data() + run.first * 64, after.data() + run.first * 64,
                run.bits * 64);
    copied += run.bits * 64;
  });
  std::printf("%zu bytes copied\n", copied);

  // Of the second half alone, without a look at the first.
  const mmsb::MaskView half(lines_mask, kBytes / 64 / 2, kBytes / 64 / 2);
  std::printf("the second half is %s\n",
              mmsb::NoneSet(half) ? "unchanged" : "changed");

  // A change as a thing of its own: applied elsewhere, it makes the same.
  const mmsb::Delta delta = mmsb::MakeDelta(before, after);
  std::vector<std::byte> page = before;
  mmsb::ApplyDelta(delta, page);

  const bool as_expected = bytes == 203 && lines == 5 && copied == 320 &&
                           copy == after && mmsb::NoneSet(half) &&
                           delta.changed_bytes() == 203 && page == after &&
                           !mmsb::AnyDifference(page, copy);
  return as_expected ? 0 : 1;
}
