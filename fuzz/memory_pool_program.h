#ifndef MMSB_FUZZ_MEMORY_POOL_PROGRAM_H_
#define MMSB_FUZZ_MEMORY_POOL_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "allocator/memory_pool.h"
#include "allocator/testing/failing_upstream.h"

namespace mmsb {

// A run of a MemoryPool: how it is made, and what is done with it.
//
// Every input of bytes decodes to one, and every one can be run and printed as
// C++, so that what a fuzzer found becomes a test with a name.
//
//   const auto program = MemoryPoolProgram::Decode(input);
//   const std::string error = RunMemoryPoolProgram(program);  // _run.h
//   if (!error.empty()) std::cerr << error << "\n" << program.Print();
struct MemoryPoolProgram {
  struct Step {
    enum Kind : uint8_t {
      kAllocate,          // `a` blocks
      kAllocateSized,     // `a` bytes at a multiple of `b`
      kAllocateAtLeast,   // `a` bytes at a multiple of `b`
      kDeallocate,        // block number `a` of the live ones, modulo
      kDeallocateSized,   // the same in the long form
      kDeallocateNewest,  // `a` blocks
      kDeallocateOldest,  // `a` blocks
      kDeallocateNull,    //
    };
    Kind kind;
    size_t a = 0;
    size_t b = 0;
  };

  MemoryPoolOptions options = {};
  bool checked = false;
  bool in_region = false;
  size_t region_bytes = 0;
  size_t region_offset = 0;                // from a multiple of 64, bytes
  FailingUpstream::Options upstream = {};  // when not in a region
  std::vector<Step> steps = {};

  // Bytes to program. Eight bytes say how the pool is made, as
  // memory_pool_corpus.py documents, then two bytes a step.
  static MemoryPoolProgram Decode(std::span<const uint8_t> input);

  // A test case that pastes into memory_pool_regression_test.cc.
  [[nodiscard]] std::string Print() const;
};

}  // namespace mmsb

#endif  // MMSB_FUZZ_MEMORY_POOL_PROGRAM_H_
