#include "device/device_registry.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "device/device.h"
#include "memory/page/page_location.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

absl::Status NoSuchDevice(uint32_t index) {
  return absl::NotFoundError(
      absl::StrFormat("device %d: it is not registered", index));
}

}  // namespace

DeviceRegistry::DeviceRegistry() : table_(std::make_shared<Table>()) {}

DeviceRegistry::~DeviceRegistry() {
  // Let go without the lock, which the last share takes.
  std::vector<std::shared_ptr<Device>> devices;
  absl::MutexLock lock(table_->mutex);
  for (auto& [index, entry] : table_->entries) {
    devices.push_back(std::move(entry.device));
    entry.device = nullptr;
  }
}

absl::Status DeviceRegistry::Register(std::unique_ptr<Device> device) {
  if (device == nullptr) {
    return absl::InvalidArgumentError("Register: no device");
  }
  const uint32_t index = device->info().index;
  if (index > PageLocation::kMaxDeviceIndex) {
    return absl::InvalidArgumentError(
        absl::StrFormat("device %d: the largest index is %d", index,
                        PageLocation::kMaxDeviceIndex));
  }
  absl::MutexLock lock(table_->mutex);
  const auto [entry, added] = table_->entries.try_emplace(index);
  if (!added) {
    return absl::AlreadyExistsError(absl::StrFormat(
        "device %d: the index is %s", index,
        entry->second.device != nullptr
            ? "registered"
            : "that of a device that was unregistered and is still held"));
  }
  // The last share frees the index when the device is gone.
  entry->second.device = std::shared_ptr<Device>(
      device.release(), [table = table_, index](Device* gone) {
        delete gone;
        absl::MutexLock lock(table->mutex);
        table->entries.erase(index);
      });
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Device>> DeviceRegistry::Find(
    uint32_t index) const {
  absl::MutexLock lock(table_->mutex);
  const auto found = table_->entries.find(index);
  if (found == table_->entries.end()) return NoSuchDevice(index);
  if (found->second.device == nullptr) {
    return absl::NotFoundError(
        absl::StrFormat("device %d: it was unregistered", index));
  }
  return found->second.device;
}

absl::StatusOr<std::shared_ptr<Device>> DeviceRegistry::Find(
    PageLocation location) const {
  if (!location.is_device()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%v: the location is no device", location));
  }
  return Find(location.device_index());
}

absl::Status DeviceRegistry::Unregister(uint32_t index) {
  std::shared_ptr<Device> device;  // let go without the lock
  absl::MutexLock lock(table_->mutex);
  const auto found = table_->entries.find(index);
  if (found == table_->entries.end()) return NoSuchDevice(index);
  if (found->second.device == nullptr) {
    return absl::NotFoundError(
        absl::StrFormat("device %d: it was unregistered already", index));
  }
  device = std::exchange(found->second.device, nullptr);
  return absl::OkStatus();
}

absl::Status DeviceRegistry::WaitUntilGone(uint32_t index) {
  return WaitUntilGone(index, std::numeric_limits<int64_t>::max());
}

absl::Status DeviceRegistry::WaitUntilGone(uint32_t index, int64_t deadline,
                                           const Clock& clock) {
  absl::MutexLock lock(table_->mutex);
  const auto settled = [&] {
    table_->mutex.AssertHeld();
    const auto found = table_->entries.find(index);
    return found == table_->entries.end() || found->second.device != nullptr;
  };
  while (!settled()) {
    const int64_t left = deadline - std::min(deadline, clock.Now());
    if (left == 0) {
      return absl::DeadlineExceededError(absl::StrFormat(
          "device %d: it was unregistered, and is still held", index));
    }
    // A clock that is not the system's wakes nobody, so it is looked at again.
    table_->mutex.AwaitWithTimeout(
        absl::Condition(&settled),
        absl::Nanoseconds(&clock == &Clock::System()
                              ? left
                              : std::min<int64_t>(left, 1'000'000)));
  }
  if (table_->entries.contains(index)) {
    return absl::FailedPreconditionError(
        absl::StrFormat("device %d: it is registered", index));
  }
  return absl::OkStatus();
}

std::vector<uint32_t> DeviceRegistry::Indexes() const {
  std::vector<uint32_t> indexes;
  absl::MutexLock lock(table_->mutex);
  for (const auto& [index, entry] : table_->entries) {
    if (entry.device != nullptr) indexes.push_back(index);
  }
  return indexes;
}

}  // namespace mmsb
