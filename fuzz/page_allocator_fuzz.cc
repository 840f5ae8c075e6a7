// The bytes are a program for a PageAllocator (page_allocator_run.h), which is
// run against a map of what its pages should be.

#include <cstddef>
#include <cstdint>

#include "fuzz/page_allocator_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kPageAllocatorProgram, {data, bytes});
}
