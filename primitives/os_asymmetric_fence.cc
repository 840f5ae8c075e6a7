#include "primitives/os_asymmetric_fence.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "primitives/os_error.h"

namespace mmsb {
namespace {

OsError Membarrier(int command) {
  if (syscall(SYS_membarrier, command, 0, 0) == 0) return OsError();
  return OsError("membarrier", errno);
}

OsError Register() {
  return Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

}  // namespace

bool AsymmetricFence::Available() {
  static const bool available =
      Register().ok() && Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED).ok();
  return available;
}

OsError AsymmetricFence::Heavy() {
  OsError error = Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  // EPERM: not registered, as a forked child may be.
  if (error.code() == EPERM && Register().ok()) {
    error = Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  }
  return error;
}

}  // namespace mmsb
