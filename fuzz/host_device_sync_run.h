#ifndef MMSB_FUZZ_HOST_DEVICE_SYNC_RUN_H_
#define MMSB_FUZZ_HOST_DEVICE_SYNC_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct HostDeviceSyncOp {
  enum Op : uint8_t {
    // A page is number `a`, modulo; the bytes of it that are meant follow from
    // `b`.
    kWrite,        // page `a`, bytes `b`, by Write()
    kEdit,         // the same by Edit()
    kWriteBeside,  // page `a`, some of bytes `b`, then MarkHostWrite()
    kDeviceWrite,  // page `a`, bytes `b`, by work that takes 8 * `b` ns
    kRead,         // page `a`, bytes `b`
    kStart,        // the pages of the bits of `a`, to the host if `b` is odd
    kFinish,       // what was started
    kDrop,         // what was started, and start it again
    kAdvance,      // the clock, by 8 * `a` ns
    kAgain,        // page `a` is removed and added, on the device if `b` is odd
    kRestore,      // page `a`
    kUnknown,      // calls that are refused: no such page, beyond its end
    kFail,         // the `a`-th call of the device from now on, as `b` says
    kOpCount,
  };
};

extern const ProgramKind kHostDeviceSyncProgram;

std::string RunHostDeviceSyncProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_HOST_DEVICE_SYNC_RUN_H_
