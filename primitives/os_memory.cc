#include "primitives/os_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/os_error.h"
#include "primitives/poison.h"
#include "primitives/sanitizer.h"

// Of Linux since 3.8, but not in every C library's headers.
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

namespace mmsb {
namespace {

// Whether munmap() takes AddressSanitizer's poison away: in these compilers'
// runtimes it does, and in less time than writing that of every byte takes.
#if MMSB_ADDRESS_SANITIZER &&                         \
    ((defined(__clang__) && __clang_major__ >= 21) || \
     (!defined(__clang__) && __GNUC__ >= 16))
constexpr bool kMunmapUnpoisons = true;
#else
constexpr bool kMunmapUnpoisons = false;
#endif

// Keeps errno as it was for the caller: it learns of failures by return value.
class ErrnoKeeper {
 public:
  ErrnoKeeper() : kept_(errno) {}
  ErrnoKeeper(const ErrnoKeeper&) = delete;
  ErrnoKeeper& operator=(const ErrnoKeeper&) = delete;
  ~ErrnoKeeper() { errno = kept_; }

 private:
  const int kept_;
};

// The size in bytes that the kernel maps as one large translation, or 0 when it
// does not say.
size_t AskHugeBytes() {
  const int file = open("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
                        O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[32];
  const ssize_t length = read(file, text, sizeof(text));
  close(file);
  size_t bytes = 0;
  for (ssize_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; ++i) {
    if (!CheckedMultiply(bytes, 10, &bytes)) return 0;
    if (!CheckedAdd(bytes, static_cast<size_t>(text[i] - '0'), &bytes))
      return 0;
  }
  return bytes;
}

class SystemMemoryMapper final : public MemoryMapper {
 public:
  constexpr SystemMemoryMapper() = default;

  Alignment Granule() const override {
    return Alignment::FromBytes(static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  }

  Alignment HugeGranule() const override {
    // relaxed: every thread computes the same number, and nothing hangs on it.
    size_t bytes = huge_bytes_.load(std::memory_order_relaxed);
    if (bytes == 0) {
      const ErrnoKeeper keeper;
      bytes = AskHugeBytes();
      if (!Alignment::IsValid(bytes) || bytes < Granule().bytes()) {
        bytes = Granule().bytes();
      }
      huge_bytes_.store(bytes, std::memory_order_relaxed);
    }
    return Alignment::FromBytes(bytes);
  }

  OsError Reserve(size_t bytes, Alignment alignment, void** address) override {
    const ErrnoKeeper keeper;
    const Alignment granule = Granule();
    if (bytes == 0 || !IsAligned(bytes, granule)) {
      return OsError("Reserve", EINVAL);
    }
    // The system aligns to a granule; for more than that, reserve so much that
    // an aligned range lies within, and give the rest back.
    const size_t slack =
        alignment > granule ? alignment.bytes() - granule.bytes() : 0;
    size_t whole = 0;
    if (!CheckedAdd(bytes, slack, &whole)) return OsError("Reserve", ENOMEM);
    void* const start =
        mmap(nullptr, whole, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return OsError("mmap", errno);
    const uintptr_t first = reinterpret_cast<uintptr_t>(start);
    size_t aligned = 0;
    MMSB_CHECK(CheckedAlignUp(first, alignment, &aligned),
               "the system reserved a range at the end of all addresses");
    const size_t before = aligned - first;
    const size_t after = slack - before;
    char* const result = static_cast<char*>(start) + before;
    if ((before != 0 && munmap(start, before) != 0) ||
        (after != 0 && munmap(result + bytes, after) != 0)) {
      const int code = errno;
      // The first error is the one to tell. If this fails as well, unusable
      // address space stays behind, and no memory.
      static_cast<void>(munmap(start, whole));
      return OsError("munmap", code);
    }
    *address = result;
    return OsError();
  }

  OsError Commit(void* address, size_t bytes) override {
    return ProtectAs("Commit", address, bytes, Access::kReadWrite);
  }

  OsError Decommit(void* address, size_t bytes) override {
    OsError error = Advise("Decommit", address, bytes, MADV_DONTNEED);
    if (!error.ok()) return error;
    // Not one mmap over the range, which could fail after it has unmapped it,
    // and leave a hole that another thread's mapping falls into.
    return ProtectAs("Decommit", address, bytes, Access::kNone);
  }

  OsError Discard(void* address, size_t bytes) override {
    return Advise("Discard", address, bytes, MADV_DONTNEED);
  }

  OsError Protect(void* address, size_t bytes, Access access) override {
    return ProtectAs("Protect", address, bytes, access);
  }

  OsError AdviseHuge(void* address, size_t bytes) override {
    return Advise("AdviseHuge", address, bytes, MADV_HUGEPAGE);
  }

  OsError MapHuge(size_t bytes, void** address) override {
    const ErrnoKeeper keeper;
    const Alignment huge = HugeGranule();
    if (bytes == 0 || !IsAligned(bytes, huge)) {
      return OsError("MapHuge", EINVAL);
    }
    if (huge == Granule()) return OsError("MapHuge", ENOMEM);
    void* const start =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
                 static_cast<int>(static_cast<unsigned>(huge.log2())
                                  << MAP_HUGE_SHIFT),
             -1, 0);
    if (start == MAP_FAILED) return OsError("mmap", errno);
    *address = start;
    return OsError();
  }

  OsError Grow(void* address, size_t bytes, size_t grown_bytes,
               Alignment alignment, void** grown) override {
    const ErrnoKeeper keeper;
    if (!IsRange(address, bytes) || !IsRange(address, grown_bytes) ||
        grown_bytes <= bytes || !IsAligned(address, alignment)) {
      return OsError("Grow", EINVAL);
    }
    // None of them carries its shadow along.
    if (kAddressSanitizer || kMemorySanitizer || RunningOnValgrind()) {
      return OsError("Grow", ENOTSUP);
    }
    const bool anywhere = alignment <= Granule();
    void* const start =
        mremap(address, bytes, grown_bytes, anywhere ? MREMAP_MAYMOVE : 0);
    if (start != MAP_FAILED) {
      *grown = start;
      return OsError();
    }
    // ENOMEM also says that there is no room where it lies. All else would be
    // said again at another place.
    const int code = errno;
    if (anywhere || code != ENOMEM) return OsError("mremap", code);
    return MoveTo(alignment, address, bytes, grown_bytes, grown);
  }

  OsError Release(void* address, size_t bytes) override {
    const ErrnoKeeper keeper;
    if (!IsRange(address, bytes)) return OsError("Release", EINVAL);
    if constexpr (!kMunmapUnpoisons) UnpoisonDefined(address, bytes);
    if (munmap(address, bytes) != 0) return OsError("munmap", errno);
    return OsError();
  }

 private:
  bool IsRange(const void* address, size_t bytes) const {
    const Alignment granule = Granule();
    size_t end = 0;
    return address != nullptr && bytes != 0 && IsAligned(address, granule) &&
           IsAligned(bytes, granule) &&
           CheckedAdd(reinterpret_cast<uintptr_t>(address), bytes, &end);
  }

  OsError MoveTo(Alignment alignment, void* address, size_t bytes,
                 size_t grown_bytes, void** grown) {
    // The system empties the place before it looks whether its limits allow
    // the rest. So as much as the range grows by is taken behind the place, and
    // given back: what was there a moment ago is there for the move.
    const size_t more = grown_bytes - bytes;
    size_t whole = 0;
    if (!CheckedAdd(grown_bytes, more, &whole)) return OsError("Grow", ENOMEM);
    void* place = nullptr;
    OsError error = Reserve(whole, alignment, &place);
    if (!error.ok()) return error;
    char* const behind = static_cast<char*>(place) + grown_bytes;
    error = Commit(behind, more);
    if (error.ok()) error = Release(behind, more);
    if (!error.ok()) {
      // If this fails as well, address space stays behind, and no memory.
      static_cast<void>(Release(place, whole).ok());
      return error;
    }
    if (mremap(address, bytes, grown_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
               place) == MAP_FAILED) {
      // Whether the place is still reserved the system does not tell; if it is
      // not, it may be another thread's by now, so it is left alone.
      return OsError("mremap", errno);
    }
    *grown = place;
    return OsError();
  }

  OsError ProtectAs(const char* caller, void* address, size_t bytes,
                    Access access) {
    const ErrnoKeeper keeper;
    if (!IsRange(address, bytes)) return OsError(caller, EINVAL);
    int protection = PROT_NONE;
    if (access == Access::kRead) protection = PROT_READ;
    if (access == Access::kReadWrite) protection = PROT_READ | PROT_WRITE;
    if (mprotect(address, bytes, protection) != 0) {
      return OsError("mprotect", errno);
    }
    return OsError();
  }

  OsError Advise(const char* caller, void* address, size_t bytes, int advice) {
    const ErrnoKeeper keeper;
    if (!IsRange(address, bytes)) return OsError(caller, EINVAL);
    if (madvise(address, bytes, advice) != 0) return OsError("madvise", errno);
    return OsError();
  }

  mutable std::atomic<size_t> huge_bytes_ = 0;  // 0: not asked yet.
};

constinit SystemMemoryMapper system_mapper;

}  // namespace

OsError MemoryMapper::Grow(void*, size_t, size_t, Alignment, void**) {
  return OsError("Grow", ENOTSUP);
}

MemoryMapper& SystemMapper() { return system_mapper; }

}  // namespace mmsb
