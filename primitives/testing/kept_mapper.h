#ifndef MMSB_PRIMITIVES_TESTING_KEPT_MAPPER_H_
#define MMSB_PRIMITIVES_TESTING_KEPT_MAPPER_H_

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"
#include "primitives/poison.h"

namespace mmsb {

// A MemoryMapper for fuzz targets: takes a range of address space from another
// mapper once, and serves from it, most often without a system call. Of what is
// given back it keeps the memory, so that the next input's first touch of it is
// no page fault.
//
// Owns the range. The upstream mapper is not owned; it serves what the range
// has no room for. Thread-safe. Failure as of the upstream mapper. Time in
// proportion to the granules of a call.
//
// What may not be touched is poisoned: AddressSanitizer ends the process, and
// other builds do not see it. Grow() fails in the range, as the system's does
// under a sanitizer.
//
//   static KeptMapper kept(64 * kMiB);
//   FaultyMapper mapper(kept);  // for each input
class KeptMapper final : public MemoryMapper {
 public:
  // The range is aligned to this, and reservations in it as they ask, up to
  // this.
  static constexpr size_t kMaxAlignment = 16 * kMiB;

  // `bytes` are whole granules.
  explicit KeptMapper(size_t bytes, MemoryMapper& upstream = SystemMapper())
      : upstream_(upstream),
        granule_(upstream.Granule()),
        bytes_(bytes),
        taken_(bytes / granule_.bytes()),
        open_(taken_.size()),
        dirty_(taken_.size()) {
    void* base = nullptr;
    MMSB_CHECK(
        upstream.Reserve(bytes, Alignment::FromBytes(kMaxAlignment), &base)
                .ok() &&
            upstream.Commit(base, bytes).ok(),
        "KeptMapper: the system has no %zu bytes", bytes);
    base_ = static_cast<std::byte*>(base);
    PoisonFreed(base_, bytes);
  }
  ~KeptMapper() { static_cast<void>(upstream_.Release(base_, bytes_).ok()); }

  Alignment Granule() const override { return granule_; }
  Alignment HugeGranule() const override { return upstream_.HugeGranule(); }

  OsError Reserve(size_t bytes, Alignment alignment, void** address) override {
    const size_t count = bytes / granule_.bytes();
    if (count != 0 && bytes % granule_.bytes() == 0 && bytes <= bytes_ &&
        alignment.bytes() <= kMaxAlignment) {
      const std::lock_guard lock(mutex_);
      const size_t step =
          std::max(alignment, granule_).bytes() / granule_.bytes();
      for (size_t i = 0; i + count <= taken_.size();) {
        const size_t taken = Next(taken_, kYes, i, i + count);
        if (taken == i + count) {
          Set(taken_, kYes, {i, i + count});
          *address = At(i);
          return OsError();
        }
        i = (taken / step + 1) * step;
      }
    }
    return upstream_.Reserve(bytes, alignment, address);
  }

  OsError Commit(void* address, size_t bytes) override {
    if (!Here(address)) return upstream_.Commit(address, bytes);
    return In("Commit", address, bytes, [this](Run range) {
      ForEachRun(open_, kNo, range, [this](Run run) {
        UnpoisonDefined(At(run.begin), BytesOf(run));
        Set(open_, kYes, run);
        Set(dirty_, kYes, run);
      });
    });
  }

  OsError Decommit(void* address, size_t bytes) override {
    if (!Here(address)) return upstream_.Decommit(address, bytes);
    return In("Decommit", address, bytes, [this](Run range) { Clear(range); });
  }

  OsError Discard(void* address, size_t bytes) override {
    OsError error = upstream_.Discard(address, bytes);
    if (!error.ok() || !Here(address)) return error;
    return In("Discard", address, bytes,
              [this](Run range) { Set(dirty_, kDropped, range); });
  }

  // What may be read may be written, too.
  OsError Protect(void* address, size_t bytes, Access access) override {
    if (!Here(address)) return upstream_.Protect(address, bytes, access);
    if (access != Access::kNone) return Commit(address, bytes);
    return In("Protect", address, bytes, [this](Run range) {
      PoisonFreed(At(range.begin), BytesOf(range));
      Set(open_, kNo, range);
    });
  }

  OsError AdviseHuge(void* address, size_t bytes) override {
    return upstream_.AdviseHuge(address, bytes);
  }

  OsError MapHuge(size_t bytes, void** address) override {
    return upstream_.MapHuge(bytes, address);
  }

  OsError Grow(void* address, size_t bytes, size_t grown_bytes,
               Alignment alignment, void** grown) override {
    if (Here(address)) return OsError("Grow", ENOTSUP);
    return upstream_.Grow(address, bytes, grown_bytes, alignment, grown);
  }

  OsError Release(void* address, size_t bytes) override {
    if (!Here(address)) return upstream_.Release(address, bytes);
    return In("Release", address, bytes, [this](Run range) {
      Clear(range);
      Set(taken_, kNo, range);
    });
  }

 private:
  // A byte a granule, which memchr() and memset() go over faster than
  // instrumented code goes over bits.
  using Flags = std::vector<unsigned char>;
  static constexpr unsigned char kNo = 0;
  static constexpr unsigned char kYes = 1;
  static constexpr unsigned char kDropped = 2;

  // Granules from `begin` to before `end`.
  struct Run {
    size_t begin;
    size_t end;
  };

  // To write zeros over more than this takes longer than a system call, and the
  // page faults of what is touched of it later.
  static constexpr size_t kMaxWritten = 128 * kKiB;

  [[nodiscard]] bool Here(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) -
               reinterpret_cast<uintptr_t>(base_) <
           bytes_;
  }
  [[nodiscard]] std::byte* At(size_t granule) const {
    return base_ + granule * granule_.bytes();
  }
  [[nodiscard]] size_t BytesOf(Run run) const {
    return (run.end - run.begin) * granule_.bytes();
  }

  // The first granule of that state in [begin, end), or `end`.
  static size_t Next(const Flags& flags, unsigned char state, size_t begin,
                     size_t end) {
    const void* const found =
        std::memchr(flags.data() + begin, state, end - begin);
    return found == nullptr
               ? end
               : static_cast<size_t>(static_cast<const unsigned char*>(found) -
                                     flags.data());
  }

  static void Set(Flags& flags, unsigned char state, Run run) {
    std::memset(flags.data() + run.begin, state, run.end - run.begin);
  }

  template <class Work>
  static void ForEachRun(const Flags& flags, unsigned char state, Run range,
                         Work work) {
    for (size_t i = range.begin;;) {
      const size_t begin = Next(flags, state, i, range.end);
      if (begin == range.end) return;
      for (i = begin; i != range.end && flags[i] == state;) ++i;
      work(Run{begin, i});
    }
  }

  template <class Work>
  OsError In(const char* function, void* address, size_t bytes, Work work) {
    const auto offset =
        static_cast<size_t>(static_cast<std::byte*>(address) - base_);
    if (offset % granule_.bytes() != 0 || bytes % granule_.bytes() != 0 ||
        bytes == 0 || bytes > bytes_ - offset) {
      return OsError(function, EINVAL);
    }
    const std::lock_guard lock(mutex_);
    const size_t begin = offset / granule_.bytes();
    work(Run{begin, begin + bytes / granule_.bytes()});
    return OsError();
  }

  // Makes all of a range zeros without access.
  void Clear(Run range) {
    ForEachRun(dirty_, kYes, range, [this](Run run) {
      UnpoisonDefined(At(run.begin), BytesOf(run));
      if (BytesOf(run) > kMaxWritten) {
        Drop(run);
      } else {
        std::memset(At(run.begin), 0, BytesOf(run));
      }
      PoisonFreed(At(run.begin), BytesOf(run));
    });
    // Most of it would become memory only to be written.
    ForEachRun(dirty_, kDropped, range, [this](Run run) {
      UnpoisonDefined(At(run.begin), BytesOf(run));
      Drop(run);
      PoisonFreed(At(run.begin), BytesOf(run));
    });
    Set(open_, kNo, range);
    Set(dirty_, kNo, range);
  }

  void Drop(Run run) {
    if (upstream_.Discard(At(run.begin), BytesOf(run)).ok()) return;
    std::memset(At(run.begin), 0, BytesOf(run));
  }

  MemoryMapper& upstream_;
  const Alignment granule_;
  const size_t bytes_;
  std::byte* base_ = nullptr;
  std::mutex mutex_;
  Flags taken_;  // reserved
  Flags open_;   // with access
  Flags dirty_;  // perhaps not zeros; or perhaps, since Discard()
};

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_TESTING_KEPT_MAPPER_H_
