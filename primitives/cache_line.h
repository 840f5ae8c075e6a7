#ifndef MMSB_PRIMITIVES_CACHE_LINE_H_
#define MMSB_PRIMITIVES_CACHE_LINE_H_

#include <cstddef>

namespace mmsb {

// What one cache line holds, in bytes: what is used together should fit it. A
// constant instead of std::hardware_constructive_interference_size, whose value
// hangs on compiler flags and must not differ between two objects of a program.
inline constexpr size_t kCacheLineBytes = 64;

// The distance in bytes at which two variables written by different threads do
// not slow each other down: two lines, because x86-64 fetches lines in pairs
// and some aarch64 cores have lines of 128 bytes.
//
//   struct alignas(kFalseSharingBytes) Shard { std::atomic<uint64_t> count; };
inline constexpr size_t kFalseSharingBytes = 2 * kCacheLineBytes;

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_CACHE_LINE_H_
