// Making and applying deltas beside memcpy of as many bytes. An item is a page
// of 4 KiB; 256 pages are taken in turn, so that they lie in the second cache.
//
//   mmsb             by device/simd, into a new Delta
//   mmsb in place    by device/simd, into memory that is there already
//   mmsb scalar      by memory/delta
//   memcpy           the page, from one place to another
//
// The pages differ in
//
//   16       16 bytes in a row, as an edit of a record does
//   scattered  one byte of each 100
//   half     each second byte
//   all      every byte

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "device/simd/delta_kernels.h"
#include "memory/delta/delta.h"

namespace mmsb {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kPages = 256;

struct Pattern {
  const char* name;
  bool (*changes)(size_t byte);
};

constexpr Pattern kPatterns[] = {
    {"16", [](size_t i) { return i >= 1000 && i < 1016; }},
    {"scattered", [](size_t i) { return i % 100 == 50; }},
    {"half", [](size_t i) { return i % 2 == 0; }},
    {"all", [](size_t) { return true; }},
};

// Two contents of each page, and where they go.
struct Pages {
  explicit Pages(const Pattern& pattern)
      : before(kPages * kPageBytes), scratch(kPages * kPageBytes) {
    std::mt19937_64 random(1);
    for (std::byte& b : before) b = static_cast<std::byte>(random());
    after = before;
    for (size_t i = 0; i < after.size(); ++i) {
      if (pattern.changes(i % kPageBytes)) after[i] ^= std::byte{0x55};
    }
    scratch = before;
    for (size_t page = 0; page < kPages; ++page) {
      deltas.push_back(*Delta::Make(Of(before, page), Of(after, page)));
    }
  }

  static std::span<std::byte> Of(std::vector<std::byte>& bytes, size_t page) {
    return std::span(bytes).subspan(page * kPageBytes, kPageBytes);
  }

  std::vector<std::byte> before;
  std::vector<std::byte> after;
  std::vector<std::byte> scratch;
  std::vector<Delta> deltas;
};

template <class Work>
void Run(benchmark::State& state, const Pattern& pattern, Work work) {
  Pages pages(pattern);
  size_t page = 0;
  for (auto _ : state) {
    work(pages, page);
    page = (page + 1) % kPages;
  }
  state.SetItemsProcessed(state.iterations());
}

void MakeBySimd(Pages& pages, size_t page) {
  Delta delta =
      MakeDelta(Pages::Of(pages.before, page), Pages::Of(pages.after, page));
  benchmark::DoNotOptimize(delta);
}

void MakeInPlace(Pages& pages, size_t page) {
  static uint8_t mask[Delta::MaskBytes(kPageBytes)];
  static std::byte payload[kPageBytes];
  size_t changed = MakeDelta(Pages::Of(pages.before, page),
                             Pages::Of(pages.after, page), mask, payload);
  benchmark::DoNotOptimize(changed);
  benchmark::ClobberMemory();
}

void MakeScalar(Pages& pages, size_t page) {
  absl::StatusOr<Delta> delta =
      Delta::Make(Pages::Of(pages.before, page), Pages::Of(pages.after, page));
  benchmark::DoNotOptimize(delta);
}

void ApplyBySimd(Pages& pages, size_t page) {
  ApplyDelta(pages.deltas[page], Pages::Of(pages.scratch, page));
  benchmark::ClobberMemory();
}

void ApplyScalar(Pages& pages, size_t page) {
  absl::Status status =
      pages.deltas[page].Apply(Pages::Of(pages.scratch, page));
  benchmark::DoNotOptimize(status);
}

void Copy(Pages& pages, size_t page) {
  std::memcpy(pages.scratch.data() + page * kPageBytes,
              pages.after.data() + page * kPageBytes, kPageBytes);
  benchmark::ClobberMemory();
}

void Register(const std::string& workload, const std::string& row,
              const Pattern& pattern, void (*work)(Pages&, size_t)) {
  benchmark::RegisterBenchmark(
      workload + pattern.name + "/" + row,
      [&pattern, work](benchmark::State& state) { Run(state, pattern, work); });
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  for (const mmsb::Pattern& pattern : mmsb::kPatterns) {
    mmsb::Register("delta_make_", "mmsb", pattern, &mmsb::MakeBySimd);
    mmsb::Register("delta_make_", "mmsb in place", pattern, &mmsb::MakeInPlace);
    mmsb::Register("delta_make_", "mmsb scalar", pattern, &mmsb::MakeScalar);
    mmsb::Register("delta_make_", "memcpy", pattern, &mmsb::Copy);
    mmsb::Register("delta_apply_", "mmsb", pattern, &mmsb::ApplyBySimd);
    mmsb::Register("delta_apply_", "mmsb scalar", pattern, &mmsb::ApplyScalar);
    mmsb::Register("delta_apply_", "memcpy", pattern, &mmsb::Copy);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
