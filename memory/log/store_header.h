#ifndef MMSB_MEMORY_LOG_STORE_HEADER_H_
#define MMSB_MEMORY_LOG_STORE_HEADER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"

namespace mmsb {

// The 64 bytes that a store's own file and each file of its log begin with:
// that it is one, in which version of the format, and which. The magic number,
// the version and the checksum keep their places in every later version.
// docs/format.md has the layout.
//
// A value. Thread-compatible.
struct StoreHeader {
  static constexpr size_t kBytes = 64;
  static constexpr uint32_t kVersion = 5;
  static constexpr uint32_t kMinPageBytes = 512;
  static constexpr uint32_t kMaxPageBytes = 64 * 1024;

  uint32_t page_bytes = 4096;  // a power of two within the limits above
  uint64_t store_id = 0;       // random
  int64_t created_ns = 0;      // since the Unix epoch
  uint64_t generation = 0;     // how often the log was replaced by another
  uint64_t first_epoch = 1;    // that the log holds; those before are pruned

  // Where in the log the file stands that begins with this. 0 in the store's
  // own file, and in the log's first.
  uint64_t segment_base = 0;

  // It is the target of a salvage that has not ended. Never so in a log.
  bool unfinished = false;

  // What salts the checksums of this generation's log.
  uint64_t salt() const { return store_id + generation * 0x9e3779b97f4a7c15; }

  std::array<std::byte, kBytes> Encode() const;

  // InvalidArgument when `bytes` is not of a store at all, Unimplemented when
  // it is of another version, DataLoss when it is damaged. The message begins
  // with `name`.
  static absl::StatusOr<StoreHeader> Decode(std::span<const std::byte> bytes,
                                            std::string_view name);

  friend bool operator==(const StoreHeader&, const StoreHeader&) = default;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_STORE_HEADER_H_
