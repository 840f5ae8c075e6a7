// A target with a bug that a fuzzer finds in a second: for the test of
// cc_fuzz_test.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  const std::string_view input(reinterpret_cast<const char*>(data), bytes);
  // As a target does whose inputs mean something.
  if (std::getenv("MMSB_FUZZ_PRINT") != nullptr && input.starts_with("say")) {
    std::fputs("TEST(SayTest, NAME_IT) {\n  Say();\n}\n", stderr);
  }
  if (const size_t at = input.find("bug"); at != std::string_view::npos) {
    // One past the end, when the word is all there is behind it.
    volatile const char* word = input.data() + at;
    if (word[2] == 'g' && input.ends_with("!bug")) std::abort();
  }
  return 0;
}
