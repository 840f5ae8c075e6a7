#ifndef MMSB_FUZZ_PAGE_ALLOCATOR_RUN_H_
#define MMSB_FUZZ_PAGE_ALLOCATOR_RUN_H_

#include <cstdint>
#include <string>

#include "fuzz/program.h"

namespace mmsb {

struct PageAllocatorOp {
  enum Op : uint8_t {
    // A page is number `a` of those there are, by id, modulo.
    kAllocate,     // `a` bytes
    kAllocateId,   // `a` bytes, with the id `b`
    kAllocateAt,   // `a` bytes, at location `b` % kLocations
    kAcquire,      // page `a`
    kRelease,      // page `a`
    kFree,         // page `a`
    kUnknown,      // Acquire, Release, Free and SetMetadata of the id `a`
    kSetMetadata,  // page `a`: `b` bytes
    kAdvance,      // page `a` to epoch `b`
    kWrite,        // page `a`, bytes that follow from `b`
    kSnapshot,
    kRestore,
    kAllocateMany,  // `b` pages of a byte, with ids from `a` on; below 192
                    // `b` % 32 of them
    kFreeMany,      // `b` pages, by id from page `a` on
    kOpCount,
  };
};

extern const ProgramKind kPageAllocatorProgram;

std::string RunPageAllocatorProgram(const Program& program);

}  // namespace mmsb

#endif  // MMSB_FUZZ_PAGE_ALLOCATOR_RUN_H_
