#ifndef MMSB_ALLOCATOR_BOUNDED_WRITER_H_
#define MMSB_ALLOCATOR_BOUNDED_WRITER_H_

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

namespace mmsb {

// Text, written into a caller's buffer for as long as there is room, and
// measured to its end.
//
// Owns nothing and never writes outside the span: what does not fit is cut off
// and still counted, so that needed() is the size of a buffer that holds all of
// it. Null-terminated strings come in, no terminating zero goes out. Not
// thread-safe. Cannot fail. Time in proportion to the text.
//
//   BoundedWriter writer(out);
//   writer.Append("live ").Append(stats.live()).Append("\n");
//   return writer.needed();
class BoundedWriter {
 public:
  explicit BoundedWriter(std::span<char> out) : out_(out) {}

  BoundedWriter& Append(const char* text) {
    return Append(text, std::strlen(text));
  }

  BoundedWriter& Append(const char* text, size_t bytes) {
    if (needed_ < out_.size()) {
      std::copy_n(text, std::min(bytes, out_.size() - needed_),
                  out_.data() + needed_);
    }
    needed_ += bytes;
    return *this;
  }

  BoundedWriter& Append(uint64_t value, int base = 10) {
    char digits[std::numeric_limits<uint64_t>::digits];
    const auto result =
        std::to_chars(digits, digits + sizeof(digits), value, base);
    return Append(digits, static_cast<size_t>(result.ptr - digits));
  }

  // Bytes of all that was appended, written or not.
  [[nodiscard]] size_t needed() const { return needed_; }

 private:
  std::span<char> out_;
  size_t needed_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_BOUNDED_WRITER_H_
