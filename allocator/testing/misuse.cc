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
#include "allocator/memory_pool.h"

namespace mmsb {
namespace {

constexpr const char* Tool() {
#if defined(MMSB_VALGRIND)
  return "valgrind";
#elif defined(__SANITIZE_ADDRESS__)
  return "asan";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  return "asan";
#elif __has_feature(memory_sanitizer)
  return "msan";
#endif
#endif
  return "none";
}

// Reads the byte, and lets what is done next depend on it.
void Read(const void* p, ptrdiff_t offset = 0) {
  const volatile char* const byte = static_cast<const char*>(p) + offset;
  if (*byte == 'x') std::puts("x");
}

int Run(std::string_view name) {
  MemoryPool pool({.block_size = 40, .alignment = 64});
  Arena arena;
  void* const block = pool.Allocate();
  const auto start = arena.Mark();
  void* const bytes = arena.Allocate(40, 8);
  if (name == "pool_fresh") {
    Read(block);
  } else if (name == "pool_reused") {
    std::memset(block, 1, 40);
    pool.Deallocate(block);
    Read(pool.Allocate());
  } else if (name == "pool_freed") {
    std::memset(block, 1, 40);
    pool.Deallocate(block);
    Read(block);
  } else if (name == "pool_slack") {
    std::memset(block, 1, 40);
    Read(block, 40);
  } else if (name == "arena_fresh") {
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
