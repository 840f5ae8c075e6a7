#ifndef MMSB_MEMORY_PAGE_PAGE_LOCATION_H_
#define MMSB_MEMORY_PAGE_PAGE_LOCATION_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <ostream>
#include <utility>

#include "absl/strings/str_format.h"
#include "primitives/check.h"

namespace mmsb {

// Where the contents of a page lie: in the host's memory, in unified memory
// that the host and its devices both address, or in the memory of one device,
// named by its index.
//
// A value of 4 bytes; owns nothing. Default-made it is the host. Ordered: host,
// unified, then devices by index; a key for std::unordered_map and Abseil's
// tables; prints as "host", "unified", "device 3". Thread-safety: that of an
// integer. Failure: Device() of an index above kMaxDeviceIndex, and
// device_index() of a location that is no device, end the process. Complexity:
// O(1).
//
//   PageLocation location = PageLocation::Device(3);
//   if (location.host_accessible()) memset(...);
//   else Queue(location.device_index(), ...);
class PageLocation {
 public:
  static constexpr uint32_t kMaxDeviceIndex =
      std::numeric_limits<uint32_t>::max() - 2;

  constexpr PageLocation() = default;

  [[nodiscard]] static constexpr PageLocation Host() { return PageLocation(); }
  [[nodiscard]] static constexpr PageLocation Unified() {
    return PageLocation(kUnified);
  }
  [[nodiscard]] static constexpr PageLocation Device(uint32_t index) {
    MMSB_CHECK(index <= kMaxDeviceIndex,
               "PageLocation::Device: index %lu is above %lu",
               static_cast<unsigned long>(index),
               static_cast<unsigned long>(kMaxDeviceIndex));
    return PageLocation(kFirstDevice + index);
  }

  [[nodiscard]] constexpr bool is_host() const { return code_ == kHost; }
  [[nodiscard]] constexpr bool is_unified() const { return code_ == kUnified; }
  [[nodiscard]] constexpr bool is_device() const {
    return code_ >= kFirstDevice;
  }

  // True when the host may read and write the contents in place.
  [[nodiscard]] constexpr bool host_accessible() const { return !is_device(); }

  [[nodiscard]] constexpr uint32_t device_index() const {
    MMSB_CHECK(is_device(), "PageLocation::device_index: the location is %s",
               is_host() ? "host" : "unified");
    return code_ - kFirstDevice;
  }

  friend constexpr auto operator<=>(PageLocation, PageLocation) = default;

  template <typename H>
  friend H AbslHashValue(H state, PageLocation location) {
    return H::combine(std::move(state), location.code_);
  }

  template <typename Sink>
  friend void AbslStringify(Sink& sink, PageLocation location) {
    if (location.is_device()) {
      absl::Format(&sink, "device %d", location.device_index());
    } else {
      sink.Append(location.is_host() ? "host" : "unified");
    }
  }
  friend std::ostream& operator<<(std::ostream& stream, PageLocation location) {
    return stream << absl::StreamFormat("%v", location);
  }

 private:
  static constexpr uint32_t kHost = 0;
  static constexpr uint32_t kUnified = 1;
  static constexpr uint32_t kFirstDevice = 2;

  explicit constexpr PageLocation(uint32_t code) : code_(code) {}

  friend struct std::hash<PageLocation>;

  uint32_t code_ = kHost;
};

static_assert(sizeof(PageLocation) == 4);

}  // namespace mmsb

template <>
struct std::hash<mmsb::PageLocation> {
  size_t operator()(mmsb::PageLocation location) const noexcept {
    return std::hash<uint32_t>()(location.code_);
  }
};

#endif  // MMSB_MEMORY_PAGE_PAGE_LOCATION_H_
