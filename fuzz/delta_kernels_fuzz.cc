// The bytes are a program of changes (delta_kernels_run.h); on each target of
// the machine the kernels make of them what Delta does.

#include <cstddef>
#include <cstdint>

#include "fuzz/delta_kernels_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kDeltaKernelsProgram, {data, bytes});
}
