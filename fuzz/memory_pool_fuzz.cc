// The bytes are a program for a MemoryPool (memory_pool_program.h), which is
// run against a model of it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "fuzz/memory_pool_program.h"
#include "fuzz/memory_pool_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  const auto program = mmsb::MemoryPoolProgram::Decode({data, bytes});
  // Says what a program does whose run ends in a sanitizer's report.
  static const bool print = std::getenv("MMSB_FUZZ_PRINT") != nullptr;
  if (print) std::cerr << program.Print();
  const std::string error = mmsb::RunMemoryPoolProgram(program);
  if (!error.empty()) {
    std::cerr << error << "\n\n" << program.Print();
    std::abort();
  }
  return 0;
}
