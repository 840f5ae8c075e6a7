#include "device/host_device_sync.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/device_pointer.h"
#include "device/integrity_checker.h"
#include "device/simd/simd_mask.h"
#include "device/simulated_device.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using DeviceMemory = SimulatedDevice::DeviceMemory;
using Direction = HostDeviceSync::Direction;
using Fault = SimulatedDevice::Fault;
using Report = HostDeviceSync::Report;
using State = HostDeviceSync::State;

constexpr uint64_t kBytePerNs = 1'000'000'000;

PageId Id(uint64_t value) { return PageId::FromValue(value); }

class HostDeviceSyncTest : public testing::Test {
 protected:
  // `pages` pages of `bytes` bytes, clean on both sides.
  void SetUpPages(size_t pages, size_t bytes,
                  HostDeviceSync::Options options = {}) {
    sync_ = *HostDeviceSync::Create(device_, pool_, options);
    std::mt19937 random(1);
    for (size_t i = 0; i < pages; ++i) {
      host_.emplace_back(bytes);
      for (std::byte& byte : host_.back()) {
        byte = static_cast<std::byte>(random());
      }
    }
    for (size_t i = 0; i < pages; ++i) {
      ids_.push_back(Id(i));
      ASSERT_TRUE(sync_->Add(Id(i), host_[i]).ok());
    }
    ASSERT_TRUE(Sync(Direction::kToDevice).ok());
  }

  Report Sync(Direction direction) { return sync_->Sync(direction, ids_); }

  // A kernel that sets bytes of a page.
  DeviceEvent WriteOnDevice(PageId page, size_t offset, size_t bytes,
                            std::byte value, int64_t ns = 0) {
    const DevicePointer at = *sync_->DeviceAddress(page);
    EXPECT_TRUE(device_
                    .Launch(compute_, ns,
                            [=](const DeviceMemory& memory) {
                              const auto span =
                                  memory.Bytes(at + offset, bytes);
                              if (!span.ok()) return span.status();
                              std::ranges::fill(*span, value);
                              return absl::OkStatus();
                            })
                    .ok());
    return *device_.Record(compute_);
  }

  State StateOf(PageId page) { return *sync_->StateOf(page); }

  // Pages whose two copies differ.
  size_t Differences() {
    std::vector<IntegrityChecker::PageCopies> pages;
    for (const PageId id : ids_) {
      pages.push_back({id, host_[id.value()], *sync_->DeviceAddress(id)});
    }
    IntegrityChecker checker(device_);
    return checker.Compare(pages)->size();
  }

  ManualClock clock_;
  SimulatedDevice device_{{.memory_bytes = 32 * kMiB,
                           .to_device_bytes_per_second = kBytePerNs,
                           .to_host_bytes_per_second = kBytePerNs,
                           .fresh = std::byte{0xdb}},
                          clock_};
  DeviceMemoryPool pool_{device_, {.chunk_bytes = kMiB}};
  const StreamId compute_ = *device_.CreateStream();
  std::vector<Bytes> host_;
  std::vector<PageId> ids_;
  std::unique_ptr<HostDeviceSync> sync_;
};

TEST_F(HostDeviceSyncTest, TheFirstCopyIsTheWholePage) {
  SetUpPages(3, 1000);
  EXPECT_EQ(StateOf(Id(0)), State::kBothClean);
  EXPECT_EQ(device_.traffic().to_device_bytes, 3000);
  EXPECT_EQ(Differences(), 0);
}

TEST_F(HostDeviceSyncTest, OnlyLinesThatWereWrittenAreCopied) {
  SetUpPages(2, 1000);
  const Bytes bytes(70, std::byte{1});
  ASSERT_TRUE(sync_->Write(Id(0), 60, bytes).ok());  // lines 0 to 2
  ASSERT_TRUE(sync_->Write(Id(0), 960, std::span(bytes).first(40)).ok());
  ASSERT_TRUE(sync_->Write(Id(1), 500, std::span(bytes).first(1)).ok());
  const Report report = Sync(Direction::kToDevice);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.pages, 2);
  EXPECT_EQ(report.copies, 3);
  EXPECT_EQ(report.batches, 1);
  EXPECT_EQ(report.bytes, 3 * 64 + 40 + 64);  // the last line is short
  EXPECT_EQ(Differences(), 0);
  EXPECT_EQ(Sync(Direction::kToDevice).bytes, 0);
}

TEST_F(HostDeviceSyncTest, AMaskFromComparingSaysTheSame) {
  SetUpPages(1, 4096);
  const Bytes before = host_[0];
  host_[0][100] ^= std::byte{1};
  host_[0][4095] ^= std::byte{1};
  std::vector<uint8_t> lines(8);
  ASSERT_EQ(GenerateBlockMask(before, host_[0], 64, lines), 2);
  ASSERT_TRUE(sync_->MarkHostWrite(Id(0), lines).ok());
  EXPECT_EQ(Sync(Direction::kToDevice).bytes, 128);
  EXPECT_EQ(Differences(), 0);
  lines.pop_back();
  EXPECT_TRUE(absl::IsInvalidArgument(sync_->MarkHostWrite(Id(0), lines)));
}

TEST_F(HostDeviceSyncTest, WhatTheDeviceWroteComesBack) {
  SetUpPages(2, 1000);
  ASSERT_TRUE(sync_->MarkDeviceWrite(Id(1), 640, 10).ok());
  const DeviceEvent written =
      WriteOnDevice(Id(1), 640, 10, std::byte{9}, 10'000);
  EXPECT_EQ(StateOf(Id(1)), State::kDeviceDirty);
  Bytes out(10);
  EXPECT_TRUE(absl::IsFailedPrecondition(sync_->Read(Id(1), 640, out)));
  EXPECT_TRUE(sync_->Read(Id(1), 0, out).ok());
  const Report report =
      sync_->Sync(Direction::kToHost, ids_, std::span(&written, 1));
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.bytes, 64);
  ASSERT_TRUE(sync_->Read(Id(1), 640, out).ok());
  EXPECT_EQ(out, Bytes(10, std::byte{9}));
  EXPECT_EQ(Differences(), 0);
}

TEST_F(HostDeviceSyncTest, BothSidesMayWriteOnePageButNotOneLine) {
  SetUpPages(1, 1000);
  const Bytes bytes(1, std::byte{1});
  ASSERT_TRUE(sync_->Write(Id(0), 0, bytes).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(sync_->MarkDeviceWrite(Id(0), 63, 1)));
  ASSERT_TRUE(sync_->MarkDeviceWrite(Id(0), 64, 1).ok());
  const DeviceEvent written = WriteOnDevice(Id(0), 64, 1, std::byte{2});
  const absl::Status conflict = sync_->Write(Id(0), 100, bytes);
  EXPECT_TRUE(absl::IsFailedPrecondition(conflict));
  EXPECT_EQ(conflict.message(), "page 0: line 1 is newer on the device");
  EXPECT_EQ(StateOf(Id(0)), State::kBothDirty);
  EXPECT_TRUE(Sync(Direction::kToDevice).ok());
  EXPECT_EQ(StateOf(Id(0)), State::kDeviceDirty);
  EXPECT_TRUE(
      sync_->Sync(Direction::kToHost, ids_, std::span(&written, 1)).ok());
  EXPECT_EQ(host_[0][0], std::byte{1});
  EXPECT_EQ(host_[0][64], std::byte{2});
  EXPECT_EQ(Differences(), 0);
}

TEST_F(HostDeviceSyncTest, APageMadeOnTheDevice) {
  SetUpPages(0, 0);
  host_.emplace_back(300);
  ids_.push_back(Id(0));
  ASSERT_TRUE(sync_->AddOnDevice(Id(0), host_[0]).ok());
  EXPECT_EQ(StateOf(Id(0)), State::kDeviceOnly);
  const DeviceEvent written = WriteOnDevice(Id(0), 0, 300, std::byte{3});
  EXPECT_TRUE(
      sync_->Sync(Direction::kToHost, ids_, std::span(&written, 1)).ok());
  EXPECT_EQ(host_[0], Bytes(300, std::byte{3}));
  EXPECT_EQ(StateOf(Id(0)), State::kBothClean);
}

TEST_F(HostDeviceSyncTest, PagesAreNamedWhenSomethingIsWrong) {
  SetUpPages(1, 100);
  Bytes more(10);
  Bytes out(1);
  EXPECT_TRUE(absl::IsAlreadyExists(sync_->Add(Id(0), more)));
  EXPECT_TRUE(absl::IsInvalidArgument(sync_->Add(Id(5), {})));
  EXPECT_TRUE(absl::IsInvalidArgument(sync_->Add(PageId(), more)));
  EXPECT_TRUE(absl::IsNotFound(sync_->Remove(Id(5))));
  EXPECT_TRUE(absl::IsNotFound(sync_->StateOf(Id(5)).status()));
  EXPECT_TRUE(absl::IsOutOfRange(sync_->Read(Id(0), 100, out)));
  EXPECT_TRUE(absl::IsOutOfRange(sync_->Write(Id(0), ~size_t{0}, out)));
  ASSERT_TRUE(sync_->Add(Id(7), more).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(sync_->DeviceAddress(Id(7)).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(sync_->MarkDeviceWrite(Id(7), 0, 1)));
  const PageId ids[] = {Id(9), Id(0), Id(9)};
  const Report report = sync_->Sync(Direction::kToDevice, ids);
  ASSERT_EQ(report.failed.size(), 1);
  EXPECT_EQ(report.failed[0].page, Id(9));
  EXPECT_EQ(report.failed[0].status.message(), "page 9: it was not added");
  EXPECT_EQ(sync_->Pages(), (std::vector<PageId>{Id(0), Id(7)}));
}

TEST_F(HostDeviceSyncTest, ManyRunsAreFewCallsAndPagesAreNotDivided) {
  SetUpPages(8, 4096, {.max_batch_copies = 50});
  const uint64_t before = device_.traffic().batches;
  for (const PageId id : ids_) {
    for (size_t line = 0; line < 64; line += 2) {  // 32 runs
      const std::byte value{7};
      ASSERT_TRUE(sync_->Write(id, line * 64, std::span(&value, 1)).ok());
    }
  }
  const Report report = Sync(Direction::kToDevice);
  EXPECT_EQ(report.copies, 8 * 32);
  EXPECT_EQ(report.batches, 8);  // two pages would be 64 copies
  EXPECT_EQ(device_.traffic().batches - before, 8);
  EXPECT_EQ(report.bytes, 8 * 32 * 64);
}

TEST_F(HostDeviceSyncTest, CopiesOverlapWithWork) {
  SetUpPages(4, 4096);
  const Bytes bytes(4096, std::byte{1});
  for (const PageId id : ids_) ASSERT_TRUE(sync_->Write(id, 0, bytes).ok());
  const int64_t begin = clock_.Now();
  HostDeviceSync::Transfer transfer = sync_->Start(Direction::kToDevice, ids_);
  ASSERT_TRUE(device_
                  .Launch(compute_, 10'000,
                          [](const DeviceMemory&) { return absl::OkStatus(); })
                  .ok());
  EXPECT_EQ(clock_.Now(), begin);  // nobody waited
  // What is on its way may be read.
  Bytes out(1);
  EXPECT_TRUE(sync_->Read(Id(3), 0, out).ok());
  EXPECT_EQ(clock_.Now(), begin);
  ASSERT_TRUE(device_.Wait(compute_, *transfer.event()).ok());
  EXPECT_TRUE(sync_->Finish(std::move(transfer)).ok());
  EXPECT_EQ(clock_.Now() - begin, 4 * 4096);
  ASSERT_TRUE(device_.Synchronize(compute_).ok());
  EXPECT_EQ(clock_.Now() - begin, 4 * 4096);  // the longer of both
}

TEST_F(HostDeviceSyncTest, WhoWritesAPageInFlightWaitsForIt) {
  SetUpPages(2, 4096);
  const Bytes bytes(4096, std::byte{1});
  ASSERT_TRUE(sync_->Write(Id(0), 0, bytes).ok());
  const int64_t begin = clock_.Now();
  HostDeviceSync::Transfer transfer = sync_->Start(Direction::kToDevice, ids_);
  ASSERT_TRUE(sync_->Write(Id(1), 0, bytes).ok());
  EXPECT_EQ(clock_.Now() - begin, 0);
  ASSERT_TRUE(sync_->Write(Id(0), 0, std::span(bytes).first(1)).ok());
  EXPECT_EQ(clock_.Now() - begin, 4096);
  EXPECT_EQ(StateOf(Id(0)), State::kHostDirty);
  EXPECT_TRUE(sync_->Finish(std::move(transfer)).ok());
  EXPECT_EQ(StateOf(Id(0)), State::kHostDirty);
}

TEST_F(HostDeviceSyncTest, ATransferThatIsDroppedIsDone) {
  SetUpPages(1, 4096);
  ASSERT_TRUE(sync_->Write(Id(0), 0, Bytes(1)).ok());
  {
    const auto transfer = sync_->Start(Direction::kToDevice, ids_);
  }
  EXPECT_EQ(StateOf(Id(0)), State::kBothClean);
  EXPECT_EQ(Differences(), 0);
}

TEST_F(HostDeviceSyncTest, AFailureIsTriedAgain) {
  SetUpPages(3, 1000, {.max_batch_bytes = 1});  // a page a batch
  for (const Fault fault : {Fault::kRefuse, Fault::kFail}) {
    const Bytes bytes(1000, static_cast<std::byte>(fault));
    for (const PageId id : ids_) ASSERT_TRUE(sync_->Write(id, 0, bytes).ok());
    device_.FailCall(1, fault);
    const Report report = Sync(Direction::kToDevice);
    EXPECT_TRUE(report.ok());
    EXPECT_GE(report.retries, 1);
    EXPECT_EQ(Differences(), 0);
  }
}

TEST_F(HostDeviceSyncTest, APageThatCannotBeCopiedIsReportedAndKept) {
  SetUpPages(3, 1000, {.max_attempts = 3});
  for (const PageId id : ids_) {
    ASSERT_TRUE(sync_->Write(id, 0, Bytes(1000, std::byte{8})).ok());
  }
  const DevicePointer bad = *sync_->DeviceAddress(Id(1));
  int calls = 0;
  device_.OnCall([&](const SimulatedDevice::CallInfo& call) {
    // The batch of all three, and then page 1 alone.
    if (call.call != SimulatedDevice::Call::kCopy) return Fault::kNone;
    ++calls;
    return call.bytes == 3000 || calls == 3 || calls == 5 ? Fault::kFail
                                                          : Fault::kNone;
  });
  const Report report = Sync(Direction::kToDevice);
  ASSERT_EQ(report.failed.size(), 1);
  EXPECT_EQ(report.failed[0].page, Id(1));
  EXPECT_TRUE(absl::IsUnavailable(report.failed[0].status));
  EXPECT_TRUE(
      report.failed[0].status.message().starts_with("page 1: device 0 ("))
      << report.failed[0].status;
  EXPECT_EQ(report.retries, 4);
  EXPECT_EQ(report.pages, 2);
  EXPECT_EQ(StateOf(Id(1)), State::kHostDirty);
  EXPECT_FALSE(bad.is_null());
  device_.Heal();
  EXPECT_TRUE(Sync(Direction::kToDevice).ok());
  EXPECT_EQ(Differences(), 0);
}

TEST_F(HostDeviceSyncTest, ATornCopyToTheHostLosesNothing) {
  SetUpPages(1, 1000, {.max_attempts = 1});
  ASSERT_TRUE(sync_->Write(Id(0), 0, Bytes(64, std::byte{5})).ok());
  ASSERT_TRUE(sync_->MarkDeviceWrite(Id(0), 64, 128).ok());
  WriteOnDevice(Id(0), 64, 128, std::byte{6});
  device_.OnCall([](const SimulatedDevice::CallInfo& call) {
    return call.call == SimulatedDevice::Call::kCopy ? Fault::kFail
                                                     : Fault::kNone;
  });
  EXPECT_FALSE(Sync(Direction::kToHost).ok());
  device_.Heal();
  EXPECT_EQ(StateOf(Id(0)), State::kBothDirty);
  Bytes out(64);
  EXPECT_TRUE(sync_->Read(Id(0), 0, out).ok());
  EXPECT_EQ(out, Bytes(64, std::byte{5}));
  EXPECT_TRUE(absl::IsFailedPrecondition(sync_->Read(Id(0), 64, out)));
  EXPECT_TRUE(Sync(Direction::kToHost).ok());
  EXPECT_TRUE(Sync(Direction::kToDevice).ok());
  EXPECT_EQ(host_[0][191], std::byte{6});
  EXPECT_EQ(Differences(), 0);
}

TEST_F(HostDeviceSyncTest, WorkThatFailedIsNotCopied) {
  SetUpPages(1, 1000);
  ASSERT_TRUE(sync_->MarkDeviceWrite(Id(0), 0, 64).ok());
  device_.FailCall(1, Fault::kFail);
  const DeviceEvent failed = WriteOnDevice(Id(0), 0, 64, std::byte{6});
  const Bytes before = host_[0];
  const Report report =
      sync_->Sync(Direction::kToHost, ids_, std::span(&failed, 1));
  ASSERT_EQ(report.failed.size(), 1);
  EXPECT_TRUE(absl::IsUnavailable(report.failed[0].status));
  EXPECT_EQ(host_[0], before);
  EXPECT_EQ(StateOf(Id(0)), State::kDeviceDirty);
  // The host's contents are as good as any.
  ASSERT_TRUE(sync_->Restore(Id(0)).ok());
  EXPECT_TRUE(Sync(Direction::kToDevice).ok());
  EXPECT_EQ(Differences(), 0);
}

TEST_F(HostDeviceSyncTest, ADeviceWithoutMemoryIsReported) {
  SetUpPages(0, 0);
  for (size_t i = 0; i < 3; ++i) {
    host_.emplace_back(12 * kMiB);
    ids_.push_back(Id(i));
    ASSERT_TRUE(sync_->Add(Id(i), host_[i]).ok());
  }
  const Report report = Sync(Direction::kToDevice);
  ASSERT_EQ(report.failed.size(), 1);
  EXPECT_EQ(report.failed[0].page, Id(2));
  EXPECT_TRUE(absl::IsResourceExhausted(report.failed[0].status));
  EXPECT_EQ(StateOf(Id(2)), State::kHostOnly);
  ASSERT_TRUE(sync_->Remove(Id(0)).ok());
  ids_.erase(ids_.begin());
  EXPECT_TRUE(Sync(Direction::kToDevice).ok());
  EXPECT_EQ(Differences(), 0);
}

TEST_F(HostDeviceSyncTest, WhatGoesWithTheDeviceIsReportedAndTheRestIsKept) {
  SetUpPages(4, 1000);
  ASSERT_TRUE(sync_->Write(Id(1), 0, Bytes(10, std::byte{1})).ok());
  ASSERT_TRUE(sync_->MarkDeviceWrite(Id(2), 64, 1).ok());
  ASSERT_TRUE(sync_->MarkDeviceWrite(Id(3), 999, 1).ok());
  device_.FailCall(1, Fault::kLoseLater);
  // Page 3 is not asked for, and reported all the same.
  const PageId ids[] = {Id(1), Id(2)};
  const Report report = sync_->Sync(Direction::kToHost, ids);
  ASSERT_EQ(report.failed.size(), 2);
  EXPECT_EQ(report.failed[0].page, Id(2));
  EXPECT_EQ(report.failed[1].page, Id(3));
  EXPECT_TRUE(absl::IsDataLoss(report.failed[0].status));
  EXPECT_EQ(sync_->LostPages(), (std::vector<PageId>{Id(2), Id(3)}));
  EXPECT_EQ(StateOf(Id(0)), State::kHostOnly);
  EXPECT_EQ(StateOf(Id(1)), State::kHostOnly);
  Bytes out(64);
  EXPECT_TRUE(sync_->Read(Id(2), 0, out).ok());
  EXPECT_TRUE(absl::IsDataLoss(sync_->Read(Id(2), 64, out)));
  EXPECT_TRUE(absl::IsDataLoss(sync_->Write(Id(2), 0, out)));
  EXPECT_TRUE(sync_->Write(Id(1), 0, out).ok());
  const Report dead = Sync(Direction::kToDevice);
  EXPECT_EQ(dead.failed.size(), 4);
  // From elsewhere.
  ASSERT_TRUE(sync_->Restore(Id(2)).ok());
  EXPECT_TRUE(sync_->Read(Id(2), 64, out).ok());
  EXPECT_EQ(sync_->LostPages(), std::vector<PageId>{Id(3)});
}

// Which of the batches failed is known, though no event tells it and another
// transfer had the failure told.
TEST_F(HostDeviceSyncTest, ACopyWhoseEventWasRefusedIsNotTakenForAnothers) {
  SetUpPages(2, 1000);
  ASSERT_TRUE(sync_->Write(Id(0), 0, Bytes(1000, std::byte{1})).ok());
  ASSERT_TRUE(sync_->Write(Id(1), 0, Bytes(1000, std::byte{2})).ok());
  int copies = 0;
  int events = 0;
  device_.OnCall([&](const SimulatedDevice::CallInfo& call) {
    using Call = SimulatedDevice::Call;
    if (call.call == Call::kCopy && ++copies == 1) return Fault::kFail;
    if (call.call == Call::kRecord && ++events == 1) return Fault::kRefuse;
    return Fault::kNone;
  });
  auto first = sync_->Start(Direction::kToDevice, std::span(ids_).first(1));
  auto second = sync_->Start(Direction::kToDevice, std::span(ids_).last(1));
  EXPECT_TRUE(sync_->Finish(std::move(second)).ok());
  EXPECT_TRUE(sync_->Finish(std::move(first)).ok());
  device_.Heal();
  EXPECT_EQ(Differences(), 0);
}

// The batches behind it follow work that may have failed as well.
TEST_F(HostDeviceSyncTest, NothingIsCopiedBehindWorkThatFailedAndNoEvent) {
  SetUpPages(2, 1000, {.max_batch_bytes = 1, .max_attempts = 1});
  for (const PageId id : ids_) {
    ASSERT_TRUE(sync_->MarkDeviceWrite(id, 0, 64).ok());
  }
  device_.FailCall(1, Fault::kFail);
  const DeviceEvent failed =
      WriteOnDevice(Id(1), 0, 64, std::byte{6}, /*ns=*/100);
  const std::vector<Bytes> before = host_;
  bool refused = false;
  device_.OnCall([&](const SimulatedDevice::CallInfo& call) {
    const bool first = call.call == SimulatedDevice::Call::kRecord && !refused;
    refused |= first;
    return first ? Fault::kRefuse : Fault::kNone;
  });
  const Report report =
      sync_->Sync(Direction::kToHost, ids_, std::span(&failed, 1));
  EXPECT_EQ(report.failed.size(), 2);
  EXPECT_EQ(host_, before);
  EXPECT_EQ(StateOf(Id(0)), State::kDeviceDirty);
  EXPECT_EQ(StateOf(Id(1)), State::kDeviceDirty);
  device_.Heal();
}

TEST_F(HostDeviceSyncTest, AFailureThatIsDroppedIsNotTheNextOnes) {
  SetUpPages(2, 1000, {.max_attempts = 1});
  ASSERT_TRUE(sync_->Write(Id(0), 0, Bytes(1)).ok());
  ASSERT_TRUE(sync_->Write(Id(1), 0, Bytes(1)).ok());
  device_.FailCall(1, Fault::kFail);
  {
    const auto dropped =
        sync_->Start(Direction::kToDevice, std::span(ids_).first(1));
  }
  EXPECT_EQ(StateOf(Id(0)), State::kHostDirty);
  EXPECT_TRUE(sync_->Sync(Direction::kToDevice, std::span(ids_).last(1)).ok());
  EXPECT_TRUE(Sync(Direction::kToDevice).ok());
  EXPECT_EQ(Differences(), 0);
}

// Work that waits for the event must not run without one of its pages.
TEST_F(HostDeviceSyncTest, ThereIsNoEventOfPagesThatAreNotOnTheirWay) {
  SetUpPages(1, 1000);
  ASSERT_TRUE(sync_->Write(Id(0), 0, Bytes(1)).ok());
  Bytes large(33 * kMiB);
  ASSERT_TRUE(sync_->Add(Id(1), large).ok());
  ids_.push_back(Id(1));
  {
    const auto transfer = sync_->Start(Direction::kToDevice, ids_);
    EXPECT_TRUE(absl::IsResourceExhausted(transfer.event().status()));
  }
  ids_[1] = Id(2);
  {
    const auto transfer = sync_->Start(Direction::kToDevice, ids_);
    EXPECT_TRUE(absl::IsNotFound(transfer.event().status()));
  }
  const DeviceEvent foreign = {.stream = StreamId::FromValue(7ull << 32)};
  ids_.pop_back();
  ASSERT_TRUE(sync_->Write(Id(0), 0, Bytes(1)).ok());
  {
    const auto transfer =
        sync_->Start(Direction::kToDevice, ids_, std::span(&foreign, 1));
    EXPECT_TRUE(absl::IsInvalidArgument(transfer.event().status()));
  }
  device_.Lose();
  const auto transfer = sync_->Start(Direction::kToDevice, ids_);
  EXPECT_TRUE(absl::IsDataLoss(transfer.event().status()));
}

TEST_F(HostDeviceSyncTest, APageHasNoAddressOnTheDeviceBeforeItsCopy) {
  SetUpPages(1, 1000, {.max_attempts = 1});
  Bytes page(1000);
  ASSERT_TRUE(sync_->Add(Id(1), page).ok());
  ids_.push_back(Id(1));
  device_.FailCall(1, Fault::kFail);
  {
    const auto transfer = sync_->Start(Direction::kToDevice, ids_);
    // For work that waits for the copy.
    EXPECT_TRUE(sync_->DeviceAddress(Id(1)).ok());
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(sync_->DeviceAddress(Id(1)).status()));
  EXPECT_TRUE(sync_->DeviceAddress(Id(0)).ok());
  EXPECT_TRUE(Sync(Direction::kToDevice).ok());
  EXPECT_TRUE(sync_->DeviceAddress(Id(1)).ok());
  ASSERT_TRUE(sync_->Restore(Id(1)).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(sync_->DeviceAddress(Id(1)).status()));
}

using HostDeviceSyncDeathTest = HostDeviceSyncTest;

TEST_F(HostDeviceSyncDeathTest, ATransferIsFinishedOnceWhereItWasStarted) {
  SetUpPages(1, 1000);
  const auto other = *HostDeviceSync::Create(device_, pool_, {});
  auto transfer = sync_->Start(Direction::kToDevice, ids_);
  EXPECT_DEATH(other->Finish(std::move(transfer)), "of another HostDeviceSync");
  EXPECT_TRUE(sync_->Finish(std::move(transfer)).ok());
  EXPECT_DEATH(sync_->Finish(std::move(transfer)), "moved from");
}

// At a stated bandwidth, and beside copying whole pages: what is moved, and
// what it takes.
TEST_F(HostDeviceSyncTest, MovesTheDirtyLinesAndNoMore) {
  constexpr size_t kPages = 256;
  constexpr size_t kPageBytes = 4096;
  SetUpPages(kPages, kPageBytes);
  std::mt19937 random(2);
  size_t dirty_lines = 0;
  size_t dirty_pages = 0;
  for (size_t i = 0; i < kPages; ++i) {
    if (random() % 4 != 0) continue;
    const Bytes before = host_[i];
    for (int k = 0; k < 3; ++k) {
      host_[i][random() % kPageBytes] ^= std::byte{0x80};
    }
    std::vector<uint8_t> lines(8);
    const size_t changed = GenerateBlockMask(before, host_[i], 64, lines);
    dirty_lines += changed;
    dirty_pages += changed == 0 ? 0 : 1;
    ASSERT_TRUE(sync_->MarkHostWrite(Id(i), lines).ok());
  }
  ASSERT_GT(dirty_lines, 100);
  const uint64_t before = device_.traffic().to_device_bytes;
  const int64_t begin = clock_.Now();
  const Report report = Sync(Direction::kToDevice);
  EXPECT_TRUE(report.ok());
  const uint64_t moved = device_.traffic().to_device_bytes - before;
  EXPECT_EQ(moved, report.bytes);
  EXPECT_LE(moved, dirty_lines * 64 * 102 / 100);
  EXPECT_GE(moved, dirty_lines * 64);
  // A byte a nanosecond.
  EXPECT_EQ(static_cast<uint64_t>(clock_.Now() - begin), moved);
  RecordProperty("dirty_line_bytes", static_cast<int>(dirty_lines * 64));
  RecordProperty("moved_bytes", static_cast<int>(moved));
  RecordProperty("whole_page_bytes",
                 static_cast<int>(dirty_pages * kPageBytes));
  EXPECT_EQ(Differences(), 0);
}

}  // namespace
}  // namespace mmsb
