#include "memory/delta/delta.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

Bytes FromInts(std::vector<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// A page of `size` bytes, and changes of it of the given density.
class Pages {
 public:
  explicit Pages(uint64_t seed) : random_(seed) {}

  Bytes Fresh(size_t size) {
    Bytes page(size);
    for (std::byte& b : page) b = static_cast<std::byte>(random_());
    return page;
  }

  Bytes Changed(const Bytes& page, double density) {
    Bytes changed = page;
    std::bernoulli_distribution change(density);
    for (std::byte& b : changed) {
      if (change(random_)) b ^= static_cast<std::byte>(1 + random_() % 255);
    }
    return changed;
  }

 private:
  std::mt19937_64 random_;
};

TEST(DeltaTest, MaskIsOneBitAByteLeastSignificantFirst) {
  const Bytes before = FromInts({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Bytes after = FromInts({9, 1, 2, 3, 4, 5, 6, 0, 8, 1});
  const absl::StatusOr<Delta> delta = Delta::Make(before, after);
  ASSERT_TRUE(delta.ok()) << delta.status();
  EXPECT_EQ(std::vector<uint8_t>(delta->mask().begin(), delta->mask().end()),
            (std::vector<uint8_t>{0b10000001, 0b00000010}));
  EXPECT_EQ(Bytes(delta->payload().begin(), delta->payload().end()),
            FromInts({9, 0, 1}));
  EXPECT_EQ(delta->changed_bytes(), 3u);
  EXPECT_EQ(delta->page_bytes(), 10u);
}

TEST(DeltaTest, ApplyGivesAfterForEverySizeAndDensity) {
  Pages pages(1);
  for (const size_t size : {0, 1, 7, 8, 9, 63, 64, 65, 253, 300, 4096}) {
    for (const double density : {0.0, 0.01, 0.5, 1.0}) {
      const Bytes before = pages.Fresh(size);
      const Bytes after = pages.Changed(before, density);
      const absl::StatusOr<Delta> delta = Delta::Make(before, after);
      ASSERT_TRUE(delta.ok()) << delta.status();
      Bytes page = before;
      ASSERT_TRUE(delta->Apply(page).ok());
      EXPECT_EQ(page, after) << size << " bytes, density " << density;
      ASSERT_TRUE(delta->Apply(page).ok());
      EXPECT_EQ(page, after) << "a second time";
    }
  }
}

TEST(DeltaTest, ComposeIsApplyingBothAndIsAssociative) {
  Pages pages(2);
  for (int round = 0; round < 200; ++round) {
    const size_t size = 1 + static_cast<size_t>(round) * 7 % 300;
    const Bytes v0 = pages.Fresh(size);
    const Bytes v1 = pages.Changed(v0, 0.2);
    const Bytes v2 = pages.Changed(v1, 0.2);
    const Bytes v3 = pages.Changed(v2, 0.2);
    const Delta a = *Delta::Make(v0, v1);
    const Delta b = *Delta::Make(v1, v2);
    const Delta c = *Delta::Make(v2, v3);
    const Delta left = *Delta::Compose(*Delta::Compose(a, b), c);
    const Delta right = *Delta::Compose(a, *Delta::Compose(b, c));
    EXPECT_EQ(left, right);
    Bytes page = v0;
    ASSERT_TRUE(left.Apply(page).ok());
    EXPECT_EQ(page, v3);
    const Delta nothing = *Delta::Make(v0, v0);
    EXPECT_EQ(*Delta::Compose(a, nothing), a);
    EXPECT_EQ(*Delta::Compose(nothing, a), a);
  }
}

TEST(DeltaTest, InvertTakesBack) {
  Pages pages(4);
  for (const size_t size : {0, 1, 8, 253, 4096}) {
    const Bytes before = pages.Fresh(size);
    const Bytes after = pages.Changed(before, 0.3);
    const Delta delta = *Delta::Make(before, after);
    const absl::StatusOr<Delta> inverse = Delta::Invert(delta, before);
    ASSERT_TRUE(inverse.ok()) << inverse.status();
    EXPECT_EQ(*inverse, *Delta::Make(after, before));
    Bytes page = after;
    ASSERT_TRUE(inverse->Apply(page).ok());
    EXPECT_EQ(page, before);
    EXPECT_EQ(*Delta::Invert(*inverse, after), delta);
  }
}

TEST(DeltaTest, InvertIsAnAntihomomorphism) {
  Pages pages(5);
  const Bytes v0 = pages.Fresh(300);
  const Bytes v1 = pages.Changed(v0, 0.2);
  const Bytes v2 = pages.Changed(v1, 0.2);
  const Delta a = *Delta::Make(v0, v1);
  const Delta b = *Delta::Make(v1, v2);
  EXPECT_EQ(*Delta::Invert(*Delta::Compose(a, b), v0),
            *Delta::Compose(*Delta::Invert(b, v1), *Delta::Invert(a, v0)));
}

// Any mask, and a value for each of its bits, whether or not they change
// anything: not only what Make gives.
Delta AnyDelta(std::mt19937_64& random, size_t size) {
  std::vector<uint8_t> mask(Delta::MaskBytes(size));
  size_t bits = 0;
  for (size_t i = 0; i < size; ++i) {
    if (random() % 3 != 0) continue;
    mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | (1u << (i % 8)));
    ++bits;
  }
  Bytes payload(bits);
  for (std::byte& b : payload) b = static_cast<std::byte>(random() % 4);
  return *Delta::FromParts(size, std::move(mask), std::move(payload));
}

TEST(DeltaTest, TheAlgebraHoldsOfAnyDeltas) {
  std::mt19937_64 random(6);
  for (int round = 0; round < 300; ++round) {
    const size_t size = random() % 300;
    const Delta a = AnyDelta(random, size);
    const Delta b = AnyDelta(random, size);
    const Delta c = AnyDelta(random, size);
    Bytes before(size);
    for (std::byte& byte : before) byte = static_cast<std::byte>(random() % 4);

    EXPECT_EQ(*Delta::Compose(*Delta::Compose(a, b), c),
              *Delta::Compose(a, *Delta::Compose(b, c)));
    const Delta nothing = *Delta::Make(before, before);
    EXPECT_TRUE(nothing.empty());
    EXPECT_EQ(*Delta::Compose(nothing, a), a);
    EXPECT_EQ(*Delta::Compose(a, nothing), a);
    EXPECT_EQ(*Delta::Compose(a, a), a);

    Bytes one_by_one = before;
    ASSERT_TRUE(a.Apply(one_by_one).ok());
    const Bytes after_a = one_by_one;
    ASSERT_TRUE(b.Apply(one_by_one).ok());
    Bytes at_once = before;
    ASSERT_TRUE(Delta::Compose(a, b)->Apply(at_once).ok());
    EXPECT_EQ(at_once, one_by_one);

    const Delta back = *Delta::Invert(a, before);
    Bytes taken_back = after_a;
    ASSERT_TRUE(back.Apply(taken_back).ok());
    EXPECT_EQ(taken_back, before);
    EXPECT_EQ(*Delta::Invert(back, after_a), a);
    EXPECT_EQ(*Delta::Invert(*Delta::Compose(a, b), before),
              *Delta::Compose(*Delta::Invert(b, after_a), back));
  }
}

TEST(DeltaTest, FromMaskAgreesWithMake) {
  Pages pages(3);
  const Bytes before = pages.Fresh(300);
  const Bytes after = pages.Changed(before, 0.3);
  const Delta made = *Delta::Make(before, after);
  EXPECT_EQ(*Delta::FromMask(made.mask(), after), made);
}

TEST(DeltaTest, FromTrustedPartsIsFromPartsForPartsThatFit) {
  const std::vector<uint8_t> mask = {0b00000110, 0b00000001};
  const Bytes payload = FromInts({1, 2, 3});
  EXPECT_EQ(Delta::FromTrustedParts(9, mask, payload),
            *Delta::FromParts(9, mask, payload));
}

TEST(DeltaTest, WhatDoesNotFitIsRefusedAndChangesNothing) {
  const Bytes nine(9);
  const Bytes eight(8);
  EXPECT_EQ(Delta::Make(nine, eight).status().code(),
            absl::StatusCode::kInvalidArgument);

  const Delta delta = *Delta::Make(nine, Bytes(9, std::byte{1}));
  Bytes page(8, std::byte{7});
  EXPECT_EQ(delta.Apply(page).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(page, Bytes(8, std::byte{7}));
  EXPECT_EQ(Delta::Compose(delta, *Delta::Make(eight, eight)).status().code(),
            absl::StatusCode::kInvalidArgument);

  EXPECT_EQ(Delta::Invert(delta, eight).status().code(),
            absl::StatusCode::kInvalidArgument);

  const auto parts = [](size_t bytes, std::vector<uint8_t> mask,
                        size_t payload) {
    return Delta::FromParts(bytes, std::move(mask), Bytes(payload)).status();
  };
  EXPECT_TRUE(parts(9, {0xff, 0x01}, 9).ok());
  EXPECT_FALSE(parts(9, {0xff}, 8).ok()) << "mask too short";
  EXPECT_FALSE(parts(9, {0xff, 0x01, 0}, 9).ok()) << "mask too long";
  EXPECT_FALSE(parts(9, {0xff, 0x03}, 10).ok()) << "spare bit set";
  EXPECT_FALSE(parts(9, {0xff, 0x01}, 8).ok()) << "payload too short";
  EXPECT_FALSE(parts(9, {0xff, 0x01}, 10).ok()) << "payload too long";
  EXPECT_FALSE(Delta::FromMask(std::vector<uint8_t>{0xff, 0x02}, nine).ok());
  EXPECT_FALSE(Delta::FromMask(std::vector<uint8_t>{0xff}, nine).ok());
}

}  // namespace
}  // namespace mmsb
