// The bytes are a program of changes and questions (simd_mask_run.h); each
// target of the machine answers as a loop over bytes or bits does.

#include <cstddef>
#include <cstdint>

#include "fuzz/program.h"
#include "fuzz/simd_mask_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kSimdMaskProgram, {data, bytes});
}
