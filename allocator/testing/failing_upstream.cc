#include "allocator/testing/failing_upstream.h"

#include <cstddef>

#include "primitives/check.h"

namespace mmsb {

FailingUpstream::~FailingUpstream() {
  MMSB_CHECK(blocks_.empty(), "FailingUpstream: %zu blocks were not given back",
             blocks_.size());
}

void* FailingUpstream::Allocate(size_t bytes, size_t alignment) noexcept {
  ++calls_;
  if (calls_ == options_.fail_at || calls_ >= options_.fail_from ||
      bytes > options_.max_bytes - bytes_ ||
      alignment > options_.max_alignment) {
    ++failures_;
    return nullptr;
  }
  void* const p = source_.Allocate(bytes, alignment);
  if (p == nullptr) {
    ++failures_;
    return nullptr;
  }
  blocks_[p] = {bytes, alignment};
  bytes_ += bytes;
  return p;
}

void FailingUpstream::Deallocate(void* p, size_t bytes,
                                 size_t alignment) noexcept {
  const auto found = blocks_.find(p);
  MMSB_CHECK(found != blocks_.end(), "FailingUpstream: %p is not live", p);
  MMSB_CHECK(
      found->second.bytes == bytes && found->second.alignment == alignment,
      "FailingUpstream: %p of %zu bytes at multiples of %zu came back as %zu "
      "at %zu",
      p, found->second.bytes, found->second.alignment, bytes, alignment);
  blocks_.erase(found);
  bytes_ -= bytes;
  source_.Deallocate(p, bytes, alignment);
}

void FailingUpstream::Restart(const Options& options) {
  options_ = options;
  calls_ = 0;
  failures_ = 0;
}

}  // namespace mmsb
