// The bytes are a program of changes (delta_run.h); what deltas make of them is
// compared with the contents themselves.

#include <cstddef>
#include <cstdint>

#include "fuzz/delta_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kDeltaProgram, {data, bytes});
}
