#ifndef MMSB_CLI_TEXT_H_
#define MMSB_CLI_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace mmsb {

// Values as the command shows them. Pure functions; thread-safe.

// "1 byte", "512 bytes", "1.5 KiB (1536 bytes)".
std::string BytesText(uint64_t bytes);

// "512 B", "1.5 KiB", "2.0 GiB": three digits or so.
std::string ShortBytesText(uint64_t bytes);

// `count` and the word, with an s unless it is 1.
std::string CountText(uint64_t count, std::string_view word);

// "0.312 s"; at least a millisecond is shown.
std::string DurationText(int64_t ns);

// "1.6 GiB/s".
std::string RateText(uint64_t bytes, int64_t ns);

// "2026-02-03T04:05:06Z", from nanoseconds since the Unix epoch.
std::string TimeText(int64_t ns);

// `text` on one line, without effects on a terminal: control characters and
// bytes that are not UTF-8 as \n, \t, \r or \xNN; the rest as it is.
std::string EscapedText(std::string_view text);

// `text` as a JSON string, quotes included. Bytes that are not UTF-8 become
// U+FFFD, as JSON has no other way.
std::string JsonText(std::string_view text);

}  // namespace mmsb

#endif  // MMSB_CLI_TEXT_H_
