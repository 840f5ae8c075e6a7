#include "fuzz/slab_run.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/check_policy.h"
#include "allocator/raw_allocator.h"
#include "allocator/size_histogram.h"
#include "allocator/slab.h"
#include "allocator/slab_size_classes.h"
#include "allocator/testing/block_ledger.h"
#include "fuzz/program.h"
#include "memory/page/testing/other_thread.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"
#include "primitives/os_memory.h"
#include "primitives/sanitizer.h"
#include "primitives/testing/faulty_mapper.h"
#include "primitives/testing/kept_mapper.h"

namespace mmsb {
namespace {

using Op = SlabOp;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"checked", kByte},
};

constexpr ProgramKind::Op kOps[] = {
    {"kAllocate", kSize, kAlignment},
    {"kAllocateMany", kSize, kByte},
    {"kAllocateAtLeast", kSize, kAlignment},
    {"kAllocateZeroed", kSize, kAlignment},
    {"kDeallocate", kByte},
    {"kDeallocateUnsized", kByte},
    {"kDeallocateNewest", kByte},
    {"kReallocate", kByte, kSize},
    {"kPurge"},
    {"kDecay", kByte},
    {"kWalk"},
    {"kFailMapper", kByte, kByte},
    {"kElsewhere"},
    {"kReplace"},
};
static_assert(std::size(kOps) == Op::kOpCount);

// The system may have more than a test should take: beyond this it has nothing.
constexpr size_t kSystemBytes = size_t{4} << 20;
// Address space that programs have one after the other: four chunks.
constexpr size_t kKeptBytes = 64 * kMiB;
// To make a thread takes long.
constexpr size_t kMaxReplaced = 2;

// One for all programs, so that its caches outlive allocators; null until one
// has steps for it.
std::unique_ptr<OtherThread>& Other() {
  static std::unique_ptr<OtherThread> other;
  return other;
}

// Of memory without access AddressSanitizer sees what the system does.
MemoryMapper& Mapper() {
  if constexpr (!kAddressSanitizer) return SystemMapper();
  static KeptMapper kept(kKeptBytes);
  return kept;
}

bool ChangesThread(const Program::Step& step) {
  return step.op == Op::kElsewhere || step.op == Op::kReplace;
}

template <class Policy>
class Model {
 public:
  explicit Model(FaultyMapper& mapper) : mapper_(mapper) {}

  std::string Run(const Program& program) {
    const std::vector<Program::Step>& steps = program.steps;
    std::string error;
    size_t i = 0;
    const auto one_step = [&] {
      error = Perform(steps[i]);
      if (error.empty() && i % 4 == 3) error = Compare();
      if (error.empty() && i % 8 == 7) error = CompareSizes();
      if (error.empty() && i % 32 == 31) error = ledger_.Check();
      if (!error.empty()) error = AtStep(i, error);
      ++i;
    };
    while (error.empty() && i < steps.size()) {
      if (ChangesThread(steps[i])) {
        one_step();
        continue;
      }
      // To hand over takes longer than a step, so all that are done on one
      // thread go to it together.
      Call([&] {
        while (error.empty() && i < steps.size() && !ChangesThread(steps[i])) {
          one_step();
        }
      });
    }
    if (!error.empty()) return error;
    error = Drain();
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  struct Block {
    void* p;
    size_t bytes;
    size_t alignment;
  };

  std::string Perform(const Program::Step& step) {
    std::string error;
    switch (step.op) {
      case Op::kAllocate:
        return Allocate(step.a, step.b, [&] {
          return SizedBlock{slab_.Allocate(step.a, step.b), step.a};
        });
      case Op::kAllocateMany:
        for (uint64_t i = 0; i < step.b % 64 && error.empty(); ++i) {
          // Beyond this the contents cost too much.
          const size_t bytes = std::min<size_t>(step.a, 1024);
          error = Allocate(bytes, 8, [&] {
            return SizedBlock{slab_.Allocate(bytes, 8), bytes};
          });
        }
        return error;
      case Op::kAllocateAtLeast:
        return Allocate(step.a, step.b,
                        [&] { return slab_.AllocateAtLeast(step.a, step.b); });
      case Op::kAllocateZeroed:
        return AllocateZeroed(step.a, step.b);
      case Op::kDeallocate:
      case Op::kDeallocateUnsized:
        if (live_.empty()) return "";
        return Deallocate(step.a % live_.size(), step.op == Op::kDeallocate);
      case Op::kDeallocateNewest:
        for (uint64_t i = 0; i < step.a % 64 && !live_.empty(); ++i) {
          error = Deallocate(live_.size() - 1, true);
          if (!error.empty()) return error;
        }
        return "";
      case Op::kReallocate:
        if (live_.empty()) return "";
        return Reallocate(step.a % live_.size(), step.b);
      case Op::kPurge:
        static_cast<void>(slab_.Purge());
        return "";
      case Op::kElsewhere:
        elsewhere_ = !elsewhere_;
        return "";
      case Op::kReplace:
        if (keeps_elsewhere_ && replaced_++ < kMaxReplaced) {
          Other() = nullptr;  // it has ended, with what it kept
          keeps_elsewhere_ = false;
        }
        return "";
      case Op::kDecay:
        clock_.Advance(static_cast<int64_t>(step.a) * 1'000'000'000);
        slab_.Decay();
        return "";
      case Op::kWalk:
        return Walk();
      default:
        mapper_.FailFrom(step.a % 8, step.b % 4, ENOMEM);
        return "";
    }
  }

  // On this thread or the other one.
  template <class Work>
  void Call(Work work) {
    if (!elsewhere_) {
      work();
      return;
    }
    if (Other() == nullptr) Other() = std::make_unique<OtherThread>();
    keeps_elsewhere_ = true;
    Other()->Run(work);
  }

  template <class Work>
  std::string Allocate(size_t bytes, size_t alignment, Work allocate) {
    const bool too_much = bytes > kSystemBytes || alignment > kSystemBytes ||
                          committed_ > 4 * kSystemBytes;
    if (too_much) mapper_.FailFrom(0, kForEver, ENOMEM);
    const uint64_t failed = mapper_.failures();
    const SizedBlock block = allocate();
    const bool refused = mapper_.failures() != failed;
    if (too_much) mapper_.FailFrom(0, 0, ENOMEM);
    if (block.data == nullptr) {
      ++failures_;
      if (!std::has_single_bit(alignment) || too_much || refused) {
        return "";
      }
      return "null, though there was more";
    }
    if (!std::has_single_bit(alignment)) return "an alignment that is none";
    if (block.bytes < bytes) return "AllocateAtLeast returned too little";
    if (!slab_.Owns(block.data)) return "a block that is not owned";
    const size_t usable = slab_.UsableSize(block.data);
    if (usable < block.bytes) return "UsableSize is below the size";
    block_bytes_ += usable;
    live_.push_back({block.data, block.bytes, alignment});
    return ledger_.Add(block.data, block.bytes, alignment);
  }

  std::string AllocateZeroed(size_t bytes, size_t alignment) {
    bool zero = true;
    std::string error = Allocate(bytes, alignment, [&] {
      void* const p = slab_.AllocateZeroed(bytes, alignment);
      if (p != nullptr) {
        const auto* const data = static_cast<const unsigned char*>(p);
        zero = std::all_of(data, data + bytes, [](auto b) { return b == 0; });
      }
      return SizedBlock{p, bytes};
    });
    return zero ? error : "AllocateZeroed() returned a block that is not zero";
  }

  std::string Deallocate(size_t index, bool sized) {
    const Block block = live_[index];
    live_.erase(live_.begin() + static_cast<ptrdiff_t>(index));
    std::string error = ledger_.Remove(block.p);
    if (!error.empty()) return error;
    block_bytes_ -= slab_.UsableSize(block.p);
    if (sized) {
      slab_.Deallocate(block.p, block.bytes, block.alignment);
    } else {
      slab_.Deallocate(block.p);
    }
    return "";
  }

  std::string Reallocate(size_t index, size_t bytes) {
    Block& block = live_[index];
    const size_t before = slab_.UsableSize(block.p);
    const size_t common = std::min(bytes, block.bytes);
    const bool too_much =
        bytes > kSystemBytes || slab_.Stats().committed() > 4 * kSystemBytes;
    std::string error = ledger_.Remove(block.p);
    if (!error.empty()) return error;
    const auto* const data = static_cast<const unsigned char*>(block.p);
    const std::vector<unsigned char> contents(data, data + common);
    if (too_much) mapper_.FailFrom(0, kForEver, ENOMEM);
    void* const p =
        slab_.Reallocate(block.p, block.bytes, bytes, block.alignment);
    if (too_much) mapper_.FailFrom(0, 0, ENOMEM);
    if (p != nullptr) {
      const bool may_move =
          bytes > block.bytes && !IsSlabRequest(bytes, block.alignment);
      if (p != block.p && !may_move) return "Reallocate moved the block";
      if (slab_.UsableSize(p) < bytes) return "Reallocate made too little";
      if (!std::equal(contents.begin(), contents.end(),
                      static_cast<const unsigned char*>(p))) {
        return "Reallocate lost the contents";
      }
      block_bytes_ += slab_.UsableSize(p) - before;
      block.p = p;
      block.bytes = bytes;
    }
    return ledger_.Add(block.p, block.bytes, block.alignment);
  }

  std::string Walk() {
    std::map<void*, size_t> seen;
    bool twice = false;
    slab_.ForEachLive([&](void* p, size_t bytes) {
      twice = !seen.emplace(p, bytes).second || twice;
    });
    const SizeHistogram sizes = slab_.Histogram();
    std::array<char, 4096> text;
    if ((sizes.FormatText(text) == 0) != (sizes.allocations() == 0)) {
      return "a histogram's text misses its blocks";
    }
    if (sizes.FormatJson(text) < 2 || text[0] != '[') return "no JSON";
    if (twice) return "ForEachLive() visits a block twice";
    if (seen.size() != live_.size()) return "ForEachLive() miscounts";
    for (const Block& block : live_) {
      const auto found = seen.find(block.p);
      if (found == seen.end()) return "ForEachLive() misses a block";
      if (found->second != slab_.UsableSize(block.p)) {
        return "ForEachLive() gives a wrong size";
      }
    }
    return "";
  }

  std::string Compare() {
    const AllocatorStats stats = slab_.Stats();
    committed_ = stats.committed();
    const std::pair<const char*, bool> facts[] = {
        {"identity", stats.IdentityHolds()},
        {"live", stats.live() == block_bytes_},
        {"allocations",
         stats.allocations() - stats.deallocations() == live_.size()},
        {"failures", stats.failures() == failures_},
        {"committed", stats.committed() <= mapper_.outstanding_bytes()},
    };
    for (const auto& [name, holds] : facts) {
      if (!holds) return std::string("wrong counter: ") + name;
    }
    return "";
  }

  // Reads the counts of every class once more.
  std::string CompareSizes() {
    const SizeHistogram sizes = slab_.Histogram();
    return sizes.allocations() - sizes.deallocations() == live_.size()
               ? ""
               : "wrong histogram";
  }

  std::string Drain() {
    mapper_.FailFrom(0, 0, ENOMEM);
    std::string error = ledger_.Check();
    Call([&] {
      while (error.empty() && !live_.empty()) {
        error = Deallocate(live_.size() - 1, true);
      }
    });
    if (!error.empty()) return error;
    if (keeps_elsewhere_) {
      elsewhere_ = true;
      Call([&] { slab_.Purge(); });
      elsewhere_ = false;
    }
    slab_.Purge();
    AllocatorStats stats = slab_.Stats();
    if (stats.committed() != stats.metadata()) {
      // A decommit that failed is tried again.
      slab_.Purge();
      stats = slab_.Stats();
    }
    if (stats.live() != 0) return "live blocks that nobody has";
    if (stats.committed() != stats.metadata()) return "memory is kept";
    error = Compare();
    return error.empty() ? CompareSizes() : error;
  }

  static constexpr uint64_t kForEver = std::numeric_limits<uint64_t>::max() / 2;

  ManualClock clock_;
  FaultyMapper& mapper_;
  BasicSlabAllocator<Policy> slab_{
      SlabOptions{.decay_ns = 0, .clock = &clock_, .mapper = &mapper_}};
  BlockLedger ledger_;
  std::vector<Block> live_;
  size_t block_bytes_ = 0;
  size_t committed_ = 0;  // bytes, at the last comparison
  uint64_t failures_ = 0;
  bool elsewhere_ = false;        // steps are done on the other thread
  bool keeps_elsewhere_ = false;  // some were, so it may keep blocks
  size_t replaced_ = 0;
};

}  // namespace

const ProgramKind kSlabProgram = {"Slab", kSetup, kOps, RunSlabProgram};

std::string RunSlabProgram(const Program& program) {
  FaultyMapper mapper(Mapper());
  std::string error = program.setup[0] % 2 == 0
                          ? Model<Unchecked>(mapper).Run(program)
                          : Model<Checked>(mapper).Run(program);
  // Where the system refuses to take back what it could not commit, address
  // space stays behind.
  const bool faults = std::any_of(
      program.steps.begin(), program.steps.end(),
      [](const Program::Step& step) { return step.op == Op::kFailMapper; });
  if (error.empty() && !faults && mapper.outstanding_bytes() != 0) {
    error = "the destructor kept memory of the mapper";
  }
  return error;
}

}  // namespace mmsb
