#ifndef MMSB_FUZZ_TRANSACTION_LOG_RUN_H_
#define MMSB_FUZZ_TRANSACTION_LOG_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct TransactionLogOp {
  enum Op : uint8_t {
    // A data record: `a` bytes of meta, and of data `b`, modulo; 64 KiB more
    // where `b` is more than that.
    kAppend,
    kCheckpoint,  // a checkpoint record, the same
    kCommit,      // with `a` bytes of meta
    kAbort,
    kReopen,
    kFail,  // of the disk's calls from now on, the `a`th, and `b` % 4 more
    // Recovers from states that it may leave, `a` % 8 more: now, or before the
    // (`a` / 8 % 8)th sync from now on.
    kCrash,
    kCommitUnsynced,  // with `a` bytes of meta
    kSync,
    // The newest transaction, by a checkpoint record of `a` bytes of meta and
    // `b` of data.
    kRestate,
    // By a reader of its own: all, up to an epoch, from the last checkpoint on,
    // or one record; `a` % 4 says which, `a` / 4 which epoch or place.
    kRead,
    kOpCount,
  };
};

extern const ProgramKind kTransactionLogProgram;

std::string RunTransactionLogProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_TRANSACTION_LOG_RUN_H_
