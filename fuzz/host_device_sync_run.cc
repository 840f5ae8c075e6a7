#include "fuzz/host_device_sync_run.h"

#include <cstddef>
#include <iterator>
#include <string>

#include "device/testing/host_device_sync_model.h"
#include "fuzz/program.h"
#include "primitives/bytes.h"

namespace mmsb {
namespace {

using Op = HostDeviceSyncOp;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"small_memory", kByte},  // odd for 3 KiB, else 64 KiB
    {"batch_bytes", kSize},   // one more, modulo 2000
    {"batch_copies", kByte},  // one more, modulo 20
    {"attempts", kByte},      // one more, modulo 3
    {"pages", kByte},         // one more, modulo 4
    {"page_bytes", kSize},    // of the first, one more, modulo 900
};

constexpr ProgramKind::Op kOps[] = {
    {"kWrite", kByte, kByte},
    {"kEdit", kByte, kByte},
    {"kWriteBeside", kByte, kByte},
    {"kDeviceWrite", kByte, kByte},
    {"kRead", kByte, kByte},
    {"kStart", kByte, kByte},
    {"kFinish"},
    {"kDrop"},
    {"kAdvance", kByte},
    {"kAgain", kByte, kByte},
    {"kRestore", kByte},
    {"kUnknown", kByte, kByte},
    {"kFail", kByte, kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

}  // namespace

const ProgramKind kHostDeviceSyncProgram = {"HostDeviceSync", kSetup, kOps,
                                            RunHostDeviceSyncProgram};

std::string RunHostDeviceSyncProgram(const Program& program) {
  const auto& setup = program.setup;
  HostDeviceSyncSteps steps;
  steps.device_bytes = setup[0] % 2 == 1 ? 3 * kKiB : 64 * kKiB;
  steps.options.max_batch_bytes = 1 + setup[1] % 2000;
  steps.options.max_batch_copies = 1 + setup[2] % 20;
  steps.options.max_attempts = 1 + static_cast<int>(setup[3] % 3);
  for (size_t i = 0; i <= setup[4] % 4; ++i) {
    steps.page_bytes.push_back(1 + (setup[5] % 900 + 331 * i) % 900);
  }
  for (const Program::Step& step : program.steps) {
    steps.steps.push_back({static_cast<Op::Op>(step.op), step.a, step.b});
  }
  return RunBesideModel(steps);
}

}  // namespace mmsb
