#include "memory/store/testing/forged_flip.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"

namespace mmsb {
namespace {

constexpr size_t kLinkAt = 4;
constexpr size_t kMetaChecksumAt = 32;
constexpr size_t kDataChecksumAt = 40;
constexpr size_t kSegmentBaseAt = 48;

// Writes the checksum of what is ahead of the last 4 bytes, and of the salt.
void Seal(std::span<std::byte> bytes, uint64_t salt) {
  std::vector<std::byte> salted(bytes.begin(), bytes.end() - sizeof(uint32_t));
  salted.resize(salted.size() + sizeof(salt));
  StoreLittleEndian<uint64_t>(salt, salted, salted.size() - sizeof(salt));
  StoreLittleEndian<uint32_t>(Crc32c(salted), bytes,
                              bytes.size() - sizeof(uint32_t));
}

void SealHeader(std::span<std::byte> file) {
  constexpr size_t kChecksumAt = StoreHeader::kBytes - sizeof(uint32_t);
  StoreLittleEndian<uint32_t>(Crc32c(file.first(kChecksumAt)), file,
                              kChecksumAt);
}

// Flips, and writes the checksums of the records from there on.
void FlipInRecords(std::span<std::byte> log, uint64_t salt, size_t position,
                   std::byte bits) {
  const uint64_t base = LoadLittleEndian<uint64_t>(log, kSegmentBaseAt);
  uint32_t was = 0;  // the checksum of the head before
  uint32_t is = 0;
  for (size_t at = StoreHeader::kBytes; at < log.size();) {
    const std::optional<RecordHead> head =
        RecordHead::Decode(log.subspan(at), base + at, salt);
    if (!head.has_value() || head->end() - base > log.size()) {
      ++at;
      continue;
    }
    const auto bytes =
        log.subspan(at, static_cast<size_t>(head->end() - head->position));
    const auto begin = bytes.first<RecordHead::kBytes>();
    if (position >= at && position - at < bytes.size()) {
      log[position] ^= bits;
      const auto body = bytes.subspan(RecordHead::kBytes);
      if (position - at >= RecordHead::kBytes + head->meta_bytes) {
        StoreLittleEndian<uint32_t>(Crc32c(body.subspan(head->meta_bytes)),
                                    begin, kDataChecksumAt);
      } else if (position - at >= RecordHead::kBytes) {
        StoreLittleEndian<uint32_t>(Crc32c(body.first(head->meta_bytes)), begin,
                                    kMetaChecksumAt);
      }
    }
    if (head->link == was) StoreLittleEndian<uint32_t>(is, begin, kLinkAt);
    Seal(begin, salt);
    was = head->checksum;
    is = RecordHead::ChecksumIn(begin);
    at += bytes.size();
  }
}

}  // namespace

void ForgeFlip(std::string_view name, std::span<std::byte> file, uint64_t salt,
               size_t position, std::byte bits) {
  if (name.starts_with("tip")) {
    file[position] ^= bits;
    const size_t slot = position / LogTip::kBytes * LogTip::kBytes;
    if (file.size() - slot >= LogTip::kBytes) {
      Seal(file.subspan(slot, LogTip::kBytes), salt);
    }
  } else if (file.size() < StoreHeader::kBytes) {
    file[position] ^= bits;
  } else if (position < StoreHeader::kBytes) {
    file[position] ^= bits;
    SealHeader(file);
  } else {
    FlipInRecords(file, salt, position, bits);
  }
}

}  // namespace mmsb
