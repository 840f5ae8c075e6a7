// How costs grow with the number of pages and of epochs: a point a row, which
// growth.py draws as curves.
//
//   pages_...    an allocator of that many pages
//   store_...    a store of a state of that many pages of 512 bytes, all stored
//   epochs_...   a store of 1000 pages with that many epochs behind it, each of
//                which changed 10 of them

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/store_workload.h"
#include "benchmark/benchmark.h"
#include "memory/epoch/epoch.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/page/page_location.h"
#include "memory/page/testing/unmapped_frames.h"
#include "memory/store/page_store.h"
#include "primitives/alignment.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

constexpr uint32_t kPageBytes = 512;
constexpr PageLocation kNowhere = PageLocation::Device(0);

struct Pages {
  explicit Pages(uint64_t count) {
    Require(pages.AddFrames(kNowhere, frames));
    for (uint64_t i = 0; i < count; ++i) {
      Require(pages.Allocate({.bytes = 1, .location = kNowhere}).status());
    }
  }

  UnmappedFrames frames;
  PageAllocator pages{{.alignment = Alignment::FromBytes(1)}};
};

struct Store {
  Store(uint64_t pages, uint64_t epochs)
      : bench(folder.In("store"), pages, kPageBytes) {
    for (uint64_t i = 1; i < epochs; ++i) bench.Change(10);
  }

  BenchFolder folder;
  BenchStore bench;
};

// What several rows of one size share: only that of the last size is kept.
template <class T, class... Sizes>
T& Made(Sizes... sizes) {
  static std::unique_ptr<T> made;
  static std::vector<uint64_t> made_for;
  const std::vector<uint64_t> wanted = {sizes...};
  if (made_for != wanted) {
    made = nullptr;
    made = std::make_unique<T>(sizes...);
    made_for = wanted;
  }
  return *made;
}

void AllocateAndFree(benchmark::State& state, uint64_t count) {
  PageAllocator& pages = Made<Pages>(count).pages;
  for (auto _ : state) {
    Page* const page = *pages.Allocate({.bytes = 1, .location = kNowhere});
    Require(pages.Free(page->id()));
  }
}

void FindPage(benchmark::State& state, uint64_t count) {
  const PageAllocator& pages = Made<Pages>(count).pages;
  uint64_t id = 0;
  for (auto _ : state) {
    const Page* page = pages.Find(PageId::FromValue(id));
    benchmark::DoNotOptimize(page);
    id = (id * 1'000'003 + 12'345) % count;
  }
  state.counters["bookkeeping_bytes_a_page"] =
      static_cast<double>(pages.Stats().metadata()) /
      static_cast<double>(pages.page_count());
}

void OpenStore(benchmark::State& state, Store& store) {
  const std::string path = store.bench.store().path();
  for (auto _ : state) {
    auto opened = BenchStore::Open(path, PageStore::Mode::kRead);
    benchmark::DoNotOptimize(opened);
  }
}

void ReadPage(benchmark::State& state, Store& store) {
  PageStore::Snapshot snapshot = Require(store.bench.store().Newest());
  std::vector<std::byte> page(kPageBytes);
  for (auto _ : state) {
    Require(snapshot.Read(
        PageId::FromValue(store.bench.Random() % snapshot.pages()), page));
  }
}

void OpenAndReadPage(benchmark::State& state, Store& store) {
  const std::string path = store.bench.store().path();
  std::vector<std::byte> page(kPageBytes);
  for (auto _ : state) {
    const auto opened = BenchStore::Open(path, PageStore::Mode::kRead);
    PageStore::Snapshot snapshot = Require(opened->Newest());
    Require(snapshot.Read(PageId::FromValue(7), page));
  }
}

void ReadMiddleEpoch(benchmark::State& state, Store& store) {
  const Epoch middle =
      Epoch::FromValue((store.bench.store().newest().value() + 1) / 2);
  std::vector<std::byte> page(kPageBytes);
  for (auto _ : state) {
    PageStore::Snapshot snapshot =
        Require(store.bench.store().SnapshotAt(middle));
    Require(snapshot.Read(PageId::FromValue(7), page));
  }
}

void Commit(benchmark::State& state, Store& store) {
  for (auto _ : state) store.bench.Change(10);
}

void RegisterPages(uint64_t count) {
  const std::string size = std::to_string(count);
  benchmark::RegisterBenchmark("pages_find/" + size,
                               [=](auto& state) { FindPage(state, count); });
  benchmark::RegisterBenchmark("pages_allocate_and_free/" + size,
                               [=](auto& s) { AllocateAndFree(s, count); });
}

// A commit changes what the others measure, so that it comes last, and is
// measured a few times only.
void RegisterStore(const std::string& of, uint64_t x, uint64_t pages,
                   uint64_t epochs) {
  const auto add = [&](const char* cost,
                       void (*measure)(benchmark::State&, Store&)) {
    return benchmark::RegisterBenchmark(
               of + cost + "/" + std::to_string(x),
               [=](auto& s) { measure(s, Made<Store>(pages, epochs)); })
        ->UseRealTime();
  };
  add("open_newest", &OpenStore);
  add("open_and_read_a_page", &OpenAndReadPage);
  add("read_a_page", &ReadPage);
  if (of == "epochs_") add("snapshot_of_the_middle", &ReadMiddleEpoch);
  add("commit_10_changes", &Commit)->Iterations(100);
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  for (const uint64_t pages : {1'000, 10'000, 100'000, 1'000'000}) {
    mmsb::RegisterPages(pages);
  }
  for (const uint64_t pages : {1'000, 10'000, 100'000, 1'000'000}) {
    mmsb::RegisterStore("store_", pages, pages, 1);
  }
  for (const uint64_t epochs : {10, 100, 1'000, 10'000}) {
    mmsb::RegisterStore("epochs_", epochs, 1'000, epochs);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
