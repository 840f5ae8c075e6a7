#ifndef MMSB_PRIMITIVES_SANITIZER_H_
#define MMSB_PRIMITIVES_SANITIZER_H_

// Which of the compiler's sanitizers this file is compiled for: macros that are
// 0 or 1, for declarations that only one of them has, and constants for all
// else. gcc and clang say it in different ways.
#if defined(__has_feature)
#define MMSB_HAS_FEATURE(feature) __has_feature(feature)
#else
#define MMSB_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || MMSB_HAS_FEATURE(address_sanitizer)
#define MMSB_ADDRESS_SANITIZER 1
#else
#define MMSB_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__) || MMSB_HAS_FEATURE(thread_sanitizer)
#define MMSB_THREAD_SANITIZER 1
#else
#define MMSB_THREAD_SANITIZER 0
#endif

#if MMSB_HAS_FEATURE(memory_sanitizer)
#define MMSB_MEMORY_SANITIZER 1
#else
#define MMSB_MEMORY_SANITIZER 0
#endif

namespace mmsb {

inline constexpr bool kAddressSanitizer = MMSB_ADDRESS_SANITIZER != 0;
inline constexpr bool kThreadSanitizer = MMSB_THREAD_SANITIZER != 0;
inline constexpr bool kMemorySanitizer = MMSB_MEMORY_SANITIZER != 0;

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_SANITIZER_H_
