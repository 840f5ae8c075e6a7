#ifndef MMSB_DEVICE_DEVICE_POINTER_H_
#define MMSB_DEVICE_DEVICE_POINTER_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_format.h"

namespace mmsb {

// An address in the memory of one device. The host cannot follow it: only the
// device that allocated it knows what lies there, so it is a type of its own.
//
// A value of 8 bytes; null when made by default; prints as "0x7f00". Arithmetic
// is in bytes and not checked: the device checks every range that it is given.
//
//   DevicePointer second = first + 4096;
class DevicePointer {
 public:
  constexpr DevicePointer() = default;

  [[nodiscard]] static constexpr DevicePointer FromAddress(uint64_t address) {
    return DevicePointer(address);
  }

  // As Page::address() carries it.
  [[nodiscard]] static DevicePointer FromVoid(const void* address) {
    return DevicePointer(reinterpret_cast<uintptr_t>(address));
  }
  [[nodiscard]] void* ToVoid() const {
    return reinterpret_cast<void*>(static_cast<uintptr_t>(address_));
  }

  [[nodiscard]] constexpr uint64_t address() const { return address_; }
  [[nodiscard]] constexpr bool is_null() const { return address_ == 0; }

  friend constexpr DevicePointer operator+(DevicePointer pointer,
                                           size_t bytes) {
    return DevicePointer(pointer.address_ + bytes);
  }

  friend constexpr auto operator<=>(DevicePointer, DevicePointer) = default;

  template <typename H>
  friend H AbslHashValue(H state, DevicePointer pointer) {
    return H::combine(std::move(state), pointer.address_);
  }

  template <typename Sink>
  friend void AbslStringify(Sink& sink, DevicePointer pointer) {
    absl::Format(&sink, "%#x", pointer.address_);
  }

 private:
  explicit constexpr DevicePointer(uint64_t address) : address_(address) {}

  uint64_t address_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_DEVICE_POINTER_H_
