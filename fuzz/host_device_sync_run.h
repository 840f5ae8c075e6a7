#ifndef MMSB_FUZZ_HOST_DEVICE_SYNC_RUN_H_
#define MMSB_FUZZ_HOST_DEVICE_SYNC_RUN_H_

#include <string>

#include "device/testing/host_device_sync_model.h"  // IWYU pragma: export
#include "fuzz/program.h"

namespace mmsb {

extern const ProgramKind kHostDeviceSyncProgram;

std::string RunHostDeviceSyncProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_HOST_DEVICE_SYNC_RUN_H_
