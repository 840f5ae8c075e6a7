// Many random bytes through all kernels on all targets, beside the reference.
// MMSB_DIFFERENTIAL_BYTES in the environment says how many (100000000).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "device/simd/delta_kernels.h"
#include "device/simd/mask_view.h"
#include "device/simd/simd_mask.h"
#include "device/simd/simd_target.h"
#include "gtest/gtest.h"
#include "memory/delta/delta.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

constexpr size_t kRoundBytes = 1 << 20;

size_t BytesATarget() {
  if (const char* const bytes = std::getenv("MMSB_DIFFERENTIAL_BYTES")) {
    return std::strtoull(bytes, nullptr, 10);
  }
  return kAddressSanitizer || kThreadSanitizer || kMemorySanitizer
             ? 5'000'000
             : 100'000'000;
}

// Eight at a time: what is random is the bytes, and where they change.
void FillWords(std::span<std::byte> bytes, std::mt19937_64& random) {
  for (size_t i = 0; i < bytes.size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, std::min<size_t>(8, bytes.size() - i));
  }
}

// Changes runs of bytes and single ones, with gaps of `gap` bytes at the mean.
void Change(std::span<std::byte> bytes, size_t gap, std::mt19937_64& random) {
  for (size_t i = random() % (2 * gap); i < bytes.size();) {
    const uint64_t draw = random();
    const size_t run = draw % 8 == 0 ? 1 + (draw >> 8) % 100 : 1;
    const size_t end = std::min(i + run, bytes.size());
    for (; i < end; ++i) bytes[i] ^= static_cast<std::byte>(1 + i % 255);
    i += 1 + (draw >> 32) % (2 * gap);
  }
}

TEST(DifferentialTest, AllTargetsAgreeWithTheReference) {
  constexpr size_t kGaps[] = {1, 2, 10, 100, 1'000, 1'000'000};
  std::mt19937_64 random(7);
  std::vector<std::byte> before_memory(kRoundBytes + 64);
  std::vector<std::byte> after_memory(kRoundBytes + 64);
  std::vector<uint8_t> mask(MaskBytes(kRoundBytes));
  std::vector<std::byte> payload(kRoundBytes);
  std::vector<std::byte> page(kRoundBytes);
  size_t round = 0;
  const size_t all = BytesATarget();
  for (size_t done = 0; done < all; ++round) {
    // Another alignment and an odd size each time.
    const size_t bytes = kRoundBytes - random() % 300;
    const std::span<std::byte> before =
        std::span(before_memory).subspan(random() % 64, bytes);
    const std::span<std::byte> after =
        std::span(after_memory).subspan(random() % 64, bytes);
    FillWords(before, random);
    std::memcpy(after.data(), before.data(), bytes);
    Change(after, kGaps[round % std::size(kGaps)], random);
    const Delta expected = *Delta::Make(before, after);
    for (const std::string_view target : SimdTargets()) {
      ASSERT_TRUE(ForceSimdTarget(target).ok());
      const std::span<uint8_t> mask_span =
          std::span(mask).first(MaskBytes(bytes));
      const size_t changed =
          MakeDelta(before, after, mask_span, std::span(payload).first(bytes));
      ASSERT_EQ(changed, expected.changed_bytes()) << target;
      ASSERT_EQ(std::memcmp(mask_span.data(), expected.mask().data(),
                            mask_span.size()),
                0)
          << target;
      ASSERT_EQ(std::memcmp(payload.data(), expected.payload().data(), changed),
                0)
          << target;
      ASSERT_EQ(GenerateMask(before, after, mask_span), changed) << target;
      ASSERT_EQ(std::memcmp(mask_span.data(), expected.mask().data(),
                            mask_span.size()),
                0)
          << target;
      std::memcpy(page.data(), before.data(), bytes);
      ApplyDelta(expected, std::span(page).first(bytes));
      ASSERT_EQ(std::memcmp(page.data(), after.data(), bytes), 0) << target;
    }
    done += bytes;
  }
  ASSERT_TRUE(ForceSimdTarget("").ok());
}

// Buffers in one call, and in calls for pieces, for which nothing is done
// about caches.
void ExpectAsItsPieces(size_t bytes) {
  constexpr size_t kPieceBytes = 512 << 10;
  std::mt19937_64 random(8);
  std::vector<std::byte> before(bytes), after;
  FillWords(before, random);
  after = before;
  Change(after, 3'000, random);
  std::vector<uint8_t> expected(MaskBytes(bytes));
  size_t changed = 0;
  for (size_t at = 0; at < bytes; at += kPieceBytes) {
    const size_t piece = std::min(kPieceBytes, bytes - at);
    changed +=
        GenerateMask(std::span(before).subspan(at, piece),
                     std::span(after).subspan(at, piece),
                     std::span(expected).subspan(at / 8, MaskBytes(piece)));
  }
  const Delta delta = MakeDelta(before, after);
  ASSERT_EQ(delta.changed_bytes(), changed);
  std::vector<uint8_t> mask(expected.size() + 70);
  std::vector<std::byte> payload(bytes);
  for (const std::string_view target : SimdTargets()) {
    ASSERT_TRUE(ForceSimdTarget(target).ok());
    // Where a line begins in the mask, and where one does not.
    for (const size_t offset : {size_t{0}, size_t{1}, size_t{37}}) {
      std::ranges::fill(mask, uint8_t{0xA5});
      const std::span<uint8_t> actual =
          std::span(mask).subspan(offset, expected.size());
      ASSERT_EQ(GenerateMask(before, after, actual), changed) << target;
      ASSERT_TRUE(std::ranges::equal(actual, expected)) << target;
      ASSERT_TRUE(std::ranges::all_of(std::span(mask).first(offset),
                                      [](uint8_t b) { return b == 0xA5; }));
      ASSERT_EQ(mask[offset + expected.size()], 0xA5) << target;
    }
    const std::span<uint8_t> actual =
        std::span(mask).subspan(11, expected.size());
    ASSERT_EQ(MakeDelta(before, after, actual, payload), changed) << target;
    ASSERT_TRUE(std::ranges::equal(actual, expected)) << target;
    ASSERT_EQ(std::memcmp(payload.data(), delta.payload().data(), changed), 0)
        << target;
  }
  ASSERT_TRUE(ForceSimdTarget("").ok());
}

TEST(DifferentialTest, BuffersFetchedAheadAreAsTheirPieces) {
  ExpectAsItsPieces((3 << 20) + 777);
}

// The mask is written around the caches.
TEST(DifferentialTest, LongBuffersAreAsTheirPieces) {
  ExpectAsItsPieces((33 << 20) + 777);
}

}  // namespace
}  // namespace mmsb
