#include "cli/text.h"

#include <cstdint>
#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(TextTest, BytesHaveAUnitAndTheExactNumber) {
  EXPECT_EQ(BytesText(0), "0 bytes");
  EXPECT_EQ(BytesText(1), "1 byte");
  EXPECT_EQ(BytesText(1023), "1023 bytes");
  EXPECT_EQ(BytesText(1024), "1.0 KiB (1024 bytes)");
  EXPECT_EQ(BytesText(1536), "1.5 KiB (1536 bytes)");
  EXPECT_EQ(BytesText(uint64_t{5} << 30), "5.0 GiB (5368709120 bytes)");
}

TEST(TextTest, AUnitIsNeverShownAThousandTimes) {
  EXPECT_EQ(ShortBytesText((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(ShortBytesText(1023 * 1024), "1023.0 KiB");
  EXPECT_EQ(ShortBytesText(std::numeric_limits<uint64_t>::max()), "16.0 EiB");
}

TEST(TextTest, DurationsAndRates) {
  EXPECT_EQ(DurationText(0), "0.001 s");
  EXPECT_EQ(DurationText(1'234'567'890), "1.235 s");
  EXPECT_EQ(RateText(3 << 20, 1'500'000'000), "2.0 MiB/s");
  EXPECT_EQ(RateText(0, 0), "0 B/s");
  EXPECT_EQ(RateText(std::numeric_limits<uint64_t>::max(), 1).substr(0, 3),
            "888");
}

TEST(TextTest, TimeIsIso8601InUtc) {
  EXPECT_EQ(TimeText(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(TimeText(1'700'000'000'999'999'999), "2023-11-14T22:13:20Z");
  EXPECT_EQ(TimeText(-1), "1969-12-31T23:59:59Z");
}

TEST(TextTest, EscapedTextHasNoControlCharacters) {
  EXPECT_EQ(EscapedText("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(EscapedText("\x1b[31m\x7f"), "\\x1b[31m\\x7f");
  EXPECT_EQ(EscapedText(std::string("\0x", 2)), "\\x00x");
  // U+009B introduces escape sequences on terminals, as ESC [ does.
  EXPECT_EQ(EscapedText("\xc2\x9b"), "\\xc2\\x9b");
  EXPECT_EQ(EscapedText("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x99\x82"),
            "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x99\x82");
}

TEST(TextTest, WhatIsNotUtf8IsEscapedByteByByte) {
  EXPECT_EQ(EscapedText("\xff"), "\\xff");
  EXPECT_EQ(EscapedText("\xc3"), "\\xc3");           // cut short
  EXPECT_EQ(EscapedText("\xc3("), "\\xc3(");         // not continued
  EXPECT_EQ(EscapedText("\xc0\xaf"), "\\xc0\\xaf");  // overlong
  EXPECT_EQ(EscapedText("\xe0\x80\x80"), "\\xe0\\x80\\x80");
  EXPECT_EQ(EscapedText("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(EscapedText("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(EscapedText("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf");
}

TEST(TextTest, JsonTextIsAString) {
  EXPECT_EQ(JsonText(""), "\"\"");
  EXPECT_EQ(JsonText("say \"\\\""), "\"say \\\"\\\\\\\"\"");
  EXPECT_EQ(JsonText("a\nb\x1f"), "\"a\\u000ab\\u001f\"");
  EXPECT_EQ(JsonText("\xe2\x82\xac"), "\"\xe2\x82\xac\"");
  EXPECT_EQ(JsonText("a\xff\xfe"), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace mmsb
