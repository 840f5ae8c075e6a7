// The bytes are a program for a LockFreePageAllocator
// (lockfree_page_allocator_run.h), which is run beside the locked one.

#include <cstddef>
#include <cstdint>

#include "fuzz/lockfree_page_allocator_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kLockfreePageAllocatorProgram, {data, bytes});
}
