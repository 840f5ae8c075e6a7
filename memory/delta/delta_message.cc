#include "memory/delta/delta_message.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"
#include "memory/delta/payload_codec.h"
#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"

namespace mmsb {
namespace {

// The first byte is no ASCII, the last three tell a transfer that changed line
// ends.
constexpr std::array<uint8_t, 8> kMagic = {0x8d, 0x4d, 0x44, 0x4c,
                                           0x54, 0x0d, 0x0a, 0x1a};

// Where the fields of the head are.
constexpr size_t kVersionAt = 8;
constexpr size_t kFormAt = 10;
constexpr size_t kCodecAt = 11;
constexpr size_t kZerosAt = 12;
constexpr size_t kPageBytesAt = 16;
constexpr size_t kEncodedBytesAt = 24;
constexpr size_t kBodyBytesAt = 32;
constexpr size_t kBodyChecksumAt = 40;
constexpr size_t kHeadChecksumAt = 44;

absl::Status Damaged(const char* what) {
  return absl::DataLossError(absl::StrCat("delta message: ", what));
}

}  // namespace

absl::Status DeltaMessage::Append(const Delta& delta,
                                  std::span<const std::byte> after,
                                  const PayloadCodec& codec,
                                  std::vector<std::byte>& out) {
  std::vector<std::byte> body;
  const absl::StatusOr<EncodedDelta> encoded = EncodeDelta(delta, after, body);
  if (!encoded.ok()) return encoded.status();
  uint8_t codec_number = 0;
  if (codec.number() != 0) {
    std::vector<std::byte> packed;
    if (absl::Status status = codec.Pack(body, packed); !status.ok()) {
      return status;
    }
    if (packed.size() < body.size()) {
      body.swap(packed);
      codec_number = codec.number();
    }
  }
  std::array<std::byte, kHeadBytes> head = {};
  std::ranges::copy(std::as_bytes(std::span(kMagic)), head.begin());
  StoreLittleEndian<uint16_t>(kVersion, head, kVersionAt);
  head[kFormAt] = static_cast<std::byte>(encoded->form);
  head[kCodecAt] = static_cast<std::byte>(codec_number);
  StoreLittleEndian<uint64_t>(delta.page_bytes(), head, kPageBytesAt);
  StoreLittleEndian<uint64_t>(encoded->bytes, head, kEncodedBytesAt);
  StoreLittleEndian<uint64_t>(body.size(), head, kBodyBytesAt);
  StoreLittleEndian<uint32_t>(Crc32c(body), head, kBodyChecksumAt);
  StoreLittleEndian<uint32_t>(Crc32c(std::span(head).first(kHeadChecksumAt)),
                              head, kHeadChecksumAt);
  out.reserve(out.size() + head.size() + body.size());
  out.insert(out.end(), head.begin(), head.end());
  out.insert(out.end(), body.begin(), body.end());
  return absl::OkStatus();
}

absl::StatusOr<DeltaMessage> DeltaMessage::Parse(
    std::span<const std::byte> bytes) {
  const auto magic = std::as_bytes(std::span(kMagic));
  if (bytes.size() < kMagic.size() ||
      !std::ranges::equal(bytes.first(kMagic.size()), magic)) {
    return absl::InvalidArgumentError("delta message: these bytes are none");
  }
  if (bytes.size() < kHeadBytes) return Damaged("the head is not whole");
  const auto head = bytes.first(kHeadBytes);
  // The version and the checksum keep their places in later versions.
  if (LoadLittleEndian<uint32_t>(head, kHeadChecksumAt) !=
      Crc32c(head.first(kHeadChecksumAt))) {
    return Damaged("the head's checksum is another");
  }
  const auto version = LoadLittleEndian<uint16_t>(head, kVersionAt);
  if (version != kVersion) {
    return absl::UnimplementedError(absl::StrCat(
        "delta message: of version ", version, ", and this reads ", kVersion));
  }
  const std::optional<DeltaForm> form =
      DeltaFormFromNumber(std::to_integer<uint8_t>(head[kFormAt]));
  if (!form.has_value()) return Damaged("the form is unknown");
  if (LoadLittleEndian<uint32_t>(head, kZerosAt) != 0) {
    return Damaged("bytes that should be zero are not");
  }
  DeltaMessage message;
  message.form_ = *form;
  message.codec_number_ = std::to_integer<uint8_t>(head[kCodecAt]);
  message.page_bytes_ = LoadLittleEndian<uint64_t>(head, kPageBytesAt);
  message.encoded_bytes_ = LoadLittleEndian<uint64_t>(head, kEncodedBytesAt);
  const auto body_bytes = LoadLittleEndian<uint64_t>(head, kBodyBytesAt);
  if (body_bytes > bytes.size() - kHeadBytes) {
    return Damaged("the body is not whole");
  }
  message.body_ = bytes.subspan(kHeadBytes, static_cast<size_t>(body_bytes));
  if (message.codec_number_ == 0 && message.encoded_bytes_ != body_bytes) {
    return Damaged("the body is not as long as what it holds");
  }
  if (Crc32c(message.body_) !=
      LoadLittleEndian<uint32_t>(head, kBodyChecksumAt)) {
    return Damaged("the body's checksum is another");
  }
  return message;
}

absl::StatusOr<std::span<const std::byte>> DeltaMessage::Encoded(
    const PayloadCodec& codec, size_t page_bytes,
    std::vector<std::byte>& room) const {
  if (page_bytes != page_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("delta message: of a page of ", page_bytes_,
                     " bytes, and wanted for one of ", page_bytes));
  }
  if (codec_number_ == 0) return body_;
  if (codec_number_ != codec.number()) {
    return absl::UnimplementedError(
        absl::StrCat("delta message: packed by codec ", codec_number_,
                     ", and this is codec ", codec.number()));
  }
  // A longer one would have been written whole.
  if (encoded_bytes_ > page_bytes) {
    return Damaged("it is longer than the page");
  }
  room.resize(static_cast<size_t>(encoded_bytes_));
  if (absl::Status status = codec.Unpack(body_, room); !status.ok()) {
    return status;
  }
  return std::span<const std::byte>(room);
}

absl::Status DeltaMessage::Apply(const PayloadCodec& codec,
                                 std::span<std::byte> page) const {
  std::vector<std::byte> room;
  const absl::StatusOr<std::span<const std::byte>> encoded =
      Encoded(codec, page.size(), room);
  if (!encoded.ok()) return encoded.status();
  return ApplyEncodedDelta(form_, *encoded, page);
}

absl::StatusOr<Delta> DeltaMessage::Decode(const PayloadCodec& codec,
                                           size_t page_bytes) const {
  std::vector<std::byte> room;
  const absl::StatusOr<std::span<const std::byte>> encoded =
      Encoded(codec, page_bytes, room);
  if (!encoded.ok()) return encoded.status();
  return DecodeDelta(form_, page_bytes, *encoded);
}

}  // namespace mmsb
