// Allocation on a device: DeviceMemoryPool beside a plain allocate and free of
// the same device, on workloads after those of RMM's benchmarks. The device is
// simulated, and time is its time: kernels of 20 us work upon each block, and
// an allocation and a free of the device each take what the last argument says,
// in ns, beside waiting, for a free, until all work is done. 0 shows what that
// waiting costs alone.
//
//   Random       blocks of 1 byte to 2 MiB, at random moments allocated and
//                freed, at most 64 MiB at once; arguments: streams, ns
//   MultiStream  each stream in turn allocates, works upon and frees 4 blocks;
//                arguments: streams, ns
//   OneChunk     each stream in turn allocates, works upon and frees 4
//                blocks of 1 byte to 128 KiB, so that all streams together need
//                less than the 16 MiB of one chunk; arguments: streams, ns
//
//   fragmentation  share of idle memory that one request cannot get, mean over
//                  the run
//   committed/live taken from the device for each byte that is in use, at peaks
//   chunks         taken from the device in all
//   crossings/op   events that the pool recorded and let a stream wait for
//   host_ns/op     real time of the host for an allocation with its free
//
//   ./bazelw run -c opt //bench:device_memory_pool_benchmark

#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "allocator/allocator_stats.h"
#include "benchmark/benchmark.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/device_pointer.h"
#include "device/simulated_device.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

constexpr int64_t kKernelNs = 20'000;
constexpr size_t kMaxBlockBytes = 2 * kMiB;
constexpr size_t kMaxLiveBytes = 64 * kMiB;

void Expect(const absl::Status& status) {
  MMSB_CHECK(status.ok(), "%s", status.ToString().c_str());
}

// What both ways have in common: a device, its streams, and real time that is
// spent in the allocator.
class Bench {
 public:
  Bench(size_t streams, int64_t call_ns)
      : device_({.memory_bytes = 512 * kMiB,
                 .allocate_ns = call_ns,
                 .free_ns = call_ns},
                clock_) {
    for (size_t i = 0; i < streams; ++i) {
      streams_.push_back(*device_.CreateStream());
    }
  }
  virtual ~Bench() = default;

  // Both count the host's time.
  DevicePointer Allocate(size_t bytes, StreamId stream) {
    const int64_t begin = Clock::System().Now();
    const absl::StatusOr<DevicePointer> at = DoAllocate(bytes, stream);
    host_ns_ += Clock::System().Now() - begin;
    Expect(at.status());
    ++operations_;
    return *at;
  }
  void Free(DevicePointer at, StreamId stream) {
    const int64_t begin = Clock::System().Now();
    Expect(DoFree(at, stream));
    host_ns_ += Clock::System().Now() - begin;
    Sample();
  }
  void Work(StreamId stream) {
    Expect(device_.Launch(
        stream, kKernelNs,
        [](const SimulatedDevice::DeviceMemory&) { return absl::OkStatus(); }));
  }
  void SynchronizeAll() {
    for (const StreamId stream : streams_) Expect(device_.Synchronize(stream));
  }

  virtual void Report(benchmark::State& state) {
    state.counters["host_ns/op"] =
        static_cast<double>(host_ns_) / static_cast<double>(operations_);
    state.SetItemsProcessed(static_cast<int64_t>(operations_));
  }

  const std::vector<StreamId>& streams() const { return streams_; }
  int64_t now() const { return clock_.Now(); }

 protected:
  virtual absl::StatusOr<DevicePointer> DoAllocate(size_t bytes,
                                                   StreamId stream) = 0;
  virtual absl::Status DoFree(DevicePointer at, StreamId stream) = 0;
  virtual void Sample() {}

  ManualClock clock_;
  SimulatedDevice device_;
  std::vector<StreamId> streams_;
  int64_t host_ns_ = 0;
  uint64_t operations_ = 0;
};

class Plain final : public Bench {
 public:
  using Bench::Bench;

 private:
  absl::StatusOr<DevicePointer> DoAllocate(size_t bytes, StreamId) override {
    return device_.Allocate(bytes);
  }
  absl::Status DoFree(DevicePointer at, StreamId) override {
    return device_.Free(at);
  }
};

class Pool final : public Bench {
 public:
  Pool(size_t streams, int64_t call_ns)
      : Bench(streams, call_ns), pool_(device_) {}

  void Report(benchmark::State& state) override {
    Bench::Report(state);
    state.counters["fragmentation"] = fragmentation_ / samples_;
    const AllocatorStats stats = pool_.Stats();
    state.counters["committed/live"] = static_cast<double>(stats.committed()) /
                                       static_cast<double>(stats.peak());
    state.counters["chunks"] = static_cast<double>(pool_.calls().chunks_taken);
    state.counters["crossings/op"] =
        static_cast<double>(pool_.calls().crossings) /
        static_cast<double>(operations_);
    MMSB_CHECK(stats.IdentityHolds(), "the bytes do not add up");
    Expect(pool_.CheckInvariants());
  }

 private:
  absl::StatusOr<DevicePointer> DoAllocate(size_t bytes,
                                           StreamId stream) override {
    return pool_.Allocate(bytes, stream);
  }
  absl::Status DoFree(DevicePointer at, StreamId stream) override {
    return pool_.Deallocate(at, stream);
  }
  void Sample() override {
    if (operations_ % 16 != 0) return;
    fragmentation_ += pool_.FragmentationNow().ratio();
    samples_ += 1;
  }

  DeviceMemoryPool pool_;
  double fragmentation_ = 0;
  double samples_ = 0;
};

// After RMM's random_allocations_bench.
void RunRandom(Bench& bench) {
  struct Block {
    DevicePointer at;
    size_t bytes;
    StreamId stream;
  };
  std::mt19937 random(1);
  std::vector<Block> live;
  size_t live_bytes = 0;
  for (int i = 0; i < 4000; ++i) {
    const size_t bytes = 1 + random() % kMaxBlockBytes;
    const bool allocate =
        live.empty() ||
        (live_bytes + bytes <= kMaxLiveBytes && random() % 2 == 0);
    if (allocate) {
      const StreamId stream =
          bench.streams()[random() % bench.streams().size()];
      live.push_back({bench.Allocate(bytes, stream), bytes, stream});
      live_bytes += bytes;
      bench.Work(stream);
    } else {
      std::swap(live[random() % live.size()], live.back());
      bench.Free(live.back().at, live.back().stream);
      live_bytes -= live.back().bytes;
      live.pop_back();
    }
  }
  for (const Block& block : live) bench.Free(block.at, block.stream);
}

// After RMM's multi_stream_allocations_bench.
void RunMultiStream(Bench& bench) {
  for (int round = 0; round < 100; ++round) {
    for (const StreamId stream : bench.streams()) {
      DevicePointer blocks[4];
      for (DevicePointer& block : blocks) block = bench.Allocate(kMiB, stream);
      bench.Work(stream);
      for (const DevicePointer block : blocks) bench.Free(block, stream);
    }
  }
}

// Whether streams that share a chunk keep out of each other's way.
void RunOneChunk(Bench& bench) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    for (const StreamId stream : bench.streams()) {
      DevicePointer blocks[4];
      for (DevicePointer& block : blocks) {
        block = bench.Allocate(1 + random() % (128 * kKiB), stream);
      }
      bench.Work(stream);
      for (const DevicePointer block : blocks) bench.Free(block, stream);
    }
  }
}

template <class Way, void (*kRun)(Bench&)>
void Run(benchmark::State& state) {
  for (auto _ : state) {
    Way bench(static_cast<size_t>(state.range(0)), state.range(1));
    const int64_t begin = bench.now();
    kRun(bench);
    bench.SynchronizeAll();
    state.SetIterationTime(static_cast<double>(bench.now() - begin) * 1e-9);
    bench.Report(state);
  }
}

void BM_RandomPool(benchmark::State& state) { Run<Pool, RunRandom>(state); }
void BM_RandomPlain(benchmark::State& state) { Run<Plain, RunRandom>(state); }
void BM_MultiStreamPool(benchmark::State& state) {
  Run<Pool, RunMultiStream>(state);
}
void BM_MultiStreamPlain(benchmark::State& state) {
  Run<Plain, RunMultiStream>(state);
}
void BM_OneChunkPool(benchmark::State& state) { Run<Pool, RunOneChunk>(state); }
void BM_OneChunkPlain(benchmark::State& state) {
  Run<Plain, RunOneChunk>(state);
}

void Cases(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t call_ns : {0, 50'000}) {
    for (const int64_t streams : {1, 4, 16}) {
      benchmark->Args({streams, call_ns});
    }
  }
  benchmark->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);
}

BENCHMARK(BM_RandomPool)->Apply(Cases);
BENCHMARK(BM_RandomPlain)->Apply(Cases);
BENCHMARK(BM_MultiStreamPool)->Apply(Cases);
BENCHMARK(BM_MultiStreamPlain)->Apply(Cases);
BENCHMARK(BM_OneChunkPool)->Apply(Cases);
BENCHMARK(BM_OneChunkPlain)->Apply(Cases);

}  // namespace
}  // namespace mmsb
