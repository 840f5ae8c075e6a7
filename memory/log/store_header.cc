#include "memory/log/store_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"

namespace mmsb {
namespace {

// The byte above 127, both kinds of line end and the end-of-file character of
// DOS show a transfer that was not binary, as in PNG's signature.
constexpr std::array<uint8_t, 8> kMagic = {0x8d, 'M',  'M',  'S',
                                           'B',  '\r', '\n', 0x1a};
constexpr size_t kVersionAt = 8;
constexpr size_t kPageBytesAt = 12;
constexpr size_t kStoreIdAt = 16;
constexpr size_t kCreatedAt = 24;
constexpr size_t kGenerationAt = 32;
constexpr size_t kFirstEpochAt = 40;
constexpr size_t kSegmentBaseAt = 48;
constexpr size_t kFlagsAt = 56;
constexpr size_t kChecksumAt = 60;

constexpr uint32_t kUnfinished = 1;

}  // namespace

std::array<std::byte, StoreHeader::kBytes> StoreHeader::Encode() const {
  std::array<std::byte, kBytes> bytes{};
  std::ranges::copy(std::as_bytes(std::span(kMagic)), bytes.begin());
  StoreLittleEndian<uint32_t>(kVersion, bytes, kVersionAt);
  StoreLittleEndian<uint32_t>(page_bytes, bytes, kPageBytesAt);
  StoreLittleEndian<uint64_t>(store_id, bytes, kStoreIdAt);
  StoreLittleEndian<uint64_t>(static_cast<uint64_t>(created_ns), bytes,
                              kCreatedAt);
  StoreLittleEndian<uint64_t>(generation, bytes, kGenerationAt);
  StoreLittleEndian<uint64_t>(first_epoch, bytes, kFirstEpochAt);
  StoreLittleEndian<uint64_t>(segment_base, bytes, kSegmentBaseAt);
  StoreLittleEndian<uint32_t>(unfinished ? kUnfinished : 0, bytes, kFlagsAt);
  StoreLittleEndian<uint32_t>(Crc32c(std::span(bytes).first(kChecksumAt)),
                              bytes, kChecksumAt);
  return bytes;
}

absl::StatusOr<StoreHeader> StoreHeader::Decode(
    std::span<const std::byte> bytes, std::string_view name) {
  if (bytes.size() < kMagic.size() ||
      !std::ranges::equal(bytes.first(kMagic.size()),
                          std::as_bytes(std::span(kMagic)))) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " does not begin as a file of an mmsb store does"));
  }
  if (bytes.size() < kBytes) {
    return absl::DataLossError(absl::StrCat(name, " ends after ", bytes.size(),
                                            " of its header's ", kBytes,
                                            " bytes"));
  }
  if (LoadLittleEndian<uint32_t>(bytes, kChecksumAt) !=
      Crc32c(bytes.first(kChecksumAt))) {
    return absl::DataLossError(absl::StrCat(name, ": the header is damaged"));
  }
  const uint32_t version = LoadLittleEndian<uint32_t>(bytes, kVersionAt);
  if (version != kVersion) {
    return absl::UnimplementedError(
        absl::StrCat(name, " is of format version ", version,
                     ", and this program knows version ", kVersion));
  }
  StoreHeader header;
  header.page_bytes = LoadLittleEndian<uint32_t>(bytes, kPageBytesAt);
  header.store_id = LoadLittleEndian<uint64_t>(bytes, kStoreIdAt);
  header.created_ns =
      static_cast<int64_t>(LoadLittleEndian<uint64_t>(bytes, kCreatedAt));
  header.generation = LoadLittleEndian<uint64_t>(bytes, kGenerationAt);
  header.first_epoch = LoadLittleEndian<uint64_t>(bytes, kFirstEpochAt);
  header.segment_base = LoadLittleEndian<uint64_t>(bytes, kSegmentBaseAt);
  const uint32_t flags = LoadLittleEndian<uint32_t>(bytes, kFlagsAt);
  header.unfinished = (flags & kUnfinished) != 0;
  if (!std::has_single_bit(header.page_bytes) ||
      header.page_bytes < kMinPageBytes || header.page_bytes > kMaxPageBytes) {
    return absl::DataLossError(absl::StrCat(
        name, ": pages of ", header.page_bytes, " bytes; they must be a power ",
        "of two from ", kMinPageBytes, " to ", kMaxPageBytes));
  }
  if ((flags & ~kUnfinished) != 0) {
    return absl::DataLossError(
        absl::StrCat(name, ": its flags are ", flags, ", which is none"));
  }
  if (header.first_epoch == 0) {
    return absl::DataLossError(
        absl::StrCat(name, ": the first epoch is 0, and epochs begin with 1"));
  }
  return header;
}

}  // namespace mmsb
