#include "fuzz/delta_run.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fuzz/program.h"
#include "memory/delta/delta.h"
#include "memory/invariants.h"

namespace mmsb {
namespace {

using Op = DeltaOp;
using enum ProgramArg;
using Bytes = std::vector<std::byte>;

constexpr ProgramKind::Value kSetup[] = {
    {"page_bytes", kSize},  // modulo kMaxPageBytes
    {"seed", kByte},        // of the first contents
};

constexpr ProgramKind::Op kOps[] = {
    {"kSet", kSize, kByte},
    {"kFill", kSize, kByte},
    {"kCommit"},
    {"kWide", kSize, kByte},
    {"kUndo"},
    {"kAssociate"},
    {"kWrongSize", kSize},
    {"kParts", kByte, kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kMaxPageBytes = 600;

class Model {
 public:
  Model(size_t bytes, uint64_t seed) : first_(bytes) {
    for (size_t i = 0; i < bytes; ++i) {
      first_[i] = static_cast<std::byte>(seed * (i + 1));
    }
    now_ = next_ = first_;
    total_ = *Delta::Make(first_, first_);
  }

  std::string Run(const Program& program) {
    if (!total_.empty()) return "a delta of nothing";
    for (size_t i = 0; i < program.steps.size(); ++i) {
      std::string error = Perform(program.steps[i]);
      if (!error.empty()) return AtStep(i, error);
    }
    // Backwards through the whole history.
    while (!history_.empty()) {
      const absl::StatusOr<Delta> back =
          Delta::Invert(history_.back().delta, history_.back().before);
      if (!back.ok() || !back->Apply(now_).ok() ||
          now_ != history_.back().before) {
        return "at the end: the way back leads elsewhere";
      }
      history_.pop_back();
    }
    return now_ == first_ ? "" : "at the end: other first contents";
  }

 private:
  struct Commit {
    Delta delta;
    Bytes before;
  };

  static bool Fails(const absl::Status& status) {
    return status.code() == absl::StatusCode::kInvalidArgument;
  }

  std::string Perform(const Program::Step& step) {
    const size_t bytes = first_.size();
    switch (step.op) {
      case Op::kSet:
        if (bytes != 0) next_[step.a % bytes] = static_cast<std::byte>(step.b);
        return "";
      case Op::kFill:
        if (bytes == 0) return "";
        for (size_t i = step.a % bytes, n = 0; i < bytes && n <= step.b % 64;
             ++i, ++n) {
          next_[i] ^= static_cast<std::byte>(n % 5 + 1);
        }
        return "";
      case Op::kCommit:
        return Append(Delta::Make(now_, next_), true);
      case Op::kWide:
        return Wide(step.a, step.b);
      case Op::kUndo:
        if (history_.empty()) return "";
        next_ = history_.back().before;
        return Append(
            Delta::Invert(history_.back().delta, history_.back().before),
            false);
      case Op::kAssociate:
        return Associate();
      case Op::kWrongSize:
        return WrongSize(step.a % (2 * kMaxPageBytes));
      default:
        return Parts(step.a, step.b);
    }
  }

  // A delta from now_ to next_; `exact` when it stores no byte without need.
  std::string Append(const absl::StatusOr<Delta>& delta, bool exact) {
    if (!delta.ok()) return delta.status().ToString();
    if (absl::Status status = CheckInvariants(*delta); !status.ok()) {
      return status.ToString();
    }
    size_t differ = 0;
    for (size_t i = 0; i < now_.size(); ++i) {
      const bool changed = now_[i] != next_[i];
      const bool set = (delta->mask()[i / 8] >> (i % 8) & 1) != 0;
      if (changed && !set) return "a change without a bit";
      if (exact && set && !changed) return "a bit without a change";
      differ += changed ? 1 : 0;
    }
    if (exact && delta->changed_bytes() != differ) return "wrong changed_bytes";
    const absl::StatusOr<Delta> inverse = Delta::Invert(*delta, now_);
    if (!inverse.ok()) return inverse.status().ToString();
    Bytes page = now_;
    for (int i = 0; i < 2; ++i) {  // twice is as once
      if (!delta->Apply(page).ok() || page != next_) {
        return "Apply does not lead to the next contents";
      }
    }
    if (!inverse->Apply(page).ok() || page != now_) {
      return "the inverse does not lead back";
    }
    if (exact && *inverse != *Delta::Make(next_, now_)) {
      return "the inverse is not the delta of the way back";
    }
    const absl::StatusOr<Delta> total = Delta::Compose(total_, *delta);
    if (!total.ok()) return total.status().ToString();
    if (absl::Status status = CheckInvariants(*total); !status.ok()) {
      return status.ToString();
    }
    page = first_;
    if (!total->Apply(page).ok() || page != next_) {
      return "all deltas composed lead elsewhere";
    }
    history_.push_back({*delta, now_});
    total_ = *total;
    now_ = next_;
    return "";
  }

  std::string Wide(size_t begin, size_t count) {
    std::vector<uint8_t> mask(Delta::MaskBytes(now_.size()));
    for (size_t i = 0; i < now_.size(); ++i) {
      if (now_[i] != next_[i] || i - begin % now_.size() < count) {
        mask[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
      }
    }
    return Append(Delta::FromMask(mask, next_), false);
  }

  std::string Associate() {
    if (history_.size() < 3) return "";
    const Delta& a = history_[history_.size() - 3].delta;
    const Delta& b = history_[history_.size() - 2].delta;
    const Delta& c = history_[history_.size() - 1].delta;
    const Delta left = *Delta::Compose(*Delta::Compose(a, b), c);
    const Delta right = *Delta::Compose(a, *Delta::Compose(b, c));
    if (left != right) return "Compose is not associative";
    const Delta nothing = *Delta::Make(first_, first_);
    if (*Delta::Compose(nothing, a) != a || *Delta::Compose(a, nothing) != a) {
      return "the empty delta is not the identity";
    }
    return "";
  }

  std::string WrongSize(size_t bytes) {
    if (bytes == first_.size()) return "";
    Bytes other(bytes, std::byte{9});
    const Bytes before = other;
    const Delta wrong = *Delta::Make(other, other);
    if (!Fails(total_.Apply(other)) || other != before) {
      return "Apply to a page of another size";
    }
    if (!Fails(Delta::Make(now_, other).status()) ||
        !Fails(Delta::Compose(total_, wrong).status()) ||
        !Fails(Delta::Compose(wrong, total_).status()) ||
        !Fails(Delta::Invert(total_, other).status())) {
      return "sizes that do not fit were accepted";
    }
    const std::vector<uint8_t> mask(Delta::MaskBytes(first_.size()));
    const bool fits = mask.size() == Delta::MaskBytes(bytes);
    return Delta::FromMask(mask, other).ok() == fits
               ? ""
               : "a mask of another size was accepted";
  }

  // The mask's bits follow from the contents.
  std::string Parts(size_t more, size_t payload) {
    const size_t bytes = first_.size();
    std::vector<uint8_t> mask(Delta::MaskBytes(bytes) + more % 3);
    for (size_t i = 0; i < mask.size() && i < bytes; ++i) {
      mask[i] = static_cast<uint8_t>(now_[i]) & static_cast<uint8_t>(payload);
    }
    size_t set = 0;
    for (const uint8_t bits : mask) {
      set += static_cast<size_t>(std::popcount(bits));
    }
    const size_t given = more % 2 == 0 ? set : payload;
    const bool spare_clear =
        bytes % 8 == 0 || mask[bytes / 8] >> (bytes % 8) == 0;
    const bool good = more % 3 == 0 && given == set && spare_clear;
    const absl::StatusOr<Delta> delta =
        Delta::FromParts(bytes, mask, Bytes(given, std::byte{1}));
    if (delta.ok() != good) return "FromParts: " + delta.status().ToString();
    if (!delta.ok()) return Fails(delta.status()) ? "" : "another status";
    return CheckInvariants(*delta).ok() ? "" : "FromParts made no delta";
  }

  Bytes first_;       // before everything
  Bytes now_;         // after all commits
  Bytes next_;        // what is to be committed
  Delta total_ = {};  // from first_ to now_
  std::vector<Commit> history_;
};

}  // namespace

const ProgramKind kDeltaProgram = {"Delta", kSetup, kOps, RunDeltaProgram};

std::string RunDeltaProgram(const Program& program) {
  return Model(program.setup[0] % kMaxPageBytes, program.setup[1]).Run(program);
}

}  // namespace mmsb
