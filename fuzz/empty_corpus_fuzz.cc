// A target that has no corpus, for empty_corpus_test.

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* /*data*/,
                                      size_t /*bytes*/) {
  return 0;
}
