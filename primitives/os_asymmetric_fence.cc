#include "primitives/os_asymmetric_fence.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

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
  // Several threads may ask the kernel at once; the first answer stays. None
  // waits for another, which in a forked child may not be there any more.
  enum Answer { kUnknown, kNo, kYes };
  static constinit std::atomic<Answer> answer = kUnknown;
  // relaxed, all: nothing else is published by it.
  Answer known = answer.load(std::memory_order_relaxed);
  if (known != kUnknown) return known == kYes;
  const Answer found =
      Register().ok() && Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED).ok()
          ? kYes
          : kNo;
  return answer.compare_exchange_strong(known, found, std::memory_order_relaxed,
                                        std::memory_order_relaxed)
             ? found == kYes
             : known == kYes;
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
