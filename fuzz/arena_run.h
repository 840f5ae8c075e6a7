#ifndef MMSB_FUZZ_ARENA_RUN_H_
#define MMSB_FUZZ_ARENA_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct ArenaOp {
  enum Op : uint8_t {
    kAllocate,          // `a` bytes at a multiple of `b`
    kDeallocateNewest,  // unless a mark would end with it
    kReallocate,        // block `a` of the live ones, modulo, to `b` bytes
    kReallocateNewest,  // to `a` bytes
    kMark,
    kRewind,  // to mark `a` of those taken, modulo; younger ones end
    kReset,
    kDeallocateNull,
    kOpCount,
  };
};

extern const ProgramKind kArenaProgram;

std::string RunArenaProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_ARENA_RUN_H_
