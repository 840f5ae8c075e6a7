// The bytes are either an encoded delta or a delta message that nobody vouches
// for, or two contents of a page that make one (delta_codec_run.h).

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "fuzz/delta_codec_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  const std::string error = mmsb::RunDeltaCodecInput({data, bytes});
  if (!error.empty()) {
    std::cerr << error << "\n\n" << mmsb::PrintDeltaCodecInput({data, bytes});
    std::abort();
  }
  return 0;
}
