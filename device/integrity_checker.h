#ifndef MMSB_DEVICE_INTEGRITY_CHECKER_H_
#define MMSB_DEVICE_INTEGRITY_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"

namespace mmsb {

// Whether copies of pages on a device are what the host says they are: byte by
// byte, or by a checksum (CRC-32C) where the host does not have the bytes.
//
// It reads the device's copies into memory of its own, some chunk_bytes at a
// time; nothing of device or host is changed. The caller sees to it that nobody
// writes them meanwhile, and that what was submitted before is done.
//
// Does not own the device. Thread-compatible. Failure: a status says that it
// could not be checked; what differs is no failure but a result. O(bytes), at
// the speed of the copies.
//
//   IntegrityChecker checker(device);
//   auto differences = checker.Compare({{id, page, at}});
//   if (differences.ok() && differences->empty()) ...  // they agree
class IntegrityChecker {
 public:
  struct PageCopies {
    PageId page;
    std::span<const std::byte> host;
    DevicePointer device;
  };

  // A page of which the host knows the checksum.
  struct PageSum {
    PageId page;
    DevicePointer device;
    size_t bytes = 0;
    uint32_t crc32c = 0;
  };

  struct Difference {
    PageId page;
    size_t offset = 0;  // of the first byte that differs
    std::byte host = {};
    std::byte device = {};
  };

  struct WrongSum {
    PageId page;
    uint32_t expected = 0;
    uint32_t device = 0;
  };

  explicit IntegrityChecker(Device& device, size_t chunk_bytes = kMiB);

  // The pages that differ, in the order given.
  absl::StatusOr<std::vector<Difference>> Compare(
      std::span<const PageCopies> pages);
  absl::StatusOr<std::vector<WrongSum>> CompareSums(
      std::span<const PageSum> pages);

 private:
  // Calls visit(offset, bytes) for parts of a page, in order, until it returns
  // false.
  template <class Visit>
  absl::Status ReadParts(StreamId stream, PageId page, DevicePointer from,
                         size_t bytes, Visit visit);

  Device& device_;
  std::vector<std::byte> buffer_;
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_INTEGRITY_CHECKER_H_
