#ifndef MMSB_FUZZ_TRANSACTION_LOG_RUN_H_
#define MMSB_FUZZ_TRANSACTION_LOG_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct TransactionLogOp {
  enum Op : uint8_t {
    kAppend,      // a data record: `a` bytes of meta, `b` of data
    kCheckpoint,  // a checkpoint record, the same
    kCommit,      // with `a` bytes of meta
    kAbort,
    kReopen,
    kFail,   // of the disk's calls from now on, the `a`th, and `b` % 4 more
    kCrash,  // recovers from states that it may leave, `a` % 8 more
    kOpCount,
  };
};

extern const ProgramKind kTransactionLogProgram;

std::string RunTransactionLogProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_TRANSACTION_LOG_RUN_H_
