#ifndef MMSB_PRIMITIVES_OS_THREAD_H_
#define MMSB_PRIMITIVES_OS_THREAD_H_

// Threads, for the layers that may not include system headers: the one header
// for all of it.
//
//   Mutex, MutexLock, CondVar    locks, and waiting with a deadline
//   BackgroundThread             the same work again and again, woken or by
//   period ThreadExitHook               a callback at the end of a thread
//   ForkHook, ForkGeneration     callbacks around fork(); "am I in a child?"
//   MMSB_GUARDED_BY and others   which lock guards what

#include <cstdint>

#include "primitives/os_background_thread.h"
#include "primitives/os_fork.h"
#include "primitives/os_mutex.h"
#include "primitives/os_thread_exit.h"
#include "primitives/thread_annotations.h"

namespace mmsb {

// A number of the calling thread: 0 for the first thread of the process that
// asks, then 1, and so on; never used again. For choosing a shard. After 2^32
// threads numbers repeat.
[[nodiscard]] uint32_t ThreadOrdinal();

// The processor the calling thread runs on, or ran on a moment ago; 0 where the
// system does not tell. For choosing a shard.
[[nodiscard]] uint32_t CurrentCpu();

// How many processors this process may run on, at least 1: what
// sched_getaffinity() says when asked.
[[nodiscard]] uint32_t CpuCount();

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_THREAD_H_
