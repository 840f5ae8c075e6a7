#ifndef MMSB_FUZZ_SLAB_RUN_H_
#define MMSB_FUZZ_SLAB_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct SlabOp {
  enum Op : uint8_t {
    kAllocate,           // `a` bytes at a multiple of `b`
    kAllocateMany,       // `b` % 64 blocks of `a` bytes at multiples of 8
    kAllocateAtLeast,    // `a` bytes at a multiple of `b`
    kAllocateZeroed,     // `a` bytes at a multiple of `b`
    kDeallocate,         // block `a` of the live ones, modulo
    kDeallocateUnsized,  // the same without its size
    kDeallocateNewest,   // `a` % 64 blocks
    kReallocate,         // block `a`, modulo, to `b` bytes
    kPurge,
    kDecay,  // after `a` seconds
    kWalk,
    kFailMapper,  // `b` % 4 calls, after `a` % 8
    kElsewhere,   // what follows is done on another thread, or no longer
    kReplace,     // that thread ends, and another takes its place
    kOpCount,
  };
};

extern const ProgramKind kSlabProgram;

std::string RunSlabProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_SLAB_RUN_H_
