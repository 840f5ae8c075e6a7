// A reader of random pages, alone and while another thread commits 100 changes
// after 100 changes, durably, as fast as it can. An item is a page of 4 KiB,
// read from a snapshot that is taken anew every 64 pages. The reader has opened
// the store for itself, as another process would.
//
//   mmsb    with a writer
//   alone   without

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/store_workload.h"
#include "benchmark/benchmark.h"
#include "memory/store/page_store.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

constexpr size_t kPages = 16384;

void Read(benchmark::State& state, bool beside_writer) {
  const BenchFolder folder;
  BenchStore written(folder.In("store"), kPages, 4096);
  for (int i = 0; i < 100; ++i) written.Change(100);
  const auto reader =
      BenchStore::Open(folder.In("store"), PageStore::Mode::kRead);
  // relaxed: only ends the loop.
  std::atomic<bool> done = false;
  uint64_t commits = 0;
  std::thread writer;
  if (beside_writer) {
    writer = std::thread([&] {
      while (!done.load(std::memory_order_relaxed)) {
        written.Change(100);
        ++commits;
      }
    });
  }
  std::mt19937_64 random(1);
  std::vector<std::byte> page(4096);
  std::optional<PageStore::Snapshot> snapshot;
  uint64_t reads = 0;
  for (auto _ : state) {
    if (reads++ % 64 == 0) snapshot.emplace(Require(reader->Newest()));
    Require(snapshot->Read(PageId::FromValue(random() % kPages), page));
  }
  done.store(true, std::memory_order_relaxed);
  if (writer.joinable()) writer.join();
  state.SetItemsProcessed(state.iterations());
  state.counters["commits"] = static_cast<double>(commits);
}

BENCHMARK_CAPTURE(Read, beside, true)
    ->Name("read_beside_commits/mmsb")
    ->UseRealTime();
BENCHMARK_CAPTURE(Read, alone, false)
    ->Name("read_beside_commits/alone")
    ->UseRealTime();

}  // namespace
}  // namespace mmsb

BENCHMARK_MAIN();
