#include "primitives/os_thread.h"

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace mmsb {
namespace {

uint32_t NewOrdinal() {
  static constinit std::atomic<uint32_t> next = 0;
  // relaxed: the numbers differ, and nothing else hangs on them.
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

uint32_t ThreadOrdinal() {
  static thread_local const uint32_t ordinal = NewOrdinal();
  return ordinal;
}

uint32_t CurrentCpu() {
  const int cpu = sched_getcpu();
  return cpu < 0 ? 0 : static_cast<uint32_t>(cpu);
}

uint32_t CpuCount() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    return static_cast<uint32_t>(CPU_COUNT(&allowed));
  }
  // More processors than a cpu_set_t has bits for.
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online < 1 ? 1 : static_cast<uint32_t>(online);
}

}  // namespace mmsb
