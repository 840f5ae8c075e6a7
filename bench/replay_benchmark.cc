// Replaying a log with all of its checksums beside reading and checksumming the
// same file and nothing else. An item is a MiB of the log, which is cached.
//
//   replay_large   transactions of 16384 whole pages of 4 KiB
//   replay_small   transactions of 100 changes of 16 bytes in a row
//
//   mmsb                 TransactionLog::Replay, check_data
//   read and checksum    64 KiB at a time, what a replay reads ahead

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/store_workload.h"
#include "benchmark/benchmark.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
#include "memory/log/posix_file_system.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"

namespace mmsb {
namespace {

class Ignore final : public TransactionLog::Visitor {
 public:
  absl::Status OnData(const TransactionLog::Record&) override {
    return absl::OkStatus();
  }
  absl::Status OnCommit(const TransactionLog::Record&) override {
    return absl::OkStatus();
  }
  absl::Status OnLostCommit(Epoch) override { return absl::OkStatus(); }
};

// A store that was closed.
struct Log {
  explicit Log(bool large) {
    BenchStore store(path(), large ? 16384 : 1024, 4096);
    for (int i = 0; !large && i < 8000; ++i) store.Change(100);
  }
  std::string path() const { return folder.In("store"); }

  BenchFolder folder;
};

Log& Made(bool large) {
  static std::unique_ptr<Log> logs[2];
  std::unique_ptr<Log>& log = logs[large ? 1 : 0];
  if (log == nullptr) log = std::make_unique<Log>(large);
  return *log;
}

double MiB(uint64_t bytes) {
  return static_cast<double>(bytes) / (1024 * 1024);
}

void CountItems(benchmark::State& state, uint64_t bytes) {
  state.SetItemsProcessed(static_cast<int64_t>(
      static_cast<double>(state.iterations()) * MiB(bytes)));
}

void Replay(benchmark::State& state, bool large) {
  const std::string path = Made(large).path();
  std::vector<std::byte> bytes(StoreHeader::kBytes);
  const auto file = Require(
      PosixFileSystem().Open(path + "/MMSB", FileSystem::Access::kRead));
  Require(file->ReadAt(0, bytes).status());
  const StoreHeader header = Require(StoreHeader::Decode(bytes, path));
  uint64_t end = 0;
  for (auto _ : state) {
    const auto log = Require(TransactionLog::Open(
        PosixFileSystem(), path, header, FileSystem::Access::kRead));
    Ignore ignore;
    const TransactionLog::ReplayReport report =
        Require(log->Replay({.check_data = true}, ignore));
    Require(report.damage.empty(), "mmsb", "the log is damaged");
    end = report.end;
  }
  CountItems(state, end);
}

void ReadAndChecksum(benchmark::State& state, bool large) {
  const std::string path = Made(large).path();
  std::vector<std::byte> buffer(TransactionLog::kReadAheadBytes);
  uint64_t end = 0;
  for (auto _ : state) {
    end = 0;
    for (const std::string& name : Require(PosixFileSystem().List(path))) {
      const auto parsed = TransactionLog::ParseName(name);
      if (!parsed.has_value() || parsed->is_tip) continue;
      const auto file = Require(
          PosixFileSystem().Open(std::string(path).append("/").append(name),
                                 FileSystem::Access::kRead));
      for (uint64_t at = 0;;) {
        const size_t got = Require(file->ReadAt(at, buffer));
        absl::crc32c_t sum = absl::ComputeCrc32c(
            {reinterpret_cast<const char*>(buffer.data()), got});
        benchmark::DoNotOptimize(sum);
        at += got;
        end += got;
        if (got < buffer.size()) break;
      }
    }
  }
  CountItems(state, end);
}

}  // namespace
}  // namespace mmsb

int main(int argc, char** argv) {
  for (const bool large : {true, false}) {
    const std::string workload = large ? "replay_large" : "replay_small";
    benchmark::RegisterBenchmark(workload + "/mmsb", &mmsb::Replay, large)
        ->UseRealTime();
    benchmark::RegisterBenchmark(workload + "/read and checksum",
                                 &mmsb::ReadAndChecksum, large)
        ->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
