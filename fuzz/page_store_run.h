#ifndef MMSB_FUZZ_PAGE_STORE_RUN_H_
#define MMSB_FUZZ_PAGE_STORE_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct PageStoreOp {
  enum Op : uint8_t {
    kWrite,       // `b` % 64 + 1 bytes from byte `a`, modulo, of the state on
    kSet,         // byte `a`, modulo, to `b`
    kZero,        // page `a`, modulo, becomes zero
    kResize,      // the state has `a` bytes, modulo kMaxStateBytes
    kCommit,      // with a message of `a` bytes
    kCheckpoint,  // the same, and writes a checkpoint
    kAbandon,     // a batch that is dropped
    kReopen,
    kRead,    // all bytes of epoch `a`, modulo
    kVerify,  //
    kFail,    // of the file system's calls from now on, the `a`th, and `b` more
    kSync,
    kTable,     // a checkpoint of the newest epoch, with no commit
    kPrune,     // to epoch `a`, modulo, of those that are there
    kHold,      // a snapshot of the same; all that are held are read
    kConflict,  // two batches, of page `a` and `b`, modulo; reads if `a` & 16
    kSalvage,   // into a new store, which is compared
    kFill,      // all of page `a`, modulo, by what follows from `b`
    kOpCount,
  };
};

extern const ProgramKind kPageStoreProgram;

std::string RunPageStoreProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_PAGE_STORE_RUN_H_
