#include "memory/log/store_header.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"

namespace mmsb {
namespace {

using Bytes = std::array<std::byte, StoreHeader::kBytes>;

const StoreHeader kHeader{.page_bytes = 8192,
                          .store_id = 0x1122334455667788,
                          .created_ns = -5,
                          .generation = 7,
                          .first_epoch = 42,
                          .segment_base = 0x0102030405060708};

// The header with another 32-bit value at `at`, and its checksum right.
Bytes With(size_t at, uint32_t value) {
  Bytes bytes = kHeader.Encode();
  StoreLittleEndian<uint32_t>(value, bytes, at);
  StoreLittleEndian<uint32_t>(Crc32c(std::span(bytes).first(60)), bytes, 60);
  return bytes;
}

absl::StatusCode CodeOf(std::span<const std::byte> bytes) {
  return StoreHeader::Decode(bytes, "x").status().code();
}

TEST(Crc32cTest, IsTheOneOfTheFormat) {
  EXPECT_EQ(Crc32c(std::as_bytes(std::span("123456789", 9))), 0xe3069283u);
}

TEST(StoreHeaderTest, DecodesWhatWasEncoded) {
  const absl::StatusOr<StoreHeader> header =
      StoreHeader::Decode(kHeader.Encode(), "x");
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(*header, kHeader);
}

TEST(StoreHeaderTest, TellsAStrangerAnotherVersionAndDamageApart) {
  EXPECT_EQ(CodeOf({}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Bytes{}), absl::StatusCode::kInvalidArgument);
  const Bytes right = kHeader.Encode();
  EXPECT_EQ(CodeOf(std::span(right).first(63)), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(With(8, 6)), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(CodeOf(With(8, 4)), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(StoreHeader::Decode(With(8, 4), "s/MMSB").status().message(),
            "s/MMSB is of format version 4, and this program knows version 5");
  for (size_t bit = 0; bit < right.size() * 8; ++bit) {
    Bytes flipped = right;
    flipped[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_EQ(CodeOf(flipped), bit < 64 ? absl::StatusCode::kInvalidArgument
                                        : absl::StatusCode::kDataLoss)
        << bit;
  }
}

TEST(StoreHeaderTest, EpochsBeginWithOne) {
  StoreHeader header = kHeader;
  header.first_epoch = 0;
  EXPECT_EQ(CodeOf(header.Encode()), absl::StatusCode::kDataLoss);
}

TEST(StoreHeaderTest, SaysWhetherASalvageHasEnded) {
  StoreHeader header = kHeader;
  header.unfinished = true;
  const absl::StatusOr<StoreHeader> decoded =
      StoreHeader::Decode(header.Encode(), "x");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(decoded->unfinished);
  EXPECT_NE(*decoded, kHeader);
  EXPECT_EQ(CodeOf(With(56, 2)), absl::StatusCode::kDataLoss) << "no such flag";
}

TEST(StoreHeaderTest, EachGenerationHasASaltOfItsOwn) {
  StoreHeader header = kHeader;
  header.generation = 0;
  EXPECT_EQ(header.salt(), header.store_id);
  EXPECT_NE(kHeader.salt(), kHeader.store_id);
}

TEST(StoreHeaderTest, PageSizesAreBounded) {
  for (const uint32_t bytes : {512u, 4096u, 65536u}) {
    EXPECT_EQ(CodeOf(With(12, bytes)), absl::StatusCode::kOk) << bytes;
  }
  for (const uint32_t bytes : {0u, 1u, 256u, 4095u, 131072u, 0x80000000u}) {
    EXPECT_EQ(CodeOf(With(12, bytes)), absl::StatusCode::kDataLoss) << bytes;
  }
}

}  // namespace
}  // namespace mmsb
