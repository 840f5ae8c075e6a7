#ifndef MMSB_FUZZ_DEVICE_MEMORY_POOL_RUN_H_
#define MMSB_FUZZ_DEVICE_MEMORY_POOL_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct DeviceMemoryPoolOp {
  enum Op : uint8_t {
    // A block is number `a` of those that are live, by address, modulo; a
    // stream is a number of those there are, modulo.
    kAllocate,     // `a` bytes for stream `b`, which then writes them
    kDeallocate,   // block `a`, in the name of stream `b`
    kGiveToAll,    // block `a`, in nobody's name, when its work is done
    kUnknown,      // Deallocate of what begins no live block
    kSynchronize,  // stream `a`
    kTrim,         // to `a` bytes
    kAdvance,      // the clock, by 16 * `a` ns
    kReplace,      // stream `a` is destroyed, and another made
    kFail,         // the `a`-th call of the pool to the device from now on
    kLose,         // the device
    kOpCount,
  };
};

extern const ProgramKind kDeviceMemoryPoolProgram;

std::string RunDeviceMemoryPoolProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_DEVICE_MEMORY_POOL_RUN_H_
