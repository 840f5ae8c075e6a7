#include "memory/delta/payload_codec.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace mmsb {
namespace {

class Identity final : public PayloadCodec {
 public:
  uint8_t number() const override { return 0; }

  absl::Status Pack(std::span<const std::byte> bytes,
                    std::vector<std::byte>& out) const override {
    out.insert(out.end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  }

  absl::Status Unpack(std::span<const std::byte> packed,
                      std::span<std::byte> out) const override {
    if (packed.size() != out.size()) {
      return absl::DataLossError("not as many bytes as there were");
    }
    std::ranges::copy(packed, out.begin());
    return absl::OkStatus();
  }
};

}  // namespace

const PayloadCodec& IdentityPayloadCodec() {
  static const Identity identity;
  return identity;
}

}  // namespace mmsb
