#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "mmsb/arena.h"

// Each byte asks for that many bytes of an arena, which must not be another's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  mmsb::Arena arena;
  const unsigned char* last = nullptr;
  for (size_t i = 0; i < bytes; ++i) {
    auto* block = static_cast<unsigned char*>(arena.Allocate(data[i] + 1, 1));
    if (block == nullptr) std::abort();
    std::memset(block, data[i], data[i] + 1);
    if (last != nullptr && *last != data[i - 1]) std::abort();
    last = block;
  }
  return 0;
}
