#include "memory/testing/allocation_meter.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace mmsb {
namespace {

// relaxed, all: counts, read by who joined the others.
std::atomic<size_t> largest_bytes{0};
std::atomic<size_t> total_bytes{0};

void* Counted(size_t bytes) {
  total_bytes.fetch_add(bytes, std::memory_order_relaxed);
  size_t largest = largest_bytes.load(std::memory_order_relaxed);
  while (largest < bytes && !largest_bytes.compare_exchange_weak(
                                largest, bytes, std::memory_order_relaxed,
                                std::memory_order_relaxed)) {
  }
  return std::malloc(bytes == 0 ? 1 : bytes);
}

}  // namespace

AllocationMeter::AllocationMeter() {
  largest_bytes.store(0, std::memory_order_relaxed);
  total_bytes.store(0, std::memory_order_relaxed);
}

size_t AllocationMeter::largest() const {
  return largest_bytes.load(std::memory_order_relaxed);
}

size_t AllocationMeter::total() const {
  return total_bytes.load(std::memory_order_relaxed);
}

}  // namespace mmsb

void* operator new(size_t bytes) {
  if (void* const p = mmsb::Counted(bytes)) return p;
  throw std::bad_alloc();
}
void* operator new[](size_t bytes) { return operator new(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return mmsb::Counted(bytes);
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return mmsb::Counted(bytes);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}
