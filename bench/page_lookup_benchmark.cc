// Finding a page by its id beside absl::flat_hash_map from ids to pages, which
// is what one would take instead. The ids are looked up in a random order, 64
// Ki of them again and again.
//
//   found    the pointer
//   read     the pointer, and the page's epoch through it
//
// Beside them, what a lookup costs at the least:
//
//   pairs       an open table of ids and pointers, linear probing, at most half
//               full: 16 bytes a slot, which is more than a page may take
//   one load    an array of pointers, in which the place is given

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "benchmark/benchmark.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "memory/page/testing/unmapped_frames.h"
#include "primitives/alignment.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

constexpr size_t kLookups = size_t{1} << 16;

enum class Ids { kChosen, kScattered };

struct Pages {
  Pages(uint64_t count, Ids ids) {
    std::mt19937_64 random(count);
    const PageLocation there = PageLocation::Device(0);
    if (!pages.AddFrames(there, frames).ok()) std::abort();
    for (uint64_t i = 0; i < count; ++i) {
      const PageId id =
          ids == Ids::kChosen ? PageId() : PageId::FromValue(random() / 2);
      Page* const page =
          *pages.Allocate({.bytes = 1, .id = id, .location = there});
      map[page->id()] = page;
    }
    std::vector<PageId> all;
    for (const PageInfo& info : pages.PageInfos()) all.push_back(info.id);
    std::ranges::shuffle(all, random);
    pairs.resize(std::bit_ceil(2 * all.size()));
    for (const PageId id : all) {
      array.push_back(map[id]);
      size_t at = PairOf(id);
      while (pairs[at].id.valid()) at = (at + 1) % pairs.size();
      pairs[at] = {id, map[id]};
    }
    for (size_t i = 0; i < kLookups; ++i) {
      places.push_back(random() % all.size());
      lookups.push_back(all[places.back()]);
    }
  }

  size_t PairOf(PageId id) const {
    return absl::HashOf(id) & (pairs.size() - 1);
  }

  struct Pair {
    PageId id;
    Page* page = nullptr;
  };

  UnmappedFrames frames;
  PageAllocator pages{{.alignment = Alignment::FromBytes(1)}};
  absl::flat_hash_map<PageId, Page*> map;
  std::vector<Pair> pairs;
  std::vector<Page*> array;
  std::vector<PageId> lookups;
  std::vector<size_t> places;  // of the same in `array`
};

template <class Find>
void Look(benchmark::State& state, bool read, Find find) {
  size_t i = 0;
  for (auto _ : state) {
    const Page* page = find(i);
    if (read) {
      benchmark::DoNotOptimize(page->epoch());
    } else {
      benchmark::DoNotOptimize(page);
    }
    i = (i + 1) % kLookups;
  }
  state.SetItemsProcessed(state.iterations());
}

void Register(uint64_t count, Ids ids, bool read) {
  const std::string workload = "page_lookup_" + std::to_string(count) +
                               (ids == Ids::kChosen ? "" : "_scattered") +
                               (read ? "_read" : "");
  // Made when first run, and kept for the other rows.
  static std::vector<std::unique_ptr<Pages>> made;
  const size_t at = made.size();
  made.push_back(nullptr);
  const auto pages = [=]() -> Pages& {
    if (made[at] == nullptr) made[at] = std::make_unique<Pages>(count, ids);
    return *made[at];
  };
  benchmark::RegisterBenchmark(
      workload + "/mmsb", [=](benchmark::State& state) {
        const Pages& all = pages();
        Look(state, read,
             [&](size_t i) { return all.pages.Find(all.lookups[i]); });
        state.counters["bookkeeping_bytes_a_page"] =
            static_cast<double>(all.pages.Stats().metadata()) /
            static_cast<double>(all.pages.page_count());
      });
  benchmark::RegisterBenchmark(
      workload + "/flat_hash_map", [=](benchmark::State& state) {
        const Pages& all = pages();
        Look(state, read,
             [&](size_t i) { return all.map.find(all.lookups[i])->second; });
      });
  benchmark::RegisterBenchmark(workload + "/pairs",
                               [=](benchmark::State& state) {
                                 const Pages& all = pages();
                                 const size_t mask = all.pairs.size() - 1;
                                 Look(state, read, [&](size_t i) {
                                   const PageId id = all.lookups[i];
                                   size_t at = all.PairOf(id);
                                   while (all.pairs[at].id != id)
                                     at = (at + 1) & mask;
                                   return all.pairs[at].page;
                                 });
                               });
  benchmark::RegisterBenchmark(
      workload + "/one load", [=](benchmark::State& state) {
        const Pages& all = pages();
        Look(state, read, [&](size_t i) { return all.array[all.places[i]]; });
      });
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  for (const mmsb::Ids ids : {mmsb::Ids::kChosen, mmsb::Ids::kScattered}) {
    for (const bool read : {false, true}) {
      for (const uint64_t count : {1'000, 10'000, 100'000, 1'000'000}) {
        mmsb::Register(count, ids, read);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
