// A bug for each sanitizer, by name; planted_test.sh sees each found where it
// should be.
//
//   planted tools   the sanitizers that this program is built with
//   planted NAME    does that; exits 0 when nothing stopped it

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string_view>
#include <thread>

#include "mmsb/arena.h"
#include "mmsb/memory_pool.h"
#include "mmsb/slab.h"

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif

namespace {

// Not known to the compiler, which else would drop or warn of what follows.
volatile int opaque_one = 1;

int WritePastPoolBlock() {
  mmsb::MemoryPool pool({.block_size = 64});
  auto* block = static_cast<volatile char*>(pool.Allocate());
  block[64 * opaque_one] = 1;
  return 0;
}

int ReadAfterArenaReset() {
  mmsb::Arena arena;
  auto* block = static_cast<volatile char*>(arena.Allocate(32, 8));
  block[0] = 1;
  arena.Reset();
  return block[0] == 2 ? 3 : 0;
}

int BranchOnUnwrittenSlabBlock() {
  mmsb::SlabAllocator slab;
  auto* block = static_cast<volatile char*>(slab.Allocate(100, 8));
  const int result = block[opaque_one] == 77 ? 3 : 0;
  slab.Deallocate(const_cast<char*>(block), 100, 8);
  return result;
}

int RaceOnBlock() {
  mmsb::SlabAllocator slab;
  auto* block = static_cast<volatile int*>(slab.Allocate(sizeof(int), 4));
  std::thread other([block] { *block = 1; });
  *block = 2;
  other.join();
  slab.Deallocate(const_cast<int*>(block), sizeof(int), 4);
  return 0;
}

int OverflowSignedInteger() {
  const volatile int sum = std::numeric_limits<int>::max() + opaque_one;
  return sum == 0 ? 3 : 0;
}

// On a thread that has ended, and more than once: no stack or register that is
// left over still holds all of the addresses.
int LeakPools() {
  std::thread([] {
    for (int i = 0; i < 16; ++i) {
      auto* volatile leaked = new mmsb::MemoryPool<>({.block_size = 64});
      leaked->Deallocate(leaked->Allocate());
      leaked = nullptr;
    }
  }).join();
  return 0;
}

int DoNothingWrong() {
  mmsb::MemoryPool pool({.block_size = 64});
  void* block = pool.Allocate();
  std::memset(block, 1, 64);
  pool.Deallocate(block);
  return 0;
}

int PrintTools() {
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
  std::puts("asan");
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
  std::puts("tsan");
#endif
#if HAS_FEATURE(memory_sanitizer)
  std::puts("msan");
#endif
#if HAS_FEATURE(undefined_behavior_sanitizer)
  std::puts("ubsan");
#endif
  return 0;
}

struct Named {
  std::string_view name;
  int (*run)();
};

constexpr Named kAll[] = {
    {"pool_overflow", WritePastPoolBlock},
    {"arena_after_reset", ReadAfterArenaReset},
    {"slab_unwritten", BranchOnUnwrittenSlabBlock},
    {"race", RaceOnBlock},
    {"signed_overflow", OverflowSignedInteger},
    {"leak", LeakPools},
    {"fine", DoNothingWrong},
    {"tools", PrintTools},
};

}  // namespace

int main(int count, char** arguments) {
  for (const auto& [name, run] : kAll) {
    if (count == 2 && name == arguments[1]) return run();
  }
  std::fputs("usage: planted NAME\n", stderr);
  return 2;
}
