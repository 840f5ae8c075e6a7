#ifndef MMSB_FUZZ_ALLOCATOR_ADAPTORS_RUN_H_
#define MMSB_FUZZ_ALLOCATOR_ADAPTORS_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct AllocatorAdaptorsOp {
  enum Op : uint8_t {
    kAllocate,         // `a` bytes at a multiple of `b`
    kAllocateZeroed,   // the same
    kAllocateAtLeast,  // the same
    kDeallocate,       // block `a` of the live ones, modulo
    kDeallocateAsked,  // the same with the size asked for, not the one returned
    kReallocate,       // block `a`, modulo, to `b` bytes, or not at all
    kResize,           // block `a`, modulo, to `b` bytes, by a copy if need be
    kOpCount,
  };
};

extern const ProgramKind kAllocatorAdaptorsProgram;

std::string RunAllocatorAdaptorsProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_ALLOCATOR_ADAPTORS_RUN_H_
