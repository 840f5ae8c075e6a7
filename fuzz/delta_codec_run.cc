#include "fuzz/delta_codec_run.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fuzz/program_reader.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"
#include "memory/delta/delta_message.h"
#include "memory/delta/payload_codec.h"
#include "memory/invariants.h"
#include "memory/testing/allocation_meter.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

constexpr size_t kMaxPageBytes = 4100;
// What a status and its message take, beside the delta itself.
constexpr size_t kMessageBytes = 512;

Bytes Contents(size_t bytes) {
  Bytes page(bytes);
  for (size_t i = 0; i < bytes; ++i) page[i] = static_cast<std::byte>(i * 31);
  return page;
}

// The delta, or a status: whatever it is, applying it directly does the same.
std::string CheckSame(const absl::StatusOr<Delta>& delta,
                      const absl::Status& applied, const Bytes& before,
                      const Bytes& after) {
  if (delta.ok() != applied.ok()) {
    return "Decode says " + delta.status().ToString() + ", and Apply " +
           applied.ToString();
  }
  if (!applied.ok()) {
    return after == before ? "" : "a page was changed in spite of an error";
  }
  if (absl::Status status = CheckInvariants(*delta); !status.ok()) {
    return status.ToString();
  }
  Bytes page = before;
  if (!delta->Apply(page).ok() || page != after) {
    return "Decode and Apply lead to other contents";
  }
  return "";
}

// What was decoded and encoded is decoded to the same.
std::string RoundTrip(const Delta& delta, const Bytes& before,
                      const Bytes& after) {
  Bytes encoded = {std::byte{1}, std::byte{2}};
  const absl::StatusOr<EncodedDelta> form = EncodeDelta(delta, after, encoded);
  if (!form.ok()) return "EncodeDelta: " + form.status().ToString();
  if (encoded.size() != form->bytes + 2) return "EncodeDelta miscounts";
  if (form->bytes > after.size()) return "an encoding longer than the page";
  const std::span<const std::byte> body = std::span(encoded).subspan(2);
  const absl::StatusOr<Delta> decoded =
      DecodeDelta(form->form, after.size(), body);
  if (!decoded.ok()) return "a round trip: " + decoded.status().ToString();
  if (form->form != DeltaForm::kWhole && *decoded != delta) {
    return "a round trip leads to another delta";
  }
  Bytes page = before;
  if (!ApplyEncodedDelta(form->form, body, page).ok() || page != after) {
    return "a round trip leads to other contents";
  }
  for (const size_t cut : {body.size() - 1, body.size() / 2, size_t{0}}) {
    if (cut >= body.size()) continue;
    page = before;
    if (ApplyEncodedDelta(form->form, body.first(cut), page).ok()) {
      return "a cut encoding was accepted";
    }
    if (page != before) return "a cut encoding changed the page";
  }
  return "";
}

std::string RunEncoded(ProgramReader reader, size_t page_bytes) {
  const std::optional<DeltaForm> form = DeltaFormFromNumber(reader.Byte() % 4);
  if (!form.has_value()) return "";
  const std::span<const std::byte> encoded = std::as_bytes(reader.rest());
  const Bytes before = Contents(page_bytes);
  Bytes after = before;
  absl::Status applied;
  {
    const AllocationMeter meter;
    applied = ApplyEncodedDelta(*form, encoded, after);
    if (applied.ok() && meter.total() != 0) return "Apply allocates";
  }
  const AllocationMeter meter;
  const absl::StatusOr<Delta> delta = DecodeDelta(*form, page_bytes, encoded);
  if (meter.largest() > page_bytes + kMessageBytes ||
      meter.total() > page_bytes + page_bytes / 8 + 1 + kMessageBytes) {
    return "DecodeDelta allocates " + std::to_string(meter.total()) + " bytes";
  }
  std::string error = CheckSame(delta, applied, before, after);
  if (!error.empty() || !delta.ok()) return error;
  // Every byte belongs to it.
  Bytes longer(encoded.begin(), encoded.end());
  longer.push_back(std::byte{0});
  Bytes page = before;
  if (ApplyEncodedDelta(*form, longer, page).ok() ||
      DecodeDelta(*form, page_bytes, longer).ok()) {
    return "an encoding was accepted with a byte behind it";
  }
  return RoundTrip(*delta, before, after);
}

std::string RunMessage(std::span<const std::byte> bytes, size_t page_bytes) {
  const absl::StatusOr<DeltaMessage> message = DeltaMessage::Parse(bytes);
  if (!message.ok()) return "";
  if (message->bytes() > bytes.size()) return "a message beyond its bytes";
  const Bytes before = Contents(page_bytes);
  Bytes after = before;
  const absl::Status applied = message->Apply(IdentityPayloadCodec(), after);
  const AllocationMeter meter;
  const absl::StatusOr<Delta> delta =
      message->Decode(IdentityPayloadCodec(), page_bytes);
  if (meter.total() > 2 * page_bytes + page_bytes / 8 + 1 + kMessageBytes) {
    return "Decode allocates " + std::to_string(meter.total()) + " bytes";
  }
  return CheckSame(delta, applied, before, after);
}

std::string RunContents(ProgramReader reader, size_t page_bytes) {
  const Bytes before = Contents(page_bytes);
  Bytes after = before;
  while (!reader.done() && page_bytes != 0) {
    const size_t low = reader.Byte();
    const size_t position = low | size_t{reader.Byte()} << 8;
    after[position % page_bytes] = static_cast<std::byte>(reader.Byte());
  }
  const Delta delta = *Delta::Make(before, after);
  std::string error = RoundTrip(delta, before, after);
  if (!error.empty()) return error;
  Bytes message;
  if (absl::Status status =
          DeltaMessage::Append(delta, after, IdentityPayloadCodec(), message);
      !status.ok()) {
    return "Append: " + status.ToString();
  }
  Bytes page = before;
  const absl::StatusOr<DeltaMessage> read = DeltaMessage::Parse(message);
  if (!read.ok() || !read->Apply(IdentityPayloadCodec(), page).ok() ||
      page != after) {
    return "a message does not lead to the contents";
  }
  // No flip goes unseen, wherever it is.
  for (size_t i = 0; i < message.size(); i += 1 + message.size() / 16) {
    message[i] ^= std::byte{0x10};
    page = before;
    const absl::StatusOr<DeltaMessage> flipped = DeltaMessage::Parse(message);
    if (flipped.ok() && flipped->Apply(IdentityPayloadCodec(), page).ok()) {
      return "a flip at byte " + std::to_string(i) + " of a message is unseen";
    }
    if (page != before) return "a flipped message changed the page";
    message[i] ^= std::byte{0x10};
  }
  return "";
}

}  // namespace

std::string RunDeltaCodecInput(std::span<const uint8_t> input) {
  ProgramReader reader(input);
  const uint8_t kind = reader.Byte();
  const size_t low = reader.Byte();
  const size_t page_bytes = (low | size_t{reader.Byte()} << 8) % kMaxPageBytes;
  switch (kind % 3) {
    case 0:
      return RunEncoded(reader, page_bytes);
    case 1:
      return RunMessage(std::as_bytes(reader.rest()), page_bytes);
    default:
      return RunContents(reader, page_bytes);
  }
}

std::string PrintDeltaCodecInput(std::span<const uint8_t> input) {
  std::ostringstream out;
  out << "TEST(DeltaCodecRegressionTest, NAME_IT) {\n"
         "  const std::vector<uint8_t> input = {";
  for (size_t i = 0; i < input.size(); ++i) {
    out << (i == 0 ? "" : ", ") << static_cast<unsigned>(input[i]);
  }
  out << "};\n  EXPECT_EQ(RunDeltaCodecInput(input), \"\");\n}\n";
  return out.str();
}

}  // namespace mmsb
