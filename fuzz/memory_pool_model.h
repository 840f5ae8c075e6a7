#ifndef MMSB_FUZZ_MEMORY_POOL_MODEL_H_
#define MMSB_FUZZ_MEMORY_POOL_MODEL_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "allocator/allocator_stats.h"
#include "allocator/raw_allocator.h"
#include "allocator/testing/block_ledger.h"
#include "allocator/testing/failing_upstream.h"
#include "fuzz/memory_pool_program.h"
#include "primitives/poison.h"

namespace mmsb {

// A pool in the simplest terms: a list of live blocks, what was written to
// them, and the counters that follow from it. Performs a program on a real pool
// and compares. `Pool` is MemoryPool, or a broken one in a test of this model.
//
// Refers to the pool, the program and the upstream. Not thread-safe.
//
//   const std::string error = MemoryPoolModel(pool, program, &upstream).Run();
template <class Pool>
class MemoryPoolModel {
 public:
  // `upstream` is null for a pool in a region.
  MemoryPoolModel(Pool& pool, const MemoryPoolProgram& program,
                  const FailingUpstream* upstream)
      : pool_(pool), program_(program), upstream_(upstream) {
    const MemoryPoolOptions& options = program.options;
    alignment_ = options.alignment != 0
                     ? options.alignment
                     : std::min<size_t>(
                           size_t{1} << std::countr_zero(options.block_size),
                           alignof(std::max_align_t));
    const size_t step = std::max(alignment_, kPoisonGranuleBytes);
    stride_ = (options.block_size + step - 1) / step * step;
  }

  // Returns what is wrong, or an empty string. Frees all blocks in the end.
  std::string Run() {
    for (size_t i = 0; i < program_.steps.size(); ++i) {
      std::string error = Perform(program_.steps[i]);
      if (error.empty()) error = CompareCounters();
      if (error.empty() && i % 64 == 63) error = ledger_.Check();
      if (!error.empty()) return "step " + std::to_string(i) + ": " + error;
    }
    std::string error = ledger_.Check();
    while (error.empty() && !live_.empty()) {
      error = Deallocate(live_.size() - 1, false);
    }
    if (error.empty()) error = CompareCounters();
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  using Step = MemoryPoolProgram::Step;

  struct Block {
    void* p;
    size_t bytes;  // as requested
    size_t alignment;
  };

  std::string Perform(const Step& step) {
    std::string error;
    switch (step.kind) {
      case Step::kAllocate:
        for (size_t i = 0; i < step.a && error.empty(); ++i) {
          error = Allocate(program_.options.block_size, alignment_,
                           program_.options.block_size,
                           [this] { return pool_.Allocate(); });
        }
        return error;
      case Step::kAllocateSized:
        return Allocate(step.a, step.b, step.a,
                        [&] { return pool_.Allocate(step.a, step.b); });
      case Step::kAllocateAtLeast:
        return Allocate(step.a, step.b, program_.options.block_size,
                        [&] {
                          const SizedBlock block =
                              pool_.AllocateAtLeast(step.a, step.b);
                          if (block.data != nullptr &&
                              block.bytes != program_.options.block_size) {
                            error = "AllocateAtLeast returned a wrong size";
                          }
                          return block.data;
                        }) +
               error;
      case Step::kDeallocate:
      case Step::kDeallocateSized:
        if (live_.empty()) return "";
        return Deallocate(step.a % live_.size(),
                          step.kind == Step::kDeallocateSized);
      case Step::kDeallocateNewest:
        for (size_t i = 0; i < step.a && !live_.empty() && error.empty(); ++i) {
          error = Deallocate(live_.size() - 1, false);
        }
        return error;
      case Step::kDeallocateOldest:
        for (size_t i = 0; i < step.a && !live_.empty() && error.empty(); ++i) {
          error = Deallocate(0, false);
        }
        return error;
      case Step::kDeallocateNull:
        pool_.Deallocate(nullptr);
        pool_.Deallocate(nullptr, step.a, 1);
        return "";
    }
    return "no such step";
  }

  // Of a block that `call` returns, `usable` bytes are the caller's.
  template <class Call>
  std::string Allocate(size_t bytes, size_t alignment, size_t usable,
                       Call call) {
    const bool fits = bytes <= program_.options.block_size &&
                      std::has_single_bit(alignment) && alignment <= alignment_;
    const AllocatorStats before = pool_.Stats();
    const uint64_t calls = upstream_ == nullptr ? 0 : upstream_->calls();
    const uint64_t failed = upstream_ == nullptr ? 0 : upstream_->failures();
    void* const p = call();
    const bool asked = upstream_ != nullptr && upstream_->calls() != calls;
    const bool refused =
        upstream_ != nullptr && upstream_->failures() != failed;
    const bool ready = before.cached() + before.free() != 0;
    if (asked && (!fits || ready)) return "the upstream was asked needlessly";
    if (p == nullptr) {
      ++failures_;
      if (!fits) return "";
      if (ready) return "null, with free blocks at hand";
      if (live_.size() < program_.options.max_blocks && upstream_ != nullptr &&
          !refused) {
        return "null, though the upstream had more";
      }
      if (upstream_ == nullptr) {
        if (capacity_ != kUnknown && live_.size() != capacity_) {
          return "the capacity of the region changed";
        }
        capacity_ = live_.size();
      }
      return "";
    }
    if (!fits) return "a request that does not fit was served";
    if (live_.size() >= std::min(capacity_, program_.options.max_blocks)) {
      return "more blocks than there are";
    }
    if (!pool_.Owns(p)) return "the pool does not own what it handed out";
    std::string error = ledger_.Add(p, usable, alignment_);
    if (!error.empty()) return error;
    live_.push_back({p, bytes, alignment});
    ++allocations_;
    peak_ = std::max(peak_, live_.size());
    return "";
  }

  std::string Deallocate(size_t index, bool sized) {
    const Block block = live_[index];
    live_.erase(live_.begin() + static_cast<ptrdiff_t>(index));
    std::string error = ledger_.Remove(block.p);
    if (!error.empty()) return error;
    if (sized) {
      pool_.Deallocate(block.p, block.bytes, block.alignment);
    } else {
      pool_.Deallocate(block.p);
    }
    return "";
  }

  std::string CompareCounters() const {
    const AllocatorStats stats = pool_.Stats();
    const size_t committed =
        upstream_ == nullptr ? program_.region_bytes : upstream_->bytes();
    const std::pair<const char*, bool> facts[] = {
        {"identity", stats.IdentityHolds()},
        {"live", stats.live() == live_.size() * stride_},
        {"cached", stats.cached() == (peak_ - live_.size()) * stride_},
        {"peak", stats.peak() == peak_ * stride_},
        {"committed", stats.committed() == committed},
        {"allocations", stats.allocations() == allocations_},
        {"deallocations", stats.deallocations() == allocations_ - live_.size()},
        {"failures", stats.failures() == failures_},
    };
    for (const auto& [name, holds] : facts) {
      if (!holds) return std::string("wrong counter: ") + name;
    }
    return "";
  }

  static constexpr size_t kUnknown = std::numeric_limits<size_t>::max();

  Pool& pool_;
  const MemoryPoolProgram& program_;
  const FailingUpstream* upstream_;
  size_t alignment_;
  size_t stride_;
  BlockLedger ledger_;
  std::vector<Block> live_;  // oldest first
  size_t peak_ = 0;
  size_t capacity_ = kUnknown;  // of a region, once it was seen to be full
  uint64_t allocations_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_FUZZ_MEMORY_POOL_MODEL_H_
