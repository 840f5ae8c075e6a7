#include "memory/log/log_segments.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <span>

#include "absl/status/statusor.h"

namespace mmsb {

const LogSegment* LogSegments::Find(uint64_t position) const {
  if (position >= segments_.back().base) return &segments_.back();
  const auto next =
      std::ranges::upper_bound(segments_, position, {}, &LogSegment::base);
  return next == segments_.begin() ? nullptr : &*std::prev(next);
}

uint64_t LogSegments::Limit(uint64_t position) const {
  const auto next =
      std::ranges::upper_bound(segments_, position, {}, &LogSegment::base);
  return next == segments_.end() ? std::numeric_limits<uint64_t>::max()
                                 : next->base;
}

absl::StatusOr<size_t> LogSegments::ReadAt(uint64_t position,
                                           std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const LogSegment* const segment = Find(position);
    const uint64_t limit = Limit(position);
    const auto part = out.subspan(done).first(static_cast<size_t>(
        std::min<uint64_t>(out.size() - done, limit - position)));
    size_t there = 0;
    if (segment != nullptr) {
      absl::StatusOr<size_t> read =
          segment->file->ReadAt(position - segment->base, part);
      if (!read.ok()) return read.status();
      there = *read;
    }
    if (segment == &segments_.back()) return done + there;
    std::ranges::fill(part.subspan(there), std::byte{0});
    done += part.size();
    position += part.size();
  }
  return done;
}

}  // namespace mmsb
