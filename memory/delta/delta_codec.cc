#include "memory/delta/delta_codec.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/delta/delta.h"

namespace mmsb {
namespace {

absl::Status Malformed(const char* what) {
  return absl::DataLossError(absl::StrCat("encoded delta: ", what));
}

// A maximal run of changed bytes: `gap` unchanged bytes after the run before
// it, then `length` changed ones.
struct Run {
  size_t gap;
  size_t length;
};

// Calls visit(Run) for each maximal run of set bits, in order.
template <class Visit>
void ForEachRun(std::span<const uint8_t> mask, size_t page_bytes, Visit visit) {
  const auto is_set = [&](size_t i) {
    return (mask[i / 8] >> (i % 8) & 1) != 0;
  };
  size_t end_of_last = 0;
  size_t i = 0;
  while (i < page_bytes) {
    if (i % 8 == 0 && mask[i / 8] == 0) {
      i += 8;
      continue;
    }
    if (!is_set(i)) {
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < page_bytes && is_set(end)) ++end;
    visit(Run{i - end_of_last, end - i});
    end_of_last = end;
    i = end;
  }
}

size_t VarintBytes(size_t value) {
  return value == 0 ? 1 : (static_cast<size_t>(std::bit_width(value)) + 6) / 7;
}

// LEB128, as in DWARF and protocol buffers: seven bits a byte, low bits first.
void AppendVarint(size_t value, std::vector<std::byte>& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::byte>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::byte>(value));
}

// Takes one varint off the front of `in`; none when `in` ends in the middle of
// one, or it is above `limit`.
std::optional<size_t> TakeVarint(std::span<const std::byte>& in, size_t limit) {
  size_t value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const size_t bits = std::to_integer<size_t>(in.front());
    in = in.subspan(1);
    const size_t low = bits & 0x7f;
    if (low > (limit >> shift)) return std::nullopt;
    value |= low << shift;
    if (bits < 0x80) {
      return value <= limit ? std::optional<size_t>(value) : std::nullopt;
    }
  }
  return std::nullopt;
}

// Splits a sparse encoding into its runs and its payload, and calls
// visit(begin, length) for each run once the whole has been found well formed.
//
//   varint number of runs; a pair (gap, length) for each; the payload.
template <class Visit>
absl::Status VisitSparse(std::span<const std::byte> encoded, size_t page_bytes,
                         Visit visit) {
  std::span<const std::byte> rest = encoded;
  const std::optional<size_t> runs = TakeVarint(rest, page_bytes);
  if (!runs.has_value()) return Malformed("the number of runs is not whole");
  const std::span<const std::byte> pairs = rest;

  size_t position = 0;
  size_t changed = 0;
  for (size_t run = 0; run < *runs; ++run) {
    const std::optional<size_t> gap = TakeVarint(rest, page_bytes - position);
    if (!gap.has_value()) return Malformed("a run begins past the page's end");
    position += *gap;
    const std::optional<size_t> length =
        TakeVarint(rest, page_bytes - position);
    if (!length.has_value()) return Malformed("a run ends past the page's end");
    if (*length == 0) return Malformed("a run is empty");
    position += *length;
    changed += *length;
  }
  if (rest.size() != changed) {
    return Malformed("the payload's size is not that of its runs");
  }

  std::span<const std::byte> again = pairs;
  position = 0;
  size_t taken = 0;
  for (size_t run = 0; run < *runs; ++run) {
    position += *TakeVarint(again, page_bytes);
    const size_t length = *TakeVarint(again, page_bytes);
    visit(position, rest.subspan(taken, length));
    position += length;
    taken += length;
  }
  return absl::OkStatus();
}

absl::StatusOr<Delta> DecodeDense(size_t page_bytes,
                                  std::span<const std::byte> encoded) {
  const size_t mask_bytes = Delta::MaskBytes(page_bytes);
  if (encoded.size() < mask_bytes) return Malformed("the mask is not whole");
  std::vector<uint8_t> mask(mask_bytes);
  if (mask_bytes != 0) std::memcpy(mask.data(), encoded.data(), mask_bytes);
  const std::span<const std::byte> payload = encoded.subspan(mask_bytes);
  if (payload.size() > page_bytes) {
    return Malformed("the payload is larger than the page");
  }
  absl::StatusOr<Delta> delta =
      Delta::FromParts(page_bytes, std::move(mask),
                       std::vector<std::byte>(payload.begin(), payload.end()));
  if (!delta.ok()) return absl::DataLossError(delta.status().message());
  return delta;
}

absl::Status ApplyDense(std::span<const std::byte> encoded,
                        std::span<std::byte> page) {
  const size_t mask_bytes = Delta::MaskBytes(page.size());
  if (encoded.size() < mask_bytes) return Malformed("the mask is not whole");
  const std::span<const std::byte> mask = encoded.first(mask_bytes);
  const std::span<const std::byte> payload = encoded.subspan(mask_bytes);
  size_t bits = 0;
  for (const std::byte b : mask) {
    bits += static_cast<size_t>(std::popcount(std::to_integer<uint8_t>(b)));
  }
  if (bits != payload.size()) {
    return Malformed("the payload's size is not that of its mask");
  }
  if (page.size() % 8 != 0 &&
      std::to_integer<unsigned>(mask.back()) >> (page.size() % 8) != 0) {
    return Malformed("the mask sets bits past the page's end");
  }
  size_t next = 0;
  for (size_t i = 0; i < mask_bytes; ++i) {
    for (unsigned set = std::to_integer<unsigned>(mask[i]); set != 0;
         set &= set - 1) {
      page[i * 8 + static_cast<size_t>(std::countr_zero(set))] =
          payload[next++];
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<DeltaForm> DeltaFormFromNumber(uint8_t form) {
  switch (form) {
    case static_cast<uint8_t>(DeltaForm::kDense):
      return DeltaForm::kDense;
    case static_cast<uint8_t>(DeltaForm::kSparse):
      return DeltaForm::kSparse;
    case static_cast<uint8_t>(DeltaForm::kWhole):
      return DeltaForm::kWhole;
    default:
      return std::nullopt;
  }
}

absl::StatusOr<EncodedDelta> EncodeDelta(const Delta& delta,
                                         std::span<const std::byte> after,
                                         std::vector<std::byte>& out) {
  const size_t page_bytes = delta.page_bytes();
  if (after.size() != page_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("delta: made for a page of ", page_bytes,
                     " bytes, and encoded with contents of ", after.size()));
  }
  size_t runs = 0;
  size_t pair_bytes = 0;
  ForEachRun(delta.mask(), page_bytes, [&](Run run) {
    ++runs;
    pair_bytes += VarintBytes(run.gap) + VarintBytes(run.length);
  });
  // None of these sums can overflow: each term is at most a small multiple of
  // page_bytes, and a page of that many bytes is in memory.
  const size_t sparse = VarintBytes(runs) + pair_bytes + delta.changed_bytes();
  const size_t dense = delta.mask().size() + delta.changed_bytes();
  const size_t smallest = std::min({sparse, dense, page_bytes});

  const size_t begin = out.size();
  const auto append = [&out](std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  DeltaForm form;
  if (smallest == page_bytes) {
    form = DeltaForm::kWhole;
    append(after);
  } else if (smallest == dense) {
    form = DeltaForm::kDense;
    append(std::as_bytes(delta.mask()));
    append(delta.payload());
  } else {
    form = DeltaForm::kSparse;
    AppendVarint(runs, out);
    ForEachRun(delta.mask(), page_bytes, [&](Run run) {
      AppendVarint(run.gap, out);
      AppendVarint(run.length, out);
    });
    append(delta.payload());
  }
  return EncodedDelta{form, out.size() - begin};
}

absl::Status ApplyEncodedDelta(DeltaForm form,
                               std::span<const std::byte> encoded,
                               std::span<std::byte> page) {
  switch (form) {
    case DeltaForm::kDense:
      return ApplyDense(encoded, page);
    case DeltaForm::kSparse:
      return VisitSparse(
          encoded, page.size(),
          [&](size_t position, std::span<const std::byte> bytes) {
            std::memcpy(page.data() + position, bytes.data(), bytes.size());
          });
    case DeltaForm::kWhole:
      if (encoded.size() != page.size()) {
        return Malformed("a whole page is not of the page's size");
      }
      if (!page.empty()) std::memcpy(page.data(), encoded.data(), page.size());
      return absl::OkStatus();
  }
  return Malformed("the form is unknown");
}

absl::StatusOr<Delta> DecodeDelta(DeltaForm form, size_t page_bytes,
                                  std::span<const std::byte> encoded) {
  switch (form) {
    case DeltaForm::kDense:
      return DecodeDense(page_bytes, encoded);
    case DeltaForm::kSparse: {
      std::vector<uint8_t> mask(Delta::MaskBytes(page_bytes));
      std::vector<std::byte> payload;
      payload.reserve(std::min(encoded.size(), page_bytes));
      absl::Status status = VisitSparse(
          encoded, page_bytes,
          [&](size_t position, std::span<const std::byte> bytes) {
            for (size_t i = position; i < position + bytes.size(); ++i) {
              mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | (1u << (i % 8)));
            }
            payload.insert(payload.end(), bytes.begin(), bytes.end());
          });
      if (!status.ok()) return status;
      return Delta::FromParts(page_bytes, std::move(mask), std::move(payload));
    }
    case DeltaForm::kWhole: {
      if (encoded.size() != page_bytes) {
        return Malformed("a whole page is not of the page's size");
      }
      std::vector<uint8_t> mask(Delta::MaskBytes(page_bytes), 0xff);
      if (page_bytes % 8 != 0) {
        mask.back() = static_cast<uint8_t>((1u << (page_bytes % 8)) - 1);
      }
      return Delta::FromParts(
          page_bytes, std::move(mask),
          std::vector<std::byte>(encoded.begin(), encoded.end()));
    }
  }
  return Malformed("the form is unknown");
}

}  // namespace mmsb
