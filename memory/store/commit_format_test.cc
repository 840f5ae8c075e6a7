#include "memory/store/commit_format.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/store/page_version.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Form = PageVersion::Form;

const std::vector<PageEntry> kEntries = {
    {.page = 7,
     .checksum = 0xaabbccdd,
     .changed_bytes = 9,
     .version =
         {.position = 0, .bytes = 40, .form = Form::kSparse, .depth = 3}},
    {.page = 8, .checksum = 1, .changed_bytes = 2, .version = {}},
    {.page = uint64_t{1} << 40,
     .checksum = 5,
     .changed_bytes = 4096,
     .version = {.position = 40, .bytes = 4096, .form = Form::kWhole}},
};

absl::StatusCode CodeOf(const Bytes& meta, uint64_t data_bytes) {
  return DecodePageEntries(meta, data_bytes).status().code();
}

TEST(PageEntriesTest, DecodeWhatWasEncoded) {
  const Bytes meta = EncodePageEntries(kEntries);
  EXPECT_EQ(meta.size(), 3 * PageEntry::kBytes);
  const absl::StatusOr<std::vector<PageEntry>> decoded =
      DecodePageEntries(meta, 4136);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, kEntries);
  EXPECT_TRUE(DecodePageEntries({}, 0)->empty());
}

TEST(PageEntriesTest, MalformedListsAreRefused) {
  const Bytes right = EncodePageEntries(kEntries);
  EXPECT_EQ(CodeOf(right, 4135), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(right, 4137), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(Bytes(right.begin(), right.end() - 1), 4136),
            absl::StatusCode::kDataLoss);
  const struct {
    size_t at;
    int value;
    const char* why;
  } kCases[] = {
      {20, 4, "an unknown form"},
      {20, 3, "a whole page with a depth"},
      {21, 0, "a delta upon nothing"},
      {21, PageVersion::kMaxDepth + 1, "too deep"},
      {24 + 16, 1, "a zero page with data"},
      {19, 0xff, "data past the end"},
  };
  for (const auto& c : kCases) {
    Bytes wrong = right;
    wrong[c.at] = static_cast<std::byte>(c.value);
    EXPECT_EQ(CodeOf(wrong, 4136), absl::StatusCode::kDataLoss) << c.why;
  }
}

TEST(CommitRecordTest, DecodesWhatWasEncoded) {
  const CommitRecord record{.state_bytes = 1,
                            .time_ns = -2,
                            .changed_bytes = 3,
                            .changed_pages = 4,
                            .data_records = 5,
                            .root = 6,
                            .absent = true,
                            .message = std::string("a\0b\n", 4)};
  const Bytes meta = EncodeCommitRecord(record);
  EXPECT_EQ(meta.size(), CommitRecord::kFixedBytes + 4);
  EXPECT_EQ(*DecodeCommitRecord(meta), record);
  for (size_t bytes = 0; bytes < meta.size(); ++bytes) {
    EXPECT_EQ(DecodeCommitRecord(std::span(meta).first(bytes)).status().code(),
              absl::StatusCode::kDataLoss)
        << bytes;
  }
  Bytes unknown = meta;
  unknown[44] = std::byte{2};
  EXPECT_FALSE(DecodeCommitRecord(unknown).ok()) << "a flag of later";
}

TEST(PageVersionTest, DecodesWhatWasEncoded) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    const PageVersion version{.position = random(),
                              .bytes = static_cast<uint32_t>(random()),
                              .form = static_cast<Form>(random() % 4),
                              .depth = static_cast<uint8_t>(random())};
    Bytes bytes(PageVersion::kBytes);
    const std::span<std::byte, PageVersion::kBytes> link(bytes.data(),
                                                         bytes.size());
    version.Encode(link);
    EXPECT_EQ(PageVersion::Decode(link), version);
    bytes[12] = static_cast<std::byte>(4 + random() % 252);
    EXPECT_FALSE(PageVersion::Decode(link).has_value());
  }
}

}  // namespace
}  // namespace mmsb
