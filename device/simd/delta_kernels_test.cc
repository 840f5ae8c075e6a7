#include "device/simd/delta_kernels.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "device/simd/mask_view.h"
#include "device/simd/testing/each_target.h"
#include "device/simd/testing/guarded_bytes.h"
#include "device/simd/testing/random_bytes.h"
#include "gtest/gtest.h"
#include "memory/delta/delta.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

// Each kernel beside Delta's own operation, the reference.
class DeltaKernelsTest : public EachTarget {
 protected:
  void ExpectLikeReference(const Bytes& before, const Bytes& after) {
    const Delta expected = *Delta::Make(before, after);
    const Delta delta = MakeDelta(before, after);
    ASSERT_EQ(delta, expected) << before.size() << " bytes";

    std::vector<uint8_t> mask(MaskBytes(before.size()), 0xA5);
    Bytes payload(before.size());
    const size_t changed = MakeDelta(before, after, mask, payload);
    ASSERT_EQ(changed, expected.changed_bytes());
    ASSERT_TRUE(std::ranges::equal(mask, expected.mask()));
    ASSERT_TRUE(std::ranges::equal(std::span(payload).first(changed),
                                   expected.payload()));

    Bytes page = before;
    ApplyDelta(delta, page);
    ASSERT_EQ(page, after) << before.size() << " bytes";
    page = before;
    ApplyDelta(mask, std::span(payload).first(changed), page);
    ASSERT_EQ(page, after) << before.size() << " bytes";
    // Onto another page it sets the same bytes, and no others.
    Bytes other(before.size());
    FillRandom(other, random_);
    Bytes expected_other = other;
    ASSERT_TRUE(expected.Apply(expected_other).ok());
    ApplyDelta(delta, other);
    ASSERT_EQ(other, expected_other) << before.size() << " bytes";
  }

  void ExpectComposedLikeReference(const Delta& first, const Delta& second) {
    ASSERT_EQ(ComposeDeltas(first, second), *Delta::Compose(first, second))
        << first.page_bytes() << " bytes";
  }

  Bytes Fresh(size_t bytes) {
    Bytes fresh(bytes);
    FillRandom(fresh, random_);
    return fresh;
  }

  Bytes Changed(const Bytes& before, uint64_t per_million) {
    Bytes after = before;
    ChangeSome(after, per_million, random_);
    return after;
  }

  std::mt19937_64 random_{1};
};

TEST_P(DeltaKernelsTest, EveryLengthAndDensity) {
  for (size_t bytes = 0; bytes <= 1025; ++bytes) {
    const Bytes before = Fresh(bytes);
    for (const uint64_t per_million :
         {0u, 1'000u, 10'000u, 500'000u, 1'000'000u}) {
      ExpectLikeReference(before, Changed(before, per_million));
      if (HasFatalFailure()) return;
    }
  }
  for (const size_t bytes : {4095u, 4096u, 8191u, 8193u, 16'387u, 99'991u}) {
    const Bytes before = Fresh(bytes);
    for (const uint64_t per_million :
         {0u, 10u, 1'000u, 200'000u, 990'000u, 1'000'000u}) {
      ExpectLikeReference(before, Changed(before, per_million));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(DeltaKernelsTest, OneByteAtEachPlace) {
  for (const size_t bytes : {1u, 63u, 64u, 65u, 300u}) {
    const Bytes before(bytes, std::byte{0x5A});
    for (size_t i = 0; i < bytes; ++i) {
      Bytes after = before;
      after[i] ^= std::byte{1};
      ExpectLikeReference(before, after);
      if (HasFatalFailure()) return;
    }
  }
}

// Each count of changed bytes in a word, at its front, at its back and spread;
// each pattern of a byte of the mask in each byte of a word.
TEST_P(DeltaKernelsTest, EveryPatternThatTablesHold) {
  const Bytes before(256);
  for (size_t count = 0; count <= 64; ++count) {
    for (size_t place = 0; place < 3; ++place) {
      Bytes after = before;
      for (size_t i = 0; i < count; ++i) {
        const size_t at = place == 0 ? i : place == 1 ? 63 - i : i * 29 % 64;
        after[64 + at] = static_cast<std::byte>(i + 1);
        after[192 + at] = static_cast<std::byte>(i + 1);
      }
      ExpectLikeReference(before, after);
      if (HasFatalFailure()) return;
    }
  }
  for (size_t pattern = 0; pattern < 256; ++pattern) {
    for (size_t byte = 0; byte < 8; ++byte) {
      Bytes after = before;
      for (size_t i = 0; i < 64; ++i) {
        // The other bytes of the word change too, so that it is not a few.
        const bool changes =
            i / 8 == byte ? (pattern >> (i % 8) & 1) != 0 : i % 2 == 0;
        if (changes) after[i] = static_cast<std::byte>(i + 1);
      }
      ExpectLikeReference(before, after);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(DeltaKernelsTest, Compose) {
  for (size_t bytes = 0; bytes <= 600; bytes += bytes < 140 ? 1 : 7) {
    const Bytes v0 = Fresh(bytes);
    for (const uint64_t first : {0u, 5'000u, 500'000u, 1'000'000u}) {
      for (const uint64_t second : {0u, 5'000u, 300'000u, 1'000'000u}) {
        const Bytes v1 = Changed(v0, first);
        const Bytes v2 = Changed(v1, second);
        ExpectComposedLikeReference(*Delta::Make(v0, v1), *Delta::Make(v1, v2));
        if (HasFatalFailure()) return;
      }
    }
  }
  for (const size_t bytes : {4096u, 10'007u}) {
    const Bytes v0 = Fresh(bytes);
    const Bytes v1 = Changed(v0, 100'000);
    const Bytes v2 = Changed(v1, 100'000);
    ExpectComposedLikeReference(*Delta::Make(v0, v1), *Delta::Make(v1, v2));
    Bytes page = v0;
    ApplyDelta(ComposeDeltas(MakeDelta(v0, v1), MakeDelta(v1, v2)), page);
    EXPECT_EQ(page, v2);
  }
}

TEST_P(DeltaKernelsTest, ManyPagesInOrder) {
  constexpr size_t kPages = 40;
  constexpr size_t kPageBytes = 512;
  std::vector<Bytes> pages, expected;
  std::vector<Delta> deltas;
  for (size_t i = 0; i < kPages; ++i) {
    pages.push_back(Fresh(kPageBytes));
    expected.push_back(pages.back());
  }
  std::vector<DeltaToPage> work;
  for (size_t i = 0; i < 3 * kPages; ++i) {
    Bytes& page = expected[i * 7 % kPages];
    const Bytes after = Changed(page, i % 5 == 0 ? 0 : 50'000);
    deltas.push_back(MakeDelta(page, after));
    page = after;
  }
  for (size_t i = 0; i < deltas.size(); ++i) {
    work.push_back({&deltas[i], pages[i * 7 % kPages]});
  }
  ApplyDeltas(work);
  EXPECT_EQ(pages, expected);
  ApplyDeltas({});
}

// Each span at either side of memory of its own between guards.
TEST_P(DeltaKernelsTest, NothingOutsideTheSpansIsTouched) {
  const GuardedBytes before_memory(300), after_memory(300), mask_memory(300),
      payload_memory(300);
  for (size_t bytes = 0; bytes <= 257; ++bytes) {
    for (unsigned sides = 0; sides < 16; ++sides) {
      const auto side = [&](unsigned span) {
        return GuardedBytes::kSides[sides >> span & 1];
      };
      const std::span<std::byte> before = before_memory.At(side(0), bytes);
      const std::span<std::byte> after = after_memory.At(side(1), bytes);
      FillRandom(before, random_);
      std::ranges::copy(before, after.begin());
      ChangeSome(after, sides % 3 == 0 ? 1'000'000 : 300'000, random_);
      const std::span<uint8_t> mask =
          mask_memory.MaskAt(side(2), MaskBytes(bytes));
      const std::span<std::byte> room = payload_memory.At(side(3), bytes);
      const size_t changed = MakeDelta(before, after, mask, room);
      const Bytes payload(room.begin(), room.begin() + changed);
      ASSERT_EQ(*Delta::FromParts(bytes, {mask.begin(), mask.end()}, payload),
                *Delta::Make(before, after));
      // A payload that ends where its memory does.
      const std::span<std::byte> exact = payload_memory.At(side(3), changed);
      std::ranges::copy(payload, exact.begin());
      ApplyDelta(mask, exact, before);
      ASSERT_TRUE(std::ranges::equal(before, after)) << bytes << " bytes";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, DeltaKernelsTest, AllTargets(), TargetName);

TEST(DeltaKernelsDeathTest, SizesMustMatch) {
  Bytes nine(9), ten(10);
  std::vector<uint8_t> two(2), three(3), spare = {0, 0x80};
  const Delta delta = MakeDelta(ten, ten);
  EXPECT_DEATH(MakeDelta(nine, ten),
               "MakeDelta: before has 9 bytes, after has 10");
  EXPECT_DEATH(MakeDelta(ten, ten, three, ten),
               "MakeDelta: mask has 3 bytes, 10 bytes compared need 2");
  EXPECT_DEATH(MakeDelta(ten, ten, two, nine),
               "MakeDelta: payload has 9 bytes, before has 10");
  EXPECT_DEATH(ApplyDelta(delta, nine),
               "ApplyDelta: the delta is of 10 bytes, page has 9");
  EXPECT_DEATH(ApplyDelta(three, {}, ten),
               "ApplyDelta: mask has 3 bytes, a page of 10 bytes needs 2");
  EXPECT_DEATH(ApplyDelta(two, nine, ten),
               "ApplyDelta: payload has 9 bytes, the mask sets 0 bits");
  EXPECT_DEATH(ApplyDelta(spare, std::span(nine).first(1), ten),
               "ApplyDelta: the mask sets bits past the page's 10 bytes");
  EXPECT_DEATH(
      ApplyDeltas(std::vector<DeltaToPage>{{&delta, ten}, {&delta, nine}}),
      "ApplyDelta: the delta is of 10 bytes, page has 9");
  EXPECT_DEATH(ComposeDeltas(delta, MakeDelta(nine, nine)),
               "ComposeDeltas: first is of 10 bytes, second is of 9");
}

}  // namespace
}  // namespace mmsb
