#ifndef MMSB_FUZZ_DELTA_RUN_H_
#define MMSB_FUZZ_DELTA_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct DeltaOp {
  enum Op : uint8_t {
    kSet,        // byte `a`, modulo, of the next contents to `b`
    kFill,       // `b` % 64 + 1 bytes from byte `a`, modulo, on, to others
    kCommit,     // a delta to the next contents
    kWide,       // the same with bits set for `b` bytes more, from `a` on
    kUndo,       // the last commit is inverted
    kAssociate,  // the last three commits are composed in both ways
    kWrongSize,  // every operation with contents of `a` bytes
    kParts,      // a mask of `a` bytes too many, or `b` bytes of payload
    kOpCount,
  };
};

extern const ProgramKind kDeltaProgram;

std::string RunDeltaProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_DELTA_RUN_H_
