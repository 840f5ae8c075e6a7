// The bytes are a program for a SimulatedDevice (simulated_device_run.h): which
// calls are accepted, what becomes of them, and what memory holds afterwards is
// compared with the table of states in device.h.

#include <cstddef>
#include <cstdint>

#include "fuzz/program.h"
#include "fuzz/simulated_device_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  return mmsb::FuzzProgram(mmsb::kSimulatedDeviceProgram, {data, bytes});
}
