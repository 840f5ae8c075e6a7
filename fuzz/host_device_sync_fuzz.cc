// The bytes are a program for a HostDeviceSync (host_device_sync_run.h) on a
// simulated device: what host and device hold is compared with what was
// written.

#include <cstddef>
#include <cstdint>

#include "fuzz/host_device_sync_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kHostDeviceSyncProgram, {data, bytes});
}
