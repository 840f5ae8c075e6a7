#ifndef MMSB_FUZZ_LOG_RECOVERY_RUN_H_
#define MMSB_FUZZ_LOG_RECOVERY_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct LogRecoveryOp {
  enum Op : uint8_t {
    // File `a`, modulo, of the store's.
    kFlip,     // byte `b`, modulo, with bits that follow from it
    kCut,      // `b` bytes from its end
    kAppend,   // `b` % 5000 bytes
    kZero,     // 64 bytes from byte `b`, modulo, on
    kMove,     // 48 bytes from byte `b`, modulo, to its double
    kRemove,   //
    kReplace,  // by `b` % 5000 bytes that are nothing
    kForge,    // byte `b`, modulo, and the checksums that are over it
    kOpCount,
  };
};

extern const ProgramKind kLogRecoveryProgram;

std::string RunLogRecoveryProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_LOG_RECOVERY_RUN_H_
