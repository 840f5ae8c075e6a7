#ifndef MMSB_ALLOCATOR_CHECK_POLICY_H_
#define MMSB_ALLOCATOR_CHECK_POLICY_H_

#include <concepts>

namespace mmsb {

// How much an allocator looks at what it is handed back: a template argument,
// so that both kinds can live in one program and the unchecked kind holds no
// trace of the checks.
//
// Unchecked trusts its caller. Checked ends the process with a message that
// names the call and the pointer when a block is deallocated twice, was never
// this allocator's, or is named by another address than its first; each
// allocator says what it detects.
//
//   MemoryPool<SystemSource, Checked> pool({.block_size = 64});
struct Unchecked {
  static constexpr bool kChecked = false;
};
struct Checked {
  static constexpr bool kChecked = true;
};

template <class P>
concept CheckPolicy = requires {
  { P::kChecked } -> std::convertible_to<bool>;
};

// A policy of one's own may leave out a part of what an allocator does, to be
// rid of its cost or to see it: `static constexpr bool kFillsFreed = false`
// takes the search for writes after free out of Checked, and
// `static constexpr bool kCountsCalls = false` leaves Stats() without numbers
// of allocations and deallocations. An allocator that heeds them says so.
//
//   struct Uncounted : Unchecked { static constexpr bool kCountsCalls = false;
//   };
template <CheckPolicy P>
inline constexpr bool kFillsFreed = [] {
  if constexpr (requires { P::kFillsFreed; }) {
    return P::kChecked && P::kFillsFreed;
  } else {
    return P::kChecked;
  }
}();
template <CheckPolicy P>
inline constexpr bool kCountsCalls = [] {
  if constexpr (requires { P::kCountsCalls; }) {
    return P::kCountsCalls;
  } else {
    return true;
  }
}();

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_CHECK_POLICY_H_
