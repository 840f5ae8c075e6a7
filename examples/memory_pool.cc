// Nodes of a list from a pool: one size, each taken and given back in a few
// instructions, and all of them gone with the pool.
//
//   ./bazelw run //examples:memory_pool

#include "mmsb/memory_pool.h"

#include <array>
#include <cstdio>
#include <new>

#include "mmsb/check_policy.h"
#include "mmsb/system_source.h"

namespace {

struct Node {
  int value;
  Node* next;
};

}  // namespace

int main() {
  // Checked ends the process when a node is freed twice, was never a node, or
  // was written to after it was freed. mmsb::MemoryPool pool({...}) trusts its
  // caller, and is faster.
  mmsb::MemoryPool<mmsb::SystemSource, mmsb::Checked> pool(
      {.block_size = sizeof(Node), .alignment = alignof(Node)});

  Node* list = nullptr;
  for (int i = 1; i <= 1000; ++i) {
    void* const block = pool.Allocate();
    if (block == nullptr) return 1;  // the system has no more memory
    list = new (block) Node{i, list};
  }
  long sum = 0;
  while (list != nullptr) {
    Node* const next = list->next;
    sum += list->value;
    pool.Deallocate(list);
    list = next;
  }
  std::printf("sum: %ld\n", sum);

  // A burst: nothing is asked of the system while it lasts.
  std::array<void*, 64> burst;
  if (!pool.Reserve(burst.size())) return 1;
  if (pool.AllocateBatch(burst) != burst.size()) return 1;
  std::printf("live: %zu bytes\n", pool.Stats().live());
  pool.DeallocateBatch(burst);

  // Quiet again: what holds no node goes back.
  const size_t released = pool.Release();
  std::printf("released: %zu bytes, held: %zu\n", released,
              pool.Stats().committed());
  return sum == 500500 && released > 0 && pool.Stats().committed() == 0 ? 0 : 1;
}
