#ifndef MMSB_ALLOCATOR_CHECK_POLICY_H_
#define MMSB_ALLOCATOR_CHECK_POLICY_H_

#include <concepts>
#include <cstddef>

#include "primitives/bytes.h"

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
// rid of its cost or to see it: `static constexpr size_t kFilledBytes` is how
// much of a freed block Checked fills, from its beginning, so that a write
// after free is found there when the block is reused: 4 KiB, which is all of
// most blocks, and 0 is nothing. `static constexpr bool kCountsCalls = false`
// leaves Stats() without numbers of allocations and deallocations. An allocator
// that heeds them says so.
//
//   struct Uncounted : Unchecked { static constexpr bool kCountsCalls = false;
//   };
template <CheckPolicy P>
inline constexpr size_t kFilledBytes = [] {
  constexpr size_t kMost = 4 * kKiB;
  if constexpr (requires { P::kFilledBytes; }) {
    return P::kChecked ? size_t{P::kFilledBytes} : 0;
  } else {
    return P::kChecked ? kMost : 0;
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
