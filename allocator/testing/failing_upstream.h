#ifndef MMSB_ALLOCATOR_TESTING_FAILING_UPSTREAM_H_
#define MMSB_ALLOCATOR_TESTING_FAILING_UPSTREAM_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>

#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"

namespace mmsb {

// An upstream that fails when told to, and holds its allocator to the contract:
// a block given back twice, not at all, or with another size or alignment than
// it was taken with, ends the process.
//
// Owns its blocks through a SystemSource. Not thread-safe. Lend it with
// AllocatorRef.
//
//   FailingUpstream upstream({.fail_at = 3});
//   Arena arena({}, AllocatorRef(upstream));
class FailingUpstream {
 public:
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

  struct Options {
    uint64_t fail_at = kNever;    // the number, from 1, of a call to fail
    uint64_t fail_from = kNever;  // fail this call and all after it
    size_t max_bytes =            // fail what would hold more than this
        std::numeric_limits<size_t>::max();
    size_t max_alignment =  // fail what is stricter than this, bytes
        std::numeric_limits<size_t>::max();
  };

  FailingUpstream() : FailingUpstream(Options{}) {}
  explicit FailingUpstream(const Options& options) : options_(options) {}
  FailingUpstream(const FailingUpstream&) = delete;
  FailingUpstream& operator=(const FailingUpstream&) = delete;
  ~FailingUpstream();

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept;
  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept;

  // From now on, calls are counted and fail as these say.
  void Restart(const Options& options);

  // Calls of Allocate since the start, and how many of them failed.
  [[nodiscard]] uint64_t calls() const { return calls_; }
  [[nodiscard]] uint64_t failures() const { return failures_; }

  // What is held at present.
  [[nodiscard]] size_t blocks() const { return blocks_.size(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Block {
    size_t bytes;
    size_t alignment;
  };

  Options options_;
  uint64_t calls_ = 0;
  uint64_t failures_ = 0;
  size_t bytes_ = 0;
  std::map<void*, Block> blocks_;
  SystemSource source_;
};

static_assert(RawAllocator<FailingUpstream>);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_TESTING_FAILING_UPSTREAM_H_
