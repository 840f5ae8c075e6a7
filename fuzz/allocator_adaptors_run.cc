#include "fuzz/allocator_adaptors_run.h"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/allocate_zeroed.h"
#include "allocator/allocator_ref.h"
#include "allocator/arena.h"
#include "allocator/fallback_allocator.h"
#include "allocator/limit_allocator.h"
#include "allocator/locked_allocator.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/reallocate.h"
#include "allocator/stats_allocator.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "allocator/tracking_allocator.h"
#include "fuzz/program.h"

namespace mmsb {
namespace {

using Op = AllocatorAdaptorsOp;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"floor_1", kByte},  // the lowest: a FloorKind, modulo
    {"floor_2", kByte},
    {"floor_3", kByte},
    {"floor_4", kByte},
    {"limit", kSize},               // of all LimitAllocators; 0 for none
    {"upstream_max_bytes", kSize},  // 0 for kUpstreamBytes
    {"fail_at", kByte},             // 0 for never
    {"fail_from", kByte},           // 0 for never
};

constexpr ProgramKind::Op kOps[] = {
    {"kAllocate", kSize, kAlignment},
    {"kAllocateZeroed", kSize, kAlignment},
    {"kAllocateAtLeast", kSize, kAlignment},
    {"kDeallocate", kByte},
    {"kDeallocateAsked", kByte},
    {"kReallocate", kByte, kSize},
    {"kResize", kByte, kSize},
};
static_assert(std::size(kOps) == Op::kOpCount);

enum FloorKind : uint8_t {
  kNoFloor,
  kLocked,
  kLimit,
  kStats,
  kTracking,
  kFallback,
  kArena,
  kPool,
  kFloorKindCount,
};

constexpr size_t kUpstreamBytes = size_t{1} << 20;
constexpr size_t kPoolBlockBytes = 96;

// What the blocks of a tower come to.
struct Sums {
  size_t usable = 0;   // bytes, as returned
  size_t charged = 0;  // the same, with 1 for nothing
};

// An allocator of any type.
class Floor {
 public:
  virtual ~Floor() = default;
  virtual void* Allocate(size_t bytes, size_t alignment) noexcept = 0;
  virtual void* AllocateZeroed(size_t bytes, size_t alignment) noexcept = 0;
  virtual SizedBlock AllocateAtLeast(size_t bytes,
                                     size_t alignment) noexcept = 0;
  virtual void Deallocate(void* p, size_t bytes, size_t alignment) noexcept = 0;
  virtual void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                           size_t alignment) noexcept = 0;

  // What is wrong; `exact` when all that goes on above came down to here.
  virtual std::string Check(const Sums& sums, bool exact) const = 0;
  // How often it refused what those below it might have served.
  virtual uint64_t refusals() const { return 0; }
};

using Below = AllocatorRef<Floor>;
static_assert(ReallocatingAllocator<Below> && RoundingAllocator<Below> &&
              ZeroingAllocator<Below> && !OwningAllocator<Below>);

template <class A>
class FloorOf final : public Floor {
 public:
  template <class... Args>
  explicit FloorOf(Args&&... args) : allocator_(std::forward<Args>(args)...) {}

  void* Allocate(size_t bytes, size_t alignment) noexcept override {
    return allocator_.Allocate(bytes, alignment);
  }
  void* AllocateZeroed(size_t bytes, size_t alignment) noexcept override {
    return mmsb::AllocateZeroed(allocator_, bytes, alignment);
  }
  SizedBlock AllocateAtLeast(size_t bytes, size_t alignment) noexcept override {
    if constexpr (RoundingAllocator<A>) {
      return allocator_.AllocateAtLeast(bytes, alignment);
    } else {
      void* const p = allocator_.Allocate(bytes, alignment);
      return p == nullptr ? SizedBlock{} : SizedBlock{p, bytes};
    }
  }
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept override {
    allocator_.Deallocate(p, bytes, alignment);
  }
  void* Reallocate(void* p, size_t old_bytes, size_t new_bytes,
                   size_t alignment) noexcept override {
    if constexpr (ReallocatingAllocator<A>) {
      return allocator_.Reallocate(p, old_bytes, new_bytes, alignment);
    } else {
      return nullptr;
    }
  }

  std::string Check(const Sums& sums, bool exact) const override {
    if constexpr (CountingAllocator<A>) {
      if (!allocator_.Stats().IdentityHolds()) return "the identity is broken";
    }
    if constexpr (requires { allocator_.refusals(); }) {
      if (allocator_.used() > allocator_.max_bytes()) return "above the limit";
      if (exact && allocator_.used() != sums.charged) return "wrong used()";
    } else if constexpr (kCountsBlocks) {
      if (exact && allocator_.Stats().live() != sums.usable) {
        return "wrong live";
      }
    }
    return "";
  }

  uint64_t refusals() const override {
    if constexpr (requires { allocator_.refusals(); }) {
      return allocator_.refusals();
    } else {
      return 0;
    }
  }

 private:
  static constexpr bool kCountsBlocks =
      std::same_as<A, StatsAllocator<Below>> ||
      std::same_as<A, TrackingAllocator<Below>>;

  A allocator_;
};

class Tower {
 public:
  Tower(const Program& program, FailingUpstream& upstream)
      : upstream_(upstream) {
    const auto& setup = program.setup;
    floors_.push_back(
        std::make_unique<FloorOf<AllocatorRef<FailingUpstream>>>(upstream));
    for (size_t i = 0; i < 4; ++i) {
      AddFloor(static_cast<FloorKind>(setup[i] % kFloorKindCount),
               setup[4] == 0 ? std::numeric_limits<size_t>::max() : setup[4]);
    }
  }

  ~Tower() {
    while (!floors_.empty()) floors_.pop_back();
  }

  std::string Run(const Program& program) {
    for (size_t i = 0; i < program.steps.size(); ++i) {
      std::string error = Perform(program.steps[i]);
      if (error.empty()) error = Check();
      if (error.empty() && i % 32 == 31) error = ledger_.Check();
      if (!error.empty()) return AtStep(i, error);
    }
    std::string error = ledger_.Check();
    while (error.empty() && !live_.empty()) {
      error = Deallocate(live_.size() - 1, false);
    }
    if (error.empty()) error = Check();
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  struct Block {
    void* p;
    size_t asked;   // bytes
    size_t usable;  // bytes
    size_t alignment;
  };
  struct Entry {
    FloorKind kind;
    const Floor* floor;
  };

  template <class A, class... Args>
  void Put(FloorKind kind, Args&&... args) {
    floors_.push_back(
        std::make_unique<FloorOf<A>>(std::forward<Args>(args)...));
    entries_.push_back({kind, floors_.back().get()});
  }

  void AddFloor(FloorKind kind, size_t limit) {
    const Below below(*floors_.back());
    switch (kind) {
      case kLocked:
        return Put<LockedAllocator<Below>>(kind, below);
      case kLimit:
        return Put<LimitAllocator<Below>>(
            kind, LimitAllocatorOptions{.max_bytes = limit}, below);
      case kStats:
        return Put<StatsAllocator<Below>>(kind, below);
      case kTracking:
        return Put<TrackingAllocator<Below>>(kind, TrackingAllocatorOptions{},
                                             below);
      case kFallback:
        return Put<FallbackAllocator<MemoryPool<>, Below>>(
            kind,
            MemoryPoolOptions{.block_size = kPoolBlockBytes / 2,
                              .max_blocks = 5},
            below);
      case kArena:
        return Put<Arena<Below>>(
            kind,
            ArenaOptions{.first_chunk_bytes = 256, .max_chunk_bytes = 4096},
            below);
      case kPool:
        return Put<MemoryPool<Below>>(
            kind,
            MemoryPoolOptions{.block_size = kPoolBlockBytes,
                              .blocks_per_chunk = 4},
            below);
      default:
        return;
    }
  }

  Floor& top() { return *floors_.back(); }

  std::string Perform(const Program::Step& step) {
    switch (step.op) {
      case Op::kAllocate:
        return Allocate(step, [](Floor& top, size_t bytes, size_t alignment) {
          return SizedBlock{top.Allocate(bytes, alignment), bytes};
        });
      case Op::kAllocateZeroed:
        return Allocate(step, [](Floor& top, size_t bytes, size_t alignment) {
          return SizedBlock{top.AllocateZeroed(bytes, alignment), bytes};
        });
      case Op::kAllocateAtLeast:
        return Allocate(step, [](Floor& top, size_t bytes, size_t alignment) {
          return top.AllocateAtLeast(bytes, alignment);
        });
      case Op::kDeallocate:
      case Op::kDeallocateAsked:
        if (live_.empty()) return "";
        return Deallocate(step.a % live_.size(),
                          step.op == Op::kDeallocateAsked);
      default:
        if (live_.empty()) return "";
        return Resize(step.a % live_.size(), step.b, step.op == Op::kResize);
    }
  }

  template <class Call>
  std::string Allocate(const Program::Step& step, Call call) {
    const uint64_t refusals = Refusals();
    const SizedBlock block = call(top(), step.a, step.b);
    if (block.data == nullptr) {
      if (!std::has_single_bit(step.b) || Refusals() != refusals) return "";
      for (const Entry& entry : entries_) {
        // A pool serves no more than a block, an arena not what overflows.
        if (entry.kind == kPool ||
            (entry.kind == kArena && step.a > 1u << 30)) {
          return "";
        }
      }
      return "null, and nobody refused";
    }
    if (!std::has_single_bit(step.b)) return "an alignment that is none";
    if (block.bytes < step.a) return "AllocateAtLeast returned too little";
    if (step.op == Op::kAllocateZeroed) {
      const auto* const data = static_cast<const unsigned char*>(block.data);
      if (std::any_of(data, data + block.bytes,
                      [](unsigned char byte) { return byte != 0; })) {
        return "AllocateZeroed returned a block that is not zero";
      }
    }
    return Add({block.data, step.a, block.bytes, step.b});
  }

  std::string Add(const Block& block) {
    live_.push_back(block);
    sums_.usable += block.usable;
    sums_.charged += std::max<size_t>(block.usable, 1);
    return ledger_.Add(block.p, block.usable, block.alignment);
  }

  // Takes a block out of the model.
  std::string Take(size_t index, Block* block) {
    *block = live_[index];
    live_.erase(live_.begin() + static_cast<ptrdiff_t>(index));
    sums_.usable -= block->usable;
    sums_.charged -= std::max<size_t>(block->usable, 1);
    return ledger_.Remove(block->p);
  }

  std::string Deallocate(size_t index, bool asked) {
    Block block;
    std::string error = Take(index, &block);
    if (!error.empty()) return error;
    top().Deallocate(block.p, asked ? block.asked : block.usable,
                     block.alignment);
    return "";
  }

  std::string Resize(size_t index, size_t bytes, bool copy) {
    Block block;
    std::string error = Take(index, &block);
    if (!error.empty()) return error;
    const auto* const data = static_cast<const unsigned char*>(block.p);
    const std::vector<unsigned char> contents(
        data, data + std::min(bytes, block.usable));
    void* p = nullptr;
    if (copy) {
      p = Reallocate(top(), block.p, block.usable, bytes, block.alignment);
    } else {
      p = top().Reallocate(block.p, block.usable, bytes, block.alignment);
    }
    const auto* const now =
        static_cast<const unsigned char*>(p != nullptr ? p : block.p);
    if (!std::equal(contents.begin(), contents.end(), now)) {
      return "Reallocate lost the contents";
    }
    if (p != nullptr) block = {p, bytes, bytes, block.alignment};
    return Add(block);
  }

  [[nodiscard]] uint64_t Refusals() const {
    uint64_t refusals = upstream_.failures();
    for (const Entry& entry : entries_) refusals += entry.floor->refusals();
    return refusals;
  }

  std::string Check() const {
    bool exact = true;
    for (size_t i = entries_.size(); i-- > 0;) {
      const Entry& entry = entries_[i];
      std::string error = entry.floor->Check(sums_, exact);
      if (!error.empty()) return "floor " + std::to_string(i) + ": " + error;
      exact = exact && entry.kind <= kTracking;
    }
    if (exact && upstream_.blocks() != live_.size()) {
      return "the upstream has other blocks than are live";
    }
    return "";
  }

  FailingUpstream& upstream_;
  std::vector<std::unique_ptr<Floor>> floors_;  // the lowest first
  std::vector<Entry> entries_;                  // of those on the lowest
  BlockLedger ledger_;
  std::vector<Block> live_;
  Sums sums_;
};

uint64_t OrElse(uint64_t value, uint64_t otherwise) {
  return value == 0 ? otherwise : value;
}

}  // namespace

const ProgramKind kAllocatorAdaptorsProgram = {
    "AllocatorAdaptors", kSetup, kOps, RunAllocatorAdaptorsProgram};

std::string RunAllocatorAdaptorsProgram(const Program& program) {
  const auto& setup = program.setup;
  FailingUpstream upstream(
      {.fail_at = OrElse(setup[6], FailingUpstream::kNever),
       .fail_from = OrElse(setup[7], FailingUpstream::kNever),
       .max_bytes =
           std::min<size_t>(OrElse(setup[5], kUpstreamBytes), kUpstreamBytes),
       .max_alignment = size_t{1} << 16});
  std::string error = Tower(program, upstream).Run(program);
  if (error.empty() && upstream.bytes() != 0) {
    error = "the destructors kept bytes of the upstream";
  }
  return error;
}

}  // namespace mmsb
