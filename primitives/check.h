#ifndef MMSB_PRIMITIVES_CHECK_H_
#define MMSB_PRIMITIVES_CHECK_H_

namespace mmsb {

// Ends the process with a message: formats like printf, writes the text and a
// newline to standard error in one call, and aborts (SIGABRT). It is for broken
// promises of the caller and for misuse that was caught, in every build; what
// the outside world can cause is returned instead.
//
// Allocates nothing, so it may be called from inside an allocator, on any
// thread. A message of more than 1023 bytes is cut, and then ends in "...".
//
//   if (header->magic != kMagic) Die("Deallocate(%p): not from this pool", p);
[[noreturn, gnu::cold, gnu::format(printf, 1, 2)]] void Die(const char* format,
                                                            ...);

namespace check_internal {

// Die() with "file:line: " before the message and the condition after it.
[[noreturn, gnu::cold, gnu::format(printf, 4, 5)]] void CheckFailed(
    const char* file, int line, const char* condition, const char* format, ...);

}  // namespace check_internal
}  // namespace mmsb

// Ends the process when `condition` is false, in every build; the rest is a
// printf format and its arguments, which are evaluated only then. Prints
//
//   allocator/arena.h:80: MESSAGE (check failed: CONDITION)
//
// An expression of type void; allowed in constant expressions, where a false
// condition does not compile.
//
//   MMSB_CHECK(bytes <= block_size_, "Allocate(%zu): block is %zu", bytes, n);
#define MMSB_CHECK(condition, ...)                                           \
  (__builtin_expect(static_cast<bool>(condition), 1)                         \
       ? static_cast<void>(0)                                                \
       : ::mmsb::check_internal::CheckFailed(__FILE__, __LINE__, #condition, \
                                             __VA_ARGS__))

#endif  // MMSB_PRIMITIVES_CHECK_H_
