// Random programs of writes on both sides, copies, readers and failures:
// afterwards host and device agree, or the page is reported.
//
//   MMSB_SYNC_PROGRAMS  how many programs, from MMSB_SYNC_SEED on; 10000 is all
//   MMSB_SYNC_SEED      the first seed, 1 by itself; a failure names the seed
//                       to begin with

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/device_pointer.h"
#include "device/host_device.h"
#include "device/host_device_sync.h"
#include "device/integrity_checker.h"
#include "device/page_coherence.h"
#include "device/simulated_device.h"
#include "device/testing/host_device_sync_model.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Direction = HostDeviceSync::Direction;
using Fault = SimulatedDevice::Fault;
using Op = HostDeviceSyncOp;
using Report = HostDeviceSync::Report;

constexpr size_t kLine = PageCoherence::kLineBytes;

uint32_t FromEnvironment(const char* name, uint32_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::atoi(text));
}

HostDeviceSyncSteps RandomSteps(uint32_t seed) {
  std::mt19937 random(seed);
  HostDeviceSyncSteps steps;
  steps.device_bytes = seed % 7 == 0 ? 3 * kKiB : 64 * kKiB;
  steps.options.max_batch_bytes = 1 + random() % 2000;
  steps.options.max_batch_copies = 1 + random() % 20;
  steps.options.max_attempts = 1 + static_cast<int>(random() % 3);
  const size_t pages = 1 + random() % 5;
  for (size_t i = 0; i < pages; ++i) {
    steps.page_bytes.push_back(1 + random() % 900);
  }
  constexpr Op::Op kOps[] = {
      Op::kWrite,       Op::kWrite,       Op::kEdit,    Op::kWriteBeside,
      Op::kDeviceWrite, Op::kDeviceWrite, Op::kRead,    Op::kRead,
      Op::kStart,       Op::kStart,       Op::kStart,   Op::kFinish,
      Op::kAdvance,     Op::kAdvance,     Op::kUnknown, Op::kDrop};
  for (int i = 0; i < 120; ++i) {
    const uint32_t seldom = random() % 80;
    const Op::Op op = seldom == 0   ? Op::kAgain
                      : seldom == 1 ? Op::kRestore
                                    : kOps[random() % std::size(kOps)];
    steps.steps.push_back({op, random() % 256, random() % 256});
  }
  // One program in two is without faults, one in eight loses its device.
  const uint32_t kind = random() % 8;
  if (kind >= 4) {
    steps.faults = [kind, faults = std::mt19937(seed)](
                       const SimulatedDevice::CallInfo&) mutable {
      const uint32_t dice = faults() % 400;
      if (dice < 40) return dice % 2 == 0 ? Fault::kFail : Fault::kRefuse;
      if (kind == 7 && dice < 44) {
        return dice % 2 == 0 ? Fault::kLose : Fault::kLoseLater;
      }
      return Fault::kNone;
    };
  }
  return steps;
}

TEST(HostDeviceSyncRandomTest, HostAndDeviceAgreeOrThePageIsReported) {
  const uint32_t programs = FromEnvironment(
      "MMSB_SYNC_PROGRAMS", kThreadSanitizer || kAddressSanitizer ? 100 : 600);
  const uint32_t first = FromEnvironment("MMSB_SYNC_SEED", 1);
  for (uint32_t seed = first; seed - first < programs; ++seed) {
    ASSERT_EQ(RunBesideModel(RandomSteps(seed)), "")
        << "MMSB_SYNC_SEED=" << seed;
  }
}

// Writers, readers, work on the device and copies, each on a thread, while
// copies may fail. Each line of a page has one writer, who fills it with one
// value, so that whoever sees two has seen it torn.
void WriteReadAndCopy(Device& device, absl::FunctionRef<void()> begin_faults,
                      absl::FunctionRef<void()> end_faults) {
  constexpr size_t kPages = 6;
  constexpr size_t kLines = 16;
  const int rounds = kThreadSanitizer || kAddressSanitizer ? 150 : 300;
  DeviceMemoryPool pool(device, {.chunk_bytes = 64 * kKiB});
  const absl::StatusOr<std::unique_ptr<HostDeviceSync>> made =
      HostDeviceSync::Create(device, pool, {.max_batch_copies = 8});
  ASSERT_TRUE(made.ok());
  HostDeviceSync& sync = **made;
  std::vector<Bytes> host(kPages, Bytes(kLines * kLine));
  std::vector<PageId> ids;
  for (size_t i = 0; i < kPages; ++i) {
    ids.push_back(PageId::FromValue(i));
    ASSERT_TRUE(sync.Add(ids[i], host[i]).ok());
  }
  ASSERT_TRUE(sync.Sync(Direction::kToDevice, ids).ok());
  begin_faults();

  std::atomic<int> wrong = 0;
  std::atomic<bool> stop = false;
  // What each line holds last; the host writes the even ones, the device the
  // odd ones.
  std::vector<std::vector<std::byte>> last(kPages,
                                           std::vector<std::byte>(kLines));
  std::vector<std::thread> threads;
  threads.emplace_back([&] {  // writes on the host
    std::mt19937 random(1);
    for (int i = 0; i < rounds * 4; ++i) {
      const size_t page = random() % kPages;
      const size_t line = random() % (kLines / 2) * 2;
      const auto value = static_cast<std::byte>(random());
      if (!sync.Write(ids[page], line * kLine, Bytes(kLine, value)).ok()) {
        ++wrong;
      }
      last[page][line] = value;
    }
  });
  threads.emplace_back([&] {  // writes on the device, and copies back
    std::mt19937 random(2);
    const StreamId stream = *device.CreateStream();
    for (int i = 0; i < rounds; ++i) {
      const size_t page = random() % kPages;
      const size_t line = random() % (kLines / 2) * 2 + 1;
      const auto value = static_cast<std::byte>(random());
      if (!sync.MarkDeviceWrite(ids[page], line * kLine, kLine).ok()) ++wrong;
      const DevicePointer at = *sync.DeviceAddress(ids[page]) + line * kLine;
      if (!device.Fill(stream, at, kLine, value).ok()) ++wrong;
      last[page][line] = value;
      const absl::StatusOr<DeviceEvent> event = device.Record(stream);
      if (!event.ok()) {
        ++wrong;
        continue;
      }
      // Failures are reported, and the page then is tried again.
      while (!sync.Sync(Direction::kToHost, std::span(&ids[page], 1),
                        std::span(&*event, 1))
                  .ok()) {
      }
    }
    if (!device.DestroyStream(stream).ok()) ++wrong;
  });
  threads.emplace_back([&] {                         // copies to the device
    while (!stop.load(std::memory_order_relaxed)) {  // relaxed: a flag alone
      auto transfer = sync.Start(Direction::kToDevice, ids);
      std::this_thread::yield();
      const Report report = sync.Finish(std::move(transfer));
      for (const HostDeviceSync::PageFailure& failure : report.failed) {
        if (!absl::IsUnavailable(failure.status)) ++wrong;
      }
    }
  });
  threads.emplace_back([&] {  // reads
    std::mt19937 random(3);
    Bytes out(kLine);
    while (!stop.load(std::memory_order_relaxed)) {  // relaxed: a flag alone
      const size_t page = random() % kPages;
      const size_t line = random() % kLines;
      const absl::Status status = sync.Read(ids[page], line * kLine, out);
      if (status.ok()) {
        if (std::ranges::count(out, out[0]) != kLine) ++wrong;
      } else if (!absl::IsFailedPrecondition(status)) {
        ++wrong;
      }
    }
  });
  threads[0].join();
  threads[1].join();
  stop = true;
  threads[2].join();
  threads[3].join();
  EXPECT_EQ(wrong, 0);

  end_faults();
  ASSERT_TRUE(sync.Sync(Direction::kToHost, ids).ok());
  ASSERT_TRUE(sync.Sync(Direction::kToDevice, ids).ok());
  std::vector<IntegrityChecker::PageCopies> copies;
  for (size_t page = 0; page < kPages; ++page) {
    for (size_t line = 0; line < kLines; ++line) {
      EXPECT_EQ(
          std::ranges::count(std::span(host[page]).subspan(line * kLine, kLine),
                             last[page][line]),
          kLine)
          << page << " " << line;
    }
    copies.push_back({ids[page], host[page], *sync.DeviceAddress(ids[page])});
  }
  IntegrityChecker checker(device);
  EXPECT_TRUE(checker.Compare(copies)->empty());
}

TEST(HostDeviceSyncThreadsTest, OnADeviceWhoseCopiesFail) {
  SimulatedDevice device({.memory_bytes = kMiB,
                          .to_device_bytes_per_second = 4 * kGiB,
                          .to_host_bytes_per_second = 4 * kGiB,
                          .call_ns = 300,
                          .fresh = std::byte{0xdb}});
  std::atomic<uint64_t> calls = 0;
  WriteReadAndCopy(
      device,
      [&] {
        device.OnCall([&](const SimulatedDevice::CallInfo& call) {
          if (call.call != SimulatedDevice::Call::kCopy) return Fault::kNone;
          // relaxed: a count alone.
          const uint64_t n = calls.fetch_add(1, std::memory_order_relaxed);
          return n % 7 == 3    ? Fault::kFail
                 : n % 11 == 5 ? Fault::kRefuse
                               : Fault::kNone;
        });
      },
      [&] { device.Heal(); });
}

// Where threads of the device copy beside those of the test, so that
// ThreadSanitizer sees what is not ordered.
TEST(HostDeviceSyncThreadsTest, OnADeviceOfThreads) {
  HostDevice device({.memory_bytes = kMiB, .threads = 2});
  WriteReadAndCopy(device, [] {}, [] {});
}

}  // namespace
}  // namespace mmsb
