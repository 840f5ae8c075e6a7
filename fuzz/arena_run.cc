#include "fuzz/arena_run.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/allocator_stats.h"
#include "allocator/arena.h"
#include "allocator/check_policy.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "fuzz/program.h"

namespace mmsb {
namespace {

using Op = ArenaOp;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"first_chunk_bytes", kSize},
    {"max_chunk_bytes", kSize},
    {"max_bytes", kSize},           // 0 for no limit
    {"upstream_max_bytes", kSize},  // 0 for kUpstreamBytes, the most there is
    {"fail_at", kByte},             // 0 for never
    {"fail_from", kByte},           // 0 for never
    {"checked", kByte},
};

constexpr ProgramKind::Op kOps[] = {
    {"kAllocate", kSize, kAlignment},
    {"kDeallocateNewest"},
    {"kReallocate", kByte, kSize},
    {"kReallocateNewest", kSize},
    {"kMark"},
    {"kRewind", kByte},
    {"kReset"},
    {"kDeallocateNull", kSize},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kUpstreamBytes = size_t{1} << 20;
constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

// What an arena is in the simplest terms: blocks in the order of their
// allocation, and marks between them.
template <class Policy>
class Model {
 public:
  using TestArena = Arena<AllocatorRef<FailingUpstream>, Policy>;

  Model(const ArenaOptions& options, FailingUpstream& upstream)
      : options_(options),
        upstream_(upstream),
        arena_(options, AllocatorRef(upstream)) {}

  std::string Run(const Program& program) {
    for (size_t i = 0; i < program.steps.size(); ++i) {
      std::string error = Perform(program.steps[i]);
      if (error.empty()) error = Compare();
      if (error.empty() && i % 32 == 31) error = ledger_.Check();
      if (!error.empty()) return AtStep(i, error);
    }
    std::string error = ledger_.Check();
    if (error.empty()) {
      arena_.Reset();
      Forget(0);
      error = Compare();
    }
    if (error.empty() && arena_.Stats().live() != 0) {
      error = "blocks are live after Reset()";
    }
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  struct Block {
    void* p;
    size_t bytes;
    size_t alignment;
  };
  struct Marked {
    typename TestArena::Position position;
    size_t blocks;  // how many were live
    size_t live;    // bytes
  };

  std::string Perform(const Program::Step& step) {
    switch (step.op) {
      case Op::kAllocate:
        return Allocate(step.a, step.b);
      case Op::kDeallocateNewest:
        return DeallocateNewest();
      case Op::kReallocate:
        if (blocks_.empty()) return "";
        return Reallocate(step.a % blocks_.size(), step.b);
      case Op::kReallocateNewest:
        if (blocks_.empty()) return "";
        return Reallocate(blocks_.size() - 1, step.a);
      case Op::kMark:
        marks_.push_back(
            {arena_.Mark(), blocks_.size(), arena_.Stats().live()});
        return "";
      case Op::kRewind:
        return Rewind(step.a);
      case Op::kReset:
        arena_.Reset();
        Forget(0);
        marks_.clear();
        return arena_.Stats().live() == 0 ? "" : "live after Reset()";
      default:
        arena_.Deallocate(nullptr, step.a, 1);
        return "";
    }
  }

  std::string Allocate(size_t bytes, size_t alignment) {
    const AllocatorStats before = arena_.Stats();
    const uint64_t refusals = upstream_.failures();
    void* const p = arena_.Allocate(bytes, alignment);
    if (p == nullptr) {
      ++failures_;
      if (arena_.Stats().live() != before.live()) return "a null took bytes";
      // What is asked of the upstream has a header, and is rounded up.
      constexpr size_t kOverhead = 128;
      const bool may_fail =
          !std::has_single_bit(alignment) || upstream_.failures() != refusals ||
          bytes > kUnlimited - kOverhead ||
          bytes + kOverhead >
              options_.max_bytes - before.committed() + before.cached();
      return may_fail ? "" : "null, though there was more";
    }
    if (!std::has_single_bit(alignment)) return "an alignment that is none";
    const size_t live = arena_.Stats().live();
    if (live < before.live() + bytes) return "live grew by too little";
    if (!arena_.Owns(p)) return "the arena does not own what it handed out";
    blocks_.push_back({p, bytes, alignment});
    newest_is_fresh_ = true;
    return ledger_.Add(p, bytes, alignment);
  }

  // A mark younger than the block would end with it.
  [[nodiscard]] bool MarkedSince(size_t block) const {
    return !marks_.empty() && marks_.back().blocks > block;
  }

  std::string DeallocateNewest() {
    if (blocks_.empty() || MarkedSince(blocks_.size() - 1)) return "";
    const Block block = blocks_.back();
    std::string error = ledger_.Remove(block.p);
    if (!error.empty()) return error;
    blocks_.pop_back();
    const size_t live = arena_.Stats().live();
    arena_.Deallocate(block.p, block.bytes, block.alignment);
    if (arena_.Stats().live() > live) return "live grew by a deallocation";
    if (newest_is_fresh_ &&
        (arena_.Stats().live() + block.bytes > live || arena_.Owns(block.p))) {
      return "the newest block was kept";
    }
    newest_is_fresh_ = false;
    return "";
  }

  std::string Reallocate(size_t index, size_t bytes) {
    Block& block = blocks_[index];
    if (bytes > block.bytes && MarkedSince(index)) return "";
    // What both sizes have in common must be there afterwards.
    const size_t common = std::min(bytes, block.bytes);
    std::string error = ledger_.Remove(block.p);
    if (!error.empty()) return error;
    const auto* const old = static_cast<const std::byte*>(block.p);
    const std::vector<std::byte> contents(old, old + common);
    void* const p =
        arena_.Reallocate(block.p, block.bytes, bytes, block.alignment);
    if (p != nullptr) {
      if (!std::equal(contents.begin(), contents.end(),
                      static_cast<const std::byte*>(p))) {
        return "Reallocate lost the contents";
      }
      block.p = p;
      block.bytes = bytes;
      if (index + 1 == blocks_.size()) newest_is_fresh_ = false;
    } else if (bytes <= block.bytes) {
      return "a block could not shrink";
    }
    return ledger_.Add(block.p, block.bytes, block.alignment);
  }

  std::string Rewind(size_t a) {
    if (marks_.empty()) return "";
    const size_t index = a % marks_.size();
    const Marked& mark = marks_[index];
    arena_.Rewind(mark.position);
    Forget(mark.blocks);
    if (arena_.Stats().live() != mark.live) return "Rewind() missed the mark";
    marks_.erase(marks_.begin() + static_cast<ptrdiff_t>(index) + 1,
                 marks_.end());
    return "";
  }

  void Forget(size_t keep) {
    while (blocks_.size() > keep) {
      ledger_.Drop(blocks_.back().p);
      blocks_.pop_back();
    }
    newest_is_fresh_ = false;
  }

  std::string Compare() {
    const AllocatorStats stats = arena_.Stats();
    peak_ = std::max(peak_, stats.live());
    if (!stats.IdentityHolds()) return "the identity does not hold";
    if (stats.committed() != upstream_.bytes()) return "wrong committed";
    if (stats.committed() > options_.max_bytes) return "above max_bytes";
    if (stats.peak() != peak_) return "wrong peak";
    if (stats.failures() != failures_) return "wrong failures";
    if (stats.live() < ledger_.bytes()) return "live is below the blocks";
    return "";
  }

  const ArenaOptions options_;
  FailingUpstream& upstream_;
  TestArena arena_;
  BlockLedger ledger_;
  std::vector<Block> blocks_;     // oldest first
  std::vector<Marked> marks_;     // oldest first
  bool newest_is_fresh_ = false;  // nothing happened to the last block
  size_t peak_ = 0;
  uint64_t failures_ = 0;
};

size_t OrElse(uint64_t value, size_t otherwise) {
  return value == 0 ? otherwise : value;
}

template <class Policy>
std::string Run(const Program& program) {
  const auto& setup = program.setup;
  FailingUpstream upstream(
      {.fail_at = OrElse(setup[4], FailingUpstream::kNever),
       .fail_from = OrElse(setup[5], FailingUpstream::kNever),
       .max_bytes = std::min(OrElse(setup[3], kUpstreamBytes), kUpstreamBytes),
       .max_alignment = size_t{1} << 16});
  std::string error = Model<Policy>({.first_chunk_bytes = setup[0],
                                     .max_chunk_bytes = setup[1],
                                     .max_bytes = OrElse(setup[2], kUnlimited)},
                                    upstream)
                          .Run(program);
  if (error.empty() && upstream.bytes() != 0) {
    error = "the destructor kept bytes of the upstream";
  }
  return error;
}

}  // namespace

const ProgramKind kArenaProgram = {"Arena", kSetup, kOps, RunArenaProgram};

std::string RunArenaProgram(const Program& program) {
  return program.setup[6] % 2 == 0 ? Run<Unchecked>(program)
                                   : Run<Checked>(program);
}

}  // namespace mmsb
