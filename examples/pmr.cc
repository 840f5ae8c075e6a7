// The allocators under standard containers, and a standard memory resource
// under an allocator.
//
//   ./bazelw run //examples:pmr

#include "mmsb/pmr.h"

#include <cstddef>
#include <cstdio>
#include <map>
#include <memory_resource>
#include <string>
#include <vector>

#include "mmsb/allocator_ref.h"
#include "mmsb/arena.h"
#include "mmsb/memory_pool.h"

int main() {
  // A std::pmr container, and all that it holds, in an arena.
  mmsb::Arena arena;
  mmsb::PmrResource resource{mmsb::AllocatorRef(arena)};
  {
    std::pmr::map<int, std::pmr::string> names(&resource);
    for (int i = 0; i < 1000; ++i) {
      names.emplace(
          i, "a name too long for the string itself, " + std::to_string(i));
    }
    std::printf("map: %zu bytes of the arena\n", arena.Stats().live());
  }
  arena.Reset();

  // Other containers name the allocator in their type.
  std::vector<int, mmsb::StdAllocator<int, mmsb::Arena<>>> numbers(arena);
  numbers.assign(1000, 7);
  std::printf("vector: %zu bytes of the arena\n", arena.Stats().live());

  // And the other way round: a pool that lives in a buffer of the caller's.
  std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource monotonic(
      buffer, sizeof(buffer), std::pmr::null_memory_resource());
  mmsb::MemoryPool pool({.block_size = 64}, mmsb::PmrUpstream(&monotonic));
  size_t blocks = 0;
  while (pool.Allocate() != nullptr) ++blocks;
  std::printf("pool: %zu blocks of 64 bytes in 4096\n", blocks);
  return numbers.size() == 1000 && blocks > 0 && blocks < 64 ? 0 : 1;
}
