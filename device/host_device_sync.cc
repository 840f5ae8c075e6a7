#include "device/host_device_sync.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/device_pointer.h"
#include "device/page_coherence.h"
#include "device/simd/mask_runs.h"
#include "device/simd/mask_view.h"
#include "primitives/check.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Side = PageCoherence::Side;

absl::Status OfPage(PageId page, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(
      status.code(),
      absl::StrFormat("page %d: %s", page.value(), status.message()));
}

Side SourceOf(HostDeviceSync::Direction direction) {
  return direction == HostDeviceSync::Direction::kToDevice ? Side::kHost
                                                           : Side::kDevice;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostDeviceSync>> HostDeviceSync::Create(
    Device& device, DeviceMemoryPool& pool, const Options& options) {
  MMSB_CHECK(options.max_attempts > 0, "HostDeviceSync: max_attempts is %d",
             options.max_attempts);
  const absl::StatusOr<StreamId> to_device = device.CreateStream();
  if (!to_device.ok()) return to_device.status();
  const absl::StatusOr<StreamId> to_host = device.CreateStream();
  if (!to_host.ok()) {
    device.DestroyStream(*to_device).IgnoreError();
    return to_host.status();
  }
  return std::unique_ptr<HostDeviceSync>(
      new HostDeviceSync(device, pool, options, *to_device, *to_host));
}

HostDeviceSync::~HostDeviceSync() {
  // Waits for both, so that nothing reads or writes a page any more. What is
  // told by these statuses was reported, or was dropped by the caller.
  device_.DestroyStream(to_host_).IgnoreError();
  device_.DestroyStream(to_device_).IgnoreError();
  absl::MutexLock lock(mutex_);
  for (const auto& [id, entry] : pages_) {
    if (entry->device.is_null()) continue;
    pool_.Deallocate(entry->device, StreamId()).IgnoreError();
  }
}

absl::Status HostDeviceSync::AddEntry(PageId page, std::span<std::byte> host,
                                      Side newest) {
  if (!page.valid() || host.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("page %d: no id, or no bytes", page.value()));
  }
  absl::MutexLock lock(mutex_);
  if (pages_.contains(page)) {
    return OfPage(page, absl::AlreadyExistsError("it was added already"));
  }
  DevicePointer device;
  if (newest == Side::kDevice) {
    const absl::StatusOr<DevicePointer> memory =
        pool_.Allocate(host.size(), to_device_);
    if (!memory.ok()) return OfPage(page, memory.status());
    device = *memory;
    // The caller's work is on other streams, and may begin at once.
    const absl::StatusOr<DeviceEvent> event = device_.Record(to_device_);
    if (event.ok()) {
      // A failure is that of older copies: those were done before it.
      device_.Await(*event).IgnoreError();
    } else {
      pool_.Deallocate(device, to_device_).IgnoreError();
      return OfPage(page, event.status());
    }
  }
  pages_.emplace(page,
                 new Entry{.id = page,
                           .host = host,
                           .coherence = PageCoherence(host.size(), newest),
                           .device = device,
                           .flight = nullptr});
  return absl::OkStatus();
}

absl::Status HostDeviceSync::Add(PageId page, std::span<std::byte> host) {
  return AddEntry(page, host, Side::kHost);
}

absl::Status HostDeviceSync::AddOnDevice(PageId page,
                                         std::span<std::byte> host) {
  return AddEntry(page, host, Side::kDevice);
}

absl::StatusOr<const HostDeviceSync::Entry*> HostDeviceSync::Find(
    PageId page) const {
  const auto found = pages_.find(page);
  if (found == pages_.end()) {
    return OfPage(page, absl::NotFoundError("it was not added"));
  }
  return found->second.get();
}

absl::StatusOr<HostDeviceSync::Entry*> HostDeviceSync::FindLanded(PageId page) {
  while (true) {
    const auto found = pages_.find(page);
    if (found == pages_.end()) {
      return OfPage(page, absl::NotFoundError("it was not added"));
    }
    if (found->second->flight == nullptr) return found->second.get();
    // Kept alive, as the page may be gone when the lock is taken again.
    const std::shared_ptr<Flight> flight = found->second->flight;
    Land(*flight);
  }
}

absl::Status HostDeviceSync::Remove(PageId page) {
  absl::MutexLock lock(mutex_);
  const absl::StatusOr<Entry*> entry = FindLanded(page);
  if (!entry.ok()) return entry.status();
  if (!(*entry)->device.is_null()) {
    pool_.Deallocate((*entry)->device, to_device_).IgnoreError();
  }
  pages_.erase(page);
  return absl::OkStatus();
}

absl::Status HostDeviceSync::Read(PageId page, size_t offset,
                                  std::span<std::byte> out) {
  absl::MutexLock lock(mutex_);
  absl::StatusOr<const Entry*> entry = Find(page);
  // What is on its way to the device may be read.
  if (entry.ok() && (*entry)->flight != nullptr &&
      (*entry)->flight->direction == Direction::kToHost) {
    entry = FindLanded(page);
  }
  if (!entry.ok()) return entry.status();
  if (absl::Status status =
          (*entry)->coherence.CheckReadable(Side::kHost, offset, out.size());
      !status.ok()) {
    return OfPage(page, status);
  }
  if (!out.empty()) {
    std::memcpy(out.data(), (*entry)->host.data() + offset, out.size());
  }
  return absl::OkStatus();
}

absl::Status HostDeviceSync::Write(PageId page, size_t offset,
                                   std::span<const std::byte> bytes) {
  return Edit(page, offset, bytes.size(), [bytes](std::span<std::byte> to) {
    if (!bytes.empty()) std::memcpy(to.data(), bytes.data(), bytes.size());
  });
}

absl::Status HostDeviceSync::Edit(
    PageId page, size_t offset, size_t bytes,
    absl::FunctionRef<void(std::span<std::byte>)> edit) {
  absl::MutexLock lock(mutex_);
  const absl::StatusOr<Entry*> entry = FindLanded(page);
  if (!entry.ok()) return entry.status();
  if (absl::Status status =
          (*entry)->coherence.Wrote(Side::kHost, offset, bytes);
      !status.ok()) {
    return OfPage(page, status);
  }
  edit((*entry)->host.subspan(offset, bytes));
  return absl::OkStatus();
}

absl::Status HostDeviceSync::MarkHostWrite(PageId page,
                                           std::span<const uint8_t> lines) {
  absl::MutexLock lock(mutex_);
  const absl::StatusOr<Entry*> entry = FindLanded(page);
  if (!entry.ok()) return entry.status();
  PageCoherence& coherence = (*entry)->coherence;
  if (lines.size() != MaskBytes(coherence.lines())) {
    return OfPage(page, absl::InvalidArgumentError(
                            absl::StrFormat("a mask of %d bytes for %d lines",
                                            lines.size(), coherence.lines())));
  }
  return OfPage(page, coherence.Wrote(Side::kHost,
                                      MaskView(lines, 0, coherence.lines())));
}

absl::Status HostDeviceSync::MarkDeviceWrite(PageId page, size_t offset,
                                             size_t bytes) {
  absl::MutexLock lock(mutex_);
  const absl::StatusOr<Entry*> entry = FindLanded(page);
  if (!entry.ok()) return entry.status();
  return OfPage(page, (*entry)->coherence.Wrote(Side::kDevice, offset, bytes));
}

absl::StatusOr<DevicePointer> HostDeviceSync::DeviceAddress(PageId page) const {
  absl::MutexLock lock(mutex_);
  const absl::StatusOr<const Entry*> entry = Find(page);
  if (!entry.ok()) return entry.status();
  // On its way it is there for whoever waits for it.
  if ((*entry)->device.is_null() ||
      ((*entry)->flight == nullptr &&
       (*entry)->coherence.state() == State::kHostOnly)) {
    return OfPage(page, absl::FailedPreconditionError(
                            "it is not on the device, or on its way there"));
  }
  return (*entry)->device;
}

absl::StatusOr<PageCoherence::State> HostDeviceSync::StateOf(
    PageId page) const {
  absl::MutexLock lock(mutex_);
  const absl::StatusOr<const Entry*> entry = Find(page);
  if (!entry.ok()) return entry.status();
  return (*entry)->coherence.state();
}

std::vector<PageId> HostDeviceSync::Pages() const {
  std::vector<PageId> pages;
  absl::MutexLock lock(mutex_);
  pages.reserve(pages_.size());
  for (const auto& [id, entry] : pages_) pages.push_back(id);
  std::ranges::sort(pages);
  return pages;
}

std::vector<PageId> HostDeviceSync::LostPages() const {
  std::vector<PageId> pages;
  absl::MutexLock lock(mutex_);
  for (const auto& [id, entry] : pages_) {
    if (entry->coherence.state() == State::kLost) pages.push_back(id);
  }
  std::ranges::sort(pages);
  return pages;
}

absl::Status HostDeviceSync::Restore(PageId page) {
  absl::MutexLock lock(mutex_);
  const absl::StatusOr<Entry*> entry = FindLanded(page);
  if (!entry.ok()) return entry.status();
  (*entry)->coherence.Restore();
  return absl::OkStatus();
}

absl::Status HostDeviceSync::CheckDevice() {
  absl::Status health = device_.Health();
  if (health.ok() || device_lost_) return health;
  device_lost_ = true;
  for (const auto& [id, entry] : pages_) {
    entry->coherence.DeviceLost();
    if (entry->device.is_null()) continue;
    pool_.Deallocate(entry->device, StreamId()).IgnoreError();
    entry->device = DevicePointer();
  }
  return health;
}

void HostDeviceSync::Plan(Entry& entry, Flight& flight, Report& report) {
  const Direction direction = flight.direction;
  const auto fail = [&](const absl::Status& status) {
    report.failed.push_back({entry.id, OfPage(entry.id, status)});
  };
  if (entry.coherence.state() == State::kLost) {
    fail(absl::DataLossError("lines that were newer on the device are lost"));
    return;
  }
  if (direction == Direction::kToDevice && entry.device.is_null()) {
    const absl::StatusOr<DevicePointer> memory =
        pool_.Allocate(entry.host.size(), to_device_);
    if (!memory.ok()) {
      fail(memory.status());
      return;
    }
    entry.device = *memory;
  }
  std::vector<DeviceCopy> copies;
  size_t bytes = 0;
  ForEachRun(entry.coherence.newer(SourceOf(direction)), [&](MaskRun run) {
    const size_t offset = run.first * PageCoherence::kLineBytes;
    // The last line of a page may be shorter than a line.
    const size_t length = std::min(run.bits * PageCoherence::kLineBytes,
                                   entry.host.size() - offset);
    const std::span<std::byte> host = entry.host.subspan(offset, length);
    copies.push_back(direction == Direction::kToDevice
                         ? DeviceCopy::ToDevice(entry.device + offset, host)
                         : DeviceCopy::ToHost(host, entry.device + offset));
    bytes += length;
  });
  if (copies.empty()) return;
  if (flight.batches.empty() ||
      flight.batches.back().bytes + bytes > options_.max_batch_bytes ||
      flight.batches.back().copies.size() + copies.size() >
          options_.max_batch_copies) {
    flight.batches.emplace_back();
  }
  Batch& batch = flight.batches.back();
  batch.pages.push_back(&entry);
  batch.copies.insert(batch.copies.end(), copies.begin(), copies.end());
  batch.bytes += bytes;
}

void HostDeviceSync::Submit(const std::shared_ptr<Flight>& flight,
                            Report& report) {
  const StreamId stream = StreamOf(flight->direction);
  absl::Status stopped;
  for (Batch& batch : flight->batches) {
    for (Entry* const entry : batch.pages) entry->flight = flight;
    if (!stopped.ok()) {
      batch.submitted = stopped;
      continue;
    }
    batch.submitted = device_.Copy(stream, batch.copies);
    report.bytes += batch.bytes;
    report.copies += batch.copies.size();
    ++report.batches;
    if (!batch.submitted.ok()) continue;
    const absl::StatusOr<DeviceEvent> event = device_.Record(stream);
    if (event.ok()) {
      batch.done = *event;
      continue;
    }
    // Later the stream may have told somebody else what became of the batch, so
    // it is asked now. What failed may be what the copies are to follow, and
    // the stream works again: the batches behind it are not submitted either.
    stopped = device_.Synchronize(stream);
    batch.submitted = stopped;
  }
}

void HostDeviceSync::Land(Flight& flight) {
  if (flight.landed) return;
  // The batches do not change any more, so they are read without the lock.
  std::vector<absl::Status> outcomes;
  outcomes.reserve(flight.batches.size());
  mutex_.unlock();
  for (const Batch& batch : flight.batches) {
    outcomes.push_back(batch.done.has_value() ? device_.Await(*batch.done)
                                              : batch.submitted);
  }
  mutex_.lock();
  if (flight.landed) return;  // another thread was quicker
  flight.landed = true;
  const bool to_device = flight.direction == Direction::kToDevice;
  bool stream_failed = false;
  for (size_t i = 0; i < flight.batches.size(); ++i) {
    const Batch& batch = flight.batches[i];
    absl::Status outcome = outcomes[i];
    stream_failed |= batch.done.has_value() && !outcome.ok();
    if (outcome.ok() && device_lost_ && to_device) outcome = device_.Health();
    for (Entry* const entry : batch.pages) {
      entry->flight = nullptr;
      if (!outcome.ok()) {
        flight.failed.push_back({entry->id, outcome});
        continue;
      }
      ++flight.pages;
      if (device_lost_) {
        // All that was newer on the device arrived before it was lost.
        entry->coherence.Restore();
      } else {
        entry->coherence.Copied(SourceOf(flight.direction));
      }
    }
  }
  // Told, the failure is not that of whoever copies next.
  if (stream_failed) {
    device_.Synchronize(StreamOf(flight.direction)).IgnoreError();
  }
  CheckDevice().IgnoreError();
}

absl::Status HostDeviceSync::WaitFor(std::span<const DeviceEvent> after,
                                     Direction direction) {
  for (const DeviceEvent& event : after) {
    if (absl::Status status = device_.Wait(StreamOf(direction), event);
        !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

HostDeviceSync::Transfer HostDeviceSync::Start(
    Direction direction, std::span<const PageId> pages,
    std::span<const DeviceEvent> after) {
  Transfer transfer(*this);
  transfer.flight_ = std::make_shared<Flight>();
  transfer.flight_->direction = direction;
  transfer.after_.assign(after.begin(), after.end());
  std::vector<PageId> ids(pages.begin(), pages.end());
  std::ranges::sort(ids);
  const auto [end, last] = std::ranges::unique(ids);
  ids.erase(end, last);

  absl::MutexLock lock(mutex_);
  const auto fail_all = [&](const absl::Status& status) {
    for (const PageId id : ids) {
      transfer.report_.failed.push_back({id, OfPage(id, status)});
    }
    transfer.flight_->landed = true;
    return std::move(transfer);
  };
  if (absl::Status health = CheckDevice(); !health.ok()) {
    return fail_all(health);
  }
  // Waiting for what is in flight gives up the lock, so all of it lands before
  // the first page is planned.
  std::vector<Entry*> entries;
  for (bool landed = false; !landed;) {
    landed = true;
    entries.clear();
    for (const PageId id : ids) {
      const auto found = pages_.find(id);
      if (found == pages_.end()) continue;
      if (found->second->flight != nullptr) {
        const std::shared_ptr<Flight> flight = found->second->flight;
        Land(*flight);
        landed = false;
        break;
      }
      entries.push_back(found->second.get());
    }
  }
  for (const PageId id : ids) {
    if (!pages_.contains(id)) {
      transfer.report_.failed.push_back(
          {id, OfPage(id, absl::NotFoundError("it was not added"))});
    }
  }
  for (Entry* const entry : entries) {
    Plan(*entry, *transfer.flight_, transfer.report_);
  }
  // Without a copy nobody would be told that a wait failed the stream. The lock
  // is kept, so nobody settles the stream between a wait and the copies.
  if (transfer.flight_->batches.empty()) return transfer;
  if (absl::Status status = WaitFor(after, direction); !status.ok()) {
    // One that was submitted may fail the stream.
    device_.Synchronize(StreamOf(direction)).IgnoreError();
    return fail_all(status);
  }
  Submit(transfer.flight_, transfer.report_);
  return transfer;
}

HostDeviceSync::Report HostDeviceSync::Finish(Transfer transfer) {
  MMSB_CHECK(transfer.sync_ == this,
             "HostDeviceSync::Finish: a transfer of another HostDeviceSync");
  MMSB_CHECK(transfer.flight_ != nullptr,
             "HostDeviceSync::Finish: a transfer that was moved from");
  absl::MutexLock lock(mutex_);
  Report report = std::move(transfer.report_);
  Flight& first = *transfer.flight_;
  Land(first);
  report.pages += first.pages;
  std::vector<PageFailure> failed = first.failed;
  for (int attempt = 1; attempt < options_.max_attempts && !failed.empty();
       ++attempt) {
    // What the copies were to follow failed: there is nothing to copy.
    absl::Status cause;
    for (const DeviceEvent& event : transfer.after_) {
      cause.Update(device_.Reached(event).status());
    }
    if (cause.ok()) cause = CheckDevice();
    if (!cause.ok()) {
      for (PageFailure& failure : failed) failure.status = cause;
      break;
    }
    std::vector<PageFailure> again;
    for (const PageFailure& failure : failed) {
      const absl::StatusOr<Entry*> entry = FindLanded(failure.page);
      if (!entry.ok()) {
        report.failed.push_back({failure.page, entry.status()});
        continue;
      }
      auto flight = std::make_shared<Flight>();
      flight->direction = first.direction;
      Plan(**entry, *flight, report);
      if (flight->batches.empty()) continue;  // copied by another thread
      ++report.retries;
      // The stream works again, once it has told of its failure. Its wait may
      // have been skipped.
      device_.Synchronize(StreamOf(first.direction)).IgnoreError();
      if (absl::Status status = WaitFor(transfer.after_, first.direction);
          !status.ok()) {
        again.push_back({failure.page, status});
        continue;
      }
      Submit(flight, report);
      Land(*flight);
      report.pages += flight->pages;
      again.insert(again.end(), flight->failed.begin(), flight->failed.end());
    }
    failed = std::move(again);
  }
  if (!failed.empty()) {
    // For whoever comes next.
    device_.Synchronize(StreamOf(first.direction)).IgnoreError();
  }
  for (const PageFailure& failure : failed) {
    report.failed.push_back(
        {failure.page, OfPage(failure.page, failure.status)});
  }
  if (!CheckDevice().ok()) {
    // Every page that went with the device, in this transfer or not.
    for (const auto& [id, entry] : pages_) {
      if (entry->coherence.state() == State::kLost) {
        report.failed.push_back(
            {id, OfPage(id, absl::DataLossError(
                                "lines that were newer on the device are "
                                "lost"))});
      }
    }
  }
  std::ranges::stable_sort(report.failed, {}, &PageFailure::page);
  const auto [end, last] =
      std::ranges::unique(report.failed, {}, &PageFailure::page);
  report.failed.erase(end, last);
  return report;
}

HostDeviceSync::Report HostDeviceSync::Sync(
    Direction direction, std::span<const PageId> pages,
    std::span<const DeviceEvent> after) {
  return Finish(Start(direction, pages, after));
}

HostDeviceSync::Transfer::~Transfer() {
  if (flight_ == nullptr) return;  // moved from
  absl::MutexLock lock(sync_->mutex_);
  sync_->Land(*flight_);
}

absl::StatusOr<DeviceEvent> HostDeviceSync::Transfer::event() const {
  if (!report_.failed.empty()) return report_.failed.front().status;
  if (flight_ == nullptr || flight_->batches.empty()) return DeviceEvent();
  // The batches do not change any more, so no lock is needed.
  for (const Batch& batch : flight_->batches) {
    if (!batch.submitted.ok()) return batch.submitted;
  }
  return flight_->batches.back().done.value_or(DeviceEvent());
}

}  // namespace mmsb
