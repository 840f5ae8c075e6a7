#ifndef MMSB_MEMORY_DELTA_DELTA_MESSAGE_H_
#define MMSB_MEMORY_DELTA_DELTA_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"
#include "memory/delta/payload_codec.h"

namespace mmsb {

// A delta by itself, to send or to keep: a head of kHeadBytes with a version
// and checksums, and the encoded delta, packed by a PayloadCodec where that is
// shorter. docs/format.md has it to the byte. (The store's log has heads of its
// own, and keeps encoded deltas bare.)
//
// A view of the bytes that Parse read; they must outlive it. Thread-compatible.
// Bytes are not trusted: whatever they are, reading them gives a status or a
// delta, and allocates at most 9/8 of the page's size for the delta and, where
// it was packed, the page's size once more. How large the page is, the caller
// says.
//
//   std::vector<std::byte> bytes;
//   absl::Status made = DeltaMessage::Append(delta, after, codec, bytes);
//   absl::StatusOr<DeltaMessage> read = DeltaMessage::Parse(bytes);
//   if (read.ok()) made = read->Apply(codec, page);
class DeltaMessage {
 public:
  static constexpr size_t kHeadBytes = 48;
  static constexpr uint16_t kVersion = 1;

  // Appends `delta` to `out`. `after` is the page with the delta applied, as
  // EncodeDelta wants it. After an error `out` is as before.
  static absl::Status Append(const Delta& delta,
                             std::span<const std::byte> after,
                             const PayloadCodec& codec,
                             std::vector<std::byte>& out);

  // The message at the front of `bytes`; others may follow.
  //   InvalidArgument  it is no delta message
  //   Unimplemented    of another version
  //   DataLoss         it is damaged, or not all there
  static absl::StatusOr<DeltaMessage> Parse(std::span<const std::byte> bytes);

  // Of the message, head included.
  [[nodiscard]] size_t bytes() const { return kHeadBytes + body_.size(); }
  [[nodiscard]] DeltaForm form() const { return form_; }
  // Who can unpack it; 0 when anybody can.
  [[nodiscard]] uint8_t codec_number() const { return codec_number_; }
  // As the message says: not trusted.
  [[nodiscard]] uint64_t page_bytes() const { return page_bytes_; }

  // Sets the changed bytes of `page`. After an error it is as before.
  //   InvalidArgument  the delta is of a page of another size
  //   Unimplemented    it was packed by another codec
  //   DataLoss         what is packed is no delta of such a page
  absl::Status Apply(const PayloadCodec& codec,
                     std::span<std::byte> page) const;

  // The delta; errors as Apply's.
  absl::StatusOr<Delta> Decode(const PayloadCodec& codec,
                               size_t page_bytes) const;

 private:
  DeltaMessage() = default;

  // The encoded delta: the body, or what it was unpacked to into `room`.
  absl::StatusOr<std::span<const std::byte>> Encoded(
      const PayloadCodec& codec, size_t page_bytes,
      std::vector<std::byte>& room) const;

  DeltaForm form_ = DeltaForm::kDense;
  uint8_t codec_number_ = 0;
  uint64_t page_bytes_ = 0;
  uint64_t encoded_bytes_ = 0;
  std::span<const std::byte> body_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_DELTA_DELTA_MESSAGE_H_
