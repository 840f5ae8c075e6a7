#ifndef MMSB_FUZZ_MEMORY_POOL_RUN_H_
#define MMSB_FUZZ_MEMORY_POOL_RUN_H_

#include <string>

#include "fuzz/memory_pool_program.h"

namespace mmsb {

// Performs the program on a MemoryPool and on a model, compares them after
// every step, and in the end frees everything and compares the counters.
// Returns what is wrong, naming the step; empty when nothing is.
std::string RunMemoryPoolProgram(const MemoryPoolProgram& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_MEMORY_POOL_RUN_H_
