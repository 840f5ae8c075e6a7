// The bytes are a program of transactions and crashes (transaction_log_run.h);
// every state that a crash leaves must be one that the log was promised to be.

#include <cstddef>
#include <cstdint>

#include "fuzz/program.h"
#include "fuzz/transaction_log_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kTransactionLogProgram, {data, bytes});
}
