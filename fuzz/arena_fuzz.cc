// The bytes are a program for an Arena (arena_run.h), which is run against a
// model of blocks and marks.

#include <cstddef>
#include <cstdint>

#include "fuzz/arena_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kArenaProgram, {data, bytes});
}
