// What can be put around an allocator: counters, a quota, a leak report, a
// lock, a second source, guards.
//
//   ./bazelw run //examples:adaptors

#include <cstddef>
#include <cstdio>
#include <string_view>
#include <thread>

#include "mmsb/allocator_stats.h"
#include "mmsb/fallback_allocator.h"
#include "mmsb/guarded_allocator.h"
#include "mmsb/limit_allocator.h"
#include "mmsb/locked_allocator.h"
#include "mmsb/memory_pool.h"
#include "mmsb/sharded_counters.h"
#include "mmsb/size_histogram.h"
#include "mmsb/stats_allocator.h"
#include "mmsb/system_source.h"
#include "mmsb/tracking_allocator.h"

namespace {

int failures = 0;

void Expect(bool condition, const char* what) {
  if (condition) return;
  std::printf("not so: %s\n", what);
  ++failures;
}

void Print(std::string_view text) {
  std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
}

// How much does a subsystem use, and in blocks of which sizes?
void Count() {
  mmsb::StatsAllocator<mmsb::SystemSource, mmsb::ShardedCounters> counted;
  std::thread thread([&counted] {
    for (size_t bytes = 1; bytes <= 4096; bytes *= 4) {
      counted.Deallocate(counted.Allocate(bytes, 8), bytes, 8);
    }
  });
  void* const p = counted.Allocate(100, 8);
  thread.join();
  char text[4096];
  Print({text, counted.Stats().FormatJson(text)});
  Print({text, counted.Histogram().FormatText(text)});
  Expect(counted.Stats().live() == 100, "100 bytes are live");
  counted.Deallocate(p, 100, 8);
}

// Who forgot to give something back?
void FindLeaks() {
  mmsb::TrackingAllocator<> tracked;
  void* const header = tracked.Allocate(64, 8, "header");
  void* const body = tracked.Allocate(1000, 8, "body");
  tracked.Deallocate(header, 64, 8);
  char report[1024];
  const size_t bytes = tracked.FormatLeaks(report);
  Print({report, bytes});
  Expect(std::string_view(report, bytes).find("1000 bytes at 8 body") !=
             std::string_view::npos,
         "the body is reported");
  tracked.Deallocate(body, 1000, 8);
}

// A pool for the usual case, the heap for the rest, one quota over both, and
// any thread may call.
void Compose() {
  using Pool = mmsb::MemoryPool<>;
  mmsb::LockedAllocator<
      mmsb::LimitAllocator<mmsb::FallbackAllocator<Pool, mmsb::SystemSource>>>
      allocator(mmsb::LimitAllocatorOptions{.max_bytes = 10'000},
                mmsb::MemoryPoolOptions{.block_size = 64, .max_blocks = 100});
  void* const small = allocator.Allocate(64, 8);
  void* const large = allocator.Allocate(9'000, 8);
  Expect(small != nullptr && large != nullptr, "both are served");
  Expect(allocator.Allocate(1'000, 8) == nullptr, "the quota holds");
  allocator.Deallocate(small, 64, 8);
  allocator.Deallocate(large, 9'000, 8);
}

// Which line writes behind its block? Here: none. p[100] = 0 would end the
// process there and then.
void Guard() {
  mmsb::GuardedAllocator guarded;
  auto* const p = static_cast<char*>(guarded.Allocate(100, 1));
  for (int i = 0; i < 100; ++i) p[i] = 0;
  guarded.Deallocate(p, 100, 1);
  Expect(guarded.quarantined_bytes() > 0, "the freed block stays guarded");
}

}  // namespace

int main() {
  Count();
  FindLeaks();
  Compose();
  Guard();
  return failures == 0 ? 0 : 1;
}
