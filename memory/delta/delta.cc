#include "memory/delta/delta.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/log/little_endian.h"

namespace mmsb {
namespace {

// Fewer than 8 bytes, as the low ones of a word.
uint64_t LoadPart(std::span<const std::byte> bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    word |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  }
  return word;
}

// Calls visit(first byte's index, bits) for every 64 bits of the mask, in
// order; there are fewer at the end, and the rest of the word is 0.
template <class Visit>
void ForEachWord(std::span<const uint8_t> mask, Visit visit) {
  for (size_t i = 0; i < mask.size(); i += sizeof(uint64_t)) {
    const auto bytes =
        std::as_bytes(mask.subspan(i, std::min(mask.size() - i, size_t{8})));
    visit(i * 8, bytes.size() == 8 ? LoadLittleEndian<uint64_t>(bytes, 0)
                                   : LoadPart(bytes));
  }
}

size_t CountBits(std::span<const uint8_t> mask) {
  size_t count = 0;
  ForEachWord(mask, [&](size_t, uint64_t bits) {
    count += static_cast<size_t>(std::popcount(bits));
  });
  return count;
}

// Calls visit(byte index) for every set bit, in order.
template <class Visit>
void ForEachSetBit(std::span<const uint8_t> mask, Visit visit) {
  ForEachWord(mask, [&](size_t first, uint64_t bits) {
    for (; bits != 0; bits &= bits - 1) {
      visit(first + static_cast<size_t>(std::countr_zero(bits)));
    }
  });
}

// The bytes of `page` whose bits are set.
std::vector<std::byte> Gather(std::span<const uint8_t> mask,
                              std::span<const std::byte> page) {
  std::vector<std::byte> bytes(CountBits(mask));
  std::byte* next = bytes.data();
  ForEachWord(mask, [&](size_t first, uint64_t bits) {
    if (bits == ~uint64_t{0}) {
      std::memcpy(next, page.data() + first, 64);
      next += 64;
      return;
    }
    for (; bits != 0; bits &= bits - 1) {
      *next++ = page[first + static_cast<size_t>(std::countr_zero(bits))];
    }
  });
  return bytes;
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
  const auto compare = [&](size_t first, size_t bytes) {
    unsigned bits = 0;
    for (size_t i = 0; i < bytes; ++i) {
      bits |= (before[first + i] != after[first + i] ? 1u : 0u) << i;
    }
    mask[first / 8] = static_cast<uint8_t>(bits);
  };
  // A byte of the mask at a time: most are 0.
  const size_t whole = after.size() / 8 * 8;
  for (size_t i = 0; i < whole; i += 8) {
    uint64_t old_word;
    uint64_t new_word;
    std::memcpy(&old_word, before.data() + i, sizeof(old_word));
    std::memcpy(&new_word, after.data() + i, sizeof(new_word));
    if (old_word != new_word) compare(i, 8);
  }
  if (whole != after.size()) compare(whole, after.size() - whole);
  std::vector<std::byte> payload = Gather(mask, after);
  return Delta(after.size(), std::move(mask), std::move(payload));
}

absl::StatusOr<Delta> Delta::FromMask(std::span<const uint8_t> mask,
                                      std::span<const std::byte> after) {
  if (absl::Status status = ValidateMask(after.size(), mask); !status.ok()) {
    return status;
  }
  return Delta(after.size(), std::vector<uint8_t>(mask.begin(), mask.end()),
               Gather(mask, after));
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
  const std::byte* next = payload_.data();
  ForEachWord(mask_, [&](size_t first, uint64_t bits) {
    if (bits == ~uint64_t{0}) {
      std::memcpy(page.data() + first, next, 64);
      next += 64;
      return;
    }
    for (; bits != 0; bits &= bits - 1) {
      page[first + static_cast<size_t>(std::countr_zero(bits))] = *next++;
    }
  });
  return absl::OkStatus();
}

}  // namespace mmsb
