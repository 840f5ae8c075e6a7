#include "allocator/allocator_stats.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "primitives/bytes.h"

namespace mmsb {
namespace {

// Text as a pair of pointers; <string_view> is not among this layer's headers.
struct Text {
  template <size_t n>
  constexpr Text(const char (&literal)[n])  // NOLINT: reads like a literal
      : begin(literal), end(literal + n - 1) {}
  constexpr Text(const char* begin, const char* end) : begin(begin), end(end) {}

  const char* begin;
  const char* end;
};

// Appends to a span for as long as there is room, and counts all of it.
class BoundedWriter {
 public:
  explicit BoundedWriter(std::span<char> out) : out_(out) {}

  void Append(Text text) {
    const auto bytes = static_cast<size_t>(text.end - text.begin);
    if (needed_ < out_.size()) {
      std::copy_n(text.begin, std::min(bytes, out_.size() - needed_),
                  out_.data() + needed_);
    }
    needed_ += bytes;
  }

  void Append(uint64_t value) {
    char digits[std::numeric_limits<uint64_t>::digits10 + 1];
    const auto result =
        std::to_chars(std::begin(digits), std::end(digits), value);
    Append(Text(digits, result.ptr));
  }

  [[nodiscard]] size_t needed() const { return needed_; }

 private:
  std::span<char> out_;
  size_t needed_ = 0;
};

struct Field {
  Text name;
  uint64_t value;
};

std::array<Field, 9> Fields(const AllocatorStats& stats) {
  return {{{"live", stats.live()},
           {"cached", stats.cached()},
           {"free", stats.free()},
           {"metadata", stats.metadata()},
           {"committed", stats.committed()},
           {"peak", stats.peak()},
           {"allocations", stats.allocations()},
           {"deallocations", stats.deallocations()},
           {"failures", stats.failures()}}};
}

}  // namespace

bool AllocatorStats::IdentityHolds() const {
  size_t sum = values_.live;
  return CheckedAdd(sum, values_.cached, &sum) &&
         CheckedAdd(sum, values_.free, &sum) &&
         CheckedAdd(sum, values_.metadata, &sum) && sum == values_.committed &&
         values_.live <= values_.peak &&
         values_.deallocations <= values_.allocations;
}

size_t AllocatorStats::FormatText(std::span<char> out) const {
  BoundedWriter writer(out);
  for (const Field& field : Fields(*this)) {
    writer.Append(field.name);
    writer.Append(" ");
    writer.Append(field.value);
    writer.Append("\n");
  }
  return writer.needed();
}

size_t AllocatorStats::FormatJson(std::span<char> out) const {
  BoundedWriter writer(out);
  Text separator = "{\"";
  for (const Field& field : Fields(*this)) {
    writer.Append(separator);
    writer.Append(field.name);
    writer.Append("\":");
    writer.Append(field.value);
    separator = ",\"";
  }
  writer.Append("}");
  return writer.needed();
}

}  // namespace mmsb
