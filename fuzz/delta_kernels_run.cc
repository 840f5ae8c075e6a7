#include "fuzz/delta_kernels_run.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/simd/delta_kernels.h"
#include "device/simd/simd_target.h"
#include "fuzz/program.h"
#include "memory/delta/delta.h"

namespace mmsb {
namespace {

using Op = DeltaKernelsOp;
using enum ProgramArg;
using Bytes = std::vector<std::byte>;

constexpr ProgramKind::Value kSetup[] = {
    {"page_bytes", kSize},  // modulo kMaxPageBytes
    {"seed", kByte},        // of the first contents
};

constexpr ProgramKind::Op kOps[] = {
    {"kSet", kSize, kByte},   {"kFlip", kSize, kByte},
    {"kEvery", kByte, kSize}, {"kDelta"},
    {"kWide", kSize, kByte},  {"kNext"},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kMaxPageBytes = 1100;

class Model {
 public:
  Model(size_t bytes, uint64_t seed) : first_(bytes) {
    for (size_t i = 0; i < bytes; ++i) {
      first_[i] = static_cast<std::byte>(seed * (i + 1) + i / 5);
    }
    now_ = next_ = first_;
    total_ = *Delta::Make(first_, first_);
  }

  std::string Run(const Program& program) {
    for (size_t i = 0; i < program.steps.size(); ++i) {
      std::string error = Perform(program.steps[i]);
      if (!error.empty()) return AtStep(i, error);
    }
    all_targets_ = true;
    std::string error = CheckDelta();
    if (error.empty()) error = CheckWide(0, 9);
    if (error.empty()) error = Next();
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  std::string Perform(const Program::Step& step) {
    const size_t bytes = first_.size();
    if (bytes == 0 && step.op < Op::kDelta) return "";
    switch (step.op) {
      case Op::kSet:
        next_[step.a % bytes] = static_cast<std::byte>(step.b);
        return "";
      case Op::kFlip:
        for (size_t i = step.a % bytes, n = 0; i < bytes && n <= step.b;
             ++i, ++n) {
          next_[i] ^= std::byte{0x42};
        }
        return "";
      case Op::kEvery:
        for (size_t i = step.b % bytes; i < bytes; i += step.a + 1) {
          next_[i] ^= std::byte{0x80};
        }
        return "";
      case Op::kDelta:
        return CheckDelta();
      case Op::kWide:
        return CheckWide(step.a, step.b);
      default:
        return Next();
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

  std::string CheckDelta() {
    const Delta expected = *Delta::Make(now_, next_);
    return OnTargets([&]() -> std::string {
      if (MakeDelta(now_, next_) != expected) return "MakeDelta";
      std::vector<uint8_t> mask(expected.mask().size(), 0xA5);
      Bytes payload(now_.size(), std::byte{0xA5});
      const size_t changed =
          MakeDelta(now_, next_, std::span(mask), std::span(payload));
      if (changed != expected.changed_bytes() ||
          !std::equal(mask.begin(), mask.end(), expected.mask().begin()) ||
          !std::equal(payload.begin(),
                      payload.begin() + static_cast<ptrdiff_t>(changed),
                      expected.payload().begin())) {
        return "MakeDelta into memory of the caller's";
      }
      // A payload of its own size, so that a read beyond is seen.
      const Bytes exact(payload.begin(),
                        payload.begin() + static_cast<ptrdiff_t>(changed));
      Bytes page = now_;
      ApplyDelta(mask, exact, page);
      return page == next_ ? "" : "ApplyDelta";
    });
  }

  std::string CheckWide(size_t begin, size_t count) {
    std::vector<uint8_t> mask(Delta::MaskBytes(now_.size()));
    for (size_t i = 0; i < now_.size(); ++i) {
      if (now_[i] != next_[i] || i - begin % now_.size() < count) {
        mask[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
      }
    }
    const Delta delta = *Delta::FromMask(mask, next_);
    return OnTargets([&]() -> std::string {
      Bytes page = now_;
      ApplyDelta(delta, page);
      if (page != next_) return "ApplyDelta of more than changed";
      Bytes other = next_;
      page = now_;
      const DeltaToPage work[] = {
          {&delta, page}, {&delta, other}, {&delta, page}};
      ApplyDeltas(work);
      return page == next_ && other == next_ ? "" : "ApplyDeltas";
    });
  }

  std::string Next() {
    const Delta delta = *Delta::Make(now_, next_);
    const Delta expected = *Delta::Compose(total_, delta);
    std::string error = OnTargets([&]() -> std::string {
      return ComposeDeltas(total_, delta) == expected ? "" : "ComposeDeltas";
    });
    total_ = expected;
    now_ = next_;
    return error;
  }

  bool all_targets_ = false;
  size_t turn_ = 0;
  Bytes first_;       // before everything
  Bytes now_;         // the present contents
  Bytes next_;        // what is to be
  Delta total_ = {};  // from first_ to now_
};

}  // namespace

const ProgramKind kDeltaKernelsProgram = {"DeltaKernels", kSetup, kOps,
                                          RunDeltaKernelsProgram};

std::string RunDeltaKernelsProgram(const Program& program) {
  return Model(program.setup[0] % kMaxPageBytes, program.setup[1]).Run(program);
}

}  // namespace mmsb
