#include "primitives/os_guarded_region.h"

#include <errno.h>

#include <cstddef>
#include <utility>

#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/check.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

void ReleaseOrDie(GuardedRegion& region) {
  OsError error = region.Release();
  char text[OsError::kTextBytes];
  MMSB_CHECK(error.ok(), "GuardedRegion of %zu bytes at %p: %s", region.bytes(),
             region.data(), error.Describe(text, sizeof(text)));
}

}  // namespace

GuardedRegion::GuardedRegion(GuardedRegion&& other) noexcept
    : mapper_(std::exchange(other.mapper_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

GuardedRegion& GuardedRegion::operator=(GuardedRegion&& other) noexcept {
  if (this == &other) return *this;
  ReleaseOrDie(*this);
  mapper_ = std::exchange(other.mapper_, nullptr);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

GuardedRegion::~GuardedRegion() { ReleaseOrDie(*this); }

OsError GuardedRegion::Create(MemoryMapper& mapper, size_t bytes,
                              GuardedRegion* region) {
  OsError error = region->Release();
  if (!error.ok()) return error;
  if (bytes == 0) return OsError("GuardedRegion::Create", EINVAL);
  const Alignment granule = mapper.Granule();
  size_t inner = 0;
  size_t whole = 0;
  if (!CheckedAlignUp(bytes, granule, &inner) ||
      !CheckedAdd(inner, 2 * granule.bytes(), &whole)) {
    return OsError("GuardedRegion::Create", ENOMEM);
  }
  void* start = nullptr;
  error = mapper.Reserve(whole, granule, &start);
  if (!error.ok()) return error;
  // What is reserved and never committed is a guard.
  void* const data = static_cast<char*>(start) + granule.bytes();
  error = mapper.Commit(data, inner);
  if (!error.ok()) {
    // The first error is the one to tell; if this fails as well, address space
    // stays behind, and no memory.
    static_cast<void>(mapper.Release(start, whole));
    return error;
  }
  region->mapper_ = &mapper;
  region->data_ = data;
  region->bytes_ = inner;
  return OsError();
}

OsError GuardedRegion::Release() {
  if (data_ == nullptr) return OsError();
  const size_t guard = mapper_->Granule().bytes();
  OsError error =
      mapper_->Release(static_cast<char*>(data_) - guard, bytes_ + 2 * guard);
  if (!error.ok()) return error;
  mapper_ = nullptr;
  data_ = nullptr;
  bytes_ = 0;
  return OsError();
}

}  // namespace mmsb
