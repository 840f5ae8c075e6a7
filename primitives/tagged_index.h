#ifndef MMSB_PRIMITIVES_TAGGED_INDEX_H_
#define MMSB_PRIMITIVES_TAGGED_INDEX_H_

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "primitives/check.h"

namespace mmsb {

// An index and a version tag in one 64-bit word: the head of a lock-free list
// whose links are indices.
//
// Such a head suffers from ABA: a thread reads head A and A's successor,
// sleeps, and meanwhile A is popped, others change, and A is pushed again; its
// compare-exchange then succeeds with a successor that is long in use. With the
// tag raised on every change (WithNextTag), the word differs although the index
// is the same (IBM System/370 Extended Architecture, Principles of Operation,
// 1983, appendix A, free-pool manipulation).
//
// The tag has 64 - kIndexBits bits and wraps to 0. What that means: a thread is
// fooled only if it sleeps between its load and its compare-exchange while the
// one head changes an exact multiple of 2^(64 - kIndexBits) times. With 32 bits
// and a head that changes every 10 ns, which is about the fastest that one
// cache line changes hands, a lap takes 43 s, and a sleeper that wakes after it
// must hit one change in 2^32. Whoever needs less risk gives up index bits: 24
// leave a 40-bit tag, and a lap of 3 hours.
//
// A value type, trivially copyable; thread-safe inside a std::atomic, which is
// lock-free. The largest index is kNull, "no element". An index that does not
// fit ends the process.
//
//   std::atomic<TaggedIndex> head;
//   TaggedIndex old = head.load(std::memory_order_acquire);
//   while (!head.compare_exchange_weak(old, old.WithNextTag(next[old.index()]),
//                                      std::memory_order_acq_rel,
//                                      std::memory_order_acquire)) {}
template <int kIndexBits>
class BasicTaggedIndex {
  static_assert(kIndexBits >= 1 && kIndexBits <= 63,
                "both the index and the tag need a bit");

 public:
  using Index = std::conditional_t<(kIndexBits <= 32), uint32_t, uint64_t>;

  static constexpr int kTagBits = 64 - kIndexBits;
  static constexpr uint64_t kMaxTag = (uint64_t{1} << kTagBits) - 1;

  // No element; every smaller number is an index.
  static constexpr Index kNull =
      static_cast<Index>((uint64_t{1} << kIndexBits) - 1);

  // No element, tag 0.
  constexpr BasicTaggedIndex() = default;

  // `index` is at most kNull, and `tag` at most kMaxTag.
  constexpr BasicTaggedIndex(Index index, uint64_t tag)
      : word_(Pack(index, tag)) {
    MMSB_CHECK(tag <= kMaxTag, "tag %llu needs more than %d bits",
               static_cast<unsigned long long>(tag), kTagBits);
  }

  [[nodiscard]] constexpr Index index() const {
    return static_cast<Index>(word_ & kIndexMask);
  }
  [[nodiscard]] constexpr uint64_t tag() const { return word_ >> kIndexBits; }
  [[nodiscard]] constexpr bool is_null() const { return index() == kNull; }

  // What replaces this word in a head: another index, the tag raised by one,
  // and 0 after kMaxTag. `index` is at most kNull.
  [[nodiscard]] constexpr BasicTaggedIndex WithNextTag(Index index) const {
    BasicTaggedIndex next;
    next.word_ = Pack(index, tag() + 1);
    return next;
  }

  // The word itself: the index in the low kIndexBits bits, the tag above.
  [[nodiscard]] constexpr uint64_t word() const { return word_; }
  [[nodiscard]] static constexpr BasicTaggedIndex FromWord(uint64_t word) {
    BasicTaggedIndex result;
    result.word_ = word;
    return result;
  }

  friend constexpr bool operator==(BasicTaggedIndex,
                                   BasicTaggedIndex) = default;

 private:
  static constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;

  static constexpr uint64_t Pack(uint64_t index, uint64_t tag) {
    MMSB_CHECK(index <= kIndexMask, "index %llu needs more than %d bits",
               static_cast<unsigned long long>(index), kIndexBits);
    return tag << kIndexBits | index;  // A tag of one bit too many loses it.
  }

  uint64_t word_ = kIndexMask;
};

// What lists of up to 2^32 - 1 elements use.
using TaggedIndex = BasicTaggedIndex<32>;

static_assert(sizeof(TaggedIndex) == 8);
static_assert(std::is_trivially_copyable_v<TaggedIndex>);
static_assert(std::atomic<TaggedIndex>::is_always_lock_free);

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_TAGGED_INDEX_H_
