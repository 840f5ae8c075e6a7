// Touches memory as it must not be, for poison_report_test.sh, which looks at
// what the tool says that this program is built for.
//
//   misuse tool    prints asan, msan, valgrind or none
//   misuse CASE    does what the case says, and ends with 0 if nobody minds

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/memory_pool.h"
#include "allocator/slab.h"
#include "allocator/system_source.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

constexpr const char* Tool() {
#if defined(MMSB_VALGRIND)
  return "valgrind";
#endif
  if (kAddressSanitizer) return "asan";
  if (kMemorySanitizer) return "msan";
  return "none";
}

// Reads the byte, and lets what is done next depend on it.
void Read(const void* p, ptrdiff_t offset = 0) {
  const volatile char* const byte = static_cast<const char*>(p) + offset;
  if (*byte == 'x') std::puts("x");
}

// Misuse of one block of kBytes bytes in any allocator; false for another name.
template <size_t kBytes, class Allocator>
bool RunOnBlock(std::string_view name, Allocator& allocator) {
  void* const block = allocator.Allocate(kBytes, 8);
  if (name == "fresh") {
    Read(block);
  } else if (name == "reused") {
    std::memset(block, 1, kBytes);
    allocator.Deallocate(block, kBytes, 8);
    Read(allocator.Allocate(kBytes, 8));
  } else if (name == "freed") {
    std::memset(block, 1, kBytes);
    allocator.Deallocate(block, kBytes, 8);
    Read(block);
  } else if (name == "slack") {
    std::memset(block, 1, kBytes);
    Read(block, kBytes);
  } else {
    return false;
  }
  return true;
}

int Run(std::string_view name) {
  if (name.starts_with("pool_")) {
    MemoryPool pool({.block_size = 64});
    return RunOnBlock<36>(name.substr(5), pool) ? 0 : 2;
  }
  if (name.starts_with("slab_")) {
    SlabAllocator slab;
    return RunOnBlock<36>(name.substr(5), slab) ? 0 : 2;
  }
  if (name.starts_with("lockfree_")) {
    LockFreePool pool({.block_size = 64, .capacity = 8});
    return RunOnBlock<36>(name.substr(9), pool) ? 0 : 2;
  }
  // These write into what is free, and read it when it is reused.
  if (name.starts_with("checked_pool_")) {
    MemoryPool<SystemSource, Checked> pool({.block_size = 64});
    return RunOnBlock<36>(name.substr(13), pool) ? 0 : 2;
  }
  if (name.starts_with("checked_lockfree_")) {
    BasicLockFreePool<SystemSource, Checked> pool(
        {.block_size = 64, .capacity = 8});
    return RunOnBlock<36>(name.substr(17), pool) ? 0 : 2;
  }
  MemoryPool pool({.block_size = 40, .alignment = 64});
  Arena arena;
  void* const block = pool.Allocate();
  const auto start = arena.Mark();
  void* const bytes = arena.Allocate(40, 8);
  if (name == "arena_fresh") {
    Read(bytes);
  } else if (name == "arena_rewound") {
    std::memset(bytes, 1, 40);
    arena.Rewind(start);
    Read(bytes);
  } else if (name == "arena_reset") {
    std::memset(bytes, 1, 40);
    arena.Reset();
    Read(bytes);
  } else if (name == "arena_slack") {
    std::memset(bytes, 1, 40);
    Read(bytes, -1);
  } else if (name == "fine") {
    std::memset(block, 1, 40);
    std::memset(bytes, 1, 40);
    Read(block, 39);
    Read(bytes, 39);
    pool.Deallocate(block);
    arena.Reset();
  } else {
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (std::string_view(argv[1]) == "tool") {
    std::puts(mmsb::Tool());
    return 0;
  }
  return mmsb::Run(argv[1]);
}
