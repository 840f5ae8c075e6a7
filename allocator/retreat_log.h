#ifndef MMSB_ALLOCATOR_RETREAT_LOG_H_
#define MMSB_ALLOCATOR_RETREAT_LOG_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace mmsb {

// Tells which moments of a stack of blocks it has gone back past since, though
// it may have grown over their places again.
//
// Holds the retreats that matter to a moment still to be asked about: where
// the stack went back to, and when. One that went less far than a later one
// does not, so that those held go up in place as they do in time, and a moment
// is past when the first one after it went below it. At most one a moment that
// was taken, and one a place of the stack.
//
// Owns nothing: its memory is lent by MoveTo(), and when that is full the
// newest retreat is overwritten; what only that one told of is then not found.
// Not thread-safe. IsPast is O(log n) in the retreats held, Matters O(those
// that it drops), of which each was noted once, the others O(1).
//
//   RetreatLog log;
//   log.MoveTo(memory, 16);
//   const RetreatLog::Moment moment = log.Take(here);
//   log.Note(lower);
//   log.IsPast(moment);  // true
class RetreatLog {
 public:
  // How far the stack is filled, in the order of its growth.
  struct Place {
    uint64_t chunk = 0;  // number of the newest chunk
    uint64_t used = 0;   // bytes of that chunk
    uint64_t large = 0;  // number of the newest large block

    friend bool operator<(const Place& a, const Place& b) {
      if (a.chunk != b.chunk) return a.chunk < b.chunk;
      if (a.used != b.used) return a.used < b.used;
      return a.large < b.large;
    }
  };

  struct Moment {
    Place place;
    uint64_t retreats = 0;  // that had been noted
  };

  struct Retreat {
    Place to;
    uint64_t number;  // from 1
  };

  // The stack is at `place` now. Not a change of the log: what was taken only
  // keeps Note() from leaving the next retreat out.
  [[nodiscard]] Moment Take(const Place& place) const {
    taken_ = true;
    return {place, noted_};
  }

  [[nodiscard]] bool IsPast(const Moment& moment) const {
    const std::span<const Retreat> held(retreats_, count_);
    const auto later =
        std::ranges::upper_bound(held, moment.retreats, {}, &Retreat::number);
    return later != held.end() && later->to < moment.place;
  }

  // Whether a retreat to `to` ends a moment that none before it has ended;
  // drops those that it stands for.
  [[nodiscard]] bool Matters(const Place& to) {
    const size_t before = count_;
    while (count_ != 0 && !(retreats_[count_ - 1].to < to)) --count_;
    return taken_ || count_ != before;
  }

  // The stack went back to `to`, which matters.
  void Note(const Place& to) {
    taken_ = false;
    ++noted_;
    if (capacity_ == 0) return;
    if (count_ == capacity_) --count_;
    std::construct_at(retreats_ + count_++, Retreat{to, noted_});
  }

  [[nodiscard]] bool full() const { return count_ == capacity_; }
  [[nodiscard]] size_t capacity() const { return capacity_; }

  // Goes on in `memory`, room for `capacity` retreats; forgets the newest of
  // those that do not fit. Returns the memory that it was in until now; null at
  // first.
  void* MoveTo(void* memory, size_t capacity) {
    auto* const to = static_cast<Retreat*>(memory);
    count_ = std::min(count_, capacity);
    std::uninitialized_copy_n(retreats_, count_, to);
    Retreat* const from = retreats_;
    retreats_ = to;
    capacity_ = capacity;
    return from;
  }

 private:
  Retreat* retreats_ = nullptr;
  size_t count_ = 0;
  size_t capacity_ = 0;
  uint64_t noted_ = 0;
  mutable bool taken_ = false;  // a moment, since the last retreat noted
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_RETREAT_LOG_H_
