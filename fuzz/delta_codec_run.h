#ifndef MMSB_FUZZ_DELTA_CODEC_RUN_H_
#define MMSB_FUZZ_DELTA_CODEC_RUN_H_

#include <cstdint>
#include <span>
#include <string>

namespace mmsb {

// An input is a byte that says what it is, the page's size as two bytes, least
// significant first and modulo 4100, and
//
//   0    an encoded delta of the form that the next byte names
//   1    a delta message
//   2    contents before and after, as far as the bytes go: 2 bytes of
//        position, modulo the page's size, and a byte to put there, each
//
// modulo 3. Returns what is wrong, or an empty string.
std::string RunDeltaCodecInput(std::span<const uint8_t> input);

// A test case that pastes into program_regression_test.cc.
std::string PrintDeltaCodecInput(std::span<const uint8_t> input);

}  // namespace mmsb

#endif  // MMSB_FUZZ_DELTA_CODEC_RUN_H_
