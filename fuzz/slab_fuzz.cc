// The bytes are a program for a slab allocator (slab_run.h), which is
// run against a model of blocks.

#include <cstddef>
#include <cstdint>

#include "fuzz/program.h"
#include "fuzz/slab_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kSlabProgram, {data, bytes});
}
