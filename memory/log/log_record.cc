#include "memory/log/log_record.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "memory/epoch/epoch.h"
#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"

namespace mmsb {
namespace {

constexpr size_t kKindAt = 3;  // behind the magic number

// A structure's checksum covers all before it and the store's id, so that bytes
// of another store are never taken for this one's.
template <size_t kBytes>
uint32_t SaltedChecksum(std::span<const std::byte, kBytes> bytes,
                        uint64_t salt) {
  std::array<std::byte, kBytes - sizeof(uint32_t) + sizeof(uint64_t)> salted;
  std::ranges::copy(bytes.first(kBytes - sizeof(uint32_t)), salted.begin());
  StoreLittleEndian<uint64_t>(salt, salted, kBytes - sizeof(uint32_t));
  return Crc32c(salted);
}

template <size_t kBytes>
void Seal(std::array<std::byte, kBytes>& bytes, uint64_t salt) {
  StoreLittleEndian<uint32_t>(
      SaltedChecksum<kBytes>(std::span<const std::byte, kBytes>(bytes), salt),
      bytes, kBytes - sizeof(uint32_t));
}

template <size_t kBytes>
bool IsSealed(std::span<const std::byte, kBytes> bytes, uint64_t salt) {
  return LoadLittleEndian<uint32_t>(bytes, kBytes - sizeof(uint32_t)) ==
         SaltedChecksum<kBytes>(bytes, salt);
}

}  // namespace

std::array<std::byte, RecordHead::kBytes> RecordHead::Encode(
    uint64_t salt) const {
  std::array<std::byte, kBytes> bytes{};
  std::ranges::copy(std::as_bytes(std::span(kMagic)), bytes.begin());
  bytes[kKindAt] = static_cast<std::byte>(kind);
  StoreLittleEndian<uint32_t>(link, bytes, 4);
  StoreLittleEndian<uint64_t>(epoch.value(), bytes, 8);
  StoreLittleEndian<uint64_t>(position, bytes, 16);
  StoreLittleEndian<uint32_t>(sequence, bytes, 24);
  StoreLittleEndian<uint32_t>(meta_bytes, bytes, 28);
  StoreLittleEndian<uint32_t>(meta_checksum, bytes, 32);
  StoreLittleEndian<uint32_t>(data_bytes, bytes, 36);
  StoreLittleEndian<uint32_t>(data_checksum, bytes, 40);
  Seal(bytes, salt);
  return bytes;
}

uint32_t RecordHead::ChecksumIn(std::span<const std::byte, kBytes> encoded) {
  return LoadLittleEndian<uint32_t>(encoded, kBytes - sizeof(uint32_t));
}

std::optional<RecordHead> RecordHead::Decode(std::span<const std::byte> bytes,
                                             uint64_t position, uint64_t salt) {
  if (bytes.size() < kBytes || !IsSealed<kBytes>(bytes.first<kBytes>(), salt) ||
      !std::ranges::equal(bytes.first(kMagic.size()),
                          std::as_bytes(std::span(kMagic)))) {
    return std::nullopt;
  }
  RecordHead head;
  head.kind =
      static_cast<RecordKind>(std::to_integer<uint32_t>(bytes[kKindAt]));
  head.link = LoadLittleEndian<uint32_t>(bytes, 4);
  head.epoch = Epoch::FromValue(LoadLittleEndian<uint64_t>(bytes, 8));
  head.position = LoadLittleEndian<uint64_t>(bytes, 16);
  head.sequence = LoadLittleEndian<uint32_t>(bytes, 24);
  head.meta_bytes = LoadLittleEndian<uint32_t>(bytes, 28);
  head.meta_checksum = LoadLittleEndian<uint32_t>(bytes, 32);
  head.data_bytes = LoadLittleEndian<uint32_t>(bytes, 36);
  head.data_checksum = LoadLittleEndian<uint32_t>(bytes, 40);
  head.checksum = ChecksumIn(bytes.first<kBytes>());
  if ((head.kind != RecordKind::kData && head.kind != RecordKind::kCommit &&
       head.kind != RecordKind::kCheckpoint) ||
      head.position != position || head.meta_bytes > kMaxMetaBytes ||
      head.data_bytes > kMaxDataBytes) {
    return std::nullopt;
  }
  return head;
}

std::array<std::byte, LogTip::kBytes> LogTip::Encode(uint64_t salt) const {
  std::array<std::byte, kBytes> bytes{};
  StoreLittleEndian<uint64_t>(epoch.value(), bytes, 0);
  StoreLittleEndian<uint64_t>(end, bytes, 8);
  StoreLittleEndian<uint64_t>(checkpoint, bytes, 16);
  Seal(bytes, salt);
  return bytes;
}

std::optional<LogTip> LogTip::Decode(std::span<const std::byte> bytes,
                                     uint64_t salt) {
  if (bytes.size() < kBytes) return std::nullopt;
  const auto slot = bytes.first<kBytes>();
  if (!IsSealed<kBytes>(slot, salt)) return std::nullopt;
  return LogTip{.epoch = Epoch::FromValue(LoadLittleEndian<uint64_t>(slot, 0)),
                .end = LoadLittleEndian<uint64_t>(slot, 8),
                .checkpoint = LoadLittleEndian<uint64_t>(slot, 16)};
}

}  // namespace mmsb
