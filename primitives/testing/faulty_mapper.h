#ifndef MMSB_PRIMITIVES_TESTING_FAULTY_MAPPER_H_
#define MMSB_PRIMITIVES_TESTING_FAULTY_MAPPER_H_

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "primitives/alignment.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"

namespace mmsb {

// A MemoryMapper for tests: passes calls on to another, lets chosen ones fail
// without doing anything, and knows how many bytes its user has not released.
// A Decommit() that fails has taken access to the first half of its range, as a
// system may that gives up on the way.
//
// The upstream mapper is not owned. Not thread-safe.
//
//   FaultyMapper mapper;
//   for (uint64_t n = 0; ; ++n) {       // every place where the system may
//   fail
//     mapper.FailFrom(n, 1, ENOMEM);
//     UseEverythingOnce(mapper);
//     if (mapper.failures() == 0) break;
//     EXPECT_EQ(mapper.outstanding_bytes(), 0u);
//   }
class FaultyMapper final : public MemoryMapper {
 public:
  explicit FaultyMapper(MemoryMapper& upstream = SystemMapper())
      : upstream_(upstream) {}

  // Of the calls from now on, skips `skip`, then fails `count` with the errno
  // `code`; those after succeed. Also sets calls() and failures() to 0.
  void FailFrom(uint64_t skip, uint64_t count, int code) {
    skip_ = skip;
    count_ = count;
    code_ = code;
    calls_ = 0;
    failures_ = 0;
  }

  // Calls since FailFrom(), those that failed here included.
  [[nodiscard]] uint64_t calls() const { return calls_; }

  // Calls that failed here since FailFrom().
  [[nodiscard]] uint64_t failures() const { return failures_; }

  // Bytes that were reserved or mapped and not released.
  [[nodiscard]] size_t outstanding_bytes() const { return outstanding_bytes_; }

  Alignment Granule() const override { return upstream_.Granule(); }
  Alignment HugeGranule() const override { return upstream_.HugeGranule(); }

  OsError Reserve(size_t bytes, Alignment alignment, void** address) override {
    if (Fails()) return OsError("injected fault", code_);
    OsError error = upstream_.Reserve(bytes, alignment, address);
    if (error.ok()) outstanding_bytes_ += bytes;
    return error;
  }

  OsError Commit(void* address, size_t bytes) override {
    if (Fails()) return OsError("injected fault", code_);
    return upstream_.Commit(address, bytes);
  }

  OsError Decommit(void* address, size_t bytes) override {
    if (Fails()) {
      const size_t half = AlignDown(bytes / 2, upstream_.Granule());
      if (half != 0) {
        static_cast<void>(upstream_.Protect(address, half, Access::kNone).ok());
      }
      return OsError("injected fault", code_);
    }
    return upstream_.Decommit(address, bytes);
  }

  OsError Discard(void* address, size_t bytes) override {
    if (Fails()) return OsError("injected fault", code_);
    return upstream_.Discard(address, bytes);
  }

  OsError Protect(void* address, size_t bytes, Access access) override {
    if (Fails()) return OsError("injected fault", code_);
    return upstream_.Protect(address, bytes, access);
  }

  OsError AdviseHuge(void* address, size_t bytes) override {
    if (Fails()) return OsError("injected fault", code_);
    return upstream_.AdviseHuge(address, bytes);
  }

  OsError MapHuge(size_t bytes, void** address) override {
    if (Fails()) return OsError("injected fault", code_);
    OsError error = upstream_.MapHuge(bytes, address);
    if (error.ok()) outstanding_bytes_ += bytes;
    return error;
  }

  OsError Grow(void* address, size_t bytes, size_t grown_bytes,
               Alignment alignment, void** grown) override {
    if (Fails()) return OsError("injected fault", code_);
    OsError error =
        upstream_.Grow(address, bytes, grown_bytes, alignment, grown);
    if (error.ok()) outstanding_bytes_ += grown_bytes - bytes;
    return error;
  }

  OsError Release(void* address, size_t bytes) override {
    if (Fails()) return OsError("injected fault", code_);
    OsError error = upstream_.Release(address, bytes);
    if (error.ok()) outstanding_bytes_ -= bytes;
    return error;
  }

 private:
  bool Fails() {
    const uint64_t call = calls_++;
    const bool fails = call >= skip_ && call - skip_ < count_;
    if (fails) ++failures_;
    return fails;
  }

  MemoryMapper& upstream_;
  uint64_t skip_ = std::numeric_limits<uint64_t>::max();
  uint64_t count_ = 0;
  int code_ = ENOMEM;
  uint64_t calls_ = 0;
  uint64_t failures_ = 0;
  size_t outstanding_bytes_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_TESTING_FAULTY_MAPPER_H_
