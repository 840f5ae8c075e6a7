#include "device/integrity_checker.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "device/simd/simd_mask.h"
#include "primitives/check.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

IntegrityChecker::IntegrityChecker(Device& device, size_t chunk_bytes)
    : device_(device), buffer_(chunk_bytes) {
  MMSB_CHECK(chunk_bytes > 0, "IntegrityChecker: chunks of 0 bytes");
}

template <class Visit>
absl::Status IntegrityChecker::ReadParts(StreamId stream, PageId page,
                                         DevicePointer from, size_t bytes,
                                         Visit visit) {
  for (size_t offset = 0; offset < bytes;) {
    const std::span<std::byte> part =
        std::span(buffer_).first(std::min(buffer_.size(), bytes - offset));
    absl::Status status =
        device_.Copy(stream, DeviceCopy::ToHost(part, from + offset));
    if (status.ok()) status = device_.Synchronize(stream);
    if (!status.ok()) {
      return absl::Status(
          status.code(),
          absl::StrFormat("page %d: %s", page.value(), status.message()));
    }
    if (!visit(offset, std::span<const std::byte>(part))) break;
    offset += part.size();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<IntegrityChecker::Difference>>
IntegrityChecker::Compare(std::span<const PageCopies> pages) {
  const absl::StatusOr<StreamId> stream = device_.CreateStream();
  if (!stream.ok()) return stream.status();
  std::vector<Difference> differences;
  absl::Status status;
  for (const PageCopies& page : pages) {
    status = ReadParts(*stream, page.page, page.device, page.host.size(),
                       [&](size_t offset, std::span<const std::byte> part) {
                         const std::span<const std::byte> host =
                             page.host.subspan(offset, part.size());
                         const size_t first = FirstDifference(host, part);
                         if (first == part.size()) return true;
                         differences.push_back({.page = page.page,
                                                .offset = offset + first,
                                                .host = host[first],
                                                .device = part[first]});
                         return false;
                       });
    if (!status.ok()) break;
  }
  // The stream's failure is the one that was seen.
  device_.DestroyStream(*stream).IgnoreError();
  if (!status.ok()) return status;
  return differences;
}

absl::StatusOr<std::vector<IntegrityChecker::WrongSum>>
IntegrityChecker::CompareSums(std::span<const PageSum> pages) {
  const absl::StatusOr<StreamId> stream = device_.CreateStream();
  if (!stream.ok()) return stream.status();
  std::vector<WrongSum> wrong;
  absl::Status status;
  for (const PageSum& page : pages) {
    absl::crc32c_t sum{0};
    status = ReadParts(*stream, page.page, page.device, page.bytes,
                       [&](size_t, std::span<const std::byte> part) {
                         sum = absl::ExtendCrc32c(sum, AsText(part));
                         return true;
                       });
    if (!status.ok()) break;
    const auto found = static_cast<uint32_t>(sum);
    if (found != page.crc32c) {
      wrong.push_back(
          {.page = page.page, .expected = page.crc32c, .device = found});
    }
  }
  device_.DestroyStream(*stream).IgnoreError();
  if (!status.ok()) return status;
  return wrong;
}

}  // namespace mmsb
