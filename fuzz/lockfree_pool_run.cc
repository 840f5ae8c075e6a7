#include "fuzz/lockfree_pool_run.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/lockfree_pool.h"
#include "allocator/lockfree_sync.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "fuzz/program.h"
#include "memory/page/testing/other_thread.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

using Op = LockfreePoolOp;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"block_size", kByte},            // plus 1
    {"capacity", kByte},              //
    {"alignment_log2", kByte},        // 0 for the pool's choice
    {"magazine_blocks_log2", kByte},  // 0 for the pool's choice
    {"max_threads", kByte},           // modulo 4
    {"flags", kByte},                 // see below
};

constexpr ProgramKind::Op kOps[] = {
    {"kAllocate", kByte, kByte},
    {"kAllocateSized", kSize, kAlignment},
    {"kDeallocate", kByte, kByte},
    {"kDeallocateId", kByte, kByte},
    {"kDeallocateMany", kByte, kByte},
    {"kDetach", kByte},
    {"kReplace", kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

// Of the flags. A schedule of several threads is run in turns, so that it is
// the same each time; where data races are looked for, all at once.
constexpr uint64_t kCheckedFlag = 1;
constexpr uint64_t kSymmetricFlag = 2;
constexpr uint64_t kAtOnceFlag = 4;
// Turns cost many times what they do on one thread, so that few inputs have
// them, and few steps of these.
constexpr uint64_t kThreadsMask = 0xF0;
constexpr uint64_t kThreadsFlags = 0xA0;
constexpr size_t kMaxTurns = 32;
constexpr size_t kMaxReplaced = 3;
constexpr size_t kThreads = 3;

// The threads beside the first, of all programs; null until one needs them.
std::array<std::unique_ptr<OtherThread>, kThreads - 1>& OtherThreads() {
  static std::array<std::unique_ptr<OtherThread>, kThreads - 1> threads;
  return threads;
}

// Number 1 or 2.
OtherThread& Other(size_t thread) {
  std::unique_ptr<OtherThread>& other = OtherThreads()[thread - 1];
  if (other == nullptr) other = std::make_unique<OtherThread>();
  return *other;
}

// Steps of one thread after the other's, with the model looking on.
template <class Pool>
class Turns {
 public:
  Turns(Pool& pool, bool threads) : pool_(pool), threads_(threads) {}

  std::string Run(const Program& program) {
    const size_t steps = threads_ ? std::min(program.steps.size(), kMaxTurns)
                                  : program.steps.size();
    std::string error;
    for (size_t i = 0; error.empty() && i < steps;) {
      // To hand over takes longer than a step, so what one thread does in a
      // row goes to it together.
      const size_t thread = ThreadOf(program.steps[i]);
      const auto in_a_row = [&] {
        do {
          error = Perform(program.steps[i]);
          if (error.empty()) error = Compare();
          if (!error.empty()) error = AtStep(i, error);
          ++i;
        } while (error.empty() && i < steps &&
                 ThreadOf(program.steps[i]) == thread);
      };
      if (thread == 0) {
        in_a_row();
      } else {
        used_[thread - 1] = true;
        Other(thread).Run(in_a_row);
      }
    }
    if (!error.empty()) return error;
    error = ledger_.Check();
    while (error.empty() && !live_.empty()) {
      error = Deallocate(live_.size() - 1, false);
    }
    if (error.empty()) error = Compare();
    // What a thread gave back, the first one finds.
    for (size_t i = 0; error.empty() && i < pool_.capacity(); ++i) {
      error = AllocateOne();
    }
    while (error.empty() && !live_.empty()) {
      error = Deallocate(live_.size() - 1, false);
    }
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  // Who does a step; a thread does not end itself.
  size_t ThreadOf(const Program::Step& step) const {
    const bool first =
        !threads_ || step.op == Op::kAllocateSized || step.op == Op::kReplace;
    return first ? 0 : step.a % kThreads;
  }

  std::string Perform(const Program::Step& step) {
    std::string error;
    switch (step.op) {
      case Op::kAllocate:
        for (uint64_t i = 0; i <= step.b % 32 && error.empty(); ++i) {
          error = AllocateOne();
        }
        return error;
      case Op::kAllocateSized:
        return Took(pool_.Allocate(step.a, step.b),
                    step.a <= pool_.block_size() &&
                        std::has_single_bit(step.b) &&
                        step.b <= pool_.alignment(),
                    step.a);
      case Op::kDeallocate:
      case Op::kDeallocateId:
        if (live_.empty()) return "";
        return Deallocate(step.b % live_.size(), step.op == Op::kDeallocateId);
      case Op::kDeallocateMany:
        for (uint64_t i = 0; i <= step.b % 32 && !live_.empty(); ++i) {
          error = Deallocate(live_.size() - 1, false);
          if (!error.empty()) return error;
        }
        return "";
      case Op::kDetach:
        pool_.DetachThread();
        return "";
      default: {
        const size_t other = step.a % (kThreads - 1);
        if (used_[other] && replaced_++ < kMaxReplaced) {
          OtherThreads()[other] = nullptr;
          used_[other] = false;
        }
        return "";
      }
    }
  }

  std::string AllocateOne() {
    return Took(pool_.Allocate(), true, pool_.block_size());
  }

  // What Allocate() returned. Of a block `usable` bytes are the caller's.
  std::string Took(void* p, bool fits, size_t usable) {
    if (p == nullptr) {
      ++failures_;
      if (!fits || live_.size() == pool_.capacity()) return "";
      return "null, with free blocks at hand";
    }
    if (!fits) return "a request that does not fit was served";
    if (live_.size() == pool_.capacity()) return "more blocks than there are";
    if (pool_.AddressOf(pool_.IdOf(p)) != p) return "a block with a wrong id";
    live_.push_back(p);
    ++allocations_;
    return ledger_.Add(p, usable, pool_.alignment());
  }

  std::string Deallocate(size_t index, bool by_id) {
    void* const p = live_[index];
    live_[index] = live_.back();
    live_.pop_back();
    std::string error = ledger_.Remove(p);
    if (!error.empty()) return error;
    if (by_id) {
      pool_.Deallocate(pool_.IdOf(p));
    } else {
      pool_.Deallocate(p);
    }
    return "";
  }

  std::string Compare() {
    const AllocatorStats stats = pool_.Stats();
    const size_t bytes = stats.committed() - stats.metadata();
    const size_t stride = pool_.capacity() == 0 ? 0 : bytes / pool_.capacity();
    most_live_ = std::max(most_live_, live_.size());
    const std::pair<const char*, bool> facts[] = {
        {"identity", stats.IdentityHolds()},
        {"live", stats.live() == live_.size() * stride},
        {"peak", stats.peak() >= most_live_ * stride},
        {"free", stats.free() == bytes - stats.peak()},
        {"allocations", stats.allocations() == allocations_},
        {"deallocations", stats.deallocations() == allocations_ - live_.size()},
        {"failures", stats.failures() == failures_},
    };
    for (const auto& [name, holds] : facts) {
      if (!holds) return std::string("wrong counter: ") + name;
    }
    return "";
  }

  Pool& pool_;
  const bool threads_;
  std::array<bool, kThreads - 1> used_ = {};  // of the other threads
  size_t replaced_ = 0;
  BlockLedger ledger_;
  std::vector<void*> live_;
  size_t most_live_ = 0;
  uint64_t allocations_ = 0;
  uint64_t failures_ = 0;
};

// The steps of each of the threads at once; blocks stay with
// the thread that took them until the end, when each gives back its
// neighbour's.
template <class Pool>
std::string RunAtOnce(Pool& pool, const Program& program) {
  struct Worker {
    std::vector<void*> live = {};
    bool overwritten = false;
  };
  std::array<Worker, kThreads> workers;
  const auto each = [&](auto work) {
    for (size_t t = 1; t < kThreads; ++t) {
      Other(t).Begin([&, t] { work(t); });
    }
    work(0);
    for (size_t t = 1; t < kThreads; ++t) Other(t).Await();
  };
  const auto take = [&](size_t t) {
    void* const p = pool.Allocate();
    if (p == nullptr) return;
    std::memset(p, static_cast<int>(t + 1), pool.block_size());
    workers[t].live.push_back(p);
  };
  const auto give = [&](size_t t, std::vector<void*>& from, size_t index) {
    if (from.empty()) return;
    std::swap(from[index % from.size()], from.back());
    const auto* const data = static_cast<const unsigned char*>(from.back());
    const unsigned char owner = data[0];
    if (std::any_of(data, data + pool.block_size(),
                    [&](auto byte) { return byte != owner; })) {
      workers[t].overwritten = true;
    }
    pool.Deallocate(from.back());
    from.pop_back();
  };
  each([&](size_t t) {
    for (const Program::Step& step : program.steps) {
      if (step.a % kThreads != t) continue;
      for (uint64_t i = 0; i <= step.b % 32; ++i) {
        if (step.op == Op::kAllocate) take(t);
        if (step.op == Op::kDeallocateMany) give(t, workers[t].live, 0);
      }
      if (step.op == Op::kDeallocate || step.op == Op::kDeallocateId) {
        give(t, workers[t].live, step.b);
      }
      if (step.op == Op::kDetach) pool.DetachThread();
    }
  });
  size_t live = 0;
  for (const Worker& worker : workers) live += worker.live.size();
  const AllocatorStats stats = pool.Stats();
  if (stats.allocations() - stats.deallocations() != live) {
    return "wrong counters after all threads";
  }
  each([&](size_t t) {
    std::vector<void*>& from = workers[(t + 1) % kThreads].live;
    while (!from.empty()) give(t, from, 0);
  });
  for (const Worker& worker : workers) {
    if (worker.overwritten) return "a block was overwritten";
  }
  if (pool.Stats().live() != 0) return "blocks are live that nobody has";
  std::vector<void*> all;
  for (size_t i = 0; i < pool.capacity(); ++i) {
    all.push_back(pool.Allocate());
    if (all.back() == nullptr) return "a block was lost";
  }
  std::sort(all.begin(), all.end());
  if (std::adjacent_find(all.begin(), all.end()) != all.end()) {
    return "a block was handed out twice";
  }
  for (void* p : all) pool.Deallocate(p);
  return "";
}

template <class Policy, class Sync>
std::string Run(const Program& program) {
  const auto& setup = program.setup;
  const uint64_t flags = setup[5];
  FailingUpstream upstream;
  std::string error;
  {
    BasicLockFreePool<AllocatorRef<FailingUpstream>, Policy, Sync> pool(
        {.block_size = setup[0] + 1,
         .capacity = setup[1],
         .alignment = setup[2] == 0 ? 0 : size_t{1} << (setup[2] - 1) % 9,
         .magazine_blocks = setup[3] == 0 ? 0 : size_t{1} << (setup[3] - 1) % 6,
         .max_threads = setup[4] % 4},
        AllocatorRef(upstream));
    if (pool.capacity() != setup[1]) return "wrong capacity";
    const bool threads = (flags & kThreadsMask) == kThreadsFlags;
    const bool at_once =
        threads && ((flags & kAtOnceFlag) != 0 || kThreadSanitizer);
    error = at_once ? RunAtOnce(pool, program)
                    : Turns<decltype(pool)>(pool, threads).Run(program);
  }
  if (error.empty() && upstream.bytes() != 0) {
    error = "the destructor kept bytes of the upstream";
  }
  return error;
}

}  // namespace

const ProgramKind kLockfreePoolProgram = {"LockfreePool", kSetup, kOps,
                                          RunLockfreePoolProgram};

std::string RunLockfreePoolProgram(const Program& program) {
  switch (program.setup[5] & (kCheckedFlag | kSymmetricFlag)) {
    case 0:
      return Run<Unchecked, SystemSync>(program);
    case kCheckedFlag:
      return Run<Checked, SystemSync>(program);
    case kSymmetricFlag:
      return Run<Unchecked, SymmetricSync>(program);
    default:
      return Run<Checked, SymmetricSync>(program);
  }
}

}  // namespace mmsb
