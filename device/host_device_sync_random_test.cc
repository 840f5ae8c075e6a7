// Random programs of writes on both sides, copies, readers and failures:
// afterwards host and device agree, or the page is reported.
//
//   MMSB_SYNC_PROGRAMS  how many programs, from MMSB_SYNC_SEED on; 10000 is all
//   MMSB_SYNC_SEED      the first seed, 1 by itself; the trace of a failure
//                       names the seed to begin with

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device/device.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/device_pointer.h"
#include "device/host_device.h"
#include "device/host_device_sync.h"
#include "device/integrity_checker.h"
#include "device/page_coherence.h"
#include "device/simd/simd_mask.h"
#include "device/simulated_device.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using DeviceMemory = SimulatedDevice::DeviceMemory;
using Direction = HostDeviceSync::Direction;
using Fault = SimulatedDevice::Fault;
using Report = HostDeviceSync::Report;
using State = HostDeviceSync::State;

constexpr size_t kLine = PageCoherence::kLineBytes;

uint32_t FromEnvironment(const char* name, uint32_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::atoi(text));
}

// What a page should hold, and where the newest version of each line lies.
struct Model {
  explicit Model(size_t bytes)
      : host(bytes),
        newest(bytes),
        host_newer((bytes + kLine - 1) / kLine, true),
        device_newer(host_newer.size(), false) {}

  bool Overlaps(const std::vector<bool>& lines, size_t offset,
                size_t bytes) const {
    for (size_t line = 0; line < lines.size(); ++line) {
      if (lines[line] && bytes > 0 && offset < (line + 1) * kLine &&
          offset + bytes > line * kLine) {
        return true;
      }
    }
    return false;
  }
  static void Mark(std::vector<bool>& lines, size_t offset, size_t bytes) {
    for (size_t at = offset; at < offset + bytes; ++at)
      lines[at / kLine] = true;
  }
  bool any_device_newer() const {
    return std::ranges::find(device_newer, true) != device_newer.end();
  }
  // The host's memory is what counts.
  void Restore() {
    newest = host;
    placed = false;
    lost = false;
    host_newer.assign(host_newer.size(), true);
    device_newer.assign(device_newer.size(), false);
    kernels.clear();
  }

  Bytes host;  // the caller's memory of the page
  Bytes newest;
  std::vector<bool> host_newer;
  std::vector<bool> device_newer;
  bool placed = false;
  bool lost = false;
  std::vector<DeviceEvent> kernels;  // that wrote it, not copied back yet
};

class Program {
 public:
  explicit Program(uint32_t seed)
      : random_(seed),
        device_({.memory_bytes = seed % 7 == 0 ? 6 * kKiB : 64 * kKiB,
                 .to_device_bytes_per_second = 1'000'000'000,
                 .to_host_bytes_per_second = 1'000'000'000,
                 .call_ns = 50,
                 .fresh = std::byte{0xdb}},
                clock_),
        pool_(device_, {.chunk_bytes = 4 * kKiB}),
        compute_(*device_.CreateStream()) {
    HostDeviceSync::Options options;
    options.max_batch_bytes = 1 + random_() % 2000;
    options.max_batch_copies = 1 + random_() % 20;
    options.max_attempts = 1 + static_cast<int>(random_() % 3);
    sync_ = *HostDeviceSync::Create(device_, pool_, options);
    const size_t pages = 1 + random_() % 5;
    for (size_t i = 0; i < pages; ++i) {
      pages_.push_back(std::make_unique<Model>(1 + random_() % 900));
      Model& page = *pages_.back();
      for (std::byte& byte : page.host) byte = RandomByte();
      page.newest = page.host;
      EXPECT_TRUE(sync_->Add(PageId::FromValue(i), page.host).ok());
    }
    // One program in two is without faults, one in eight loses its device.
    const uint32_t kind = random_() % 8;
    if (kind >= 4) {
      device_.OnCall([this, kind](const SimulatedDevice::CallInfo&) {
        const uint32_t dice = faults_() % 400;
        if (dice < 40) return dice % 2 == 0 ? Fault::kFail : Fault::kRefuse;
        if (kind == 7 && dice < 44) {
          return dice % 2 == 0 ? Fault::kLose : Fault::kLoseLater;
        }
        return Fault::kNone;
      });
    }
    faults_.seed(seed);
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Step();
      if (testing::Test::HasFatalFailure()) return;
      if (!device_.Health().ok()) break;
      CheckStates();
      if (testing::Test::HasFatalFailure()) return;
    }
    Land();
    if (testing::Test::HasFatalFailure()) return;
    device_.Heal();
    // What is still to be done may be the device's end.
    device_.Synchronize(compute_).IgnoreError();
    if (device_.Health().ok()) {
      SettleAlive();
    } else {
      SettleLost();
    }
  }

 private:
  std::byte RandomByte() { return static_cast<std::byte>(random_()); }
  PageId RandomPage() { return PageId::FromValue(random_() % pages_.size()); }
  Model& Of(PageId id) { return *pages_[id.value()]; }

  std::vector<PageId> SomePages() {
    std::vector<PageId> ids;
    for (size_t i = 0; i < pages_.size(); ++i) {
      if (random_() % 3 != 0) ids.push_back(PageId::FromValue(i));
    }
    return ids;
  }

  void Range(const Model& page, size_t* offset, size_t* bytes) {
    *offset = random_() % page.host.size();
    *bytes = random_() % std::min<size_t>(page.host.size() - *offset + 1, 200);
  }

  void Step() {
    switch (random_() % 10) {
      case 0:
      case 1:
        HostWrites();
        break;
      case 2:
        HostWritesBesides();
        break;
      case 3:
      case 4:
        DeviceWrites();
        break;
      case 5:
        Reads();
        break;
      case 6:
        Copies(Direction::kToDevice);
        break;
      case 7:
        Copies(Direction::kToHost);
        break;
      case 8:
        Land();
        break;
      case 9:
        clock_.Advance(static_cast<int64_t>(random_() % 1000));
        if (random_() % 8 == 0) Again();
        break;
    }
  }

  void HostWrites() {
    const PageId id = RandomPage();
    Model& page = Of(id);
    size_t offset = 0;
    size_t bytes = 0;
    Range(page, &offset, &bytes);
    Bytes value(bytes);
    for (std::byte& byte : value) byte = RandomByte();
    AwaitFlight(id);
    if (!device_.Health().ok()) return;
    const bool conflict = page.Overlaps(page.device_newer, offset, bytes);
    const absl::Status status = sync_->Write(id, offset, value);
    if (conflict) {
      ASSERT_TRUE(absl::IsFailedPrecondition(status)) << status;
      return;
    }
    ASSERT_TRUE(status.ok()) << status;
    std::ranges::copy(value, page.newest.begin() + static_cast<long>(offset));
    Model::Mark(page.host_newer, offset, bytes);
  }

  // Writes the memory itself, and finds by comparing what changed.
  void HostWritesBesides() {
    const PageId id = RandomPage();
    Model& page = Of(id);
    AwaitFlight(id);
    if (!device_.Health().ok()) return;
    const Bytes before = page.host;
    for (int i = 0; i < 3; ++i) {
      const size_t at = random_() % page.host.size();
      if (page.device_newer[at / kLine]) continue;
      page.host[at] = page.newest[at] = RandomByte();
    }
    for (size_t at = 0; at < before.size(); ++at) {
      if (page.host[at] != before[at]) page.host_newer[at / kLine] = true;
    }
    std::vector<uint8_t> lines((page.host_newer.size() + 7) / 8);
    GenerateBlockMask(before, page.host, kLine, lines);
    const absl::Status status = sync_->MarkHostWrite(id, lines);
    ASSERT_TRUE(status.ok()) << status;
  }

  void DeviceWrites() {
    const PageId id = RandomPage();
    Model& page = Of(id);
    size_t offset = 0;
    size_t bytes = 0;
    Range(page, &offset, &bytes);
    AwaitFlight(id);
    if (!device_.Health().ok()) return;
    const absl::Status status = sync_->MarkDeviceWrite(id, offset, bytes);
    if (!page.placed || page.Overlaps(page.host_newer, offset, bytes)) {
      ASSERT_TRUE(absl::IsFailedPrecondition(status)) << status;
      return;
    }
    ASSERT_TRUE(status.ok()) << status;
    Model::Mark(page.device_newer, offset, bytes);
    Bytes value(bytes);
    for (std::byte& byte : value) byte = RandomByte();
    std::ranges::copy(value, page.newest.begin() + static_cast<long>(offset));
    const DevicePointer at = *sync_->DeviceAddress(id);
    const absl::Status launched = device_.Launch(
        compute_, static_cast<int64_t>(random_() % 3000),
        [=](const DeviceMemory& memory) {
          const auto span = memory.Bytes(at + offset, value.size());
          if (!span.ok()) return span.status();
          std::ranges::copy(value, span->begin());
          return absl::OkStatus();
        });
    const absl::StatusOr<DeviceEvent> event =
        launched.ok() ? device_.Record(compute_) : launched;
    if (event.ok()) {
      page.kernels.push_back(*event);
    } else {
      GiveUp(id);  // nobody knows what the device has
    }
  }

  // The device's version of the page is worth nothing.
  void GiveUp(PageId id) {
    if (!device_.Health().ok()) return;
    AwaitFlight(id);
    // No kernel may write it afterwards; and the stream works again.
    device_.Synchronize(compute_).IgnoreError();
    const absl::Status status = sync_->Restore(id);
    ASSERT_TRUE(status.ok()) << status;
    Of(id).Restore();
  }

  void Reads() {
    const PageId id = RandomPage();
    Model& page = Of(id);
    size_t offset = 0;
    size_t bytes = 0;
    Range(page, &offset, &bytes);
    AwaitFlight(id);
    if (!device_.Health().ok()) return;
    Bytes out(bytes);
    const absl::Status status = sync_->Read(id, offset, out);
    if (page.Overlaps(page.device_newer, offset, bytes)) {
      ASSERT_TRUE(absl::IsFailedPrecondition(status)) << status;
      return;
    }
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_TRUE(
        std::ranges::equal(out, std::span(page.newest).subspan(offset, bytes)));
  }

  void Copies(Direction direction) {
    Land();
    if (testing::Test::HasFatalFailure() || !device_.Health().ok()) return;
    in_flight_ = SomePages();
    direction_ = direction;
    std::vector<DeviceEvent> after;
    for (const PageId id : in_flight_) {
      const Model& page = Of(id);
      after.insert(after.end(), page.kernels.begin(), page.kernels.end());
    }
    transfer_.emplace(sync_->Start(direction, in_flight_, after));
    if (random_() % 2 == 0) Land();
  }

  // The program itself may be the one to land what is in flight: then what the
  // report says is known only at Finish().
  void AwaitFlight(PageId id) {
    if (std::ranges::find(in_flight_, id) != in_flight_.end()) Land();
  }

  // Finishes what was started, and takes its report into the model.
  void Land() {
    if (!transfer_.has_value()) return;
    HostDeviceSync::Transfer transfer = *std::move(transfer_);
    transfer_.reset();
    const Report report = sync_->Finish(std::move(transfer));
    const std::vector<PageId> ids = std::exchange(in_flight_, {});
    if (!device_.Health().ok()) return;  // SettleLost() looks at the pages
    for (const PageId id : ids) {
      Model& page = Of(id);
      const bool failed =
          std::ranges::find(report.failed, id,
                            &HostDeviceSync::PageFailure::page) !=
          report.failed.end();
      if (!failed) {
        if (direction_ == Direction::kToDevice) {
          page.placed = true;
          page.host_newer.assign(page.host_newer.size(), false);
        } else {
          page.device_newer.assign(page.device_newer.size(), false);
          page.kernels.clear();
        }
        continue;
      }
      bool kernel_failed = false;
      for (const DeviceEvent& kernel : page.kernels) {
        kernel_failed |= !device_.Reached(kernel).ok();
      }
      if (kernel_failed) GiveUp(id);
    }
    if (!report.ok()) device_.Synchronize(compute_).IgnoreError();
    for (const HostDeviceSync::PageFailure& failure : report.failed) {
      ASSERT_TRUE(std::ranges::find(ids, failure.page) != ids.end());
      ASSERT_TRUE(failure.status.message().starts_with(
          absl::StrCat("page ", failure.page.value(), ": ")))
          << failure.status;
    }
  }

  // Removes a page and adds it again.
  void Again() {
    const PageId id = RandomPage();
    Model& page = Of(id);
    AwaitFlight(id);
    if (!device_.Health().ok()) return;
    device_.Synchronize(compute_).IgnoreError();
    ASSERT_TRUE(sync_->Remove(id).ok());
    page.Restore();
    const absl::Status status = sync_->Add(id, page.host);
    ASSERT_TRUE(status.ok()) << status;
  }

  void CheckStates() {
    for (size_t i = 0; i < pages_.size(); ++i) {
      const PageId id = PageId::FromValue(i);
      if (std::ranges::find(in_flight_, id) != in_flight_.end()) continue;
      const Model& page = *pages_[i];
      const bool host =
          std::ranges::find(page.host_newer, true) != page.host_newer.end();
      const bool device = page.any_device_newer();
      const bool all = std::ranges::find(page.device_newer, false) ==
                       page.device_newer.end();
      const State expected = !page.placed     ? State::kHostOnly
                             : host && device ? State::kBothDirty
                             : host           ? State::kHostDirty
                             : all            ? State::kDeviceOnly
                             : device         ? State::kDeviceDirty
                                              : State::kBothClean;
      ASSERT_EQ(*sync_->StateOf(id), expected) << "page " << i;
    }
  }

  std::vector<PageId> AllPages() const { return sync_->Pages(); }

  // Nothing fails any more: everything must come to agree, but for pages that
  // the device has no memory for, which are reported.
  void SettleAlive() {
    for (size_t i = 0; i < pages_.size(); ++i) {
      const PageId id = PageId::FromValue(i);
      bool failed = false;
      for (const DeviceEvent& kernel : pages_[i]->kernels) {
        failed |= !device_.Await(kernel).ok();
      }
      if (failed) GiveUp(id);
    }
    const Report back = sync_->Sync(Direction::kToHost, AllPages());
    ASSERT_TRUE(back.ok()) << back.failed[0].status;
    for (const auto& page : pages_) ASSERT_EQ(page->host, page->newest);
    const Report there = sync_->Sync(Direction::kToDevice, AllPages());
    std::vector<IntegrityChecker::PageCopies> copies;
    for (const PageId id : AllPages()) {
      const auto failure = std::ranges::find(
          there.failed, id, &HostDeviceSync::PageFailure::page);
      if (failure != there.failed.end()) {
        ASSERT_TRUE(absl::IsResourceExhausted(failure->status))
            << failure->status;
        continue;
      }
      ASSERT_EQ(*sync_->StateOf(id), State::kBothClean);
      copies.push_back({id, Of(id).host, *sync_->DeviceAddress(id)});
    }
    IntegrityChecker checker(device_);
    const auto differences = checker.Compare(copies);
    ASSERT_TRUE(differences.ok()) << differences.status();
    ASSERT_TRUE(differences->empty())
        << "page " << differences->front().page.value() << " at "
        << differences->front().offset;
  }

  // Every page is whole on the host, or reported.
  void SettleLost() {
    const Report report = sync_->Sync(Direction::kToHost, AllPages());
    ASSERT_EQ(report.failed.size(), pages_.size());
    const std::vector<PageId> lost = sync_->LostPages();
    for (size_t i = 0; i < pages_.size(); ++i) {
      const PageId id = PageId::FromValue(i);
      const Model& page = *pages_[i];
      Bytes out(page.host.size());
      const absl::Status status = sync_->Read(id, 0, out);
      if (std::ranges::find(lost, id) == lost.end()) {
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_EQ(out, page.newest) << "page " << i;
        continue;
      }
      ASSERT_TRUE(absl::IsDataLoss(status)) << status;
      ASSERT_TRUE(page.any_device_newer()) << "page " << i;
      // Of its lines those that were not newer on the device are there.
      for (size_t line = 0; line < page.device_newer.size(); ++line) {
        if (page.device_newer[line]) continue;
        const size_t bytes = std::min(kLine, page.host.size() - line * kLine);
        const std::span<std::byte> part = std::span(out).first(bytes);
        ASSERT_TRUE(sync_->Read(id, line * kLine, part).ok());
        ASSERT_TRUE(std::ranges::equal(
            part, std::span(page.newest).subspan(line * kLine, bytes)));
      }
    }
  }

  std::mt19937 random_;
  std::mt19937 faults_;
  ManualClock clock_;
  std::vector<std::unique_ptr<Model>> pages_;
  SimulatedDevice device_;
  DeviceMemoryPool pool_;
  const StreamId compute_;
  std::unique_ptr<HostDeviceSync> sync_;
  std::optional<HostDeviceSync::Transfer> transfer_;
  std::vector<PageId> in_flight_;
  Direction direction_ = Direction::kToDevice;
};

TEST(HostDeviceSyncRandomTest, HostAndDeviceAgreeOrThePageIsReported) {
  const uint32_t programs = FromEnvironment(
      "MMSB_SYNC_PROGRAMS", kThreadSanitizer || kAddressSanitizer ? 100 : 600);
  const uint32_t first = FromEnvironment("MMSB_SYNC_SEED", 1);
  for (uint32_t seed = first; seed - first < programs; ++seed) {
    SCOPED_TRACE(absl::StrCat("MMSB_SYNC_SEED=", seed));
    Program(seed).Run(120);
    if (HasFatalFailure()) return;
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
