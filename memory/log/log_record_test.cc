#include "memory/log/log_record.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"

namespace mmsb {
namespace {

constexpr uint64_t kStore = 0x0123456789abcdef;

RecordHead SomeHead() {
  return {.kind = RecordKind::kCommit,
          .link = 0x01020304,
          .epoch = Epoch::FromValue(0x1122334455667788),
          .position = 4096,
          .sequence = 3,
          .meta_bytes = 100,
          .meta_checksum = 0xdeadbeef,
          .data_bytes = 1 << 20,
          .data_checksum = 0xfeedface};
}

TEST(RecordHeadTest, HasTheLayoutOfTheFormat) {
  const auto bytes = SomeHead().Encode(kStore);
  const auto at = [&](size_t i) { return std::to_integer<int>(bytes[i]); };
  EXPECT_EQ(at(0), 'M');
  EXPECT_EQ(at(2), 'C');
  EXPECT_EQ(at(3), 2);
  EXPECT_EQ(at(4), 4);
  EXPECT_EQ(at(7), 1);
  EXPECT_EQ(at(8), 0x88);
  EXPECT_EQ(at(15), 0x11);
  EXPECT_EQ(at(17), 0x10);
  EXPECT_EQ(at(24), 3);
  EXPECT_EQ(at(28), 100);
  EXPECT_EQ(at(32), 0xef);
  EXPECT_EQ(at(38), 0x10);
  EXPECT_EQ(at(40), 0xce);
}

TEST(RecordHeadTest, DecodesWhatWasEncodedAndNothingElse) {
  const auto bytes = SomeHead().Encode(kStore);
  const std::optional<RecordHead> head =
      RecordHead::Decode(bytes, 4096, kStore);
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->kind, RecordKind::kCommit);
  EXPECT_EQ(head->epoch, SomeHead().epoch);
  EXPECT_EQ(head->link, 0x01020304u);
  EXPECT_EQ(head->checksum, RecordHead::ChecksumIn(bytes));
  EXPECT_EQ(head->sequence, 3u);
  EXPECT_EQ(head->meta_checksum, 0xdeadbeefu);
  EXPECT_EQ(head->data_checksum, 0xfeedfaceu);
  EXPECT_EQ(head->data_position(), 4096u + 48 + 100);
  EXPECT_EQ(head->end(), 4096u + 48 + 100 + (1 << 20));

  EXPECT_FALSE(RecordHead::Decode(bytes, 4097, kStore)) << "another place";
  EXPECT_FALSE(RecordHead::Decode(bytes, 4096, kStore + 1)) << "another store";
  EXPECT_FALSE(RecordHead::Decode(std::span(bytes).first(47), 4096, kStore));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(RecordHead::Decode(flipped, 4096, kStore)) << bit;
  }
}

TEST(RecordHeadTest, SizesAboveTheLimitsAndUnknownKindsAreRefused) {
  const auto decodes = [](RecordHead head) {
    return RecordHead::Decode(head.Encode(kStore), head.position, kStore)
        .has_value();
  };
  RecordHead head = SomeHead();
  head.meta_bytes = RecordHead::kMaxMetaBytes;
  head.data_bytes = RecordHead::kMaxDataBytes;
  EXPECT_TRUE(decodes(head));
  ++head.meta_bytes;
  EXPECT_FALSE(decodes(head));
  head = SomeHead();
  head.data_bytes = RecordHead::kMaxDataBytes + 1;
  EXPECT_FALSE(decodes(head));
  head = SomeHead();
  head.kind = static_cast<RecordKind>(4);
  EXPECT_FALSE(decodes(head));
}

TEST(LogTipTest, SlotsAlternateAndAreSealed) {
  const LogTip tip{
      .epoch = Epoch::FromValue(7), .end = 12345, .checkpoint = 678};
  const auto bytes = tip.Encode(kStore);
  const std::optional<LogTip> decoded = LogTip::Decode(bytes, kStore);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->epoch, tip.epoch);
  EXPECT_EQ(decoded->end, tip.end);
  EXPECT_EQ(decoded->checkpoint, tip.checkpoint);
  EXPECT_FALSE(LogTip::Decode(bytes, kStore + 1));
  EXPECT_FALSE(LogTip::Decode(std::span(bytes).first(31), kStore));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(LogTip::Decode(flipped, kStore)) << bit;
  }
  EXPECT_FALSE(LogTip::Decode(std::array<std::byte, 32>{}, kStore));
}

}  // namespace
}  // namespace mmsb
