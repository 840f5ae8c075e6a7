#include "device/device_memory_map.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "device/device_copy.h"
#include "device/device_pointer.h"
#include "primitives/check.h"

namespace mmsb {
namespace {

using Kind = DeviceCopy::Kind;

absl::Status Outside(const char* what, DevicePointer address, size_t bytes) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s of %d bytes at %v: not inside one allocation", what, bytes, address));
}

}  // namespace

void DeviceMemoryMap::Add(const Block& block) {
  const bool added = blocks_.emplace(block.address.address(), block).second;
  MMSB_CHECK(added, "DeviceMemoryMap::Add: %#llx is there already",
             static_cast<unsigned long long>(block.address.address()));
  used_bytes_ += block.bytes;
}

std::optional<DeviceMemoryMap::Block> DeviceMemoryMap::Remove(
    DevicePointer address) {
  const auto found = blocks_.find(address.address());
  if (found == blocks_.end()) return std::nullopt;
  const Block block = found->second;
  blocks_.erase(found);
  used_bytes_ -= block.bytes;
  return block;
}

std::byte* DeviceMemoryMap::Find(DevicePointer address, size_t bytes) const {
  auto next = blocks_.upper_bound(address.address());
  if (next == blocks_.begin()) return nullptr;
  const Block& block = std::prev(next)->second;
  const uint64_t offset = address.address() - block.address.address();
  if (offset > block.bytes || bytes > block.bytes - offset) return nullptr;
  return block.storage + offset;
}

absl::Status DeviceMemoryMap::Check(std::span<const DeviceCopy> copies) const {
  for (const DeviceCopy& copy : copies) {
    if (copy.bytes == 0) continue;
    if (copy.kind == Kind::kToDevice
            ? copy.host_source == nullptr
            : copy.kind == Kind::kToHost && copy.host_destination == nullptr) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "copy of %d bytes: the host's address is null", copy.bytes));
    }
    if (copy.kind != Kind::kToDevice &&
        Find(copy.device_source, copy.bytes) == nullptr) {
      return Outside("copy from", copy.device_source, copy.bytes);
    }
    if (copy.kind != Kind::kToHost &&
        Find(copy.device_destination, copy.bytes) == nullptr) {
      return Outside("copy to", copy.device_destination, copy.bytes);
    }
    if (copy.kind == Kind::kOnDevice) {
      const uint64_t from = copy.device_source.address();
      const uint64_t to = copy.device_destination.address();
      if ((from < to ? to - from : from - to) < copy.bytes) {
        return absl::InvalidArgumentError(absl::StrFormat(
            "copy of %d bytes from %v to %v: they overlap", copy.bytes,
            copy.device_source, copy.device_destination));
      }
    }
  }
  return absl::OkStatus();
}

void DeviceMemoryMap::Perform(const DeviceCopy& copy) const {
  if (copy.bytes == 0) return;
  const std::byte* const source = copy.kind == Kind::kToDevice
                                      ? copy.host_source
                                      : Find(copy.device_source, copy.bytes);
  std::byte* const destination =
      copy.kind == Kind::kToHost ? copy.host_destination
                                 : Find(copy.device_destination, copy.bytes);
  MMSB_CHECK(source != nullptr && destination != nullptr,
             "DeviceMemoryMap::Perform: %zu bytes are not there", copy.bytes);
  std::memcpy(destination, source, copy.bytes);
}

void DeviceMemoryMap::ForEach(
    absl::FunctionRef<void(const Block&)> visit) const {
  for (const auto& [address, block] : blocks_) visit(block);
}

}  // namespace mmsb
