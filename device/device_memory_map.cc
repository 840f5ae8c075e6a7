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

bool Overlap(uint64_t a, uint64_t b, size_t bytes) {
  return (a < b ? b - a : a - b) < bytes;
}

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
    if (copy.kind != Kind::kToDevice && copy.kind != Kind::kToHost &&
        copy.kind != Kind::kOnDevice) {
      return absl::InvalidArgumentError(
          absl::StrFormat("copy of %d bytes: there is no kind %d", copy.bytes,
                          static_cast<int>(copy.kind)));
    }
    if (copy.bytes == 0) continue;
    if (copy.kind == Kind::kToDevice
            ? copy.host_source == nullptr
            : copy.kind == Kind::kToHost && copy.host_destination == nullptr) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "copy of %d bytes: the host's address is null", copy.bytes));
    }
    const std::byte* source = copy.host_source;
    if (copy.kind != Kind::kToDevice) {
      source = Find(copy.device_source, copy.bytes);
      if (source == nullptr) {
        return Outside("copy from", copy.device_source, copy.bytes);
      }
    }
    const std::byte* destination = copy.host_destination;
    if (copy.kind != Kind::kToHost) {
      destination = Find(copy.device_destination, copy.bytes);
      if (destination == nullptr) {
        return Outside("copy to", copy.device_destination, copy.bytes);
      }
    }
    // The host may know where a block lies, too.
    if (Overlap(reinterpret_cast<uintptr_t>(source),
                reinterpret_cast<uintptr_t>(destination), copy.bytes)) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "copy of %d bytes: source and destination overlap", copy.bytes));
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
