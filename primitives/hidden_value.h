#ifndef MMSB_PRIMITIVES_HIDDEN_VALUE_H_
#define MMSB_PRIMITIVES_HIDDEN_VALUE_H_

#include <cstdint>

namespace mmsb {

// `value`, of which the compiler does not know where it came from. It takes no
// instruction. For a mask that was computed so that no branch depends on it:
// compilers that see how it was made turn it back into a branch.
//
//   at += step & (HiddenValue(is_above) - 1);
[[nodiscard]] inline uintptr_t HiddenValue(uintptr_t value) {
  __asm__("" : "+r"(value));
  return value;
}

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_HIDDEN_VALUE_H_
