// The bytes are a program of edits, commits and snapshots (page_store_run.h); a
// store is compared with a list of states.

#include <cstddef>
#include <cstdint>

#include "fuzz/page_store_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kPageStoreProgram, {data, bytes});
}
