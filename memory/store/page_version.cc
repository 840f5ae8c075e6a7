#include "memory/store/page_version.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "memory/log/little_endian.h"

namespace mmsb {

void PageVersion::Encode(std::span<std::byte, kBytes> out) const {
  StoreLittleEndian<uint64_t>(position, out, 0);
  StoreLittleEndian<uint32_t>(bytes, out, 8);
  StoreLittleEndian<uint8_t>(static_cast<uint8_t>(form), out, 12);
  StoreLittleEndian<uint8_t>(depth, out, 13);
  StoreLittleEndian<uint16_t>(0, out, 14);
}

std::optional<PageVersion> PageVersion::Decode(
    std::span<const std::byte, kBytes> in) {
  const uint8_t form = LoadLittleEndian<uint8_t>(in, 12);
  if (form > static_cast<uint8_t>(Form::kWhole)) return std::nullopt;
  return PageVersion{.position = LoadLittleEndian<uint64_t>(in, 0),
                     .bytes = LoadLittleEndian<uint32_t>(in, 8),
                     .form = static_cast<Form>(form),
                     .depth = LoadLittleEndian<uint8_t>(in, 13)};
}

}  // namespace mmsb
