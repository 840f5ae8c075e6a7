// Copying what changed of many pages to a device: the dirty lines of 64 bytes,
// by HostDeviceSync, beside the whole of each dirty page. On a simulated
// device, in its time: 16 GiB/s, 5 us a call, and what a copy of a batch costs
// by itself as the third argument says, in ns. 4096 pages of 4 KiB.
//
//   arguments: dirty pages in 1000, dirty lines in each, ns a copy
//   moved      bytes that went to the device
//   dirty      bytes of dirty lines
//   excess_%   moved beyond dirty, of dirty
//   host_ns/page  real time of the host for each dirty page
//
//   ./bazelw run -c opt //bench:host_device_sync_benchmark

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "benchmark/benchmark.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/host_device_sync.h"
#include "device/simulated_device.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

constexpr size_t kPages = 4096;
constexpr size_t kPageBytes = 4096;
constexpr size_t kLineBytes = 64;

void Expect(const absl::Status& status) {
  MMSB_CHECK(status.ok(), "%s", status.ToString().c_str());
}

// The device and its pages, clean, and which lines change in each round.
class Setting {
 public:
  explicit Setting(const benchmark::State& state)
      : device_({.memory_bytes = 64 * kMiB,
                 .to_device_bytes_per_second = 16 * kGiB,
                 .call_ns = 5000,
                 .copy_ns = state.range(2)},
                clock_),
        pool_(device_),
        sync_(*HostDeviceSync::Create(device_, pool_, {})),
        host_(kPages * kPageBytes) {
    for (size_t i = 0; i < kPages; ++i) {
      ids_.push_back(PageId::FromValue(i));
      Expect(sync_->Add(ids_[i], Page(i)));
    }
    MMSB_CHECK(sync_->Sync(HostDeviceSync::Direction::kToDevice, ids_).ok(),
               "the first copies failed");
    std::mt19937 random(1);
    std::vector<size_t> pages(kPages);
    for (size_t i = 0; i < kPages; ++i) pages[i] = i;
    std::ranges::shuffle(pages, random);
    pages.resize(std::max<size_t>(
        1, kPages * static_cast<size_t>(state.range(0)) / 1000));
    std::ranges::sort(pages);
    dirty_pages_ = pages;
    std::vector<size_t> lines(kPageBytes / kLineBytes);
    for (size_t i = 0; i < lines.size(); ++i) lines[i] = i;
    for (size_t i = 0; i < dirty_pages_.size(); ++i) {
      std::ranges::shuffle(lines, random);
      dirty_lines_.emplace_back(lines.begin(), lines.begin() + state.range(1));
    }
  }

  std::span<std::byte> Page(size_t i) {
    return std::span(host_).subspan(i * kPageBytes, kPageBytes);
  }

  // Changes one byte of each dirty line.
  void Write() {
    for (size_t i = 0; i < dirty_pages_.size(); ++i) {
      for (const size_t line : dirty_lines_[i]) {
        const std::byte value{1};
        Expect(sync_->Write(ids_[dirty_pages_[i]], line * kLineBytes,
                            std::span(&value, 1)));
      }
    }
  }

  void CopyLines() {
    MMSB_CHECK(sync_->Sync(HostDeviceSync::Direction::kToDevice, ids_).ok(),
               "a copy failed");
  }

  // As it is done without masks: a copy for each dirty page, in batches of as
  // many copies as HostDeviceSync makes.
  void CopyPages(StreamId stream) {
    std::vector<DeviceCopy> copies;
    for (const size_t i : dirty_pages_) {
      copies.push_back(
          DeviceCopy::ToDevice(*sync_->DeviceAddress(ids_[i]), Page(i)));
    }
    const size_t most = HostDeviceSync::Options().max_batch_bytes / kPageBytes;
    for (size_t at = 0; at < copies.size(); at += most) {
      Expect(device_.Copy(stream, std::span(copies).subspan(
                                      at, std::min(most, copies.size() - at))));
    }
    Expect(device_.Synchronize(stream));
  }

  // Measures one way of copying in the device's time.
  template <class Copy>
  void Measure(benchmark::State& state, Copy copy) {
    uint64_t moved = 0;
    int64_t host_ns = 0;
    for (auto _ : state) {
      Write();
      const uint64_t before = device_.traffic().to_device_bytes;
      const int64_t begin = clock_.Now();
      const int64_t real = Clock::System().Now();
      copy();
      host_ns += Clock::System().Now() - real;
      state.SetIterationTime(static_cast<double>(clock_.Now() - begin) * 1e-9);
      moved = device_.traffic().to_device_bytes - before;
    }
    const auto dirty = static_cast<double>(
        dirty_pages_.size() * static_cast<size_t>(state.range(1)) * kLineBytes);
    state.counters["moved"] = static_cast<double>(moved);
    state.counters["dirty"] = dirty;
    state.counters["excess_%"] =
        100 * (static_cast<double>(moved) - dirty) / dirty;
    state.counters["host_ns/page"] = static_cast<double>(host_ns) /
                                     static_cast<double>(state.iterations()) /
                                     static_cast<double>(dirty_pages_.size());
  }

  SimulatedDevice& device() { return device_; }

 private:
  ManualClock clock_;
  SimulatedDevice device_;
  DeviceMemoryPool pool_;
  std::unique_ptr<HostDeviceSync> sync_;
  std::vector<std::byte> host_;
  std::vector<PageId> ids_;
  std::vector<size_t> dirty_pages_;
  std::vector<std::vector<size_t>> dirty_lines_;  // of each
};

void BM_DirtyLines(benchmark::State& state) {
  Setting setting(state);
  setting.Measure(state, [&] { setting.CopyLines(); });
}

void BM_WholePages(benchmark::State& state) {
  Setting setting(state);
  const StreamId stream = *setting.device().CreateStream();
  setting.Measure(state, [&] { setting.CopyPages(stream); });
}

void Cases(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t copy_ns : {0, 100}) {
    for (const int64_t pages : {10, 100, 1000}) {
      for (const int64_t lines : {1, 4, 16, 64}) {
        benchmark->Args({pages, lines, copy_ns});
      }
    }
  }
  benchmark->UseManualTime()->Iterations(5)->Unit(benchmark::kMicrosecond);
}

BENCHMARK(BM_DirtyLines)->Apply(Cases);
BENCHMARK(BM_WholePages)->Apply(Cases);

}  // namespace
}  // namespace mmsb
