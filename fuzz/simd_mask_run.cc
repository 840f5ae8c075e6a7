#include "fuzz/simd_mask_run.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/simd/mask_algebra.h"
#include "device/simd/mask_runs.h"
#include "device/simd/mask_view.h"
#include "device/simd/simd_mask.h"
#include "device/simd/simd_target.h"
#include "device/simd/testing/simd_mask_reference.h"
#include "fuzz/program.h"

namespace mmsb {
namespace {

using Op = SimdMaskOp;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"bytes", kSize},          // modulo kMaxBytes
    {"before_offset", kByte},  // from a multiple of 64, modulo
    {"after_offset", kByte},   // the same
    {"mask_offset", kByte},    // the same
    {"seed", kByte},           // of the contents
};

constexpr ProgramKind::Op kOps[] = {
    {"kSet", kSize, kByte},
    {"kFlip", kSize, kByte},
    {"kCopy"},
    {"kMask"},
    {"kBlockMask", kByte, kByte},
    {"kDifference", kSize},
    {"kAlgebra", kByte, kByte},
    {"kRuns", kByte, kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kMaxBytes = 1100;
constexpr size_t kPlaceAlignment = 64;

// Exactly as much memory as its bytes need, so that AddressSanitizer sees who
// goes beyond, at an offset from a multiple of kPlaceAlignment.
template <class Byte>
class Placed {
 public:
  Placed(size_t offset, size_t bytes)
      : memory_(static_cast<Byte*>(
            ::operator new(offset + bytes, std::align_val_t{kPlaceAlignment}))),
        span_(memory_.get() + offset, bytes) {
    std::fill(span_.begin(), span_.end(), Byte{0});
  }
  std::span<Byte> span() const { return span_; }
  Byte& operator[](size_t i) const { return span_[i]; }

 private:
  struct Free {
    void operator()(Byte* p) const {
      ::operator delete(p, std::align_val_t{kPlaceAlignment});
    }
  };
  std::unique_ptr<Byte, Free> memory_;
  std::span<Byte> span_;
};

// Every answer on every target of the machine.
class Model {
 public:
  explicit Model(const Program& program)
      : bytes_(program.setup[0] % kMaxBytes),
        mask_offset_(program.setup[3] % kPlaceAlignment),
        before_(program.setup[1] % kPlaceAlignment, bytes_),
        after_(program.setup[2] % kPlaceAlignment, bytes_) {
    for (size_t i = 0; i < bytes_; ++i) {
      before_[i] = static_cast<std::byte>(program.setup[4] * i + i / 7);
    }
    Copy();
  }

  std::string Run(const Program& program) {
    for (size_t i = 0; i < program.steps.size(); ++i) {
      std::string error = Perform(program.steps[i]);
      if (!error.empty()) return AtStep(i, error);
    }
    all_targets_ = true;
    std::string error = CheckMask();
    if (error.empty()) error = CheckDifference(bytes_ / 2);
    if (error.empty()) error = CheckAlgebra(bytes_ % 8, 1);
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  void Copy() {
    std::copy(before_.span().begin(), before_.span().end(),
              after_.span().begin());
  }

  std::string Perform(const Program::Step& step) {
    switch (step.op) {
      case Op::kSet:
        if (bytes_ != 0) {
          after_[step.a % bytes_] = static_cast<std::byte>(step.b);
        }
        return "";
      case Op::kFlip:
        if (bytes_ == 0) return "";
        for (size_t i = step.a % bytes_, n = 0; i < bytes_ && n <= step.b;
             ++i, ++n) {
          after_[i] ^= std::byte{0x81};
        }
        return "";
      case Op::kCopy:
        Copy();
        return "";
      case Op::kMask:
        return CheckMask();
      case Op::kBlockMask:
        return CheckBlockMask(step.b % 8 == 0 ? 8 : step.b % 8 * 64);
      case Op::kDifference:
        return CheckDifference(step.a);
      case Op::kAlgebra:
        return CheckAlgebra(step.a % 64, step.b);
      default:
        return CheckRuns(step.a % 64, step.b);
    }
  }

  // On one target after the other, and at the end on each; says which went
  // wrong.
  template <class Check>
  std::string OnTargets(Check check) {
    static const std::vector<std::string_view> targets = SimdTargets();
    for (size_t i = 0; i < targets.size(); ++i) {
      const std::string_view target = targets[i];
      if (!all_targets_ && i != turn_ % targets.size()) continue;
      if (!ForceSimdTarget(target).ok()) return "a target that is none";
      std::string error = check();
      if (!error.empty()) return std::string(target) + ": " + error;
    }
    ++turn_;
    return "";
  }

  [[nodiscard]] std::vector<uint8_t> Reference() const {
    std::vector<uint8_t> mask(MaskBytes(bytes_));
    GenerateMaskReference(before_.span(), after_.span(), mask);
    return mask;
  }

  [[nodiscard]] static bool Bit(std::span<const uint8_t> mask, size_t i) {
    return (mask[i / 8] >> (i % 8) & 1) != 0;
  }

  std::string CheckMask() {
    const std::vector<uint8_t> expected = Reference();
    const size_t count = CountBits(expected, 0, bytes_);
    return OnTargets([&]() -> std::string {
      const Placed<uint8_t> mask(mask_offset_, expected.size());
      std::fill(mask.span().begin(), mask.span().end(), uint8_t{0xA5});
      if (GenerateMask(before_.span(), after_.span(), mask.span()) != count) {
        return "GenerateMask miscounts";
      }
      return std::equal(expected.begin(), expected.end(), mask.span().begin())
                 ? ""
                 : "GenerateMask makes another mask";
    });
  }

  std::string CheckBlockMask(size_t block_bytes) {
    const size_t blocks =
        bytes_ / block_bytes + (bytes_ % block_bytes != 0 ? 1 : 0);
    std::vector<uint8_t> expected(MaskBytes(blocks));
    size_t count = 0;
    for (size_t b = 0; b < blocks; ++b) {
      const size_t begin = b * block_bytes;
      const size_t size = std::min(block_bytes, bytes_ - begin);
      if (std::memcmp(&before_[begin], &after_[begin], size) != 0) {
        expected[b / 8] |= static_cast<uint8_t>(1u << (b % 8));
        ++count;
      }
    }
    return OnTargets([&]() -> std::string {
      const Placed<uint8_t> mask(mask_offset_, expected.size());
      std::fill(mask.span().begin(), mask.span().end(), uint8_t{0xA5});
      if (GenerateBlockMask(before_.span(), after_.span(), block_bytes,
                            mask.span()) != count) {
        return "GenerateBlockMask miscounts";
      }
      return std::equal(expected.begin(), expected.end(), mask.span().begin())
                 ? ""
                 : "GenerateBlockMask makes another mask";
    });
  }

  std::string CheckDifference(size_t limit) {
    const std::vector<uint8_t> mask = Reference();
    const size_t count = CountBits(mask, 0, bytes_);
    size_t first = 0;
    while (first < bytes_ && !Bit(mask, first)) ++first;
    return OnTargets([&]() -> std::string {
      if (AnyDifference(before_.span(), after_.span()) != (count != 0)) {
        return "AnyDifference";
      }
      if (FirstDifference(before_.span(), after_.span()) != first) {
        return "FirstDifference";
      }
      if (CountDifferences(before_.span(), after_.span()) != count ||
          CountDifferences(before_.span(), after_.span(), limit) !=
              std::min(count, limit)) {
        return "CountDifferences";
      }
      return "";
    });
  }

  // 64 bits of a mask from bit `first` on; those beyond its end are 0.
  static uint64_t Word(std::span<const uint8_t> mask, size_t first) {
    const size_t begin = first / 8;
    const size_t skipped = first % 8;
    uint64_t word = 0;
    for (size_t i = 0; i < 8 && begin + i < mask.size(); ++i) {
      word |= uint64_t{mask[begin + i]} << (8 * i);
    }
    word >>= skipped;
    if (skipped != 0 && begin + 8 < mask.size()) {
      word |= uint64_t{mask[begin + 8]} << (64 - skipped);
    }
    return word;
  }

  // Calls visit(i, bits) for the bits [i, i + 64) of `bits` bits, and so on; in
  // the second argument those are set that there are.
  template <class Visit>
  static void ForEachWord(size_t bits, Visit visit) {
    for (size_t i = 0; i < bits; i += 64) {
      visit(i, bits - i < 64 ? (uint64_t{1} << (bits - i)) - 1 : ~uint64_t{0});
    }
  }

  static size_t CountBits(std::span<const uint8_t> mask, size_t first,
                          size_t bits) {
    size_t count = 0;
    ForEachWord(bits, [&](size_t i, uint64_t inside) {
      count +=
          static_cast<size_t>(std::popcount(Word(mask, first + i) & inside));
    });
    return count;
  }

  // Two masks that are the contents themselves, and a place for a third.
  std::string CheckAlgebra(size_t first, size_t fewer) {
    const size_t all = bytes_ * 8;
    if (first > all || fewer > all - first) return "";
    const size_t bits = all - first - fewer;
    const auto* const a =
        reinterpret_cast<const uint8_t*>(before_.span().data());
    const auto* const b =
        reinterpret_cast<const uint8_t*>(after_.span().data());
    const std::span<const uint8_t> a_bytes(a, bytes_);
    const std::span<const uint8_t> b_bytes(b, bytes_);
    const MaskView x(a_bytes, first, bits);
    // The second range begins elsewhere, where there is room.
    const size_t other = fewer / 2;
    const MaskView y(b_bytes, other, bits);
    return OnTargets([&]() -> std::string {
      const Placed<uint8_t> place(mask_offset_, bytes_);
      const std::span<const uint8_t> made = place.span();
      // Of the bits around the range none may change.
      const std::vector<uint8_t> around(bytes_, uint8_t{0x5A});
      const auto check = [&](auto make, auto expected) {
        std::copy(around.begin(), around.end(), place.span().begin());
        make(MaskSpan(place.span(), first, bits));
        uint64_t wrong = 0;
        ForEachWord(bits, [&](size_t i, uint64_t inside) {
          const uint64_t want =
              expected(Word(a_bytes, first + i), Word(b_bytes, other + i));
          wrong |= (Word(made, first + i) ^ want) & inside;
        });
        const auto same = [&](size_t from, size_t count) {
          ForEachWord(count, [&](size_t i, uint64_t inside) {
            wrong |= (Word(made, from + i) ^ Word(around, from + i)) & inside;
          });
        };
        same(0, first);
        same(first + bits, fewer);
        return wrong == 0;
      };
      if (!check([&](MaskSpan out) { AndMasks(x, y, out); },
                 [](uint64_t x, uint64_t y) { return x & y; })) {
        return "AndMasks";
      }
      if (!check([&](MaskSpan out) { OrMasks(x, y, out); },
                 [](uint64_t x, uint64_t y) { return x | y; })) {
        return "OrMasks";
      }
      if (!check([&](MaskSpan out) { XorMasks(x, y, out); },
                 [](uint64_t x, uint64_t y) { return x ^ y; })) {
        return "XorMasks";
      }
      if (!check([&](MaskSpan out) { AndNotMasks(x, y, out); },
                 [](uint64_t x, uint64_t y) { return x & ~y; })) {
        return "AndNotMasks";
      }
      if (!check([&](MaskSpan out) { NotMask(y, out); },
                 [](uint64_t, uint64_t y) { return ~y; })) {
        return "NotMask";
      }
      if (!check([&](MaskSpan out) { CopyMask(y, out); },
                 [](uint64_t, uint64_t y) { return y; })) {
        return "CopyMask";
      }
      if (!check([&](MaskSpan out) { FillMask(out, true); },
                 [](uint64_t, uint64_t) { return ~uint64_t{0}; })) {
        return "FillMask";
      }
      const size_t set = CountBits(b_bytes, other, bits);
      if (CountSet(y) != set) return "CountSet";
      if (AllSet(y) != (set == bits)) return "AllSet";
      if (NoneSet(y) != (set == 0)) return "NoneSet";
      size_t at = 0;
      while (at < bits && !y[at]) ++at;
      return FirstSet(y) == at ? "" : "FirstSet";
    });
  }

  std::string CheckRuns(size_t first, size_t fewer) {
    const std::vector<uint8_t> mask = Reference();
    const size_t all = mask.size() * 8;
    if (first > all || fewer > all - first) return "";
    const std::span<const uint8_t> bits(mask);
    const MaskView view(bits, first, all - first - fewer);
    return OnTargets([&]() -> std::string {
      std::vector<MaskRun> runs;
      AppendRuns(view, runs);
      size_t at = 0;
      for (const MaskRun& run : runs) {
        if (run.bits == 0 || (at != 0 && run.first <= at)) return "AppendRuns";
        for (; at < run.first; ++at) {
          if (view[at]) return "AppendRuns misses a bit";
        }
        for (; at < run.first + run.bits; ++at) {
          if (!view[at]) return "AppendRuns makes a bit";
        }
      }
      for (; at < view.bits(); ++at) {
        if (view[at]) return "AppendRuns misses the last bits";
      }
      std::vector<uint8_t> again(mask.size(), 0xFF);
      MaskFromRuns(runs, MaskSpan(std::span(again), first, view.bits()));
      for (size_t i = 0; i < all; ++i) {
        const bool inside = i >= first && i - first < view.bits();
        if (Bit(again, i) != (!inside || Bit(mask, i))) return "MaskFromRuns";
      }
      return "";
    });
  }

  bool all_targets_ = false;
  size_t turn_ = 0;
  const size_t bytes_;
  const size_t mask_offset_;
  const Placed<std::byte> before_;
  const Placed<std::byte> after_;
};

}  // namespace

const ProgramKind kSimdMaskProgram = {"SimdMask", kSetup, kOps,
                                      RunSimdMaskProgram};

std::string RunSimdMaskProgram(const Program& program) {
  return Model(program).Run(program);
}

}  // namespace mmsb
