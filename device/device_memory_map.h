#ifndef MMSB_DEVICE_DEVICE_MEMORY_MAP_H_
#define MMSB_DEVICE_DEVICE_MEMORY_MAP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "device/device_copy.h"
#include "device/device_pointer.h"

namespace mmsb {

// The allocations of a device whose memory is, in truth, the host's: where each
// lies for the device, and where for the host. It checks the ranges of copies
// and performs them.
//
// Owns no memory. Thread-compatible. Complexity: O(log allocations).
class DeviceMemoryMap {
 public:
  struct Block {
    DevicePointer address = {};
    size_t bytes = 0;
    std::byte* storage = nullptr;
  };

  // Blocks do not overlap.
  void Add(const Block& block);

  // Forgets and returns the block that begins at `address`, if there is one.
  std::optional<Block> Remove(DevicePointer address);

  // Where the range lies on the host; null when it is not inside one block.
  [[nodiscard]] std::byte* Find(DevicePointer address, size_t bytes) const;

  // InvalidArgument when a range of one of the copies is null, is not inside a
  // block, or overlaps its source; or when a copy is of no kind.
  [[nodiscard]] absl::Status Check(std::span<const DeviceCopy> copies) const;

  // Performs a copy that Check() accepted; the blocks must still be there.
  void Perform(const DeviceCopy& copy) const;

  // Bytes of all blocks.
  [[nodiscard]] size_t used_bytes() const { return used_bytes_; }

  void ForEach(absl::FunctionRef<void(const Block&)> visit) const;

 private:
  std::map<uint64_t, Block> blocks_;  // by address
  size_t used_bytes_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_DEVICE_MEMORY_MAP_H_
