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

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_CHECK_POLICY_H_
