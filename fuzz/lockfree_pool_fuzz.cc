// The bytes are a program for a LockFreePool on one thread or several
// (lockfree_pool_run.h), which is run against a model of blocks.

#include <cstddef>
#include <cstdint>

#include "fuzz/lockfree_pool_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kLockfreePoolProgram, {data, bytes});
}
