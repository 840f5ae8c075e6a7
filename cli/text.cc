#include "cli/text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace mmsb {
namespace {

// The length of the UTF-8 sequence that `text`, not empty, begins with, in
// bytes; 0 when it begins with none (Unicode 15, table 3-7).
size_t Utf8Length(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = at(0);
  if (first < 0x80) return 1;
  size_t length;
  uint8_t low = 0x80;
  uint8_t high = 0xbf;  // of the second byte
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (text.size() < length || at(1) < low || at(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (at(i) < 0x80 || at(i) > 0xbf) return 0;
  }
  return length;
}

// Of a UTF-8 sequence: C0, DEL, and C1, which are U+0080 to U+009F.
bool IsControl(std::string_view sequence) {
  const auto first = static_cast<uint8_t>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<uint8_t>(sequence[1]) < 0xa0;
}

}  // namespace

std::string ShortBytesText(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would be shown as 1024.0.
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string BytesText(uint64_t bytes) {
  if (bytes < 1024) return CountText(bytes, "byte");
  return absl::StrCat(ShortBytesText(bytes), " (", bytes, " bytes)");
}

std::string CountText(uint64_t count, std::string_view word) {
  return absl::StrCat(count, " ", word, count == 1 ? "" : "s");
}

std::string DurationText(int64_t ns) {
  return absl::StrFormat(
      "%.3f s", static_cast<double>(std::max<int64_t>(ns, 1'000'000)) / 1e9);
}

std::string RateText(uint64_t bytes, int64_t ns) {
  const double per_second =
      static_cast<double>(bytes) /
      (static_cast<double>(std::max<int64_t>(ns, 1)) / 1e9);
  return absl::StrCat(
      ShortBytesText(static_cast<uint64_t>(std::min(per_second, 1e18))), "/s");
}

std::string TimeText(int64_t ns) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixNanos(ns),
                          absl::UTCTimeZone());
}

std::string EscapedText(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view sequence =
        text.substr(0, std::max<size_t>(length, 1));
    text.remove_prefix(sequence.size());
    if (length != 0 && !IsControl(sequence)) {
      result += sequence;
    } else if (sequence == "\n") {
      result += "\\n";
    } else if (sequence == "\t") {
      result += "\\t";
    } else if (sequence == "\r") {
      result += "\\r";
    } else {
      for (const char c : sequence) {
        absl::StrAppendFormat(&result, "\\x%02x", static_cast<uint8_t>(c));
      }
    }
  }
  return result;
}

std::string JsonText(std::string_view text) {
  std::string result = "\"";
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view sequence =
        text.substr(0, std::max<size_t>(length, 1));
    text.remove_prefix(sequence.size());
    if (length == 0) {
      result += "\xef\xbf\xbd";
    } else if (sequence == "\"" || sequence == "\\") {
      absl::StrAppend(&result, "\\", sequence);
    } else if (length == 1 && IsControl(sequence)) {
      absl::StrAppendFormat(&result, "\\u%04x",
                            static_cast<uint8_t>(sequence[0]));
    } else {
      result += sequence;
    }
  }
  result += '"';
  return result;
}

}  // namespace mmsb
