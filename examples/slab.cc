// General allocation with SlabAllocator: sizes known and unknown, blocks that
// change threads, what it tells about itself, and memory given back.

#include "mmsb/slab.h"

#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "mmsb/allocator_stats.h"
#include "mmsb/raw_allocator.h"

int main() {
  mmsb::SlabAllocator slab;

  // Any size from 1 byte, any alignment; null when the system has no more. Who
  // gives a block back says its size again, and saves the allocator a look.
  void* const line = slab.Allocate(100, 64);
  if (line == nullptr) return 1;
  std::memset(line, 0, 100);
  slab.Deallocate(line, 100, 64);

  // Or takes all of the block, and does without the size.
  const mmsb::SizedBlock buffer = slab.AllocateAtLeast(1000, 8);
  std::printf("asked for 1000 bytes, may use %zu\n", buffer.bytes);
  slab.Deallocate(buffer.data);

  // One thread takes, another gives back.
  std::vector<void*> messages;
  for (int i = 0; i < 10'000; ++i) messages.push_back(slab.Allocate(256, 8));
  std::thread([&] {
    for (void* const message : messages) slab.Deallocate(message, 256, 8);
  }).join();

  // Nothing is live, so all memory of blocks can go back at once; or it goes by
  // itself, a second after it fell idle.
  const size_t returned = slab.Purge();
  std::printf("%zu bytes returned\n", returned);

  const mmsb::AllocatorStats stats = slab.Stats();
  char text[512];
  const size_t bytes = stats.FormatText(text);
  std::printf("%.*s", static_cast<int>(bytes), text);
  const bool as_expected = stats.live() == 0 && stats.cached() == 0 &&
                           stats.allocations() == 10'002 &&
                           stats.IdentityHolds() && returned > 2'000'000;
  return as_expected ? 0 : 1;
}
