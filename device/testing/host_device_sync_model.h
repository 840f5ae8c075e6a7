#ifndef MMSB_DEVICE_TESTING_HOST_DEVICE_SYNC_MODEL_H_
#define MMSB_DEVICE_TESTING_HOST_DEVICE_SYNC_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "device/host_device_sync.h"
#include "device/simulated_device.h"

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

// What is done with a HostDeviceSync over a SimulatedDevice, with programs for
// the device and with faults.
struct HostDeviceSyncSteps {
  struct Step {
    HostDeviceSyncOp::Op op;
    uint64_t a = 0;
    uint64_t b = 0;
  };

  size_t device_bytes = 0;
  HostDeviceSync::Options options = {};
  std::vector<size_t> page_bytes = {};  // of each page
  std::vector<Step> steps = {};
  // Beside those of kFail, until the steps are done; null for none.
  std::function<SimulatedDevice::Fault(const SimulatedDevice::CallInfo&)>
      faults = nullptr;
};

// Performs the steps on a HostDeviceSync and on a model of what its pages
// should hold, and compares after each; in the end host and device must agree,
// or the page must be reported. Returns what is wrong, naming the step, or an
// empty string.
std::string RunBesideModel(const HostDeviceSyncSteps& steps);

}  // namespace mmsb

#endif  // MMSB_DEVICE_TESTING_HOST_DEVICE_SYNC_MODEL_H_
