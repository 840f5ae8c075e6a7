#ifndef MMSB_BENCH_ALLOCATORS_MALLOC_PURGE_H_
#define MMSB_BENCH_ALLOCATORS_MALLOC_PURGE_H_

#include <dlfcn.h>
#include <malloc.h>

#include <cstddef>

namespace mmsb {

// Asks the process's heap, whichever is preloaded, to give back all that it
// can, each by its own call.
inline void PurgeHeap() {
  const auto find = []<class F>(const char* name, F** function) {
    *function = reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name));
    return *function != nullptr;
  };
  void (*collect)(bool) = nullptr;
  int (*control)(const char*, void*, size_t*, void*, size_t) = nullptr;
  void (*release)() = nullptr;
  if (find("mi_collect", &collect)) {
    collect(true);
  } else if (find("mallctl", &control)) {
    control("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
    // 4096 stands for all arenas.
    control("arena.4096.purge", nullptr, nullptr, nullptr, 0);
  } else if (find("MallocExtension_ReleaseFreeMemory", &release)) {
    void (*flush)() = nullptr;
    if (find("MallocExtension_MarkThreadIdle", &flush)) flush();
    release();
  } else {
    malloc_trim(0);
  }
}

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_MALLOC_PURGE_H_
