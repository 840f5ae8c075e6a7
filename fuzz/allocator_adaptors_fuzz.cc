// The bytes are a program for a tower of adaptors (allocator_adaptors_run.h),
// which is run against a model of each of its floors.

#include <cstddef>
#include <cstdint>

#include "fuzz/allocator_adaptors_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kAllocatorAdaptorsProgram, {data, bytes});
}
