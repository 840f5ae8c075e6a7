#ifndef MMSB_FUZZ_MMSB_CLI_RUN_H_
#define MMSB_FUZZ_MMSB_CLI_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct MmsbCliOp {
  enum Op : uint8_t {
    // The first three are ignored once a command has run: file `a`, modulo.
    kFlip,      // byte `b`, modulo
    kCut,       // `b` bytes from its end
    kRemove,    //
    kCommit,    // a file of `a` bytes; `b` odd with a message
    kCheckout,  // epoch `a`; `b` odd by force
    kDiff,      // epochs `a` and `b`
    kLog,       // `a` odd as JSON
    kStat,      //
    kVerify,    //
    kNonsense,  // words that no command has, from the numbers `a` and `b`
    kPrune,     // to epoch `a`
    kSalvage,   // into a new store, which is verified
    kHelp,      // of command `a`, modulo
    kOpCount,
  };
};

extern const ProgramKind kMmsbCliProgram;

std::string RunMmsbCliProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_MMSB_CLI_RUN_H_
