#ifndef MMSB_FUZZ_DELTA_KERNELS_RUN_H_
#define MMSB_FUZZ_DELTA_KERNELS_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct DeltaKernelsOp {
  enum Op : uint8_t {
    kSet,    // byte `a`, modulo, of the next contents to `b`
    kFlip,   // `b` + 1 bytes from byte `a`, modulo, on
    kEvery,  // every `a` + 1st byte from byte `b`, modulo, on
    kDelta,  // MakeDelta and ApplyDelta from the present contents to the next
    kWide,   // ApplyDelta, with `b` bytes more from byte `a` on in the mask
    kNext,   // the next contents become the present ones; composes
    kOpCount,
  };
};

extern const ProgramKind kDeltaKernelsProgram;

std::string RunDeltaKernelsProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_DELTA_KERNELS_RUN_H_
