#include "memory/store/checkpoint.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

constexpr size_t kPageBytes = 512;
constexpr uint64_t kPosition = uint64_t{1} << 40;  // of the checkpoint

PageTable::Entry SomeEntry(uint64_t n) {
  return {{.position = n * 600,
           .bytes = 512,
           .form = n % 2 == 0 ? PageVersion::Form::kWhole
                              : PageVersion::Form::kSparse,
           .depth = static_cast<uint8_t>(n % 2 == 0 ? 0 : 1 + n % 16)},
          static_cast<uint32_t>(n * 2654435761u)};
}

TEST(CheckpointRecordTest, HasTheLayoutOfTheFormat) {
  const CheckpointRecord record{.previous = 0x0102030405060708,
                                .state_bytes = 5,
                                .stored_pages = 16385,
                                .stored_bytes = 7,
                                .root = 0xa1a2a3a4,
                                .records = 2};
  const Bytes bytes = EncodeCheckpointRecord(record);
  ASSERT_EQ(bytes.size(), 40u);
  EXPECT_EQ(bytes[0], std::byte{8});
  EXPECT_EQ(bytes[8], std::byte{5});
  EXPECT_EQ(bytes[17], std::byte{0x40});
  EXPECT_EQ(bytes[24], std::byte{7});
  EXPECT_EQ(bytes[35], std::byte{0xa1});
  EXPECT_EQ(bytes[36], std::byte{2});
  const absl::StatusOr<CheckpointRecord> decoded =
      DecodeCheckpointRecord(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, record);
}

TEST(CheckpointRecordTest, WhatIsMalformedIsRefused) {
  const Bytes right = EncodeCheckpointRecord({.stored_pages = 5, .records = 1});
  EXPECT_TRUE(DecodeCheckpointRecord(right).ok());
  for (size_t bytes = 0; bytes < right.size(); ++bytes) {
    EXPECT_EQ(
        DecodeCheckpointRecord(std::span(right).first(bytes)).status().code(),
        absl::StatusCode::kDataLoss);
  }
  for (const CheckpointRecord& record : {
           CheckpointRecord{.stored_pages = 5, .records = 0},
           CheckpointRecord{.stored_pages = 5, .records = 2},
           CheckpointRecord{.stored_pages = 0, .records = 0},
           CheckpointRecord{.stored_pages = ~uint64_t{0}, .records = 1},
       }) {
    EXPECT_FALSE(DecodeCheckpointRecord(EncodeCheckpointRecord(record)).ok());
  }
}

TEST(CheckpointDataTest, ATableComesBackAndTakesWhatIsStated) {
  std::mt19937_64 random(1);
  PageTablePool pool;
  for (const uint64_t pages : {0, 1, 1000, 40'000}) {
    PageTable table(pool, kPageBytes);
    ASSERT_TRUE(table.Resize(pages).ok());
    for (uint64_t page = 0; page < pages; ++page) {
      if (random() % 5 == 0) continue;
      ASSERT_TRUE(table.Set(page, SomeEntry(1 + random() % 100)).ok());
    }
    PageTable again(pool, kPageBytes);
    ASSERT_TRUE(again.Resize(pages).ok());
    uint64_t records = 0;
    uint64_t entries = 0;
    uint64_t written = 0;
    uint64_t read = 0;
    do {
      Bytes data;
      written = CheckpointData::Encode(table, written, data);
      const absl::StatusOr<uint64_t> next =
          CheckpointData::Decode(data, read, kPosition, again);
      ASSERT_TRUE(next.ok()) << next.status();
      read = *next;
      entries += data.size() / CheckpointData::kEntryBytes;
      ++records;
    } while (written < table.pages());
    EXPECT_EQ(entries, table.stored_pages());
    EXPECT_EQ(records, CheckpointData::Records(entries));
    EXPECT_EQ(again.Root(), table.Root());
    for (uint64_t page = 0; page < pages; ++page) {
      ASSERT_EQ(again.Get(page), table.Get(page));
    }
  }
}

TEST(CheckpointDataTest, ASparseTableTakesItsPagesOnly) {
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  ASSERT_TRUE(table.Resize(PageTable::kMaxPages).ok());
  ASSERT_TRUE(table.Set(PageTable::kMaxPages - 1, SomeEntry(1)).ok());
  Bytes data;
  EXPECT_EQ(CheckpointData::Encode(table, 0, data), PageTable::kMaxPages);
  EXPECT_EQ(data.size(), 24u);
}

TEST(CheckpointDataTest, WhatIsMalformedIsRefused) {
  PageTablePool pool;
  PageTable table(pool, kPageBytes);
  ASSERT_TRUE(table.Resize(10).ok());
  ASSERT_TRUE(table.Set(3, SomeEntry(3)).ok());
  ASSERT_TRUE(table.Set(5, SomeEntry(4)).ok());
  Bytes right;
  CheckpointData::Encode(table, 0, right);
  const auto code = [&](const Bytes& data, uint64_t first = 0,
                        uint64_t position = kPosition) {
    PageTable out(pool, kPageBytes);
    EXPECT_TRUE(out.Resize(6).ok());
    return CheckpointData::Decode(data, first, position, out).status().code();
  };
  const auto with = [&](size_t at, uint8_t value) {
    Bytes data = right;
    data[at] = std::byte{value};
    return data;
  };
  EXPECT_EQ(code(right), absl::StatusCode::kOk);
  EXPECT_EQ(code(right, 4), absl::StatusCode::kDataLoss) << "does not ascend";
  EXPECT_EQ(code(with(24, 3)), absl::StatusCode::kDataLoss) << "twice";
  EXPECT_EQ(code(with(24, 6)), absl::StatusCode::kDataLoss) << "past the end";
  EXPECT_EQ(code(right, 0, 4 * 600 + 512), absl::StatusCode::kOk);
  EXPECT_EQ(code(right, 0, 4 * 600 + 511), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code(with(15, 0xff)), absl::StatusCode::kDataLoss) << "overflow";
  EXPECT_EQ(code(with(20, 4)), absl::StatusCode::kDataLoss) << "no form";
  EXPECT_EQ(code(with(21, 17)), absl::StatusCode::kDataLoss) << "too deep";
  EXPECT_EQ(code(with(21, 0)), absl::StatusCode::kDataLoss) << "on nothing";
  right.pop_back();
  EXPECT_EQ(code(right), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace mmsb
