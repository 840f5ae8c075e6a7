#include "memory/delta/delta.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace mmsb {
namespace {

size_t CountBits(std::span<const uint8_t> mask) {
  size_t count = 0;
  for (const uint8_t bits : mask) {
    count += static_cast<size_t>(std::popcount(bits));
  }
  return count;
}

// Calls visit(byte index) for every set bit, in order.
template <class Visit>
void ForEachSetBit(std::span<const uint8_t> mask, Visit visit) {
  for (size_t i = 0; i < mask.size(); ++i) {
    for (unsigned bits = mask[i]; bits != 0; bits &= bits - 1) {
      visit(i * 8 + static_cast<size_t>(std::countr_zero(bits)));
    }
  }
}

absl::Status ValidateMask(size_t page_bytes, std::span<const uint8_t> mask) {
  if (mask.size() != Delta::MaskBytes(page_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "delta: a page of ", page_bytes, " bytes needs a mask of ",
        Delta::MaskBytes(page_bytes), " bytes, and this has ", mask.size()));
  }
  if (page_bytes % 8 != 0 && (mask.back() >> (page_bytes % 8)) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "delta: the mask sets bits past the page's ", page_bytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace

Delta::Delta(size_t page_bytes, std::vector<uint8_t> mask,
             std::vector<std::byte> payload)
    : page_bytes_(page_bytes),
      mask_(std::move(mask)),
      payload_(std::move(payload)) {}

absl::StatusOr<Delta> Delta::Make(std::span<const std::byte> before,
                                  std::span<const std::byte> after) {
  if (before.size() != after.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("delta: the contents before have ", before.size(),
                     " bytes and those after ", after.size()));
  }
  std::vector<uint8_t> mask(MaskBytes(after.size()));
  std::vector<std::byte> payload;
  for (size_t i = 0; i < after.size(); ++i) {
    if (before[i] != after[i]) {
      mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | (1u << (i % 8)));
      payload.push_back(after[i]);
    }
  }
  return Delta(after.size(), std::move(mask), std::move(payload));
}

absl::StatusOr<Delta> Delta::FromMask(std::span<const uint8_t> mask,
                                      std::span<const std::byte> after) {
  if (absl::Status status = ValidateMask(after.size(), mask); !status.ok()) {
    return status;
  }
  std::vector<std::byte> payload;
  payload.reserve(CountBits(mask));
  ForEachSetBit(mask, [&](size_t i) { payload.push_back(after[i]); });
  return Delta(after.size(), std::vector<uint8_t>(mask.begin(), mask.end()),
               std::move(payload));
}

absl::StatusOr<Delta> Delta::FromParts(size_t page_bytes,
                                       std::vector<uint8_t> mask,
                                       std::vector<std::byte> payload) {
  if (absl::Status status = ValidateMask(page_bytes, mask); !status.ok()) {
    return status;
  }
  if (const size_t bits = CountBits(mask); bits != payload.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("delta: the mask sets ", bits,
                     " bits, and the payload has ", payload.size(), " bytes"));
  }
  return Delta(page_bytes, std::move(mask), std::move(payload));
}

Delta Delta::FromTrustedParts(size_t page_bytes, std::vector<uint8_t> mask,
                              std::vector<std::byte> payload) {
  return Delta(page_bytes, std::move(mask), std::move(payload));
}

absl::StatusOr<Delta> Delta::Compose(const Delta& first, const Delta& second) {
  if (first.page_bytes_ != second.page_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("delta: cannot compose deltas of pages of ",
                     first.page_bytes_, " and ", second.page_bytes_, " bytes"));
  }
  std::vector<uint8_t> mask(first.mask_.size());
  for (size_t i = 0; i < mask.size(); ++i) {
    mask[i] = static_cast<uint8_t>(first.mask_[i] | second.mask_[i]);
  }
  std::vector<std::byte> payload;
  payload.reserve(CountBits(mask));
  size_t in_first = 0;
  size_t in_second = 0;
  ForEachSetBit(mask, [&](size_t i) {
    const unsigned bit = 1u << (i % 8);
    const bool was_in_first = (first.mask_[i / 8] & bit) != 0;
    const bool was_in_second = (second.mask_[i / 8] & bit) != 0;
    payload.push_back(was_in_second ? second.payload_[in_second]
                                    : first.payload_[in_first]);
    in_first += was_in_first ? 1 : 0;
    in_second += was_in_second ? 1 : 0;
  });
  return Delta(first.page_bytes_, std::move(mask), std::move(payload));
}

absl::StatusOr<Delta> Delta::Invert(const Delta& delta,
                                    std::span<const std::byte> before) {
  if (before.size() != delta.page_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("delta: made for a page of ", delta.page_bytes_,
                     " bytes, and inverted over ", before.size()));
  }
  return FromMask(delta.mask_, before);
}

absl::Status Delta::Apply(std::span<std::byte> page) const {
  if (page.size() != page_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("delta: made for a page of ", page_bytes_,
                     " bytes, and applied to ", page.size()));
  }
  size_t next = 0;
  ForEachSetBit(mask_, [&](size_t i) { page[i] = payload_[next++]; });
  return absl::OkStatus();
}

}  // namespace mmsb
