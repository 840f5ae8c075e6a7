#include "device/simd/byte_mask.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "device/simd/mask_view.h"
#include "device/simd/testing/each_target.h"
#include "device/simd/testing/guarded_bytes.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

class ByteMaskTest : public EachTarget {};

// At every length to 4 vectors and at both sides of memory between guards.
TEST_P(ByteMaskTest, BothWaysAtEveryLength) {
  const GuardedBytes bits_memory(300), bytes_memory(1100);
  std::mt19937_64 random(1);
  for (size_t count = 0; count <= 1025; count += count < 300 ? 1 : 29) {
    for (unsigned sides = 0; sides < 4; ++sides) {
      const std::span<uint8_t> bits =
          bits_memory.MaskAt(GuardedBytes::kSides[sides & 1], MaskBytes(count));
      const std::span<uint8_t> bytes =
          bytes_memory.MaskAt(GuardedBytes::kSides[sides >> 1], count);
      for (uint8_t& byte : bits) byte = static_cast<uint8_t>(random());
      std::ranges::fill(bytes, uint8_t{0xA5});
      BytesFromMask(bits, bytes);
      size_t set = 0;
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(bytes[i], bits[i / 8] >> (i % 8) & 1) << i;
        set += bytes[i];
        // Any value but 0 counts as a flag that is set.
        if (bytes[i] != 0) bytes[i] = static_cast<uint8_t>(random() | 0x80);
      }
      std::vector<uint8_t> expected(bits.begin(), bits.end());
      if (count % 8 != 0) {
        expected.back() &= static_cast<uint8_t>((1u << (count % 8)) - 1);
      }
      std::ranges::fill(bits, uint8_t{0xA5});
      ASSERT_EQ(MaskFromBytes(bytes, bits), set) << count;
      ASSERT_TRUE(std::ranges::equal(bits, expected)) << count;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ByteMaskTest, AllTargets(), TargetName);

TEST(ByteMaskDeathTest, SizesMustMatch) {
  std::vector<uint8_t> nine(9), one(1), two(2), three(3);
  EXPECT_DEATH(BytesFromMask(one, nine),
               "BytesFromMask: bits has 1 bytes, 9 flags need 2");
  EXPECT_DEATH(MaskFromBytes(nine, three),
               "MaskFromBytes: bits has 3 bytes, 9 flags need 2");
}

}  // namespace
}  // namespace mmsb
