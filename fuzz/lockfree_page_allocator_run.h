#ifndef MMSB_FUZZ_LOCKFREE_PAGE_ALLOCATOR_RUN_H_
#define MMSB_FUZZ_LOCKFREE_PAGE_ALLOCATOR_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct LockfreePageAllocatorOp {
  enum Op : uint8_t {
    // `b` is odd for the other thread, where there is one.
    kAllocate,         // a run of order `a` % 12 - 1
    kAllocateSingles,  // `a` % 64 frames
    kFree,             // run `a` of those there are, modulo
    kFreeHalf,         // the lower half of run `a`, modulo
    kFreeNewest,       // `a` % 64 runs
    kFreeWrong,        // frame `a`, modulo, with order `b` / 2 % 12 - 1
    kPurge,
    kRecover,
    kDetach,
    kCompare,
    kOpCount,
  };
};

extern const ProgramKind kLockfreePageAllocatorProgram;

std::string RunLockfreePageAllocatorProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_LOCKFREE_PAGE_ALLOCATOR_RUN_H_
