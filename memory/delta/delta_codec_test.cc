#include "memory/delta/delta_codec.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/delta/delta.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

Bytes FromInts(std::vector<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// Changes `changed` bytes of a zero page of `size`, the first `changed` of
// every `stride`.
Bytes Striped(size_t size, size_t stride, size_t changed) {
  Bytes page(size);
  for (size_t i = 0; i < size; ++i) {
    if (i % stride < changed) page[i] = static_cast<std::byte>(1 + i % 255);
  }
  return page;
}

struct Encoded {
  EncodedDelta delta;
  Bytes bytes;
};

Encoded Encode(const Bytes& before, const Bytes& after) {
  Bytes bytes = FromInts({0xaa});  // EncodeDelta must append, not overwrite
  const EncodedDelta delta =
      *EncodeDelta(*Delta::Make(before, after), after, bytes);
  EXPECT_EQ(bytes[0], std::byte{0xaa});
  EXPECT_EQ(bytes.size(), delta.bytes + 1);
  bytes.erase(bytes.begin());
  return {delta, bytes};
}

TEST(DeltaCodecTest, TheSmallestFormIsTaken) {
  const Bytes zero(4096);
  EXPECT_EQ(Encode(zero, Striped(4096, 4096, 16)).delta.form,
            DeltaForm::kSparse);
  EXPECT_EQ(Encode(zero, Striped(4096, 4096, 16)).delta.bytes, 1u + 2 + 16);
  EXPECT_EQ(Encode(zero, Striped(4096, 4, 1)).delta.form, DeltaForm::kDense);
  EXPECT_EQ(Encode(zero, Striped(4096, 4, 1)).delta.bytes, 512u + 1024);
  EXPECT_EQ(Encode(zero, Striped(4096, 1, 1)).delta.form, DeltaForm::kWhole);
  EXPECT_EQ(Encode(zero, zero).delta.bytes, 1u);
}

TEST(DeltaCodecTest, DecodingGivesTheDeltaBack) {
  for (const size_t size : {0, 1, 7, 8, 9, 127, 253, 300, 4096}) {
    for (const size_t stride : {1, 2, 3, 9, 100, 5000}) {
      const Bytes before(size, std::byte{0});
      const Bytes after = Striped(size, stride, 1);
      const Encoded encoded = Encode(before, after);
      const absl::StatusOr<Delta> decoded =
          DecodeDelta(encoded.delta.form, size, encoded.bytes);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      if (encoded.delta.form != DeltaForm::kWhole) {
        EXPECT_EQ(*decoded, *Delta::Make(before, after));
      }
      Bytes by_delta = before;
      ASSERT_TRUE(decoded->Apply(by_delta).ok());
      EXPECT_EQ(by_delta, after);
      Bytes direct = before;
      ASSERT_TRUE(
          ApplyEncodedDelta(encoded.delta.form, encoded.bytes, direct).ok());
      EXPECT_EQ(direct, after);
    }
  }
}

TEST(DeltaCodecTest, FormsHaveTheNumbersOfTheFormat) {
  EXPECT_EQ(DeltaFormFromNumber(1), DeltaForm::kDense);
  EXPECT_EQ(DeltaFormFromNumber(2), DeltaForm::kSparse);
  EXPECT_EQ(DeltaFormFromNumber(3), DeltaForm::kWhole);
  EXPECT_EQ(DeltaFormFromNumber(0), std::nullopt);
  EXPECT_EQ(DeltaFormFromNumber(4), std::nullopt);
}

TEST(DeltaCodecTest, MalformedInputIsRefusedAndChangesNothing) {
  const struct {
    DeltaForm form;
    std::vector<int> bytes;
    const char* why;
  } kCases[] = {
      {DeltaForm::kSparse, {}, "no number of runs"},
      {DeltaForm::kSparse, {0x80}, "a varint that does not end"},
      {DeltaForm::kSparse, {1}, "a run without its pair"},
      {DeltaForm::kSparse, {1, 9, 1, 5}, "a run past the end"},
      {DeltaForm::kSparse, {1, 0, 10, 5}, "a run longer than the page"},
      {DeltaForm::kSparse, {1, 0, 0}, "an empty run"},
      {DeltaForm::kSparse, {1, 0, 2, 5}, "a payload too short"},
      {DeltaForm::kSparse, {1, 0, 1, 5, 5}, "a payload too long"},
      {DeltaForm::kSparse, {10}, "more runs than bytes"},
      {DeltaForm::kSparse,
       {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
       "a varint of more than 64 bits"},
      {DeltaForm::kDense, {1}, "half a mask"},
      {DeltaForm::kDense, {1, 0}, "no payload"},
      {DeltaForm::kDense, {1, 0, 5, 5}, "a payload too long"},
      {DeltaForm::kDense, {0, 2, 5}, "a spare bit"},
      {DeltaForm::kWhole, {1, 2, 3}, "part of a page"},
  };
  for (const auto& c : kCases) {
    Bytes page(9, std::byte{7});
    const Bytes encoded = FromInts(c.bytes);
    EXPECT_EQ(ApplyEncodedDelta(c.form, encoded, page).code(),
              absl::StatusCode::kDataLoss)
        << c.why;
    EXPECT_EQ(page, Bytes(9, std::byte{7})) << c.why;
    EXPECT_EQ(DecodeDelta(c.form, 9, encoded).status().code(),
              absl::StatusCode::kDataLoss)
        << c.why;
  }
  Bytes out;
  EXPECT_EQ(EncodeDelta(Delta(), Bytes(1), out).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(out.empty());
}

TEST(DeltaCodecTest, RandomBytesAreAppliedAlikeByBothReadersOrRefusedByBoth) {
  std::mt19937_64 random(5);
  size_t accepted = 0;
  for (int round = 0; round < 200000; ++round) {
    const size_t page_bytes = random() % 20;
    Bytes encoded(random() % 12);
    // Small values, so that a good share of the inputs is well formed.
    for (std::byte& b : encoded) b = static_cast<std::byte>(random() % 4);
    const DeltaForm form = static_cast<DeltaForm>(1 + random() % 3);
    Bytes direct(page_bytes, std::byte{9});
    const absl::Status applied = ApplyEncodedDelta(form, encoded, direct);
    const absl::StatusOr<Delta> decoded =
        DecodeDelta(form, page_bytes, encoded);
    ASSERT_EQ(applied.ok(), decoded.ok()) << applied << decoded.status();
    Bytes by_delta(page_bytes, std::byte{9});
    if (decoded.ok()) {
      ++accepted;
      ASSERT_TRUE(decoded->Apply(by_delta).ok());
    }
    ASSERT_EQ(direct, by_delta);
  }
  EXPECT_GT(accepted, 1000u);
}

}  // namespace
}  // namespace mmsb
