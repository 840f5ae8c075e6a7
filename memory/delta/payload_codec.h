#ifndef MMSB_MEMORY_DELTA_PAYLOAD_CODEC_H_
#define MMSB_MEMORY_DELTA_PAYLOAD_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace mmsb {

// How the bytes of a delta message are packed: an interface, so that a
// compressor is linked by who wants one, and not by memory.
//
// Nothing that a codec does can make a reader allocate more than the delta
// itself may have: Unpack is given the place to fill. What it puts there is not
// trusted, but looked at like any encoded delta. Implementations are
// thread-safe.
class PayloadCodec {
 public:
  virtual ~PayloadCodec() = default;

  // Written with what was packed, so that a reader knows who can unpack it. 0
  // is the identity's; 1 to 127 are the project's to give, and so far to
  // nobody; 128 to 255 are anyone's own.
  virtual uint8_t number() const = 0;

  // Appends `bytes`, packed, to `out`. Whoever asks keeps the shorter of the
  // two.
  virtual absl::Status Pack(std::span<const std::byte> bytes,
                            std::vector<std::byte>& out) const = 0;

  // Fills all of `out`, which has as many bytes as were packed. DataLoss when
  // `packed`, which is not trusted, is not of that.
  virtual absl::Status Unpack(std::span<const std::byte> packed,
                              std::span<std::byte> out) const = 0;
};

// Packs nothing: number 0.
const PayloadCodec& IdentityPayloadCodec();

}  // namespace mmsb

#endif  // MMSB_MEMORY_DELTA_PAYLOAD_CODEC_H_
