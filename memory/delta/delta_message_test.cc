#include "memory/delta/delta_message.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"
#include "memory/delta/payload_codec.h"
#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"
#include "memory/testing/allocation_meter.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

// Packs runs of one value as pairs: a length from 1 to 255, and the value.
class RunCodec : public PayloadCodec {
 public:
  uint8_t number() const override { return 200; }

  absl::Status Pack(std::span<const std::byte> bytes,
                    Bytes& out) const override {
    for (size_t i = 0; i < bytes.size();) {
      size_t run = 1;
      while (run < 255 && i + run < bytes.size() &&
             bytes[i + run] == bytes[i]) {
        ++run;
      }
      out.push_back(static_cast<std::byte>(run));
      out.push_back(bytes[i]);
      i += run;
    }
    return absl::OkStatus();
  }

  absl::Status Unpack(std::span<const std::byte> packed,
                      std::span<std::byte> out) const override {
    size_t at = 0;
    for (size_t i = 0; i + 1 < packed.size(); i += 2) {
      const auto run = std::to_integer<size_t>(packed[i]);
      if (run > out.size() - at) return absl::DataLossError("too long");
      std::fill_n(out.begin() + static_cast<ptrdiff_t>(at), run, packed[i + 1]);
      at += run;
    }
    return at == out.size() ? absl::OkStatus()
                            : absl::DataLossError("too short");
  }
};

// A codec that does what it must not.
class HostileCodec : public PayloadCodec {
 public:
  explicit HostileCodec(uint64_t seed) : random_(seed) {}

  uint8_t number() const override { return 200; }

  absl::Status Pack(std::span<const std::byte>, Bytes& out) const override {
    out.resize(random_() % 3, std::byte{0});
    return absl::OkStatus();
  }

  absl::Status Unpack(std::span<const std::byte>,
                      std::span<std::byte> out) const override {
    // Anything, or nothing.
    const size_t bytes = out.empty() ? 0 : random_() % (out.size() + 1);
    for (std::byte& b : out.first(bytes)) {
      b = static_cast<std::byte>(random_() % 4);
    }
    return absl::OkStatus();
  }

 private:
  mutable std::mt19937_64 random_;
};

// Two contents of a page, with `changed` bytes of it changed in stretches.
struct Change {
  Change(uint64_t seed, size_t size, size_t changed) : before(size) {
    std::mt19937_64 random(seed);
    for (std::byte& b : before) b = static_cast<std::byte>(random() % 8);
    after = before;
    for (size_t i = 0; size != 0 && i < changed; ++i) {
      after[(i + i / 16 * 97) % size] ^= std::byte{0x55};
    }
  }

  Delta delta() const { return *Delta::Make(before, after); }
  Bytes Message(const PayloadCodec& codec) const {
    Bytes message;
    EXPECT_TRUE(DeltaMessage::Append(delta(), after, codec, message).ok());
    return message;
  }

  Bytes before;
  Bytes after;
};

void Seal(Bytes& message) {
  StoreLittleEndian<uint32_t>(Crc32c(std::span(message).first(44)), message,
                              44);
}

TEST(DeltaMessageTest, IsToTheByteAsTheFormatSays) {
  const Bytes before(16);
  Bytes after(16);
  after[3] = std::byte{7};
  Bytes message = {std::byte{0xEE}};
  ASSERT_TRUE(DeltaMessage::Append(*Delta::Make(before, after), after,
                                   IdentityPayloadCodec(), message)
                  .ok());
  const uint8_t kExpected[] = {
      0xEE,                                            // was there
      0x8d, 0x4d, 0x44, 0x4c, 0x54, 0x0d, 0x0a, 0x1a,  // magic number
      1,    0,    1,    0,    0,    0,    0,    0,     // version, form, codec
      16,   0,    0,    0,    0,    0,    0,    0,     // the page's bytes
      3,    0,    0,    0,    0,    0,    0,    0,     // the encoded delta's
      3,    0,    0,    0,    0,    0,    0,    0,     // the body's
  };
  ASSERT_EQ(message.size(), 1 + DeltaMessage::kHeadBytes + 3);
  EXPECT_TRUE(std::ranges::equal(std::span(message).first(41),
                                 std::as_bytes(std::span(kExpected))));
  const auto whole = std::span<const std::byte>(message).subspan(1);
  EXPECT_EQ(LoadLittleEndian<uint32_t>(whole, 40), Crc32c(whole.subspan(48)));
  EXPECT_EQ(LoadLittleEndian<uint32_t>(whole, 44), Crc32c(whole.first(44)));
  EXPECT_EQ(whole[48], std::byte{0x08}) << "mask";
  EXPECT_EQ(whole[50], std::byte{7}) << "payload";
}

TEST(DeltaMessageTest, GivesTheDeltaBackInEveryFormAndPacking) {
  const RunCodec runs;
  for (const PayloadCodec* codec :
       {&IdentityPayloadCodec(), static_cast<const PayloadCodec*>(&runs)}) {
    for (const size_t size : {0, 1, 8, 253, 300, 4096}) {
      for (const size_t changed : {0, 1, 40, 1000, 4096}) {
        const Change change(1, size, changed);
        Bytes message = change.Message(*codec);
        message.push_back(std::byte{1});  // what follows is not its own
        const absl::StatusOr<DeltaMessage> parsed =
            DeltaMessage::Parse(message);
        ASSERT_TRUE(parsed.ok()) << parsed.status();
        EXPECT_EQ(parsed->bytes(), message.size() - 1);
        EXPECT_EQ(parsed->page_bytes(), size);
        Bytes page = change.before;
        ASSERT_TRUE(parsed->Apply(*codec, page).ok());
        EXPECT_EQ(page, change.after);
        const absl::StatusOr<Delta> delta = parsed->Decode(*codec, size);
        ASSERT_TRUE(delta.ok()) << delta.status();
        if (parsed->form() != DeltaForm::kWhole) {
          EXPECT_EQ(*delta, change.delta());
        }
      }
    }
  }
}

TEST(DeltaMessageTest, PacksOnlyWhatGetsShorter) {
  const RunCodec runs;
  // One run of 1000 bytes of one value.
  const Bytes before(4096);
  Bytes after(4096);
  std::fill_n(after.begin() + 100, 1000, std::byte{9});
  Bytes message;
  ASSERT_TRUE(
      DeltaMessage::Append(*Delta::Make(before, after), after, runs, message)
          .ok());
  EXPECT_LT(message.size(), DeltaMessage::kHeadBytes + 30);
  absl::StatusOr<DeltaMessage> parsed = DeltaMessage::Parse(message);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->codec_number(), 200);
  Bytes page = before;
  EXPECT_TRUE(
      absl::IsUnimplemented(parsed->Apply(IdentityPayloadCodec(), page)));
  EXPECT_EQ(page, before);
  ASSERT_TRUE(parsed->Apply(runs, page).ok());
  EXPECT_EQ(page, after);

  const Bytes varied = Change(1, 4096, 10).Message(runs);
  parsed = DeltaMessage::Parse(varied);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->codec_number(), 0) << "anybody reads it";
}

TEST(DeltaMessageTest, AnyFlippedBitAndAnyCutIsFound) {
  const RunCodec runs;
  const Change change(2, 300, 20);
  for (const Bytes& right :
       {change.Message(IdentityPayloadCodec()), change.Message(runs)}) {
    for (size_t bit = 0; bit < right.size() * 8; ++bit) {
      Bytes wrong = right;
      wrong[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      EXPECT_FALSE(DeltaMessage::Parse(wrong).ok()) << bit;
    }
    for (size_t size = 0; size < right.size(); ++size) {
      EXPECT_FALSE(DeltaMessage::Parse(std::span(right).first(size)).ok());
    }
  }
}

TEST(DeltaMessageTest, ErrorsSayWhatIsWrong) {
  const Change change(3, 100, 5);
  const Bytes right = change.Message(IdentityPayloadCodec());
  const auto code = [](const Bytes& bytes) {
    return DeltaMessage::Parse(bytes).status().code();
  };
  EXPECT_EQ(code({}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Bytes(100)), absl::StatusCode::kInvalidArgument);
  Bytes wrong = right;
  wrong[8] = std::byte{2};
  EXPECT_EQ(code(wrong), absl::StatusCode::kDataLoss) << "unsealed";
  Seal(wrong);
  EXPECT_EQ(code(wrong), absl::StatusCode::kUnimplemented);
  Bytes page(99);
  const absl::Status misfit =
      DeltaMessage::Parse(right)->Apply(IdentityPayloadCodec(), page);
  EXPECT_EQ(misfit.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(misfit.message(),
            "delta message: of a page of 100 bytes, and wanted for one of 99");
  Bytes out = {std::byte{1}};
  EXPECT_FALSE(
      DeltaMessage::Append(change.delta(), page, IdentityPayloadCodec(), out)
          .ok());
  EXPECT_EQ(out, Bytes{std::byte{1}});
}

// Heads with right checksums and fields of every kind, over bodies of any
// bytes: what a checksum does not keep out.
TEST(DeltaMessageTest, HostileBytesAllocateNoMoreThanTheirPage) {
  std::mt19937_64 random(4);
  const RunCodec runs;
  const HostileCodec hostile(5);
  const uint64_t kSizes[] = {0,           1, 9, 64, 4096, uint64_t{1} << 40,
                             ~uint64_t{0}};
  size_t applied = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes message = Change(1, 64, 3).Message(IdentityPayloadCodec());
    message.resize(DeltaMessage::kHeadBytes + random() % 40);
    const auto body = std::span(message).subspan(DeltaMessage::kHeadBytes);
    for (std::byte& b : body) b = static_cast<std::byte>(random() % 4);
    message[10] = static_cast<std::byte>(random() % 5);
    message[11] = static_cast<std::byte>(random() % 2 == 0 ? 0 : 200);
    const auto size = [&](uint64_t likely) {
      return random() % 4 != 0 ? likely : kSizes[random() % std::size(kSizes)];
    };
    const uint64_t page_bytes = size(64);
    StoreLittleEndian<uint64_t>(page_bytes, message, 16);
    StoreLittleEndian<uint64_t>(
        message[11] == std::byte{0} ? size(body.size()) : size(12), message,
        24);
    StoreLittleEndian<uint64_t>(size(body.size()), message, 32);
    StoreLittleEndian<uint32_t>(Crc32c(body), message, 40);
    Seal(message);
    const PayloadCodec& codec =
        round % 2 == 0 ? static_cast<const PayloadCodec&>(runs) : hostile;
    Bytes page(64, std::byte{9});
    const AllocationMeter meter;
    const absl::StatusOr<DeltaMessage> parsed = DeltaMessage::Parse(message);
    // A status has a text.
    EXPECT_LE(meter.total(), 1000u);
    if (!parsed.ok()) continue;
    const absl::Status status = parsed->Apply(codec, page);
    const absl::StatusOr<Delta> delta = parsed->Decode(codec, page.size());
    EXPECT_LE(meter.largest(), 1000u);
    EXPECT_LE(meter.total(), 3000u);
    if (!status.ok()) {
      EXPECT_EQ(page, Bytes(64, std::byte{9}));
    } else {
      ++applied;
    }
  }
  EXPECT_GT(applied, 100u);
}

TEST(DeltaMessageTest, AHostileCodecSpoilsNothingButItsDelta) {
  const HostileCodec hostile(6);
  const Change change(7, 4096, 100);
  for (int round = 0; round < 200; ++round) {
    const Bytes message = change.Message(hostile);
    const absl::StatusOr<DeltaMessage> parsed = DeltaMessage::Parse(message);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    Bytes page = change.before;
    if (!parsed->Apply(hostile, page).ok()) {
      EXPECT_EQ(page, change.before);
    }
  }
}

TEST(DeltaMessageTest, DecodingAllocatesNineEighthsOfThePage) {
  const size_t kPage = 1 << 16;
  for (const size_t changed : {0, 100, 30000, 1 << 16}) {
    const Change change(8, kPage, changed);
    Bytes encoded;
    const EncodedDelta info =
        *EncodeDelta(change.delta(), change.after, encoded);
    const AllocationMeter meter;
    const absl::StatusOr<Delta> delta = DecodeDelta(info.form, kPage, encoded);
    EXPECT_TRUE(delta.ok());
    EXPECT_LE(meter.total(), kPage / 8 * 9) << changed;
  }
}

}  // namespace
}  // namespace mmsb
