#include "primitives/os_error.h"

#include <string.h>

#include <cstddef>
#include <cstdio>

#include "primitives/check.h"

namespace mmsb {
namespace {

// strerror_r() comes in two kinds: glibc's returns the text, which may lie
// elsewhere than in the buffer, and POSIX's returns 0 or an error.
[[maybe_unused]] const char* TextOf(const char* returned, const char*) {
  return returned;
}
[[maybe_unused]] const char* TextOf(int returned, const char* buffer) {
  return returned == 0 ? buffer : "unknown error";
}

}  // namespace

const char* OsError::Describe(char* buffer, size_t bytes) const {
  MMSB_CHECK(bytes >= 1, "OsError::Describe: no room for the ending null");
  if (ok()) {
    std::snprintf(buffer, bytes, "success");
    return buffer;
  }
  char text[80];
  std::snprintf(buffer, bytes, "%s: %s (errno %d)", operation_,
                TextOf(strerror_r(code_, text, sizeof(text)), text), code_);
  return buffer;
}

}  // namespace mmsb
