// The bytes are a program of damage to the files of a store and of commands
// (mmsb_cli_run.h), none of which may end in anything but an exit code.

#include <cstddef>
#include <cstdint>

#include "fuzz/mmsb_cli_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kMmsbCliProgram, {data, bytes});
}
