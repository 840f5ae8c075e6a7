// Random programs of writes on both sides, copies, readers and failures:
// afterwards host and device agree, or the page is reported.
//
//   MMSB_SYNC_PROGRAMS  how many programs beside a model, and how many of
//                       threads beside each other, from MMSB_SYNC_SEED on;
//                       10000 is all
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
#include <string>
#include <thread>
#include <utility>
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

// What threads do beside each other, and for how long.
struct ThreadProgram {
  uint32_t seed = 1;
  size_t pages = 6;
  size_t lines = 16;  // of each page
  int rounds = 0;     // of writing on the device
  HostDeviceSync::Options options = {.max_batch_copies = 8};
  bool may_lose = false;  // the device
};

// Writers, readers, work on the device and copies, each on a thread, while
// calls of the device may fail. Each line of a page has one writer, who fills
// it with one value, so that whoever sees two has seen it torn; the host writes
// the even lines, the device the odd ones.
class ThreadsOnPages {
 public:
  ThreadsOnPages(Device& device, const ThreadProgram& program)
      : program_(program),
        device_(device),
        pool_(device, {.chunk_bytes = 64 * kKiB}),
        compute_(*device.CreateStream()),
        sync_(*HostDeviceSync::Create(device, pool_, program.options)),
        host_(program.pages, Bytes(program.lines * kLine)),
        last_(program.pages, Bytes(program.lines)),
        next_(last_) {}

  // The stream of the work on the device; the others are the copies'.
  [[nodiscard]] StreamId compute() const { return compute_; }

  void Run(absl::FunctionRef<void()> begin_faults,
           absl::FunctionRef<void()> end_faults) {
    for (size_t i = 0; i < program_.pages; ++i) {
      ids_.push_back(PageId::FromValue(i));
      ASSERT_TRUE(sync_->Add(ids_[i], host_[i]).ok());
    }
    ASSERT_TRUE(sync_->Sync(Direction::kToDevice, ids_).ok());
    begin_faults();
    std::thread host([this] { WriteOnHost(); });
    std::thread device([this] { WriteOnDevice(); });
    std::thread copies([this] { CopyToDevice(program_.seed + 2); });
    std::thread more_copies([this] { CopyToDevice(program_.seed + 3); });
    std::thread reads([this] { Read(); });
    host.join();
    device.join();
    stop_ = true;
    copies.join();
    more_copies.join();
    reads.join();
    end_faults();
    ASSERT_STREQ(wrong_, nullptr);
    if (device_.Health().ok()) {
      ExpectAllAgree();
    } else {
      ASSERT_TRUE(program_.may_lose);
      ExpectWholeOrReported();
    }
  }

 private:
  // relaxed: a flag alone.
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  // The first thing that is wrong is kept.
  void Expect(bool right, const char* otherwise) {
    const char* none = nullptr;
    if (!right) wrong_.compare_exchange_strong(none, otherwise);
  }

  // Whether the call went well, or with the device.
  bool Done(const absl::Status& status, const char* otherwise) {
    // A page that was the same on both sides is then the host's alone.
    Expect(status.ok() || (program_.may_lose && !device_.Health().ok()),
           otherwise);
    return status.ok();
  }

  void WriteOnHost() {
    std::mt19937 random(program_.seed);
    for (int i = 0; i < program_.rounds * 4; ++i) {
      const size_t page = random() % program_.pages;
      const size_t line = random() % ((program_.lines + 1) / 2) * 2;
      const auto value = static_cast<std::byte>(random());
      if (Done(sync_->Write(ids_[page], line * kLine, Bytes(kLine, value)),
               "a write of the host fails")) {
        last_[page][line] = value;
      }
      next_[page][line] = last_[page][line];
    }
  }

  // And copies back.
  void WriteOnDevice() {
    std::mt19937 random(program_.seed + 1);
    for (int i = 0; i < program_.rounds && device_.Health().ok(); ++i) {
      const size_t page = random() % program_.pages;
      const size_t line = random() % (program_.lines / 2) * 2 + 1;
      next_[page][line] = static_cast<std::byte>(random());
      if (!Done(sync_->MarkDeviceWrite(ids_[page], line * kLine, kLine),
                "a write of the device is refused")) {
        continue;
      }
      const absl::StatusOr<DevicePointer> at = sync_->DeviceAddress(ids_[page]);
      // The page goes with the device.
      if (!at.ok()) {
        Expect(!device_.Health().ok(), "a page is not on the device");
        return;
      }
      if (!Done(device_.Fill(compute_, *at + line * kLine, kLine,
                             next_[page][line]),
                "the device does not write")) {
        return;
      }
      const absl::StatusOr<DeviceEvent> event = device_.Record(compute_);
      if (!Done(event.status(), "no event of a write of the device")) return;
      // Failures are reported, and the page then is tried again.
      while (!sync_
                  ->Sync(Direction::kToHost, std::span(&ids_[page], 1),
                         std::span(&*event, 1))
                  .ok()) {
        if (!device_.Health().ok()) return;
      }
      last_[page][line] = next_[page][line];
    }
  }

  void CopyToDevice(uint32_t seed) {
    std::mt19937 random(seed);
    while (!stopped()) {
      // Some, so that copies of two threads are in flight.
      std::vector<PageId> ids;
      for (const PageId id : ids_) {
        if (random() % 2 == 0) ids.push_back(id);
      }
      auto transfer = sync_->Start(Direction::kToDevice, ids);
      std::this_thread::yield();
      const Report report = sync_->Finish(std::move(transfer));
      for (const HostDeviceSync::PageFailure& failure : report.failed) {
        Expect(absl::IsUnavailable(failure.status) ||
                   (program_.may_lose && absl::IsDataLoss(failure.status)),
               "a copy fails otherwise than the device does");
      }
    }
  }

  void Read() {
    std::mt19937 random(program_.seed + 4);
    Bytes out(kLine);
    while (!stopped()) {
      const size_t page = random() % program_.pages;
      const size_t line = random() % program_.lines;
      const absl::Status status = sync_->Read(ids_[page], line * kLine, out);
      if (absl::IsFailedPrecondition(status)) continue;  // newer elsewhere
      if (Done(status, "a read fails")) {
        Expect(std::ranges::count(out, out[0]) == kLine, "a line is torn");
      }
    }
  }

  void ExpectAllAgree() {
    ASSERT_TRUE(sync_->Sync(Direction::kToHost, ids_).ok());
    ASSERT_TRUE(sync_->Sync(Direction::kToDevice, ids_).ok());
    std::vector<IntegrityChecker::PageCopies> copies;
    for (size_t page = 0; page < program_.pages; ++page) {
      for (size_t line = 0; line < program_.lines; ++line) {
        EXPECT_EQ(std::ranges::count(
                      std::span(host_[page]).subspan(line * kLine, kLine),
                      last_[page][line]),
                  kLine)
            << page << " " << line;
      }
      copies.push_back(
          {ids_[page], host_[page], *sync_->DeviceAddress(ids_[page])});
    }
    IntegrityChecker checker(device_);
    EXPECT_TRUE(checker.Compare(copies)->empty());
  }

  // What the host wrote is there, and what the device wrote is there or lost.
  void ExpectWholeOrReported() {
    EXPECT_EQ(sync_->Sync(Direction::kToHost, ids_).failed.size(),
              program_.pages);
    const std::vector<PageId> lost = sync_->LostPages();
    Bytes out(kLine);
    for (size_t page = 0; page < program_.pages; ++page) {
      const bool whole = std::ranges::count(lost, ids_[page]) == 0;
      for (size_t line = 0; line < program_.lines; ++line) {
        const absl::Status status = sync_->Read(ids_[page], line * kLine, out);
        if (!status.ok()) {
          EXPECT_TRUE(absl::IsDataLoss(status)) << status;
          EXPECT_FALSE(whole) << page << " " << line;
          EXPECT_EQ(line % 2, 1) << page << " " << line;
          continue;
        }
        EXPECT_EQ(std::ranges::count(out, out[0]), kLine);
        EXPECT_TRUE(out[0] == last_[page][line] || out[0] == next_[page][line])
            << page << " " << line;
      }
    }
  }

  const ThreadProgram program_;
  Device& device_;
  DeviceMemoryPool pool_;
  const StreamId compute_;
  std::unique_ptr<HostDeviceSync> sync_;
  std::vector<PageId> ids_;
  std::vector<Bytes> host_;
  // What each line holds, and what is being written; of each line by one
  // thread.
  std::vector<Bytes> last_;
  std::vector<Bytes> next_;
  std::atomic<const char*> wrong_ = nullptr;
  std::atomic<bool> stop_ = false;
};

constexpr int kManyRounds = kThreadSanitizer || kAddressSanitizer ? 150 : 300;

SimulatedDevice::Options FastDevice() {
  return {.memory_bytes = kMiB,
          .to_device_bytes_per_second = 4 * kGiB,
          .to_host_bytes_per_second = 4 * kGiB,
          .call_ns = 300,
          .fresh = std::byte{0xdb}};
}

TEST(HostDeviceSyncThreadsTest, OnADeviceWhoseCopiesFail) {
  SimulatedDevice device(FastDevice());
  ThreadsOnPages threads(device, {.rounds = kManyRounds});
  uint64_t calls = 0;  // under the device's lock
  threads.Run(
      [&] {
        device.OnCall([&](const SimulatedDevice::CallInfo& call) {
          if (call.call != SimulatedDevice::Call::kCopy) return Fault::kNone;
          const uint64_t n = calls++;
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
  ThreadsOnPages threads(device, {.rounds = kManyRounds});
  threads.Run([] {}, [] {});
}

// Short, of all shapes. Copies, their events and waits fail; one program in
// eight loses its device, and one in eight is on a device of threads.
TEST(HostDeviceSyncThreadsTest, RandomPrograms) {
  const uint32_t programs = FromEnvironment(
      "MMSB_SYNC_PROGRAMS", kThreadSanitizer || kAddressSanitizer ? 50 : 100);
  const uint32_t first = FromEnvironment("MMSB_SYNC_SEED", 1);
  for (uint32_t seed = first; seed - first < programs && !HasFailure();
       ++seed) {
    SCOPED_TRACE("MMSB_SYNC_SEED=" + std::to_string(seed));
    std::mt19937 random(seed);
    const uint32_t kind = random() % 8;
    const ThreadProgram program = {
        .seed = seed,
        .pages = 1 + random() % 4,
        .lines = 2 + random() % 7,
        .rounds = 2 + static_cast<int>(random() % 8),
        .options = {.max_batch_bytes = 1 + random() % 1000,
                    .max_batch_copies = 1 + random() % 6,
                    .max_attempts = 1 + static_cast<int>(random() % 3)},
        .may_lose = kind == 1};
    if (kind == 0) {
      HostDevice device({.memory_bytes = kMiB, .threads = 2});
      ThreadsOnPages(device, program).Run([] {}, [] {});
      continue;
    }
    SimulatedDevice device(FastDevice());
    ThreadsOnPages threads(device, program);
    threads.Run(
        [&] {
          device.OnCall([&](const SimulatedDevice::CallInfo& call) {
            const uint32_t dice = random() % 100;
            if (kind == 1 && dice == 0) return Fault::kLose;
            if (kind == 1 && dice == 1) return Fault::kLoseLater;
            if (call.stream == threads.compute() || dice >= 20) {
              return Fault::kNone;
            }
            return dice % 2 == 0 ? Fault::kFail : Fault::kRefuse;
          });
        },
        [&] { device.Heal(); });
  }
}

}  // namespace
}  // namespace mmsb
