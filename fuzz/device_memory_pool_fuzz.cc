// The bytes are a program for a DeviceMemoryPool (device_memory_pool_run.h) on
// a simulated device: work writes each block, and looks whether another's has.

#include <cstddef>
#include <cstdint>

#include "fuzz/device_memory_pool_run.h"
#include "fuzz/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kDeviceMemoryPoolProgram, {data, bytes});
}
