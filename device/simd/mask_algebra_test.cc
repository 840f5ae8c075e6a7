#include "device/simd/mask_algebra.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "device/simd/mask_view.h"
#include "device/simd/testing/each_target.h"
#include "device/simd/testing/guarded_bytes.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

using Mask = std::vector<uint8_t>;

Mask RandomMask(size_t bytes, std::mt19937_64& random) {
  Mask mask(bytes);
  for (uint8_t& byte : mask) byte = static_cast<uint8_t>(random());
  return mask;
}

void SetBit(Mask& mask, size_t i, bool value) {
  const auto bit = static_cast<uint8_t>(1u << (i % 8));
  mask[i / 8] =
      static_cast<uint8_t>(value ? mask[i / 8] | bit : mask[i / 8] & ~bit);
}

struct Binary {
  const char* name;
  void (*function)(MaskView a, MaskView b, MaskSpan out);
  bool (*means)(bool a, bool b);
};

constexpr Binary kBinary[] = {
    {"And", AndMasks, [](bool a, bool b) { return a && b; }},
    {"Or", OrMasks, [](bool a, bool b) { return a || b; }},
    {"Xor", XorMasks, [](bool a, bool b) { return a != b; }},
    {"AndNot", AndNotMasks, [](bool a, bool b) { return a && !b; }},
    {"Not", [](MaskView a, MaskView, MaskSpan out) { NotMask(a, out); },
     [](bool a, bool) { return !a; }},
    {"Copy", [](MaskView a, MaskView, MaskSpan out) { CopyMask(a, out); },
     [](bool a, bool) { return a; }},
};

class MaskAlgebraTest : public EachTarget {
 protected:
  // Each operation on `bits` bits that begin at these bits of their masks: all
  // of the output's mask is as it should be, the bits beside the range too.
  void ExpectAll(size_t a_first, size_t b_first, size_t out_first,
                 size_t bits) {
    const Mask a = RandomMask(MaskBytes(a_first + bits) + 1, random_);
    const Mask b = RandomMask(MaskBytes(b_first + bits) + 1, random_);
    const Mask before = RandomMask(MaskBytes(out_first + bits) + 1, random_);
    const MaskView a_view(a, a_first, bits);
    const MaskView b_view(b, b_first, bits);
    for (const Binary& binary : kBinary) {
      Mask expected = before;
      for (size_t i = 0; i < bits; ++i) {
        SetBit(expected, out_first + i, binary.means(a_view[i], b_view[i]));
      }
      Mask out = before;
      binary.function(a_view, b_view, MaskSpan(out, out_first, bits));
      ASSERT_EQ(out, expected)
          << binary.name << ", " << bits << " bits from " << a_first << ", "
          << b_first << " to " << out_first;
    }
  }

  std::mt19937_64 random_{1};
};

TEST_P(MaskAlgebraTest, EveryShiftAndLength) {
  for (size_t a_first = 0; a_first < 8; ++a_first) {
    for (size_t b_first = 0; b_first < 8; ++b_first) {
      for (size_t out_first = 0; out_first < 8; ++out_first) {
        for (const size_t bits :
             {0u, 1u, 3u, 7u, 8u, 9u, 16u, 63u, 127u, 517u}) {
          ExpectAll(a_first, b_first, out_first, bits);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
  for (size_t bits = 0; bits <= 1025; ++bits) {
    ExpectAll(bits % 8, bits / 8 % 8, bits / 64 % 8, bits);
    ExpectAll(0, 0, 0, bits);
    if (HasFatalFailure()) return;
  }
  ExpectAll(3, 17, 300, 40'003);
  ExpectAll(0, 0, 0, 80'000);
}

// Masks so long that the operands are fetched ahead, or that the output is
// written around the caches: in one call, and in calls for pieces, for which
// neither is done.
TEST_P(MaskAlgebraTest, LongMasksAreAsTheirPieces) {
  constexpr size_t kPieceBits = 64 << 13;
  const auto expect_pieces = [&](std::span<const Binary> operations,
                                 size_t bits) {
    Mask a(bits / 8 + 16);
    for (size_t i = 0; i + 8 <= a.size(); i += 8) {
      const uint64_t word = random_();
      std::memcpy(a.data() + i, &word, sizeof(word));
    }
    const Mask b(a.rbegin(), a.rend());
    for (const Binary& binary : operations) {
      for (const auto& [a_first, b_first, out_first] :
           {std::array<size_t, 3>{0, 0, 0}, {5, 0, 11}}) {
        const MaskView a_view(a, a_first, bits), b_view(b, b_first, bits);
        Mask expected(a.size()), out(a.size());
        for (size_t at = 0; at < bits; at += kPieceBits) {
          const size_t piece = std::min(kPieceBits, bits - at);
          binary.function(a_view.Sub(at, piece), b_view.Sub(at, piece),
                          MaskSpan(expected, out_first + at, piece));
        }
        binary.function(a_view, b_view, MaskSpan(out, out_first, bits));
        ASSERT_TRUE(std::ranges::equal(out, expected)) << binary.name;

        std::ranges::copy(a, out.begin());
        const MaskSpan in_place(out, a_first, bits);
        binary.function(in_place, b_view, in_place);
        for (size_t at = 0; at < bits; at += kPieceBits) {
          const size_t piece = std::min(kPieceBits, bits - at);
          const MaskView is = MaskView(in_place).Sub(at, piece);
          const MaskView was = MaskView(expected, out_first + at, piece);
          Mask xored(MaskBytes(piece));
          XorMasks(is, was, MaskSpan(xored, 0, piece));
          ASSERT_TRUE(NoneSet(xored)) << binary.name << " in place";
        }
      }
    }
  };
  expect_pieces(kBinary, (400 << 13) + 12'341);
  expect_pieces(std::span(kBinary).subspan(2, 1), (12 << 23) + 12'345);
}

TEST_P(MaskAlgebraTest, TheOutputMayBeAnOperand) {
  for (const size_t first : {0u, 3u}) {
    for (const size_t bits : {5u, 64u, 1000u, 5003u}) {
      const Mask a = RandomMask(MaskBytes(first + bits), random_);
      const Mask b = RandomMask(MaskBytes(bits) + 1, random_);
      for (const Binary& binary : kBinary) {
        for (const size_t b_first : {0u, 5u}) {
          const MaskView b_view(b, b_first, bits);
          Mask expected = a;
          binary.function(MaskView(a, first, bits), b_view,
                          MaskSpan(expected, first, bits));
          Mask in_place = a;
          const MaskSpan span(in_place, first, bits);
          binary.function(span, b_view, span);
          ASSERT_EQ(in_place, expected) << binary.name << ", as a";

          expected = a;
          binary.function(b_view, MaskView(a, first, bits),
                          MaskSpan(expected, first, bits));
          in_place = a;
          binary.function(b_view, span, span);
          ASSERT_EQ(in_place, expected) << binary.name << ", as b";
        }
      }
    }
  }
}

TEST_P(MaskAlgebraTest, CountingAndFinding) {
  for (size_t first = 0; first < 8; ++first) {
    for (size_t bits = 0; bits <= 1100; bits += bits < 150 ? 1 : 37) {
      // Bits beside the range are what would be found by mistake.
      Mask mask(MaskBytes(first + bits) + 1, 0xFF);
      const MaskView view(mask, first, bits);
      ASSERT_TRUE(AllSet(view)) << bits;
      ASSERT_EQ(CountSet(view), bits);
      ASSERT_EQ(NoneSet(view), bits == 0);
      ASSERT_EQ(FirstSet(view), 0u);
      std::ranges::fill(mask, uint8_t{0});
      const MaskSpan span(mask, first, bits);
      FillMask(span, true);
      ASSERT_EQ(CountSet(MaskView(mask)), bits) << "nothing beside is set";
      ASSERT_TRUE(AllSet(view));
      std::ranges::fill(mask, uint8_t{0xFF});
      FillMask(span, false);
      ASSERT_EQ(CountSet(MaskView(mask)), mask.size() * 8 - bits);
      ASSERT_TRUE(NoneSet(view));
      ASSERT_EQ(FirstSet(view), bits);
      ASSERT_EQ(AllSet(view), bits == 0);
      if (bits == 0) continue;
      for (const size_t at : {size_t{0}, bits / 2, bits - 1}) {
        SetBit(mask, first + at, true);
        ASSERT_EQ(FirstSet(view), at) << bits;
        ASSERT_FALSE(NoneSet(view));
        ASSERT_EQ(CountSet(view), 1u);
        SetBit(mask, first + at, false);
        FillMask(span, true);
        SetBit(mask, first + at, false);
        ASSERT_FALSE(AllSet(view)) << at << " of " << bits;
        FillMask(span, false);
      }
    }
  }
  const Mask mask = RandomMask(100'003, random_);
  size_t count = 0;
  const MaskView view(mask);
  for (size_t i = 0; i < view.bits(); ++i) count += view[i] ? 1 : 0;
  EXPECT_EQ(CountSet(view), count);
}

// Operands and output at each side of memory of their own between guards, each
// in no more bytes than its bits take.
TEST_P(MaskAlgebraTest, NothingOutsideIsTouched) {
  const GuardedBytes a_memory(300), b_memory(300), out_memory(300);
  constexpr size_t kFirsts[][3] = {{0, 0, 0}, {3, 0, 2}, {0, 5, 0},
                                   {5, 0, 0}, {7, 1, 0}, {6, 2, 6}};
  for (size_t bits = 0; bits <= size_t{257} * 8; bits += bits < 600 ? 1 : 8) {
    for (unsigned sides = 0; sides < 8; ++sides) {
      const auto place = [&](const GuardedBytes& memory, unsigned span,
                             size_t first) {
        return MaskSpan(memory.MaskAt(GuardedBytes::kSides[sides >> span & 1],
                                      MaskBytes(first + bits)),
                        first, bits);
      };
      for (const auto& [a_first, b_first, out_first] : kFirsts) {
        const MaskSpan out = place(out_memory, 2, out_first);
        for (const Binary& binary : kBinary) {
          binary.function(place(a_memory, 0, a_first),
                          place(b_memory, 1, b_first), out);
        }
        FillMask(out, true);
        ASSERT_EQ(CountSet(out), bits);
        ASSERT_TRUE(AllSet(out));
        FillMask(out, false);
        ASSERT_EQ(FirstSet(out), bits);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, MaskAlgebraTest, AllTargets(), TargetName);

TEST(MaskAlgebraDeathTest, LengthsMustMatch) {
  Mask one(1), two(2);
  EXPECT_DEATH(AndMasks(one, two, one), "AndMasks: a has 8 bits, b has 16");
  EXPECT_DEATH(OrMasks(one, one, two), "OrMasks: a has 8 bits, out has 16");
  EXPECT_DEATH(XorMasks(two, one, two), "XorMasks: a has 16 bits, b has 8");
  EXPECT_DEATH(AndNotMasks(two, two, one),
               "AndNotMasks: a has 16 bits, out has 8");
  EXPECT_DEATH(NotMask(one, two), "NotMask: a has 8 bits, out has 16");
  EXPECT_DEATH(CopyMask(MaskView(two, 0, 9), one),
               "CopyMask: a has 9 bits, out has 8");
  EXPECT_DEATH(MaskView(one, 3, 6),
               "MaskView: 6 bits from bit 3, of a mask of 8 bits");
  EXPECT_DEATH(MaskView(two, 17, 0), "MaskView: 0 bits from bit 17");
  EXPECT_DEATH(MaskView(two, 1, ~size_t{0}), "MaskView");
  EXPECT_DEATH(MaskView(two).Sub(9, 8),
               "MaskView: 8 bits from bit 9, of 16 bits");
}

}  // namespace
}  // namespace mmsb
