#ifndef MMSB_PRIMITIVES_OS_MEMORY_H_
#define MMSB_PRIMITIVES_OS_MEMORY_H_

#include <cstddef>

#include "primitives/alignment.h"
#include "primitives/os_error.h"

namespace mmsb {

// Address space and memory from the operating system, in whole granules.
//
//   state        access   memory behind it   comes from            goes to
//   reserved     none     none               Reserve, Decommit     Commit,
//   Release committed    any of   as touched         Commit, MapHuge, Decommit,
//                Access                      Protect, Discard      Release
//
// An interface, so that a test can put a mapper in the system's place that
// fails at a chosen call (primitives/testing/faulty_mapper.h). The caller owns
// what it reserves until it releases it, all at once or in parts.
//
// Thread-safe on ranges that do not overlap.
//
// Every failure is returned. Misuse that can be seen from the arguments is
// EINVAL and changes nothing: an address or a size that is not a multiple of
// the granule, a size of 0, a range that wraps around. The mapper does not
// remember which ranges it handed out: a range that is not the caller's is not
// noticed, as with free(). After another failure the range's memory is still
// the caller's, but its first part may have changed already, since the system
// may run out of its own bookkeeping on the way.
//
// Each call is one system call or two (Reserve with a large alignment up to
// four, Grow with one up to eight), and costs time in proportion to the
// granules touched in the range.
//
//   MemoryMapper& mapper = SystemMapper();
//   void* base = nullptr;
//   OsError error = mapper.Reserve(64 * kMiB, mapper.Granule(), &base);
//   if (error.ok()) error = mapper.Commit(base, mapper.Granule().bytes());
class MemoryMapper {
 public:
  // What a committed range lets a program do.
  enum class Access { kNone, kRead, kReadWrite };

  MemoryMapper(const MemoryMapper&) = delete;
  MemoryMapper& operator=(const MemoryMapper&) = delete;

  // The unit of every address and size here, and the least alignment of what
  // Reserve() returns: 4 KiB to 64 KiB, as the system runs.
  [[nodiscard]] virtual Alignment Granule() const = 0;

  // The unit that the system backs with one large translation: 2 MiB on x86-64.
  // Equal to Granule() where the system knows no such thing.
  [[nodiscard]] virtual Alignment HugeGranule() const = 0;

  // Reserves `bytes` of address space, without access and without memory, at an
  // address that is a multiple of `alignment` and of Granule(), and stores the
  // address in `*address`, which a failure leaves as it was.
  virtual OsError Reserve(size_t bytes, Alignment alignment,
                          void** address) = 0;

  // Makes a range readable and writable. What was never committed, or
  // decommitted since, reads as zeros; a committed range keeps its contents.
  // Memory is taken when a granule is first touched; where the system promises
  // more than it has, that touch, and not this call, finds out.
  virtual OsError Commit(void* address, size_t bytes) = 0;

  // Gives the memory behind a range back and takes access away; the address
  // space stays reserved. After a failure the contents are unspecified.
  virtual OsError Decommit(void* address, size_t bytes) = 0;

  // Gives the memory behind a committed range back and leaves it committed: it
  // reads as zeros, at the price of memory on the next touch.
  virtual OsError Discard(void* address, size_t bytes) = 0;

  // Changes what may be done with a committed range; its contents stay. kNone
  // makes it a guard region: any access ends the process with SIGSEGV.
  virtual OsError Protect(void* address, size_t bytes, Access access) = 0;

  // Asks that the whole huge granules in a committed or reserved range are
  // backed as such. Advice: the system may take it later or never. EINVAL where
  // it does not have transparent huge granules at all.
  virtual OsError AdviseHuge(void* address, size_t bytes) = 0;

  // Maps `bytes` (a multiple of HugeGranule()) of the huge granules that the
  // administrator set aside: committed, zeros, aligned to HugeGranule(). ENOMEM
  // when fewer are free. Every later range in it is in multiples of
  // HugeGranule() too. `*address` is left as it was by a failure.
  virtual OsError MapHuge(size_t bytes, void** address) = 0;

  // Makes a committed range larger, moving it where it lies in the way of
  // another, without a copy: `*grown` is where it is now, a multiple of
  // `alignment` as `address` is, and of Granule(). The first `bytes` bytes hold
  // what they held, those behind them zeros; the old addresses may be another's
  // at once. The range is a whole one of Reserve() or what Release() left of
  // one, and has one state. ENOTSUP where the mapper cannot do it, as under a
  // tool that does not follow memory that moves (poison.h); then, and after any
  // other failure, the range and `*grown` are as they were, and who needs more
  // copies. When the system has no room in its own bookkeeping, what stays
  // behind of an attempt with a larger alignment than Granule() may be address
  // space, and no memory.
  virtual OsError Grow(void* address, size_t bytes, size_t grown_bytes,
                       Alignment alignment, void** grown);

  // Gives a range back, whatever its state: its addresses may be another's at
  // once. Poisoning is undone first.
  virtual OsError Release(void* address, size_t bytes) = 0;

 protected:
  constexpr MemoryMapper() = default;
  // Mappers are passed by reference and never owned through this class.
  ~MemoryMapper() = default;
};

// The mapper that asks the operating system. Lives as long as the process, in
// static destructors too.
MemoryMapper& SystemMapper();

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_MEMORY_H_
