#ifndef MMSB_FUZZ_SIMD_MASK_RUN_H_
#define MMSB_FUZZ_SIMD_MASK_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct SimdMaskOp {
  enum Op : uint8_t {
    kSet,         // byte `a`, modulo, of the contents after to `b`
    kFlip,        // `b` + 1 bytes from byte `a`, modulo, on
    kCopy,        // the contents after are those before again
    kMask,        // GenerateMask
    kBlockMask,   // blocks of 8 bytes, or of `b` % 8 times 64
    kDifference,  // Any, First, CountDifferences, these up to `a`
    kAlgebra,     // all of it, over `b` bits fewer, from bit `a` % 64 on
    kRuns,        // the same ranges
    kOpCount,
  };
};

extern const ProgramKind kSimdMaskProgram;

std::string RunSimdMaskProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_SIMD_MASK_RUN_H_
