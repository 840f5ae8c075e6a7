// The bytes are a program of damage to the files of a store
// (log_recovery_run.h); what is read of it afterwards must be right, or an
// error.

#include <cstddef>
#include <cstdint>

#include "fuzz/log_recovery_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kLogRecoveryProgram, {data, bytes});
}
