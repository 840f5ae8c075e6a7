// A reader of random pages, alone and while another thread is at work. An item
// is a page of 4 KiB, read from a snapshot that is taken anew every 64 pages.
//
//   read_beside_commits      the reader has opened the store for itself, as
//                            another process would
//   read_in_writers_process  it reads the store that is written to, and always
//                            the newest epoch
//
//   mmsb          another thread commits 100 changes after 100 changes,
//                 durably, as fast as it can
//   alone         nobody does
//   plain writes  another thread writes and syncs as many bytes as a commit
//                 does, in two files of its own: what any writer on this
//                 machine takes from the reader
//   computing     another thread computes in its registers: what the machine
//                 takes from two threads
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/store_workload.h"
#include "benchmark/benchmark.h"
#include "memory/log/file_system.h"
#include "memory/log/posix_file_system.h"
#include "memory/store/page_store.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

constexpr size_t kPages = 16384;

enum class Other { kNone, kCommits, kPlainWrites, kComputes };

// The log's part of a commit, `bytes_a_commit` bytes, and the tip's, each
// synced.
void WritePlainly(const BenchFolder& folder, uint64_t bytes_a_commit,
                  const std::atomic<bool>& done) {
  const auto log = Require(PosixFileSystem().Open(folder.In("plain log"),
                                                  FileSystem::Access::kCreate));
  const auto tip = Require(PosixFileSystem().Open(folder.In("plain tip"),
                                                  FileSystem::Access::kCreate));
  const std::vector<std::byte> bytes(bytes_a_commit);
  uint64_t at = 0;
  while (!done.load(std::memory_order_relaxed)) {
    Require(log->WriteAt(at, bytes));
    Require(log->Sync());
    Require(tip->WriteAt(0, std::span(bytes).first(32)));
    Require(tip->Sync());
    at += bytes.size();
  }
}

void Read(benchmark::State& state, bool own_store, Other other) {
  const BenchFolder folder;
  BenchStore written(folder.In("store"), kPages, 4096);
  for (int i = 0; i < 100; ++i) written.Change(100);
  const auto opened =
      BenchStore::Open(folder.In("store"), PageStore::Mode::kRead);
  PageStore& reader = own_store ? *opened : written.store();
  // relaxed: only ends the loop.
  std::atomic<bool> done = false;
  uint64_t commits = 0;
  std::thread beside([&] {
    std::mt19937_64 random(2);
    switch (other) {
      case Other::kNone:
        break;
      case Other::kCommits:
        for (; !done.load(std::memory_order_relaxed); ++commits) {
          written.Change(100);
        }
        break;
      case Other::kPlainWrites:
        WritePlainly(folder, written.store().newest_info().stored_bytes, done);
        break;
      case Other::kComputes:
        while (!done.load(std::memory_order_relaxed)) {
          benchmark::DoNotOptimize(random());
        }
    }
  });
  std::mt19937_64 random(1);
  std::vector<std::byte> page(4096);
  std::optional<PageStore::Snapshot> snapshot;
  uint64_t reads = 0;
  for (auto _ : state) {
    if (reads++ % 64 == 0) snapshot.emplace(Require(reader.Newest()));
    Require(snapshot->Read(PageId::FromValue(random() % kPages), page));
  }
  done.store(true, std::memory_order_relaxed);
  beside.join();
  state.SetItemsProcessed(state.iterations());
  state.counters["commits"] = static_cast<double>(commits);
}

void Register() {
  for (const bool own_store : {true, false}) {
    for (const auto& [row, other] :
         {std::pair("mmsb", Other::kCommits), std::pair("alone", Other::kNone),
          std::pair("plain writes", Other::kPlainWrites),
          std::pair("computing", Other::kComputes)}) {
      benchmark::RegisterBenchmark(
          std::string(own_store ? "read_beside_commits/"
                                : "read_in_writers_process/") +
              row,
          [=, other = other](benchmark::State& state) {
            Read(state, own_store, other);
          })
          ->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  mmsb::Register();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
