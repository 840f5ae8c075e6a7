#include "fuzz/lockfree_page_allocator_run.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fuzz/program.h"
#include "memory/page/frame_layout.h"
#include "memory/page/lockfree_page_allocator.h"
#include "memory/page/testing/locked_page_allocator.h"
#include "memory/page/testing/other_thread.h"
#include "primitives/bytes.h"
#include "primitives/os_memory.h"
#include "primitives/poison.h"
#include "primitives/sanitizer.h"
#include "primitives/testing/kept_mapper.h"

namespace mmsb {
namespace {

using Op = LockfreePageAllocatorOp;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"frames", kSize},  // modulo kMaxFrames, plus 1
    {"flags", kByte},   // see below
};

constexpr ProgramKind::Op kOps[] = {
    {"kAllocate", kByte, kByte},
    {"kAllocateSingles", kByte, kByte},
    {"kFree", kByte, kByte},
    {"kFreeHalf", kByte, kByte},
    {"kFreeNewest", kByte, kByte},
    {"kFreeWrong", kSize, kByte},
    {"kPurge"},
    {"kRecover"},
    {"kDetach", kByte, kByte},
    {"kCompare"},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kMaxFrames = 1100;
// Another thread, in turns with the first; where data races are looked for, at
// once.
constexpr uint64_t kThreadsFlag = 1;
constexpr uint64_t kAtOnceFlag = 2;

int OrderOf(uint64_t a) { return static_cast<int>(a % 12) - 1; }

// Of memory without access AddressSanitizer sees what the system does.
MemoryMapper& Mapper() {
  if constexpr (!kAddressSanitizer) return SystemMapper();
  static KeptMapper kept(8 * kMiB);
  return kept;
}

// The thread beside the first, of all programs that have steps for it.
OtherThread& Other() {
  static OtherThread other;
  return other;
}

// One allocator beside the other; the locked one follows to wherever the other
// took a run.
class Pair {
 public:
  Pair(size_t frames, bool threads)
      : threads_(threads),
        real_(*LockFreePageAllocator::Create(
            {.bytes = frames * kFrameBytes, .max_threads = 2}, Mapper())),
        model_(*LockedPageAllocator::Create({.bytes = frames * kFrameBytes})) {}

  std::string Run(const Program& program) {
    const std::vector<Program::Step>& steps = program.steps;
    std::string error;
    for (size_t i = 0; error.empty() && i < steps.size();) {
      // To hand over takes longer than a step, so what one thread does in a
      // row goes to it together.
      const bool other = OnOther(steps[i]);
      On(other, [&] {
        do {
          error = Perform(steps[i]);
          if (error.empty() && i % 16 == 15) error = Counts();
          if (!error.empty()) error = AtStep(i, error);
          ++i;
        } while (error.empty() && i < steps.size() &&
                 OnOther(steps[i]) == other);
      });
    }
    if (!error.empty()) return error;
    error = Compare();
    while (error.empty() && !runs_.empty()) error = FreeRun(runs_.size() - 1);
    if (error.empty()) error = Compare();
    if (error.empty() && real_->FreeFrames() != real_->frame_count()) {
      error = "frames were lost";
    }
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  struct FrameRun {
    size_t offset;  // bytes
    int order;
  };

  // Who does a step. To recover, each thread is asked in turn.
  bool OnOther(const Program::Step& step) const {
    return threads_ && step.op != Op::kRecover && step.b % 2 != 0;
  }

  template <class Work>
  void On(bool other, Work work) {
    if (!other) {
      work();
      return;
    }
    used_other_ = true;
    Other().Run(work);
  }

  std::string Perform(const Program::Step& step) {
    std::string error;
    switch (step.op) {
      case Op::kAllocate:
        return Allocate(OrderOf(step.a));
      case Op::kAllocateSingles:
        for (uint64_t i = 0; i < step.a % 64 && error.empty(); ++i) {
          error = Allocate(0);
        }
        return error;
      case Op::kFree:
        if (runs_.empty()) return "";
        return FreeRun(step.a % runs_.size());
      case Op::kFreeHalf: {
        if (runs_.empty()) return "";
        FrameRun& run = runs_[step.a % runs_.size()];
        if (run.order == 0) return "";
        const size_t lower = run.offset;
        run.offset += (kFrameBytes << run.order) / 2;
        --run.order;
        return Free(lower, run.order);
      }
      case Op::kFreeNewest:
        for (uint64_t i = 0; i < step.a % 64 && !runs_.empty(); ++i) {
          error = FreeRun(runs_.size() - 1);
          if (!error.empty()) return error;
        }
        return "";
      case Op::kFreeWrong:
        return FreeWrong(step.a % (2 * real_->frame_count() + 1) * kFrameBytes,
                         OrderOf(step.b / 2));
      case Op::kPurge:
        return real_->Purge().ok() ? "" : "Purge failed";
      case Op::kRecover:
        return Recover();
      case Op::kDetach:
        real_->DetachThread();
        return "";
      default:
        return Compare();
    }
  }

  std::string Allocate(int order) {
    const absl::StatusOr<void*> p = real_->Allocate(order);
    if (!IsFrameOrder(order)) {
      return p.status() == model_->Allocate(order).status()
                 ? ""
                 : "wrong status of a wrong order";
    }
    if (!p.ok()) {
      if (p.status().code() != absl::StatusCode::kResourceExhausted) {
        return p.status().ToString();
      }
      return model_->AnyFree(order) ? "exhausted, with a free run" : "";
    }
    const auto offset = static_cast<size_t>(
        static_cast<std::byte*>(*p) - static_cast<std::byte*>(real_->region()));
    if (offset % (kFrameBytes << order) != 0) return "a run is not aligned";
    if (offset / kFrameBytes + (size_t{1} << order) > real_->frame_count()) {
      return "a run beyond the region";
    }
    if (!model_->AllocateAt(offset / kFrameBytes, order)) {
      return "a run overlaps another";
    }
    if (!real_->Owns(*p)) return "a run that is not owned";
    // The first and last bytes, which must be the caller's.
    auto* const first = static_cast<std::byte*>(*p);
    std::byte* const last = first + (kFrameBytes << order) - 1;
    if constexpr (kPoisonReported) {
      // To write would take a page fault each.
      if (IsPoisoned(first) || IsPoisoned(last)) return "a run without access";
    } else {
      *first = *last = std::byte{1};
    }
    runs_.push_back({offset, order});
    return "";
  }

  std::string FreeRun(size_t index) {
    const FrameRun run = runs_[index];
    runs_[index] = runs_.back();
    runs_.pop_back();
    return Free(run.offset, run.order);
  }

  std::string Free(size_t offset, int order) {
    const absl::Status status =
        real_->Free(static_cast<std::byte*>(real_->region()) + offset, order);
    const absl::Status expected =
        model_->Free(static_cast<std::byte*>(model_->region()) + offset, order);
    return status == expected
               ? ""
               : status.ToString() + " in place of " + expected.ToString();
  }

  // What a wrong Free frees after all is another's run: those are forgotten.
  std::string FreeWrong(size_t offset, int order) {
    const size_t free = model_->FreeFrames();
    std::string error = Free(offset, order);
    if (model_->FreeFrames() == free) return error;
    const std::vector<uint64_t> bitmap = model_->Bitmap();
    std::erase_if(runs_, [&](const FrameRun& run) {
      const size_t first = run.offset / kFrameBytes;
      bool whole = true;
      std::vector<size_t> kept;
      for (size_t i = first; i < first + (size_t{1} << run.order); ++i) {
        const bool allocated = (bitmap[i / 64] >> (i % 64) & 1) != 0;
        whole = whole && allocated;
        if (allocated) kept.push_back(i);
      }
      if (whole) return false;
      strays_.insert(strays_.end(), kept.begin(), kept.end());
      return true;
    });
    for (const size_t frame : strays_) {
      runs_.push_back({frame * kFrameBytes, 0});
    }
    strays_.clear();
    return error;
  }

  std::string Recover() {
    Detach();
    const std::vector<uint64_t> bitmap = real_->Bitmap();
    if (!real_->Recover(bitmap).ok() || !model_->Recover(bitmap).ok()) {
      return "Recover failed";
    }
    return Compare();
  }

  void Detach() {
    real_->DetachThread();
    if (used_other_) Other().Run([this] { real_->DetachThread(); });
  }

  std::string Counts() {
    return real_->FreeFrames() == model_->FreeFrames() ? ""
                                                       : "wrong FreeFrames";
  }

  // Frames in caches are allocated to the one, and free to the other.
  std::string Compare() {
    const std::vector<uint64_t> real = real_->Bitmap();
    const std::vector<uint64_t> model = model_->Bitmap();
    size_t cached = 0;
    for (size_t i = 0; i < real.size(); ++i) {
      if ((real[i] & model[i]) != model[i]) return "a bit of the map is lost";
      cached += static_cast<size_t>(std::popcount(real[i] ^ model[i]));
    }
    if (real_->Stats().cached() != cached * kFrameBytes) return "wrong cached";
    if (!real_->Stats().IdentityHolds()) return "the identity does not hold";
    if (absl::Status status = real_->CheckInvariants(); !status.ok()) {
      return status.ToString();
    }
    return Counts();
  }

  const bool threads_;
  bool used_other_ = false;
  std::unique_ptr<LockFreePageAllocator> real_;
  std::unique_ptr<LockedPageAllocator> model_;
  std::vector<FrameRun> runs_;
  std::vector<size_t> strays_;  // frames, in FreeWrong
};

// The steps with an even `b` on one thread and the others on another, at once,
// each with runs of its own.
std::string RunAtOnce(size_t frames, const Program& program) {
  const auto pages = *LockFreePageAllocator::Create(
      {.bytes = frames * kFrameBytes, .max_threads = 2}, Mapper());
  bool failed[2] = {};
  const auto steps_of = [&](size_t t) {
    std::vector<std::pair<void*, int>> runs;
    const auto take = [&](int order) {
      const absl::StatusOr<void*> p = pages->Allocate(order);
      if (!p.ok()) return;
      std::memset(*p, static_cast<int>(t), 64);
      runs.emplace_back(*p, order);
    };
    const auto give = [&](uint64_t index) {
      if (runs.empty()) return;
      std::swap(runs[index % runs.size()], runs.back());
      const auto* const bytes =
          static_cast<const unsigned char*>(runs.back().first);
      failed[t] = failed[t] || bytes[0] != t || bytes[63] != t;
      failed[t] =
          failed[t] || !pages->Free(runs.back().first, runs.back().second).ok();
      runs.pop_back();
    };
    for (const Program::Step& step : program.steps) {
      if (step.b % 2 != t) continue;
      if (step.op == Op::kAllocate) take(OrderOf(step.a));
      if (step.op == Op::kFree) give(step.a);
      if (step.op == Op::kDetach) pages->DetachThread();
      if (step.op == Op::kPurge) failed[t] |= !pages->Purge().ok();
      for (uint64_t i = 0; i < step.a % 64; ++i) {
        if (step.op == Op::kAllocateSingles) take(0);
        if (step.op == Op::kFreeNewest) give(runs.size() - 1);
      }
    }
    while (!runs.empty()) give(0);
    pages->DetachThread();
  };
  Other().Begin([&] { steps_of(1); });
  steps_of(0);
  Other().Await();
  if (failed[0] || failed[1]) return "a run was not its owner's";
  if (pages->FreeFrames() != pages->frame_count()) return "frames were lost";
  const absl::Status status = pages->CheckInvariants();
  return status.ok() ? "" : status.ToString();
}

}  // namespace

const ProgramKind kLockfreePageAllocatorProgram = {
    "LockfreePageAllocator", kSetup, kOps, RunLockfreePageAllocatorProgram};

std::string RunLockfreePageAllocatorProgram(const Program& program) {
  const size_t frames = program.setup[0] % kMaxFrames + 1;
  const uint64_t flags = program.setup[1];
  const bool threads = (flags & kThreadsFlag) != 0;
  if (threads && ((flags & kAtOnceFlag) != 0 || kThreadSanitizer)) {
    return RunAtOnce(frames, program);
  }
  return Pair(frames, threads).Run(program);
}

}  // namespace mmsb
