#ifndef MMSB_FUZZ_SIMULATED_DEVICE_RUN_H_
#define MMSB_FUZZ_SIMULATED_DEVICE_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct SimulatedDeviceOp {
  enum Op : uint8_t {
    // A lane is number `a`, modulo: a stream, and the memory that it alone
    // touches. Of that, `b` says which, and which bytes.
    kAllocate,      // `b` bytes of the device, for lane `a`
    kFree,          // block `b` of lane `a`
    kAllocateHost,  // `b` bytes of the host, for lane `a`
    kFreeHost,      // block `b` of lane `a`, when its work is done
    kToDevice,      // a copy
    kToHost,        // a copy
    kOnDevice,      // a copy from one block to another
    kBatch,         // a copy to the device and one to the host, as one
    kFill,          // with byte `b`
    kLaunch,        // a kernel that adds 1 to bytes, and takes 16 * `b` ns
    kLaunchBad,     // a kernel that fails (`b` odd), or strays
    kRun,           // work that is counted
    kRecord,        // an event, which is kept
    kWait,          // for event `b`, and goes on if it failed when `b` is odd
    kAwait,         // event `b`
    kSynchronize,   // lane `a`
    kReplace,       // the stream of lane `a`
    kRefused,       // a call that is wrong in the `b`-th way
    kAdvance,       // the clock, by 16 * `a` ns
    kFail,          // call `a` from now on has fault `b`
    kLose,          // the device
    // Blocks of lane `a` that are known by an IntegrityChecker: by sums if bit
    // 1
    // of `b` is set, against something else of one if bit 0 is.
    kCompare,
    kOpCount,
  };
};

extern const ProgramKind kSimulatedDeviceProgram;

std::string RunSimulatedDeviceProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_SIMULATED_DEVICE_RUN_H_
