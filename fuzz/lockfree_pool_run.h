#ifndef MMSB_FUZZ_LOCKFREE_POOL_RUN_H_
#define MMSB_FUZZ_LOCKFREE_POOL_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

// A thread is number `a` of those there are, modulo.
struct LockfreePoolOp {
  enum Op : uint8_t {
    kAllocate,        // thread `a`: `b` % 32 + 1 blocks
    kAllocateSized,   // the first thread: `a` bytes at a multiple of `b`
    kDeallocate,      // thread `a`: block `b` of the live ones, modulo
    kDeallocateId,    // the same by its id
    kDeallocateMany,  // thread `a`: the newest `b` % 32 + 1 blocks
    kDetach,          // thread `a` leaves its magazines
    kReplace,         // thread `a` ends, and another begins
    kOpCount,
  };
};

extern const ProgramKind kLockfreePoolProgram;

std::string RunLockfreePoolProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_LOCKFREE_POOL_RUN_H_
