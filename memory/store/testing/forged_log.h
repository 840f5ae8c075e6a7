#ifndef MMSB_MEMORY_STORE_TESTING_FORGED_LOG_H_
#define MMSB_MEMORY_STORE_TESTING_FORGED_LOG_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/functional/function_ref.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"

namespace mmsb {

// Writes the head of every record of a log file anew, as damage cannot do:
// `forge` changes it, and is given the bytes of the whole record. Links stay
// true. Records ahead of what is no record are written, and those behind it.
inline void ForgeRecords(
    std::span<std::byte> log, uint64_t salt,
    absl::FunctionRef<void(RecordHead&, std::span<std::byte>)> forge) {
  uint32_t was = 0;  // the checksum of the head before
  uint32_t is = 0;
  for (size_t at = StoreHeader::kBytes; at < log.size();) {
    std::optional<RecordHead> head =
        RecordHead::Decode(log.subspan(at), at, salt);
    if (!head.has_value() || head->end() > log.size()) {
      ++at;
      continue;
    }
    const auto bytes =
        log.subspan(at, static_cast<size_t>(head->end() - head->position));
    forge(*head, bytes);
    if (head->link == was) head->link = is;
    const auto encoded = head->Encode(salt);
    was = head->checksum;
    is = RecordHead::ChecksumIn(encoded);
    std::ranges::copy(encoded, bytes.begin());
    at += bytes.size();
  }
}

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_TESTING_FORGED_LOG_H_
